"""Consent strings against independent encoders (npm `@iabtechlabtcf/core`, `@iabgpp/cmpapi`), and signals over the real binary.

JUMELLE_STRINGS=N takes another number of random TC strings, JUMELLE_STRINGS_SEED another seed, JUMELLE_STRINGS_DECODER a decoder
that is built already (`cargo build -p jumelle-consent --example strings`).
"""

import datetime
import json
import os
import pathlib
import random
import subprocess
import unittest

from jumelle_server import BINARY, build, wait_until
from shop import Shop, basic, now

HERE = pathlib.Path(__file__).resolve().parent
COUNT = int(os.environ.get("JUMELLE_STRINGS", "20000"))
GPP_COUNT = 2_000
SEED = int(os.environ.get("JUMELLE_STRINGS_SEED", "755"))
DECODER = os.environ.get("JUMELLE_STRINGS_DECODER") or BINARY.parent / "examples" / "strings"
TIMES = ("created", "lastUpdated")

WORKSPACE = """\
workspace: {key: shop, locale: en, timezone: Europe/Paris, country: FR, currency: EUR}
sources:
  site: {kind: web, write_key: wk_site}
purposes:
  analytics: {basis: consent, tcf: [1, 8], gcm: [analytics_storage], gpc: false}
  advertising: {basis: consent, gcm: [ad_storage, ad_user_data]}
  sharing: {basis: legitimate_interest, gpc: true}
  marketing: {basis: consent, gpc: false}
consent:
  strings:
    tcf: {choices: {advertising: {purposes: [2, 3], channels: [display, onsite]}}}
    gpp: {choices: {advertising: {opt_outs: [sale, targeted_advertising], channels: [display]}}}
    categories: {choices: {marketing: {categories: [Advertising]}}}
"""


def node(script, *arguments, lines=None):
    """Runs one of the encoders; gives its lines of JSON."""
    done = subprocess.run(
        ["node", script, *map(str, arguments)], cwd=HERE, input="".join(line + "\n" for line in lines or []),
        stdout=subprocess.PIPE, text=True, check=True, timeout=1_200,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def read_all(strings):
    """What our decoder makes of strings."""
    text = "".join(string + "\n" for string in strings)
    done = subprocess.run([str(DECODER)], input=text, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(strings), (len(answers), len(strings))
    return answers


def milliseconds(text):
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def as_model(read):
    """Our reading in the shape of the encoder's model."""
    model = {field: value for field, value in read.items() if field not in ("segments", "defects", "policy")}
    return {**model, **{field: milliseconds(model[field]) for field in TIMES}}


class Encoders(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if "JUMELLE_STRINGS_DECODER" not in os.environ:
            build()
        cls.tcf = node("tcf.mjs", "encode", SEED, COUNT)
        cls.gpp = node("gpp.mjs", "encode", SEED, GPP_COUNT)

    def test_their_tc_strings_are_the_same_models_to_us(self):
        self.assertEqual(COUNT, len(self.tcf))
        for theirs, ours in zip(self.tcf, read_all([one["string"] for one in self.tcf])):
            self.assertNotIn("malformed", ours, theirs["string"])
            self.assertEqual(theirs["model"], as_model(ours["read"]), theirs["string"])
        restricted = sum(bool(one["model"]["publisherRestrictions"]) for one in self.tcf)
        print(f"{COUNT} TC strings of @iabtechlabtcf/core read alike, {restricted} with publisher restrictions (seed {SEED})")

    def test_our_tc_strings_are_the_same_models_to_them(self):
        again = [one["again"] for one in read_all([one["string"] for one in self.tcf])]
        models = node("tcf.mjs", "decode", lines=again)
        self.assertEqual(COUNT, len(models))
        for theirs, model, string in zip(self.tcf, models, again):
            self.assertEqual(theirs["model"], model, string)
        print(f"{COUNT} TC strings of ours read alike by @iabtechlabtcf/core")

    def test_gpp_strings_are_the_same_both_ways(self):
        read = read_all([one["string"] for one in self.gpp])
        for theirs, ours in zip(self.gpp, read):
            self.assertNotIn("malformed", ours, theirs["string"])
            self.assert_same_sections(theirs, ours["read"], theirs["string"])
        for theirs, ours in zip(node("gpp.mjs", "decode", lines=[one["again"] for one in read]), read):
            self.assert_same_sections(theirs, ours["read"], ours["again"])
        print(f"{GPP_COUNT} GPP strings alike both ways with @iabgpp/cmpapi")

    def assert_same_sections(self, theirs, ours, string):
        self.assertEqual(theirs["sectionIds"], ours["sectionIds"], string)
        names = {"MspaVersion": "Version"}
        for name, section in theirs["sections"].items():
            fields = {names.get(field, field): value for field, value in section.items() if field != "GpcSegmentType"}
            self.assertEqual(fields, ours["sections"][name], f"{name} of {string}")

    def test_a_tc_string_is_the_same_inside_of_a_gpp_string(self):
        sample = [one["string"] for one in self.tcf[:500]]
        alone = read_all(sample)
        for header in ("DBABM", "DBABMA", "DBABMAAA"):
            for one, inside in zip(alone, read_all([f"{header}~{string}" for string in sample])):
                self.assertEqual(one["read"], inside["read"]["sections"]["tcfeuv2"])

    def test_damaged_strings_are_refused_or_another_string(self):
        """A mutation is refused with a reason; one that is read reads the same after being written again."""
        dice = random.Random(SEED)
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~=+ é"
        damaged = []
        for one in (self.tcf + self.gpp)[:: max(1, COUNT // 4_000)]:
            string = one["string"]
            at = dice.randrange(len(string))
            damaged += [
                string[:at], string[:at] + dice.choice(letters) + string[at + 1 :], string[:at] + dice.choice(letters) + string[at:],
                string + "." + string, string + "AAAB", string[at:],
            ]  # fmt: skip
        damaged = [string for string in damaged if "\n" not in string]
        read = read_all(damaged)
        refused = [one["malformed"] for one in read if "malformed" in one]
        self.assertTrue(all(": " in reason for reason in refused))
        kept = [one for one in read if "malformed" not in one]
        for one, again in zip(kept, read_all([one["again"] for one in kept])):
            self.assertEqual(one["read"], again.get("read"))
        print(f"{len(damaged)} damaged strings: {len(refused)} refused, {len(kept)} read as another string")
        whole = [one["string"] for one in self.tcf[:2_000]]
        for appended in ("=", "AAAB", ".", "~", ".B"):
            for one in read_all([string + appended for string in whole]):
                self.assertIn("malformed", one, appended)


def bits(*fields):
    """Fields (value, width) as base64url, padded with zeros to whole bytes."""
    text = "".join(f"{value:0{width}b}" if width else "" for value, width in fields)
    text += "0" * (-len(text) % 24)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(letters[int(text[at : at + 6], 2)] for at in range(0, len(text), 6))


def letters_of(pair):
    return [(ord(letter) - 65, 6) for letter in pair]


def tc_string(purposes, day=None, policy=5, service=1, disclosed=True):
    """A TC string by the bits of the specification: purposes consented to, last updated on a day (default today)."""
    day = day or datetime.datetime.now(datetime.timezone.utc).date()
    tenths = (day - datetime.date(1970, 1, 1)).days * 864_000
    core = bits(
        (2, 6), (tenths, 36), (tenths, 36), (300, 12), (1, 12), (1, 6), *letters_of("FR"), (120, 12), (policy, 6), (service, 1), (0, 1),
        (0, 12), (sum(1 << (24 - purpose) for purpose in purposes), 24), (0, 24), (0, 1), *letters_of("FR"), (3, 16), (0, 1), (7, 3),
        (0, 16), (0, 1), (0, 12),
    )  # fmt: skip
    return core + ("." + bits((1, 3), (3, 16), (0, 1), (7, 3)) if disclosed else "")


YESTERDAY = datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=1)


class Signals(unittest.TestCase):
    """The way in: signals become choices of the device."""

    @classmethod
    def setUpClass(cls):
        cls.shop = cls.enterClassContext(Shop(WORKSPACE))

    def post(self, device, headers=None, event="Product Viewed", **context):
        body = {"type": "track", "event": event, "anonymousId": device, "timestamp": now(), "context": context}
        return self.shop.call("POST", "/v1/track", body, headers={**basic("wk_site"), **(headers or {})}, admin=False)

    def said(self, device):
        """Purpose/channel, state and weakness of what the device's profile has."""
        answer = self.shop.call("GET", f"/v1/profiles/anonymous_id:{device}/consents")
        items = answer.json()["items"] if answer.status == 200 else []
        return {f"{one['purpose']}/{one.get('channel') or '*'}": one["state"] + (" weakly" if one.get("weak") else "") for one in items}

    def sends(self, device, status=200, **context):
        answer = self.post(device, **context)
        self.assertEqual(status, answer.status, answer)
        return answer

    def test_a_tc_string_is_the_device_s_choice_and_no_address_s(self):
        string = tc_string([1, 8])
        self.sends("t-grant", consent={"tcf": string}, traits={"email": "t-grant@example.org"})
        self.assertEqual(
            {"analytics/*": "granted", "advertising/display": "denied", "advertising/onsite": "denied"}, self.said("t-grant")
        )
        profile = self.shop.get("/v1/profiles/email:t-grant@example.org/consents")["items"]
        scopes = {json.dumps(one["scope"]) if "scope" in one else json.dumps(one.get("for")) for one in profile}
        self.assertTrue(scopes and all("t-grant@example.org" not in scope and "anonymous_id" in scope for scope in scopes), profile)
        stored = [one for one in self.shop.exported_events() if one.get("anonymousId") == "t-grant"]
        self.assertEqual([string], [one["context"]["consent"]["tcf"] for one in stored], "the string is kept as it came")

    def test_a_repeated_grant_does_not_outweigh_a_refusal(self):
        string = tc_string([1, 2, 3, 8], YESTERDAY)
        self.sends("t-again", consent={"tcf": string})
        self.assertEqual("granted", self.said("t-again")["analytics/*"])
        self.shop.consent({"anonymous_id": "t-again"}, "denied", "analytics", **{"for": {"anonymous_id": "t-again"}})
        for _ in range(3):
            self.sends("t-again", consent={"tcf": string})
        self.assertEqual("denied", self.said("t-again")["analytics/*"])
        self.sends("t-again", event="Consent Updated", consent={"tcf": tc_string([1, 8])})
        self.assertEqual("granted", self.said("t-again")["analytics/*"], "chosen again")
        self.sends("t-again", consent={"tcf": tc_string([1])})
        self.assertEqual("denied", self.said("t-again")["analytics/*"], "and refused again")

    def test_strings_that_grant_nothing(self):
        cases = {
            "policy": tc_string([1, 8], policy=3),
            "scope": tc_string([1, 8], service=0),
            "undisclosed": tc_string([1, 8], disclosed=False),
            "future": tc_string([1, 8], YESTERDAY + datetime.timedelta(days=5)),
        }
        for name, string in cases.items():
            with self.subTest(name):
                self.sends(f"t-none-{name}", consent={"tcf": string})
                self.assertNotIn("analytics/*", self.said(f"t-none-{name}"))
                self.assertEqual("denied", self.said(f"t-none-{name}")["advertising/onsite"])
        data = {"tcString": tc_string([1, 8]), "gdprApplies": True}
        for name, more in {"open": {"eventStatus": "cmpuishown"}, "outside": {"gdprApplies": False}}.items():
            with self.subTest(name):
                self.sends(f"t-none-{name}", consent={"tcf": {**data, **more}})
                self.assertEqual({}, self.said(f"t-none-{name}"))
        self.sends("t-data", consent={"tcf": {**data, "eventStatus": "tcloaded"}})
        self.assertEqual("granted", self.said("t-data")["analytics/*"])

    def test_what_is_malformed_is_quarantined_by_its_rule(self):
        string = tc_string([1, 8])
        cases = [
            ("tcf_string", {"tcf": string[:-6]}), ("tcf_string", {"tcf": string + "." + string}), ("tcf_string", {"tcf": "yes"}),
            ("tcf_string", {"tcf": "C" + "_" * 20_000}), ("wrong_type", {"tcf": 1}), ("gpp_string", {"gpp": "DBABLA~"}),
            ("gpc_signal", {"gpc": "1"}), ("consent_mode", {"gcm": {"ad_storage": "yes"}}),
            ("category_preference", {"categoryPreferences": {"Advertising": "true"}}), ("not_a_timestamp", {"at": "today"}),
        ]  # fmt: skip
        for n, (rule, consent) in enumerate(cases):
            with self.subTest(rule, n=n):
                # A good signal beside a malformed one grants nothing either.
                answer = self.sends(f"t-bad-{n}", 400, consent={"categoryPreferences": {"Advertising": True}, **consent})
                self.assertEqual(rule, answer.json()["rule"], answer)
                self.assertTrue(answer.json()["field"].startswith("context.consent"), answer)
                self.assertEqual({}, self.said(f"t-bad-{n}"))
        wait_until(
            lambda: {rule for rule, _ in cases} <= {item["rule"] for item in self.shop.get("/v1/quarantine?limit=1000")["items"]},
            "every rule in quarantine",
        )

    def test_sec_gpc_is_an_opt_out_only_as_1(self):
        for n, value in enumerate(["0", "true", "", "11"]):
            self.assertEqual(200, self.post(f"t-gpc-{n}", {"sec-gpc": value}).status)
            self.assertEqual({}, self.said(f"t-gpc-{n}"))
        denied = {"advertising/*": "denied", "advertising/partner_sharing": "denied", "sharing/*": "denied", "sharing/partner_sharing": "denied"}
        self.post("t-gpc-on", {"sec-gpc": "1"})
        self.assertEqual(denied, self.said("t-gpc-on"))
        self.sends("t-gpc-context", gpc=True)
        self.assertEqual(denied, self.said("t-gpc-context"))
        self.sends("t-gpc-consent", consent={"gpc": True})
        self.assertEqual(denied, self.said("t-gpc-consent"))
        self.sends("t-gpc-false", gpc=False, consent={"gpc": False})
        self.assertEqual({}, self.said("t-gpc-false"))
        # Our tag reads the signal itself, and knows of what was granted in spite of it.
        self.post("t-gpc-tag", {"sec-gpc": "1"}, library={"name": "jumelle-tag"})
        self.assertEqual({}, self.said("t-gpc-tag"))

    def test_consent_mode_categories_and_gpp(self):
        self.sends("t-gcm", consent={"gcm": {"ad_storage": "granted", "ad_user_data": "granted", "analytics_storage": "denied"}})
        self.assertEqual({"advertising/*": "granted weakly", "analytics/*": "denied"}, self.said("t-gcm"))
        self.sends("t-categories", consent={"categoryPreferences": {"Advertising": True}})
        self.assertEqual({"marketing/*": "granted weakly"}, self.said("t-categories"))
        self.sends("t-categories", consent={"categoryPreferences": {"Advertising": False}})
        self.assertEqual("denied", self.said("t-categories")["marketing/*"])
        self.sends("t-categories", consent={"categoryPreferences": {"Advertising": True}})
        self.assertEqual("denied", self.said("t-categories")["marketing/*"], "repeated, not chosen")
        self.sends(
            "t-categories", event="Segment Consent Preference Updated", consent={"categoryPreferences": {"Advertising": True}}
        )
        self.assertEqual("granted", self.said("t-categories")["marketing/*"])
        self.sends("t-gpp", consent={"gpp": "DBABTA~1YYN"})
        self.assertEqual({"advertising/display": "denied"}, self.said("t-gpp"))
        self.sends("t-gpp-none", consent={"gpp": "DBABTA~1YNN"})
        self.assertEqual({}, self.said("t-gpp-none"))
        inside = "DBABMA~" + tc_string([2, 3])
        self.sends("t-gpp-tcf", consent={"gpp": inside, "tcf": tc_string([1, 2, 3, 8])})
        self.assertEqual("denied", self.said("t-gpp-tcf")["analytics/*"], "where two strings differ, the refusal counts")

    def test_where_both_strings_differ_the_stricter_counts_and_the_conflict_is_shown(self):
        yes, no = [1, 2, 3, 8], [2, 3]
        for name, alone, inside in (("alone", tc_string(no, YESTERDAY), tc_string(yes)), ("inside", tc_string(yes), tc_string(no, YESTERDAY))):
            with self.subTest(denied_by=name):
                # A grant of before, younger than the string that refuses.
                self.sends(f"t-both-{name}", consent={"tcf": tc_string(yes)})
                self.assertEqual("granted", self.said(f"t-both-{name}")["analytics/*"])
                self.sends(f"t-both-{name}", consent={"tcf": alone, "gpp": f"DBABMA~{inside}"})
                self.assertEqual("denied", self.said(f"t-both-{name}")["analytics/*"])
                self.assertEqual("granted", self.said(f"t-both-{name}")["advertising/display"], "what both grant")
                proof = self.shop.get(f"/v1/privacy/proof?identifier=anonymous_id:t-both-{name}")
                other = "gpp" if name == "alone" else "tcf"
                self.assertIn(f"purposeConsents without 1, 8; {other} says granted, the refusal counts", json.dumps(proof))

    def test_without_a_device_only_a_refusal_counts(self):
        def of(user, string):
            body = {"type": "track", "event": "Bought", "userId": user, "context": {"consent": {"tcf": string}}}
            self.assertEqual(200, self.shop.call("POST", "/v1/track", body, headers=basic("wk_site"), admin=False).status)
            return {f"{one['purpose']}/{one.get('channel') or '*'}": one["state"] for one in self.shop.get(f"/v1/profiles/user_id:{user}/consents")["items"]}

        self.assertEqual({}, of("t-user-1", tc_string([1, 2, 3, 8])))
        refused = of("t-user-2", tc_string([2, 3]))
        self.assertEqual({"push", "onsite", "display", "social", "retargeting", "personalization"}, {key.split("/")[1] for key in refused})
        self.assertEqual({"denied"}, set(refused.values()))

    def test_a_string_is_explained(self):
        string = tc_string([2, 3])
        answer = self.shop.call("POST", "/v1/consents/decode", {"tcf": string}).json()
        self.assertEqual(([2, 3], [1, 2, 3], [1, 2, 3]), tuple(answer[f] for f in ("purposeConsents", "vendorConsents", "vendorsDisclosed")))
        policy = {(row["purpose"], row["channel"]): row["state"] for row in answer["policy"]}
        self.assertEqual("granted", policy["advertising", "display"])
        self.assertEqual("denied", policy["analytics", "onsite"])
        self.assertNotIn(("advertising", "email"), policy)
        self.assertEqual(answer, json.loads(self.shop.command("consent", "decode", string, "--json")))
        offline = subprocess.run(
            [str(BINARY), "consent", "decode", string, "--json", "--workspace", str(self.shop.workspace)],
            stdout=subprocess.PIPE, text=True, check=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(answer, json.loads(offline.stdout))
        # Without a server and a workspace: what it says, and nothing of what it means.
        bare = {key: value for key, value in os.environ.items() if not key.startswith("JUMELLE_")}
        alone = subprocess.run(
            [str(BINARY), "consent", "decode", string, "--json"], stdout=subprocess.PIPE, text=True, check=True, timeout=60, env=bare
        )
        self.assertEqual({**answer, "policy": None}, json.loads(alone.stdout))
        self.assertIn("purposeConsents without 1, 8", self.shop.command("consent", "decode", string))
        gpp = self.shop.call("POST", "/v1/consents/decode", {"gpp": "DBABLA~BVQqAAAACgA.QA"}).json()
        self.assertEqual(([7], 2, []), (gpp["sectionIds"], gpp["sections"]["usnat"]["SaleOptOut"], gpp["policy"]))
        for body, rule in [({"tcf": "CQ"}, "tcf_string"), ({"gpp": "DBABLA"}, "gpp_string"), ({"tcf": ""}, "tcf_string")]:
            answer = self.shop.call("POST", "/v1/consents/decode", body)
            self.assertEqual((400, rule), (answer.status, answer.json().get("rule")), answer)
        for body in ({}, {"tcf": "C", "gpp": "D"}, {"usp": "1YNN"}, {"tcf": 1}, "no"):
            self.assertEqual(400, self.shop.call("POST", "/v1/consents/decode", body).status)


if __name__ == "__main__":
    unittest.main()

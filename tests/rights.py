"""Signed links, the preference centre and the rights of a person, over the real binary (issue 6, points 14 and 15)."""

import contextlib
import csv
import html
import io
import json
import pathlib
import re
import time
import unittest
import urllib.parse
from datetime import datetime

from jumelle_server import wait_until
from shop import Inbox, Shop, basic, identified, viewed, workspace

WHO = "email:ana@example.org"
ANA = {"email": "ana@example.org"}
TOOLS = """\
preferences:
  url: https://choices.example.org
  name: Maison
  colour: "#2b5d4f"
  contact: dpo@example.org
  frequencies: [{max: 1, within: 30d}]
  fields:
    shoe_size: {label: {fr: Pointure, en: Shoe size}, options: ["41", "42"]}
    interests: {label: {fr: Envies, en: Interests}, options: {sneakers: {fr: Baskets, en: Sneakers}, boots: {fr: Bottes, en: Boots}}, many: true}
    favourite_store: {label: {fr: Boutique, en: Store}, options: [Lille, Paris]}
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true, country: FR}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, initial: send, map: {email: identifiers.email, size: traits.shoe_size}}
"""
# What a link scanner or a mail client's preview sends.
SCANNER = {"user-agent": "Mozilla/5.0 (compatible; LinkScanner/1.0)"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
ONE_CLICK = "List-Unsubscribe=One-Click"


class Case(unittest.TestCase):
    def start(self, more="", purposes="marketing: {basis: consent}", wait=True):
        self.inbox = self.enterContext(Inbox(lambda message: 204))
        text = workspace(TOOLS.replace("URL", self.inbox.url) + more).replace("marketing: {basis: consent}", purposes)
        self.shop = self.enterContext(Shop(text))
        self.shop.send(identified("ana", **ANA), viewed("ana", seconds=2), viewed("ana", seconds=1))
        wait_until(lambda: self.shop.segments(WHO) == ["lookers"], "a member")
        if wait:
            self.shop.consent(ANA, "granted", channel="email")
            wait_until(lambda: self.inbox.types() == ["segment.entered"], "the mailer has her")
            wait_until(lambda: self.states()[-1:] == [("segment.entered", "sent")], "and that is known")

    def states(self):
        return [(item["type"], item["state"]) for item in reversed(self.shop.deliveries(WHO))]

    def link(self, scope, who=WHO, **more):
        return self.shop.call("POST", "/v1/links", {"identifier": who, "scope": scope, **more}).json()["path"]

    def person(self, method, path, body=None, headers=None):
        return self.shop.call(method, path, body, headers={**(FORM if method == "POST" else {}), **(headers or {})}, admin=False)

    def form(self, path, **fields):
        return self.person("POST", path, urllib.parse.urlencode(fields, doseq=True))

    def marketing(self):
        return [(item["state"], item["source"]) for item in self.shop.profile(WHO)["consents"] if item["purpose"] == "marketing"]

    def events(self):
        return len(self.shop.exported_events())

    def nowhere(self, *names):
        """In no file of the running server, once it has swept."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.shop.traces(*names), "swept", 60)
        self.assertEqual([], self.shop.traces(*names))


class Links(Case):
    def test_one_click_unsubscribes_once_and_looking_changes_nothing(self):
        self.start()
        message = self.inbox.taken()[0]
        url = message["unsubscribe"]["url"]
        self.assertEqual(f"<{url}>", message["unsubscribe"]["headers"]["List-Unsubscribe"])
        self.assertEqual(ONE_CLICK, message["unsubscribe"]["headers"]["List-Unsubscribe-Post"])
        self.assertTrue(url.startswith("https://choices.example.org/l/"))
        for trace in ("ana", "example.org/l/ana", "marketing", "email"):
            self.assertNotIn(trace, url.removeprefix("https://choices.example.org"))
        path = urllib.parse.urlsplit(url).path
        before = self.events()
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
            for headers in ({}, SCANNER):
                answer = self.person(method, path, headers=headers)
                self.assertEqual(200 if method in ("GET", "HEAD") else 405, answer.status, method)
        self.assertEqual(400, self.person("POST", path, "").status)
        self.assertEqual((before, [("granted", "api")]), (self.events(), self.marketing()))

        began = time.monotonic()
        answer = self.person("POST", path, ONE_CLICK)
        self.assertEqual((200, None), (answer.status, answer.headers.get("location")))
        self.assertIsNone(answer.headers.get("set-cookie"))
        self.assertEqual([("denied", "link")], self.marketing())
        self.assertLess(time.monotonic() - began, 1)
        after = self.events()
        self.assertEqual(before + 1, after)
        for _ in range(3):
            self.assertEqual(200, self.person("POST", path, ONE_CLICK).status)
        self.assertEqual(after, self.events(), "idempotent")
        wait_until(lambda: self.inbox.types()[-1] == "consent.withdrawn", "the mailer lets her go")
        self.assertNotIn("unsubscribe", self.inbox.taken()[-1])
        # She comes back, and leaves again by the same old link: in parts, as some clients send it.
        self.shop.consent(ANA, "granted", channel="email")
        parts = f'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
        answer = self.person("POST", path, parts, {"content-type": "multipart/form-data; boundary=x"})
        self.assertEqual((200, [("denied", "link")]), (answer.status, self.marketing()))
        choices = [item for item in self.shop.get(f"/v1/privacy/proof?identifier={WHO}")["choices"] if item["source"] == "link"]
        self.assertEqual(["one_click"] * 2, [choice["shown"]["method"] for choice in choices])

    def test_no_other_token_opens(self):
        self.start(wait=False)
        paths = {scope: self.link(scope) for scope in ("preferences", "rights")}
        paths["unsubscribe"] = self.link("unsubscribe", purpose="marketing", channel="email")
        token = paths["unsubscribe"].removeprefix("/l/")
        before = self.events()
        flipped = token[:30] + ("A" if token[30] != "A" else "B") + token[31:]
        for forged in (token[:-1], token[:40], flipped, token + "A", "A" * 200, "x", "..%2f..", token.swapcase()):
            with self.subTest(forged[:50]):
                for answer in (self.person("GET", f"/l/{forged}"), self.person("POST", f"/l/{forged}", ONE_CLICK)):
                    self.assertEqual(404, answer.status, answer)
        # One click is for links that unsubscribe; the page's form is for the others.
        self.assertEqual(400, self.person("POST", paths["preferences"], ONE_CLICK).status)
        self.assertEqual(400, self.form(paths["unsubscribe"], do="object").status)
        self.assertEqual(413, self.person("POST", paths["rights"], "x" * 100_000).status)
        self.assertEqual(before, self.events())
        with self.subTest("expired"):
            short = self.link("unsubscribe", purpose="marketing", expires_in="1s")
            answer = wait_until(lambda: (a := self.person("POST", short, ONE_CLICK)).status != 200 and a, "its end")
            self.assertEqual(410, answer.status)
            self.assertEqual(410, self.person("GET", short).status)
        with self.subTest("rotation"):
            self.assertEqual(2, self.shop.call("POST", "/v1/links/keys", {}).json()["keys"])
            self.assertEqual(200, self.person("GET", paths["preferences"]).status)
            self.shop.kill()
            self.shop.start()
            self.assertEqual(200, self.person("GET", paths["preferences"]).status, "keys outlive a crash")
            self.shop.call("POST", "/v1/links/keys", {"revoke": True})
            self.assertEqual(404, self.person("GET", paths["preferences"]).status)

    def test_what_cannot_be_minted_says_why(self):
        self.start(wait=False)
        for request, field in [
            ({"scope": "unsubscribe"}, "purpose"),
            ({"scope": "unsubscribe", "purpose": "nothing"}, "purpose"),
            ({"scope": "preferences", "purpose": "marketing"}, "purpose"),
            ({"scope": "rights", "expires_in": "30d"}, "expires_in"),
            ({"scope": "preferences", "expires_in": "soon"}, "expires_in"),
            ({"scope": "preferences", "identifier": "ana"}, "identifier"),
        ]:
            with self.subTest(request):
                answer = self.shop.call("POST", "/v1/links", {"identifier": WHO, **request})
                self.assertEqual((400, field), (answer.status, answer.json()["field"]), answer)
        self.assertEqual(401, self.person("POST", "/v1/links", "{}").status)


class Preferences(Case):
    def test_choices_traits_pause_and_frequency_hold_at_once(self):
        self.start()
        path = self.link("preferences")
        page = self.person("GET", path, headers={"accept-language": "fr-FR,fr;q=0.9"})
        shown = page.body.decode()
        self.assertEqual(200, page.status)
        policy = page.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe-inline", policy)
        self.assertNotIn("<script", shown)
        self.assertNotIn("ana@example.org", shown, "whoever looks over her shoulder does not learn the address")
        for text in ('lang="fr"', "Vos préférences", "Pointure", "Baskets", "Boutique", "a•••@example.org"):
            self.assertIn(text, shown)
        self.assertIn("Your preferences", self.person("GET", path, headers={"accept-language": "en"}).body.decode())
        before = self.events()
        self.assertIn("checked", re.search(r'name="c:marketing:email" value="yes"[^>]*', shown)[0])

        answer = self.form(path, do="save", **{"c:marketing:email": "no", "t:shoe_size": "42", "shown:t:interests": "1",
            "t:interests": ["boots"], "t:favourite_store": "Lille", "contact_pause_until": "", "contact_frequency": ""})  # fmt: skip
        self.assertEqual(200, answer.status)
        self.assertIn("saved", answer.body.decode() + "enregistrés")
        self.assertEqual([("denied", "link")], self.marketing())
        traits = self.shop.profile(WHO)["traits"]
        self.assertEqual(("42", ["boots"], "Lille"), (traits["shoe_size"], traits["interests"], traits["favourite_store"]))
        self.assertEqual(before + 1, self.events(), "one event")
        wait_until(lambda: self.inbox.types()[-1] == "consent.withdrawn", "the mailer lets her go", 5)
        # The same again is nothing new.
        self.form(path, do="save", **{"c:marketing:email": "no", "t:shoe_size": "42"})
        self.assertEqual(before + 1, self.events())
        for wrong in ({"t:shoe_size": "99"}, {"c:marketing:email": "maybe"}, {"contact_pause_until": "soon"}, {"contact_frequency": "9/1d"}):
            self.assertEqual(400, self.form(path, do="save", **wrong).status, wrong)
        self.assertEqual(before + 1, self.events())

        self.form(path, do="save", **{"c:marketing:email": "yes"})
        wait_until(lambda: self.inbox.types()[-1] == "segment.entered", "again")
        self.assertEqual("42", self.inbox.taken()[-1]["data"]["size"])
        shown = {choice["state"]: choice["shown"] for choice in self.shop.get(f"/v1/privacy/proof?identifier={WHO}")["choices"]}
        self.assertEqual("preference_centre", shown["granted"]["method"])
        self.form(path, do="save", contact_pause_until="2199-01-01")
        wait_until(lambda: self.inbox.types()[-1] == "consent.withdrawn", "a pause takes her out", 5)
        gate = self.shop.get(f"/v1/profiles/{WHO}/explain")["gate"][0]["gate"]
        self.assertEqual(("paused", "2198-12-31T23:00:00Z"), (gate["code"], gate["until"].replace(".000", "").replace("000Z", "Z")))
        self.form(path, do="save", contact_pause_until="", contact_frequency="1/30d")
        wait_until(lambda: self.states()[-1][1] == "sent", "what there was is settled")
        self.shop.send(viewed("ana"))
        wait_until(self.shop.folded, "folded")
        self.assertEqual("consent.withdrawn", self.inbox.types()[-1], "she has had her message of the month")

    def test_a_pause_ends_by_itself(self):
        self.start()
        until = datetime.now().astimezone().timestamp() + 4
        self.shop.call("POST", "/v1/batch", {"batch": [identified("ana", contact_pause_until=datetime.fromtimestamp(until).astimezone().isoformat())], "writeKey": "wk_site"}, admin=False)
        wait_until(lambda: self.inbox.types()[-1] == "consent.withdrawn", "paused")
        wait_until(lambda: self.inbox.types()[-1] == "segment.entered", "back", 15)
        self.assertGreaterEqual(time.time(), until)

    def test_to_stop_is_one_step_and_the_rest_waits_for_the_identity_check(self):
        self.start()
        path = self.link("preferences")
        self.assertEqual(200, self.form(path, do="object").status)
        wait_until(lambda: self.inbox.types()[-1] == "consent.withdrawn", "the mailer lets her go")
        self.assertEqual(200, self.form(path, do="access").status)
        self.assertNotIn("attachment", str(self.form(path, do="access").headers))
        self.assertEqual(200, self.form(path, do="restrict").status)
        self.assertEqual(400, self.form(path, do="erase").status, "without the tick")
        self.assertEqual(200, self.form(path, do="erase", sure="1").status)
        self.assertIsNotNone(self.shop.profile(WHO), "nobody has checked who it is")
        requests = self.shop.get("/v1/privacy/requests")["items"]
        self.assertEqual([("access", "received", "pending"), ("erase", "received", "pending"), ("object", "done", "link"), ("restrict", "received", "pending")],
                         sorted((item["kind"], item["state"], item["identity"]) for item in requests))  # fmt: skip
        restrict = next(item for item in requests if item["kind"] == "restrict")
        for step in ({"do": "identify", "identity": "document"}, {"do": "fulfil"}):
            self.assertEqual(200, self.shop.call("POST", f"/v1/privacy/requests/{restrict['id']}", step).status)
        asked = self.shop.get(f"/v1/allowed?destination=mailer&purpose=marketing&channel=email&id={WHO}")
        self.assertEqual("restricted", asked["code"])
        erase = next(item for item in requests if item["kind"] == "erase")
        self.assertEqual(["mailer"], [tool["destination"] for tool in erase["recipients"]])
        call = lambda **body: self.shop.call("POST", f"/v1/privacy/requests/{erase['id']}", body)  # noqa: E731
        self.assertEqual((409, "identity_pending"), (call(do="fulfil").status, call(do="fulfil").json()["rule"]))
        asked, deadline = (datetime.fromisoformat(erase[key]) for key in ("asked_at", "deadline"))
        self.assertIn((deadline - asked).days, range(28, 32))
        extended = call(do="extend", months=2, reason="complexity").json()
        self.assertIn((datetime.fromisoformat(extended["deadline"]) - asked).days, range(89, 93))
        self.assertEqual(400, call(do="extend", months=3, reason="complexity").status)
        self.assertEqual("callback", call(do="identify", identity="callback").json()["identity"])
        done = call(do="fulfil").json()
        self.assertEqual(("done", ["asked", "extended", "identified", "identified", "done"]), (done["state"], [step["step"] for step in done["log"]]))
        self.assertIsNone(self.shop.profile(WHO))
        self.assertEqual(409, call(do="fulfil").status)
        self.shop.command("privacy", "requests")

    def test_a_rights_link_is_itself_the_check(self):
        self.start()
        path = self.link("rights")
        copy = self.form(path, do="access", format="json")
        self.assertEqual("access", copy.json()["kind"])
        page = self.person("GET", path).body.decode()
        self.assertTrue(all(f'value="{action}"' in page for action in ("access", "portability", "restrict", "correct", "erase")), page)
        portable = self.form(path, do="portability", format="json").json()
        self.assertEqual(("portability", ["ana@example.org"]), (portable["kind"], [one["value"] for one in portable["identifiers"] if one["namespace"] == "email"]))
        code = lambda: self.shop.get(f"/v1/allowed?destination=mailer&purpose=marketing&channel=email&id={WHO}")["code"]
        self.assertEqual("granted", code())
        self.assertEqual(200, self.form(path, do="restrict").status)
        self.assertEqual("restricted", code())
        wait_until(lambda: self.inbox.types()[-1] == "consent.withdrawn", "the mailer lets her go")
        self.assertEqual(200, self.form(path, do="erase", sure="1").status)
        self.assertIsNone(self.shop.profile(WHO))
        self.assertIn("aucune donnée", self.form(path + "?lang=fr", do="access").body.decode())
        # An old unsubscribe link of somebody erased does not make her known again.
        old = urllib.parse.urlsplit(self.inbox.taken()[0]["unsubscribe"]["url"]).path
        self.assertEqual(200, self.person("POST", old, ONE_CLICK).status)
        self.assertIsNone(self.shop.profile(WHO))


class Rights(Case):
    def right(self, right, status=200, **body):
        answer = self.shop.call("POST", f"/v1/privacy/{right}", {"identifier": WHO, **body})
        self.assertEqual(status, answer.status, answer)
        return answer

    def test_access_has_all_of_it_and_portability_only_what_she_gave(self):
        self.start()
        self.shop.call("POST", "/v1/imports/crm?import=a&events=1&done=true", {"batch": [{"type": "identify", "messageId": "crm-1", "context": {"externalIds": [{"type": "email", "id": "ana@example.org", "collection": "users", "encoding": "none"}]}, "traits": {"rfm": "class-of-the-house"}}]})
        self.shop.send(identified("ana", city="<i>Lille"), {"type": "track", "event": "Order Completed", "anonymousId": "ana", "properties": {"order_id": "o1", "total": 10}})
        wait_until(self.shop.folded, "folded")
        copy = self.right("access").json()
        self.assertEqual({"mailer"}, {tool["destination"] for tool in copy["recipients"]})
        self.assertEqual("FR", copy["recipients"][0]["country"])
        self.assertLessEqual(copy["recipients"][0]["first"], copy["recipients"][0]["last"])
        self.assertEqual(["lookers"], [decision["segment"] for decision in copy["automated_decisions"]])
        self.assertTrue(copy["automated_decisions"][0]["why"])
        self.assertEqual({"marketing", "service"}, {purpose["key"] for purpose in copy["purposes"]})
        self.assertEqual(1, copy["profile"]["computed"]["orders"])
        self.assertEqual("dpo@example.org", copy["controller"]["contact"])
        self.assertIn("Order Completed", [event.get("event") for event in copy["events"]])
        rows = list(csv.reader(io.StringIO(self.right("access", format="csv").body.decode())))
        self.assertEqual(["table", "item", "field", "value"], rows[0])
        self.assertIn(["recipients", "1", "destination", "mailer"], rows)
        for lang, title in (("fr", "Copie de vos données"), ("en", "A copy of your data")):
            page = self.right("access", format="html", lang=lang).body.decode()
            for text in (title, "mailer", "&lt;i&gt;Lille", "Order Completed", "dpo@example.org"):
                self.assertIn(text, page)
            self.assertNotIn("<i>", page)
            said = {"fr": ("accordé", "un contrat avec vous", "ajout à un groupe"), "en": ("a contract with you", "added to a group")}
            for text in said[lang]:
                self.assertIn(text, page)
            self.assertNotIn("segment.entered", page)
            self.assertNotRegex(page, r"T\d\d:\d\d:\d\d", "an instant as people write it")
        portable = self.right("access", scope="portability").json()
        self.assertEqual("<i>Lille", portable["traits"]["city"])
        for absent in ("profile", "recipients", "automated_decisions", "messages", "purposes"):
            self.assertNotIn(absent, portable)
        self.assertNotIn("class-of-the-house", json.dumps(portable), "what the house brought in is not hers")
        self.assertNotIn("rfm", json.dumps(portable))
        self.right("access", 400, format="docx")
        self.right("access", 400, identity="pending")
        self.assertEqual(404, self.shop.call("POST", "/v1/privacy/access", {"identifier": "email:nobody@example.org"}).status)
        written = self.shop.command("privacy", "access", WHO, "--format", "csv")
        self.assertIn("recipients,1,destination,mailer", written)

    def test_a_restriction_stops_everything_and_lifting_it_restores_the_same(self):
        self.start()
        self.shop.send({"type": "track", "event": "Order Completed", "anonymousId": "ana", "properties": {"order_id": "o1", "total": 10}})
        wait_until(lambda: self.shop.profile(WHO)["computed"]["orders"] == 1, "computed")

        def told(profile):
            told = {key: profile[key] for key in ("traits", "computed", "segments", "consents", "restricted")}
            # The requests name her; she was seen then.
            return {**told, "identifiers": [{**known, "last_seen": None} for known in profile["identifiers"]]}

        before = told(self.shop.profile(WHO))
        request = self.right("restrict").json()["request"]
        self.assertEqual(("restrict", "done"), (request["kind"], request["state"]))
        wait_until(lambda: self.inbox.types()[-1] == "consent.withdrawn", "the mailer lets her go")
        during = self.shop.profile(WHO)
        self.assertEqual((True, {}), (during["restricted"], during["computed"]))
        self.assertEqual(before["traits"], during["traits"], "the data is there")
        self.assertEqual("restricted", self.shop.get(f"/v1/profiles/{WHO}/explain")["gate"][0]["gate"]["code"])
        wait_until(lambda: [told["state"] for told in self.shop.get(f"/v1/privacy/requests/{request['id']}")["fan_out"]] == ["sent"], "the fan-out")
        transitions = self.shop.get(f"/v1/profiles/{WHO}/segments")["history"]
        self.assertEqual(1, len(transitions), "nothing was computed")
        self.right("restrict", lift=True)
        self.assertEqual(before, told(self.shop.profile(WHO)))
        wait_until(lambda: self.inbox.types()[-1] == "segment.entered", "and she is told of again")

    def test_an_objection_beats_every_basis_and_service_still_passes(self):
        more = """\
  order: {segment: lookers, destination: mailer, purpose: service, channel: email, initial: send, map: {email: identifiers.email}}
  near: {segment: lookers, destination: mailer, purpose: similar, channel: email, initial: send, map: {email: identifiers.email}}
  club: {segment: lookers, destination: mailer, purpose: club, channel: email, initial: send, map: {email: identifiers.email}}
"""
        purposes = "marketing: {basis: consent}\n  similar: {basis: legitimate_interest}\n  club: {basis: contract, marketing: true}"
        self.start(more, purposes, wait=False)
        self.shop.consent(ANA, "granted", channel="email")
        wait_until(lambda: {m["activation"] for m in self.inbox.taken()} == {"mail", "order", "near", "club"}, "all pass")
        self.right("object")
        wait_until(lambda: len(self.inbox.taken()) == 7, "three are taken back")
        self.assertEqual({"mail", "near", "club"}, {m["activation"] for m in self.inbox.taken() if m["type"] == "consent.withdrawn"})
        gates = {gate["activation"]: gate["open"] for gate in self.shop.get(f"/v1/profiles/{WHO}/explain")["gate"]}
        self.assertEqual({"mail": False, "near": False, "club": False, "order": True}, gates)

    def test_a_rectification_reaches_the_tools(self):
        self.start()
        self.shop.send(identified("ana", shoe_size="41"))
        wait_until(lambda: self.inbox.taken()[-1]["data"].get("size") == "41", "told")
        request = self.right("rectify", traits={"shoe_size": "42"}).json()["request"]
        wait_until(lambda: self.inbox.taken()[-1]["data"].get("size") == "42", "told")
        self.assertEqual("profile.updated", self.inbox.types()[-1])
        wait_until(lambda: [t["type"] for t in self.shop.get(f"/v1/privacy/requests/{request['id']}")["fan_out"]] == ["profile.updated"], "fan-out")
        self.assertIn("identifiers", self.right("rectify", 400, traits={"email": "other@example.org"}).body.decode())
        self.right("rectify", 400)

    def test_a_wrong_address_leaves_first_and_its_choices_stay_with_it(self):
        service = "  order: {segment: lookers, destination: mailer, purpose: service, channel: email, initial: send, map: {email: identifiers.email}}\n"
        self.start(service, wait=False)
        self.shop.send(identified("ana", user_id="u1", email="ana@example.org", phone="+33612345678"))
        self.shop.consent(ANA, "granted", channel="email")
        wait_until(lambda: {m["activation"] for m in self.inbox.taken()} == {"mail", "order"}, "the mailer has her for both")
        self.shop.consent({"phone": "+33612345678"}, "denied", channel="sms")
        right = "ana.right@example.org"
        before = len(self.inbox.taken())
        answer = self.right("rectify", identifiers=[{"from": WHO, "to": f"email:{right}"}])
        self.assertEqual(("rectify", "done"), tuple(answer.json()["request"][key] for key in ("kind", "state")))
        wait_until(lambda: len(self.inbox.taken()) == before + 3, "both out, one in")
        told = [(m["activation"], m["type"], m["data"]["email"]) for m in self.inbox.taken()[before:]]
        self.assertEqual([("order", "segment.exited", "ana@example.org"), ("order", "segment.entered", right)], [t for t in told if t[0] == "order"])
        # Nobody agreed to marketing at the right address.
        self.assertEqual([("mail", "ana@example.org")], [(t[0], t[2]) for t in told if t[0] == "mail"])
        self.assertIn(told[[t[0] for t in told].index("mail")][1], ("segment.exited", "consent.withdrawn"))
        profile = self.shop.profile(f"email:{right}")
        self.assertEqual({right, "u1", "ana", "+33612345678"}, {known["value"] for known in profile["identifiers"]})
        self.assertEqual(right, profile["traits"]["email"])
        self.assertEqual([("sms", "denied")], [(c["channel"], c["state"]) for c in profile["consents"]])
        self.assertIsNone(self.shop.profile(WHO), "the wrong address is nobody's")
        gates = {gate["activation"]: gate["open"] for gate in self.shop.get(f"/v1/profiles/email:{right}/explain")["gate"]}
        self.assertEqual({"mail": False, "order": True}, gates)
        request = self.shop.get(f"/v1/privacy/requests/{answer.json()['request']['id']}")
        wait_until(lambda: {t["state"] for t in self.shop.get(f"/v1/privacy/requests/{request['id']}")["fan_out"]} <= {"sent", "blocked"}, "fan-out")
        with self.subTest("a system that still has it does not bring it back"):
            self.shop.send(identified("ana", user_id="u1", email="ana@example.org"), write_key="wk_till")
            wait_until(self.shop.folded, "folded")
            self.assertNotIn("ana@example.org", {known["value"] for known in self.shop.profile("user_id:u1")["identifiers"]})
        with self.subTest("whose it really is is somebody else"):
            self.shop.send(identified("stranger", email="ana@example.org"))
            wait_until(lambda: self.shop.profile(WHO), "a stranger")
            self.assertNotEqual(self.shop.profile("user_id:u1")["id"], self.shop.profile(WHO)["id"])
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])
        with self.subTest("an erasure takes the correction too"):
            self.shop.start()
            self.assertEqual(200, self.shop.call("POST", "/v1/privacy/erase", {"identifier": "user_id:u1"}).status)
            wait_until(lambda: self.inbox.types()[-1] == "profile.erased", "the mailer is told")
            wait_until(lambda: not self.shop.traces(right.encode()), "no file has it", 60)
            self.shop.stop()
            self.assertTrue(self.shop.offline("rebuild")["identical"])
            self.assertEqual([], self.shop.traces(right.encode()))

    def test_a_refusal_stays_with_the_address_that_it_was_given_for(self):
        self.start(purposes="marketing: {basis: legitimate_interest}")
        self.shop.send(identified("ana", user_id="u1"))
        self.shop.consent(ANA, "denied", channel="email")
        wait_until(lambda: self.inbox.types()[-1] == "consent.withdrawn", "refused")
        self.shop.command("privacy", "rectify", "user_id:u1", "--replace", "email:ana@example.org=email:right@example.org")
        wait_until(lambda: self.inbox.taken()[-1]["data"]["email"] == "right@example.org", "the right one refused nothing")
        # Who reads the wrong one has said no, and whoever has it now is not written to.
        self.shop.send(viewed("stranger"), viewed("stranger"), identified("stranger", email="ana@example.org"))
        wait_until(lambda: self.shop.segments(WHO) == ["lookers"], "a stranger")
        self.assertEqual([("denied", "api")], self.marketing())

    def test_what_cannot_be_corrected_says_why(self):
        self.start(wait=False)
        self.shop.send(identified("bob", email="bob@example.org"))
        wait_until(lambda: self.shop.profile("email:bob@example.org"), "bob")
        for wrong, status, field in [
            ({"from": "email:bob@example.org", "to": "email:x@example.org"}, 400, "identifiers[0].from"),
            ({"from": WHO, "to": "email:nothing"}, 400, "identifiers[0].to"),
            ({"from": WHO, "to": "phone:+33612345678"}, 400, "identifiers[0].to"),
            ({"from": WHO, "to": WHO}, 400, "identifiers[0].to"),
            ({"from": WHO, "to": "email:bob@example.org"}, 409, "identifiers[0].to"),
        ]:
            with self.subTest(wrong):
                self.assertEqual(field, self.right("rectify", status, identifiers=[wrong]).json()["field"])
        self.assertEqual([], self.shop.get("/v1/privacy/requests")["items"])

    def test_she_corrects_her_address_by_a_link_and_learns_of_nobody_else(self):
        self.start()
        self.shop.send(identified("bob", email="bob@example.org"))
        wait_until(lambda: self.shop.profile("email:bob@example.org"), "bob")
        path = self.link("rights")
        self.assertIn('name="value"', self.person("GET", path).body.decode())
        self.assertNotIn('name="value"', self.person("GET", self.link("preferences")).body.decode())
        self.assertEqual(400, self.form(self.link("preferences"), do="correct", value="x@example.org").status)
        self.assertEqual(400, self.form(path, do="correct", value="nothing").status)
        taken = self.form(path, do="correct", value="bob@example.org").body.decode()
        self.assertNotIn("bob", taken)
        self.assertEqual([("rectify", "received", "link")], [(r["kind"], r["state"], r["identity"]) for r in self.shop.get("/v1/privacy/requests")["items"]])
        self.assertEqual(200, self.form(path, do="correct", value="Right@Example.org").status)
        self.assertIsNotNone(self.shop.profile("email:right@example.org"))
        self.assertIsNone(self.shop.profile(WHO))
        wait_until(lambda: self.inbox.types()[-1] in ("segment.exited", "consent.withdrawn"), "the mailer lets the wrong one go")

    def test_erased_without_a_trace_and_out_of_marketing_when_a_file_brings_her_back(self):
        self.start(purposes="marketing: {basis: legitimate_interest}")
        self.shop.send(identified("ana", city="Tourcoing", phone="+33612345678"))
        wait_until(lambda: (self.shop.profile(WHO) or {}).get("traits", {}).get("city") == "Tourcoing", "known")
        answer = self.right("erase", identity="account").json()
        request = answer["request"]
        self.assertEqual(("erase", "done", "account"), (request["kind"], request["state"], request["identity"]))
        self.assertEqual(["mailer"], [tool["destination"] for tool in request["recipients"]])
        told = wait_until(lambda: (r := self.shop.get(f"/v1/privacy/requests/{request['id']}"))["fan_out"] and r["fan_out"][0]["state"] == "sent" and r, "the tool took it")
        self.assertEqual("profile.erased", told["fan_out"][0]["type"])

        names = (b"ana@example.org", b"Tourcoing", b"33612345678")
        wait_until(lambda: not self.shop.traces(*names), "nothing of her in any file", 60)
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])
        self.assertEqual([], self.shop.traces(*names))

        self.shop.start()
        before = len(self.inbox.taken())
        row = {"type": "identify", "messageId": "crm-2", "context": {"externalIds": [{"type": "email", "id": "ana@example.org", "collection": "users", "encoding": "none"}],
            "consents": [{"purpose": "marketing", "channel": "email", "state": "granted", "undated": True}]}, "traits": {"city": "Lille"}}  # fmt: skip
        self.assertEqual(200, self.shop.call("POST", "/v1/imports/crm?import=b&events=1&done=true", {"batch": [row]}).status)
        self.shop.send(identified("ana-again", **ANA), viewed("ana-again", seconds=2), viewed("ana-again", seconds=1))
        wait_until(lambda: self.shop.segments(WHO) == ["lookers"], "she is known again")
        gate = self.shop.get(f"/v1/profiles/{WHO}/explain")["gate"][0]
        self.assertEqual((False, "objected", "objection"), (gate["open"], gate["gate"]["code"], gate["gate"]["signal"]))
        self.assertEqual(before, len(self.inbox.taken()))
        # She asks for it herself.
        self.shop.consent(ANA, "granted", channel="email")
        wait_until(lambda: len(self.inbox.taken()) == before + 1, "and is heard")
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])


    def test_what_a_tool_said_of_her_and_what_was_not_understood_go_with_her(self):
        self.start(wait=False)
        refusal = json.dumps({"message": "no mailbox Ana@Example.org"}).encode()
        self.inbox.answer = lambda message: (422, {"content-type": "application/json"}, refusal) if message["type"] == "segment.entered" else 204
        self.shop.send(identified("ana", phone="+33612345678", **ANA))
        self.shop.consent(ANA, "granted", channel="email")
        # The site sends a date that is none: in quarantine, with her name in it. One such item is mended, one thrown away.
        for n, body in enumerate(({**viewed("ana"), "timestamp": "yesterday", "context": {"traits": ANA}, "messageId": f"wrong-{n}"} for n in range(3))):
            answer = self.shop.call("POST", "/v1/track", body, headers=basic("wk_site"), admin=False)
            self.assertEqual(400, answer.status)
        self.shop.send(identified("bea", email="bea@example.org"))
        items = wait_until(lambda: (found := self.shop.get("/v1/quarantine")["items"])[2:] and found, "three in quarantine")
        self.shop.call("DELETE", f"/v1/quarantine/{items[0]['id']}")
        other = {**viewed("bea"), "timestamp": "tomorrow", "context": {"traits": {"email": "bea@example.org"}}}
        self.shop.call("POST", "/v1/track", other, headers=basic("wk_site"), admin=False)
        dead = wait_until(lambda: (found := self.shop.deliveries(WHO)) and found[0]["state"] == "dead" and found[0], "given up", 60)
        self.assertIn("no mailbox", dead["reason"])
        told = self.shop.command("privacy", "access", WHO)
        self.assertEqual(2, len([item for item in json.loads(told)["quarantine"] if "wrong-" in item["body"]]))

        names = (b"ana@example.org", b"Ana@Example.org", b"33612345678")
        self.assertTrue(self.shop.traces(b"wrong-0", names[0]))
        self.assertEqual("done", self.right("erase").json()["request"]["state"])
        self.nowhere(*names)
        (left,) = self.shop.get("/v1/quarantine")["items"]
        self.assertIn("bea@example.org", left["body"])
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])
        self.assertEqual([], self.shop.traces(*names))

    def test_another_tool_that_asks_about_somebody_erased_hears_no(self):
        self.start(purposes="marketing: {basis: legitimate_interest}")
        asked = f"/v1/allowed?destination=mailer&purpose=marketing&channel=email&id={WHO}"
        self.assertTrue(self.shop.get(asked)["allowed"])
        self.assertEqual("done", self.right("erase").json()["request"]["state"])
        answer = self.shop.get(asked)
        self.assertEqual((False, "objected", False), (answer["allowed"], answer["code"], answer["known"]))
        self.assertTrue(self.shop.get(asked.replace("ana@", "stranger@"))["allowed"])


class Records(Case):
    def test_receipts_are_json_ld_in_the_words_of_dpv(self):
        self.start(purposes='marketing: {basis: consent, retention: 1095d, label: {fr: Offres, en: Offers}, texts: [{version: "7", en: "We write to you.", fr: "Nous vous écrivons."}]}')
        self.form(self.link("preferences"), do="save", **{"c:marketing:email": "no"})
        self.form(self.link("preferences"), do="save", **{"c:marketing:email": "yes"})
        answer = self.shop.call("GET", f"/v1/privacy/receipts?identifier={WHO}")
        self.assertEqual("application/ld+json", answer.headers["content-type"])
        document = answer.json()
        self.assertEqual("https://w3id.org/dpv#", document["@context"]["dpv"])
        controller, receipt = document["@graph"]
        self.assertEqual(("dpv:DataController", "dpv:ConsentReceipt"), (controller["@type"], receipt["@type"]))
        (record,) = receipt["dpv:hasRecordOfActivity"]
        self.assertEqual("dpv:ConsentGiven", record["dpv:hasConsentStatus"]["@type"])
        self.assertEqual(("7", "We write to you."), (record["dpv:hasNotice"]["dct:identifier"], record["dpv:hasNotice"]["dct:description"]))
        self.assertEqual(["mailer"], [recipient["dct:identifier"] for recipient in record["dpv:hasProcess"]["dpv:hasRecipient"]])
        self.assertEqual({"identifiers.email", "traits.shoe_size"}, {field["dct:identifier"] for field in record["dpv:hasProcess"]["dpv:hasPersonalData"]})
        self.assertEqual(self.shop.profile(WHO)["consents"][0]["receipt"], record["dct:identifier"])
        self.validates(controller, receipt)
        # What nobody has said is named, and not made up.
        self.assertEqual({"storage locations", "party address", "validity duration"}, set(record["jumelle:missing"]))
        self.assertIn("dpv:ConsentRecord", self.shop.command("privacy", "receipts", WHO))

    def test_a_receipt_says_what_the_gate_says(self):
        self.start(purposes='marketing: {basis: consent, texts: [{version: "7", en: "We write to you."}]}')
        status = lambda: self.shop.get(f"/v1/privacy/receipts?identifier={WHO}")["@graph"][1]["dpv:hasRecordOfActivity"][0]["dpv:hasConsentStatus"]
        code = lambda: self.shop.get(f"/v1/allowed?destination=mailer&purpose=marketing&channel=email&id={WHO}")["code"]
        self.assertEqual(("dpv:ConsentGiven", "granted"), (status()["@type"], code()))
        definitions = self.shop.get("/v1/workspace")

        def expiring(after):
            rule = {"for": {"purposes": ["marketing"]}, "expires_after": after, "source": "a test"}
            changed = {**definitions, "policy": {**definitions.get("policy", {}), "rules": [rule]}}
            self.assertEqual(200, (answer := self.shop.apply(json.dumps(changed))).status, answer)

        expiring("30d")
        self.assertEqual(("dpv:ConsentGiven", True, "granted"), (status()["@type"], bool(status().get("dct:valid")), code()))
        expiring("1s")
        wait_until(lambda: code() == "expired", "a second is over")
        self.assertEqual("dpv:ConsentExpired", status()["@type"])
        activity = next(one for one in self.shop.get("/v1/privacy/record")["activities"] if one["key"] == "marketing")
        self.assertIsNotNone(activity["consent_expires_after"])
        definitions["purposes"]["marketing"]["texts"].append({"version": "8", "en": "We write to you a lot.", "ask_anew": True})
        self.assertEqual(200, (answer := self.shop.apply(json.dumps(definitions))).status, answer)
        self.assertEqual(("dpv:ConsentInvalidated", "old_text"), (status()["@type"], code()))
        self.shop.consent(ANA, "denied", channel="email")
        self.assertEqual(("dpv:ConsentWithdrawn", "denied"), (status()["@type"], code()))

    def validates(self, controller, receipt):
        """Each field that DPV's guide to ISO/IEC TS 27560:2023 calls mandatory is there, or named as missing; nothing else is."""
        fields = json.loads((pathlib.Path(__file__).parent / "fixtures" / "dpv-27560.json").read_text())

        def at(value, path):
            for name in path.split(" > "):
                value = value.get(name) if isinstance(value, dict) else None
            return value

        for record in receipt["dpv:hasRecordOfActivity"]:
            of = {"receipt": receipt, "record": record, "controller": controller}
            lacking = {name for name, (part, path) in fields["mandatory"].items() if at(of[part], path) in (None, "", [], {})}
            self.assertEqual(lacking, set(record["jumelle:missing"]))
        for part, value in (("receipt", receipt), *(("record", record) for record in receipt["dpv:hasRecordOfActivity"])):
            self.assertEqual(fields["profile"] + part, value["dct:conformsTo"])
        # Every word is one of DPV's, or says that it is ours.
        words = set(re.findall(r'"((?:dpv|eu-gdpr|loc|dct):[A-Za-z0-9-]+)"', json.dumps([controller, receipt])))
        unknown = {word for word in words if not word.startswith("loc:")} - set(fields["words"])
        self.assertEqual(set(), unknown)

    def test_the_record_of_processing_says_what_is_done_and_what_is_missing(self):
        self.start(wait=False)
        record = self.shop.get("/v1/privacy/record")
        marketing = next(activity for activity in record["activities"] if activity["key"] == "marketing")
        self.assertEqual(["identifiers.email", "traits.shoe_size"], marketing["categories_of_data"])
        self.assertEqual([{"destination": "mailer", "connector": "webhook", "country": "FR", "transfer": None}], marketing["recipients"])
        self.assertIn({"purpose": "marketing", "missing": "retention"}, record["incomplete"])
        for lang, title in (("fr", "Registre des activités de traitement"), ("en", "Record of processing activities")):
            self.assertIn(title, html.unescape(self.shop.command("record-of-processing", "--format", "html", "--lang", lang)))


if __name__ == "__main__":
    unittest.main()

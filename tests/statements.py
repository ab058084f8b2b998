"""Statements of conformity that no other suite holds over the real binary; docs/conformity.md says which test holds which."""

import collections
import hashlib
import json
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import threading
import unittest
from datetime import datetime, timedelta

from jumelle_server import BINARY, ROOT, wait_until
from partners import Partner
from shop import Inbox, Shop, basic, identified, now, viewed, workspace
from strings.test_strings import YESTERDAY, tc_string

EMAIL = {"purpose": "marketing", "channel": "email", "state": "granted"}
MAIL = "  mail: {segment: lookers, destination: tool, purpose: marketing, channel: email, map: {user_id: identifiers.user_id, email: identifiers.email}}\n"
# More than one request holds of any people who come by themselves.
CROWD = 10_000


def own_connector(folder, key, *changes, of="batch"):
    """A connector like one that comes with Jumelle, changed here and there."""
    path = pathlib.Path(folder) / key
    shutil.copytree(ROOT / "connectors" / of, path)
    manifest = path / "connector.yaml"
    text = manifest.read_text().replace(f"connector: {of}\n", f"connector: {key}\n")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    manifest.write_text(text)
    return path


class Statements(unittest.TestCase):
    def start(self, text, *arguments, **options):
        self.shop = self.enterContext(Shop(text, *arguments, **options))

    def member(self, name, *choices, wait=True):
        """Somebody of the segment, who chose."""
        first = {**identified(name, name, email=f"{name}@example.org"), "context": {"consents": list(choices)}}
        self.shop.send(first, viewed(name, seconds=2), viewed(name, seconds=1))
        if wait:
            wait_until(lambda: self.shop.profile(f"user_id:{name}"), "known")

    def states(self, name):
        return [(item["activation"], item["type"], item["state"]) for item in reversed(self.shop.deliveries(f"user_id:{name}"))]

    def test_02_damaged_strings_are_no_grant_and_no_fault_in_bounded_memory(self):
        text = workspace().replace("marketing: {basis: consent}", "marketing: {basis: consent, tcf: [1, 8]}")
        self.start(text)
        good, dice = tc_string([1, 8]), random.Random(2)
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        damaged = [good[:at] for at in range(1, len(good) - 1)]
        damaged += [good + more for more in ("=", "B", ".", ".B", "~", "é", "." + good)]
        damaged += [good[:at] + dice.choice("+/ ~é\u0000") + good[at + 1 :] for at in range(len(good))]
        # None that is right by chance says it of today: the version, or the service, or the day is another one.
        damaged += [tc_string([1, 8], policy=policy) for policy in range(4)] + [tc_string([1, 8], service=0), tc_string([1, 8], disclosed=False)]
        damaged += [tc_string([1, 8], YESTERDAY + timedelta(days=days)) for days in (3, 365, 36_000)]
        damaged += ["C" + "".join(dice.choice(letters) for _ in range(20_000)) for _ in range(50)]

        def memory_kb():
            return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.shop.process.pid}/status").read_text())[1])

        def of(string, n, kind):
            return {"type": "track", "event": "Seen", "anonymousId": f"d-{n}", "context": {"consent": {kind: string}}}

        before, taken, answered = memory_kb(), 0, 0
        for kind in ("tcf", "gpp"):
            for n, string in enumerate(damaged if kind == "tcf" else [f"DBABMA~{string}" for string in damaged]):
                answer = self.shop.call("POST", "/v1/track", of(string, f"{kind}-{n}", kind), headers=basic("wk_site"), admin=False)
                self.assertIn(answer.status, (200, 400), (string[:80], answer))
                answered, taken = answered + 1, taken + (answer.status == 200)
        self.assertLess(memory_kb() - before, 100_000, "kB more than before")
        for line in self.shop.call("GET", "/v1/export/profiles").body.splitlines():
            self.assertEqual([], [one for one in json.loads(line)["consents"] if one["state"] == "granted"], line)
        answer = self.shop.call("POST", "/v1/track", of(good, "good", "tcf"), headers=basic("wk_site"), admin=False)
        self.assertEqual(200, answer.status)
        self.assertEqual(["granted"], [one["state"] for one in self.shop.get("/v1/profiles/anonymous_id:d-good/consents")["items"]], "and the whole one is")
        print(f" {answered} strings, {taken} of them taken with a defect … ", end="", flush=True)

    def test_05_silence_leaves_by_no_way(self):
        partner = self.enterContext(Partner(lambda request, nth: (202, {}, {})))
        inbox = self.enterContext(Inbox())
        ways = f"""\
destinations:
  hook: {{connector: webhook, url: "{inbox.url}", allow_private: true}}
  tool: {{connector: batch, rest_key: {{env: KEY}}, project_key: {{env: KEY}}, base_url: "{partner.url}", allow_private: true}}
  sheet: {{connector: file, to: "folder:sheet", content: full, when: {{after: 1s}}, name: "people_{{stamp}}.csv"}}
activations:
  hooked: {{segment: lookers, destination: hook, purpose: marketing, channel: email, map: {{email: identifiers.email}}}}
{MAIL}  listed: {{segment: lookers, destination: sheet, purpose: marketing, channel: email, map: {{email: identifiers.email}}}}
"""
        self.start(workspace(ways), environment={"KEY": "secret"})
        self.member("silent")
        self.member("asked", EMAIL)
        wait_until(lambda: {key: state for key, _, state in self.states("asked")} == {"hooked": "sent", "mail": "sent", "listed": "sent"}, "whoever said yes is in all three", 60)
        self.assertEqual({("hooked", "segment.entered", "blocked"), ("mail", "segment.entered", "blocked"), ("listed", "segment.entered", "blocked")}, set(self.states("silent")))
        left = [json.dumps(inbox.messages), *(request["text"] for request in partner.requests)]
        left += [path.read_text(errors="replace") for path in (self.shop.data / "files").rglob("*") if path.is_file()]
        self.assertTrue(any("asked@example.org" in text for text in left))
        self.assertFalse(any("silent" in text for text in left), left)
        answer = self.shop.get("/v1/allowed?destination=hook&purpose=marketing&channel=email&id=email:silent@example.org")
        self.assertEqual((False, "unknown"), (answer["allowed"], answer["code"]))

    def test_11_after_a_refusal_one_waits_six_months_before_asking_again(self):
        self.start(workspace("policy: {extends: [france]}\n"))
        at = datetime.fromisoformat(now(days=1))
        device = {"anonymous_id": "browser"}
        self.shop.consent(device, "denied", channel="display", at=at.isoformat())
        (refused,) = self.shop.get("/v1/profiles/anonymous_id:browser/consents")["items"]
        again = datetime.fromisoformat(refused["ask_again_at"])
        self.assertTrue(timedelta(days=180) <= again - at <= timedelta(days=184), again - at)
        self.assertIsNone(refused.get("expires_at"), "a refusal does not grow old")

    def crowd(self, count):
        """Members who consented and one who is silent, all in the history before the activation is there."""
        events = []
        for n in range(count):
            name = f"p{n}"
            first = {**identified(name, name, email=f"{name}@example.org"), "context": {"consents": [EMAIL]}}
            events += [first, viewed(name, seconds=2), viewed(name, seconds=1)]
        for at in range(0, len(events), 600):
            self.shop.send(*events[at : at + 600])
        wait_until(self.shop.folded, "all are folded", 120)

    def test_14_and_15_the_retry_of_ten_thousand_is_without_whoever_withdrew_and_errors_are_of_the_right_people(self):
        answers, taken_out, released = [], [], threading.Event()

        def answer(request, nth):
            rows = [row["identifiers"]["custom_id"] for row in request["json"]]
            if not request["json"][0]["attributes"]["in_segment"]:
                taken_out.append(rows)
                return 202, {}, {"code": "SUCCESS"}
            answers.append(rows)
            if not released.is_set():
                return 503, {}, {}
            # Two are refused for good, one for now; by the places of this request.
            errors = [{"bulk_index": at, "reason": {"p17": "a bad profile", "p9999": "a bad profile", "p4000": "try again later"}[name]} for at, name in enumerate(rows) if name in ("p17", "p9999") or name == "p4000" and len(answers) == first_good[0]]
            return 202, {}, {"code": "SUCCESS_WITH_PARTIAL_ERRORS", "errors": errors}

        first_good = [0]
        partner = self.enterContext(Partner(answer))
        own = self.enterContext(tempfile.TemporaryDirectory())
        own_connector(own, "crowd", ("rows: 200, bytes: 5MB, linger: 5s", "rows: 10000, bytes: 20MB, linger: 20s"), ('message: "$.reason"}', 'message: "$.reason", retry: ["try again"]}'))
        tool = f'destinations:\n  tool: {{connector: crowd, rest_key: {{env: KEY}}, project_key: {{env: KEY}}, base_url: "{partner.url}", allow_private: true}}\n'
        self.start(workspace(tool), "--connectors", own, environment={"KEY": "secret"})
        self.crowd(CROWD)
        activation = {"segment": "lookers", "destination": "tool", "purpose": "marketing", "channel": "email", "initial": "send", "map": {"user_id": "identifiers.user_id", "email": "identifiers.email"}}
        self.assertEqual(200, self.shop.call("PUT", "/v1/activations/mail", activation).status)
        wait_until(lambda: answers, "the first request", 180)
        self.assertEqual(CROWD, len(answers[0]), "all in one request, which the tool did not take")
        self.shop.consent({"email": "p5000@example.org"}, "denied", channel="email")
        first_good[0] = len(answers) + 1
        released.set()
        self.shop.call("POST", "/v1/destinations/tool/retry")
        wait_until(lambda: len(answers) >= first_good[0], "the next request", 180)
        wait_until(lambda: ("mail", "segment.entered", "sent") in self.states("p4000"), "whom it refused for now is sent again", 180)
        after = answers[first_good[0] - 1 :]
        self.assertEqual({f"p{n}" for n in range(CROWD)} - {"p5000"}, set(after[0]), "9,999 arrive")
        self.assertEqual([["p4000"]], after[1:], "the retry is of her alone")
        self.assertEqual([["p5000"]], taken_out, "the tool is told to let her go, in case it had kept her")
        self.assertEqual({"segment.entered": "blocked"}, {kind: state for _, kind, state in self.states("p5000")[:1]})
        self.assertEqual("denied", self.shop.deliveries("user_id:p5000")[-1]["gate"]["code"])
        dead = self.shop.get("/v1/deliveries?destination=tool&state=dead")["items"]
        self.assertEqual({"a bad profile"}, {item["reason"] for item in dead})
        self.assertEqual({self.shop.profile(f"user_id:{name}")["id"] for name in ("p17", "p9999")}, {item["profile"] for item in dead})
        sent = [self.states(f"p{n}")[-1][2] for n in (0, 16, 18, 4999, 5001, 9998)]
        self.assertEqual(["sent"] * 6, sent, "their neighbours are not taken for them")

    def test_14_halves_of_a_refused_request_are_without_whoever_withdrew_meanwhile(self):
        seen, withdrawn = [], threading.Event()

        def answer(request, nth):
            rows = [row["identifiers"]["custom_id"] for row in request["json"]]
            seen.append(rows)
            if len(rows) > 2:
                # The tool takes its time, and somebody withdraws meanwhile; then it wants less at once.
                withdrawn.wait(30)
                return 400, {}, {"error_message": "too many"}
            return 202, {}, {"code": "SUCCESS"}

        partner = self.enterContext(Partner(answer))
        tool = f'destinations:\n  tool: {{connector: batch, rest_key: {{env: KEY}}, project_key: {{env: KEY}}, base_url: "{partner.url}", allow_private: true}}\nactivations:\n{MAIL}'
        self.start(workspace(tool), environment={"KEY": "secret"})
        for name in ("ana", "bo", "cyd", "dee"):
            self.member(name, EMAIL, wait=False)
        wait_until(lambda: seen, "all four in one request")
        self.assertEqual(4, len(seen[0]))
        self.shop.consent({"email": "cyd@example.org"}, "denied", channel="email")
        withdrawn.set()
        wait_until(lambda: self.states("dee")[:1] == [("mail", "segment.entered", "sent")], "the rest arrive", 30)
        after = [name for rows in seen[1:] for name in rows]
        self.assertEqual(["ana", "bo", "dee"], sorted(after))
        wait_until(lambda: self.states("cyd")[0] == ("mail", "segment.entered", "blocked"), "she is held back")

    def test_16_what_an_operator_replays_passes_the_gate_again(self):
        accept = threading.Event()
        inbox = self.enterContext(Inbox(lambda message: 204 if accept.is_set() else 422))
        partner = self.enterContext(Partner(lambda request, nth: (202, {}, {}) if accept.is_set() else (202, {}, {"errors": [{"bulk_index": at, "reason": "no"} for at in range(len(request["json"]))]})))
        tools = f"""\
destinations:
  hook: {{connector: webhook, url: "{inbox.url}", allow_private: true}}
  tool: {{connector: batch, rest_key: {{env: KEY}}, project_key: {{env: KEY}}, base_url: "{partner.url}", allow_private: true}}
activations:
  hooked: {{segment: lookers, destination: hook, purpose: marketing, channel: email, map: {{email: identifiers.email}}}}
{MAIL}"""
        self.start(workspace(tools), environment={"KEY": "secret"})
        for name in ("ana", "bo"):
            self.member(name, EMAIL)

        def dead():
            # What would wait for its backoff is tried at once.
            self.shop.call("POST", "/v1/destinations/hook/retry")
            return {key: item["id"] for item in self.shop.deliveries("user_id:ana") if item["state"] == "dead" for key in [item["activation"]]}

        wait_until(lambda: set(dead()) == {"hooked", "mail"}, "both tools refused her for good", 60)
        ids = dead()
        wait_until(lambda: all(state == "dead" for _, _, state in self.states("bo")) and len(self.states("bo")) == 2, "and him", 60)
        others = {item["activation"]: item["id"] for item in self.shop.deliveries("user_id:bo")}
        self.shop.consent({"email": "ana@example.org"}, "denied", channel="email")
        accept.set()
        asked = (len(inbox.messages), len(partner.requests))
        for delivery in (*ids.values(), *others.values()):
            self.assertEqual(200, self.shop.call("POST", f"/v1/deliveries/{delivery}/retry").status)
        wait_until(lambda: {state for _, _, state in self.states("bo")} == {"sent"}, "whoever did not withdraw arrives", 30)
        wait_until(lambda: {state for _, kind, state in self.states("ana") if kind == "segment.entered"} == {"blocked"}, "she is held back")
        later = json.dumps(inbox.messages[asked[0] :]) + "".join(request["text"] for request in partner.requests[asked[1] :])
        self.assertIn("bo@example.org", later)
        entered = [m for m in inbox.messages[asked[0] :] if m["type"] == "segment.entered" and m["data"]["email"] == "ana@example.org"]
        self.assertEqual([], entered)
        self.assertNotIn('"custom_id":"ana"', "".join(r["text"] for r in partner.requests[asked[1] :] if "subscribed" in r["text"] and "unsubscribed" not in r["text"]))

    def test_23_a_removal_that_is_a_job_is_asked_for_until_it_is_done(self):
        done, asked, jobs = threading.Event(), [], []

        def answer(request, nth):
            if request["method"] == "GET":
                asked.append(request["path"])
                return 200, {}, {"done": int(done.is_set())}
            if "attributes" in request["text"]:
                return 202, {}, {"code": "SUCCESS"}
            jobs.append([row["identifiers"]["custom_id"] for row in request["json"]])
            return 202, {}, {"job": f"j{len(jobs)}"}

        partner = self.enterContext(Partner(answer))
        own = self.enterContext(tempfile.TemporaryDirectory())
        steps = """\
  remove:
    steps:
      - request: {method: POST, url: https://api.batch.com/2.6/profiles/remove, body: {json: {$each: rows, $as: {identifiers: {custom_id: {$: row.custom_id}}}}}}
        save: {job: "$.job"}
      - request: {method: GET, url: "https://api.batch.com/2.6/jobs/${step.job}"}
        poll: {until: "$.done == 1", every: 1s, times: 60}
"""
        own_connector(own, "jobs", ("  remove:\n    like: add\n    with: {in: false}\n", steps), ("linger: 5s", "linger: 1s"))
        tool = f'destinations:\n  tool: {{connector: jobs, rest_key: {{env: KEY}}, project_key: {{env: KEY}}, base_url: "{partner.url}", allow_private: true}}\nactivations:\n{MAIL}'
        self.start(workspace(tool), "--connectors", own, environment={"KEY": "secret"})
        self.member("ana", EMAIL)
        wait_until(lambda: self.states("ana") == [("mail", "segment.entered", "sent")], "in", 30)
        self.shop.consent({"email": "ana@example.org"}, "denied", channel="email")
        wait_until(lambda: len(asked) >= 2, "the job is asked for", 30)
        removals = lambda: self.shop.get("/v1/privacy/tools")["items"][0]["removals"]["waiting"]  # noqa: E731
        self.assertIn(("mail", "consent.withdrawn", "queued"), self.states("ana"), "to have a job is no acknowledgement")
        self.assertEqual(1, removals())
        # Who asked is gone: the removal is asked for anew, and its own job.
        self.shop.kill()
        self.shop.start()
        wait_until(lambda: asked[-1].endswith("/j2"), "asked anew", 30)
        self.assertEqual([["ana"], ["ana"]], jobs)
        done.set()
        wait_until(lambda: ("mail", "consent.withdrawn", "sent") in self.states("ana") and removals() == 0, "acknowledged", 30)
        acknowledged = next(item for item in self.shop.deliveries("user_id:ana") if item["type"] == "consent.withdrawn")
        self.assertEqual(200, acknowledged["status"])
        self.assertTrue(acknowledged["at"])

    def test_25_no_tool_goes_with_people_in_it_by_a_file_at_the_start_either(self):
        inbox = self.enterContext(Inbox())
        tool = f'destinations:\n  tool: {{connector: webhook, url: "{inbox.url}", allow_private: true}}\nactivations:\n{MAIL}'
        self.start(workspace(tool))
        self.member("ana", EMAIL)
        wait_until(lambda: self.shop.get("/v1/destinations/tool/people")["count"] == 1, "in")
        self.shop.workspace.write_text(workspace())
        self.shop.stop()
        command = [str(BINARY), "serve", "--data", str(self.shop.data), "--listen", f"127.0.0.1:{self.shop.port}", "--workspace", str(self.shop.workspace)]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=self.shop.client_environment())
        self.assertEqual(3, refused.returncode, refused.stderr)
        self.assertIn("destinations.tool is gone and 1 people are still in it", refused.stderr)
        self.shop.workspace.write_text(workspace(tool.replace("{connector: webhook", "{retire: true, connector: webhook")))
        self.shop.start()
        wait_until(lambda: self.shop.get("/v1/destinations/tool/people")["count"] == 0, "taken out")
        self.assertEqual(["segment.entered", "segment.exited"], inbox.types())
        self.shop.workspace.write_text(workspace())
        self.shop.stop()
        self.shop.start()
        self.assertEqual([], self.shop.get("/v1/destinations")["items"])

    def test_25_a_paused_tool_gets_nobody_new_and_lets_everybody_go(self):
        inbox = self.enterContext(Inbox())
        tool = f'destinations:\n  tool: {{connector: webhook, url: "{inbox.url}", allow_private: true}}\nactivations:\n{MAIL}'
        self.start(workspace(tool))
        for name in ("ana", "bob"):
            self.member(name, EMAIL)
        wait_until(lambda: self.shop.get("/v1/destinations/tool/people")["count"] == 2, "in")
        paused = workspace(tool.replace("{connector: webhook", "{paused: true, connector: webhook"))
        plan = self.shop.call("PUT", "/v1/workspace?dry_run=true", paused, headers={"content-type": "application/yaml"}).json()
        self.assertEqual([{"destination": "tool", "people": 2}], plan["pausing"])
        self.assertIn("! 2 people stay in tool while it is paused", plan["text"])
        self.assertIn("retire: true", plan["text"])
        self.assertEqual(200, self.shop.apply(paused).status)
        self.member("eve", EMAIL)
        blocked = wait_until(lambda: [d for d in self.shop.deliveries("user_id:eve") if d["state"] == "blocked"], "nobody new")
        self.assertEqual("destination_paused", blocked[0]["gate"]["code"])
        self.shop.consent({"email": "ana@example.org"}, "denied", channel="email")
        wait_until(lambda: inbox.types()[2:] == ["consent.withdrawn"], "she is taken out all the same")
        self.assertEqual(1, self.shop.get("/v1/destinations/tool/people")["count"])
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])
        self.shop.start()
        self.assertEqual(200, self.shop.apply(workspace(tool)).status)
        wait_until(lambda: inbox.types()[3:] == ["segment.entered"], "who is in by then comes when it ends")
        self.assertEqual("eve@example.org", inbox.taken()[-1]["data"]["email"])

    def test_27_the_consent_on_the_wire_is_the_ledgers_for_every_row(self):
        partner = self.enterContext(Partner(lambda request, nth: (200, {}, {"access_token": "t", "expires_in": 3600} if request["path"] == "/token" else {"requestId": "r"})))
        tools = f"""\
destinations:
  google: {{connector: google-data-manager, account: 111, audience: 222, client_id: c, client_secret: {{env: KEY}}, refresh_token: {{env: KEY}}, base_url: "{partner.url}", allow_private: true}}
  list: {{connector: mailjet, api_key: {{env: KEY}}, api_secret: {{env: KEY}}, list: 7, base_url: "{partner.url}", allow_private: true}}
activations:
  consented: {{segment: lookers, destination: google, purpose: marketing, channel: social, map: {{email: identifiers.email}}}}
  owed: {{segment: lookers, destination: google, purpose: service, channel: social, map: {{email: identifiers.email}}}}
  mail: {{segment: lookers, destination: list, purpose: marketing, channel: email, map: {{email: identifiers.email}}}}
"""
        self.start(workspace(tools), environment={"KEY": "secret"})
        names = [f"p{n}" for n in range(12)]
        for n, name in enumerate(names):
            self.member(name, EMAIL, wait=False)
            # The message has no device in it: it needs her own word, and not one of this browser's.
            self.shop.consent({"user_id": name}, "granted" if n % 3 else "denied", channel="social")
        sent = lambda name: {key for key, kind, state in self.states(name) if (kind, state) == ("segment.entered", "sent")}  # noqa: E731
        wait_until(lambda: all(sent(name) == {"owed", "mail", *(["consented"] if n % 3 else [])} for n, name in enumerate(names)), "sent", 120)
        # Half of them leave the list while others come to it: two values of one request's field.
        for name in names[:6]:
            self.shop.consent({"email": f"{name}@example.org"}, "denied", channel="email")
        for n in range(12, 16):
            self.member(f"p{n}", EMAIL, wait=False)
        wait_until(lambda: all(("mail", "consent.withdrawn", "sent") in self.states(name) for name in names[:6]), "taken out", 60)
        wait_until(lambda: all(sent(f"p{n}") == {"owed", "mail"} for n in range(12, 16)), "the new ones are in", 90)
        wait_until(self.shop.folded, "recorded")
        released = {}
        for name in [*names, "p12", "p13", "p14", "p15"]:
            proof = self.shop.get(f"/v1/privacy/proof?identifier=user_id:{name}")
            for entry in proof["entries"]:
                text = json.loads(entry["text"]) if entry["text"] else {}
                if text.get("kind") == "release":
                    released.setdefault((name, text["activation"], text["type"]), text)
        hashes = {hashlib.sha256(f"p{n}@example.org".encode()).hexdigest(): f"p{n}" for n in range(16)}
        told = collections.Counter()
        for request in partner.requests:
            if request["path"] == "/v1/audienceMembers:ingest":
                for member in request["json"]["audienceMembers"]:
                    self.assertEqual(member["consent"]["adUserData"], member["consent"]["adPersonalization"])
                    (name,) = [hashes[found] for found in re.findall(r"[0-9a-f]{64}", json.dumps(member))]
                    told[name, member["consent"]["adUserData"]] += 1
            elif request["method"] == "POST" and "managemanycontacts" in request["path"]:
                people = {contact["Email"].split("@")[0] for contact in request["json"]["Contacts"]}
                kind = {"addnoforce": "segment.entered", "unsub": "consent.withdrawn"}[request["json"]["Action"]]
                self.assertTrue(all((name, "mail", kind) in released for name in people), (request["json"]["Action"], people, "one value, and all of them are of it"))
        grants = {"consented": "CONSENT_GRANTED", "owed": "CONSENT_DENIED"}
        expected = collections.Counter((name, grants[key]) for name, key, _ in released if key in grants)
        self.assertEqual(expected, told, "a grant for whom the ledger let out under one, and none for whom a contract let out")
        self.assertEqual({"CONSENT_GRANTED": 8, "CONSENT_DENIED": 16}, dict(collections.Counter(value for _, value in told.elements())))

    def test_28_a_connector_that_says_a_consent_by_itself_does_not_load(self):
        own = self.enterContext(tempfile.TemporaryDirectory())
        for key, change in {
            "literal": ("$email_marketing: {$: consent.email}", "$email_marketing: subscribed"),
            "same": ("granted: subscribed, withdrawn: unsubscribed}\n    sms", "granted: subscribed, withdrawn: subscribed}\n    sms"),
            "setting": ("$email_marketing: {$: consent.email}", "$email_marketing: {$: settings.project_key}"),
        }.items():
            with self.subTest(key):
                folder = own_connector(own, key, change)
                done = subprocess.run([str(BINARY), "connector", "check", str(folder)], capture_output=True, text=True, check=False)
                self.assertEqual(3, done.returncode, done.stdout + done.stderr)
        # Nor does the server start with one.
        with self.assertRaisesRegex(AssertionError, "ended with"):
            self.start(workspace(), "--connectors", own)

    def test_29_strings_are_forwarded_to_nobody(self):
        inbox = self.enterContext(Inbox())
        partner = self.enterContext(Partner(lambda request, nth: (202, {}, {})))
        tools = f"""\
destinations:
  hook: {{connector: webhook, url: "{inbox.url}", allow_private: true}}
  tool: {{connector: batch, rest_key: {{env: KEY}}, project_key: {{env: KEY}}, base_url: "{partner.url}", allow_private: true}}
activations:
  hooked: {{segment: lookers, destination: hook, purpose: marketing, channel: display, map: {{browser: identifiers.anonymous_id}}}}
{MAIL}"""
        self.start(workspace(tools).replace("marketing: {basis: consent}", "marketing: {basis: consent, tcf: [1, 8]}"), environment={"KEY": "secret"})
        string = tc_string([1, 8])
        seen = {"type": "track", "event": "Seen", "anonymousId": "ana", "context": {"consent": {"tcf": string, "gpp": f"DBABMA~{string}"}}}
        self.shop.send(seen)
        self.member("ana", EMAIL)
        wait_until(lambda: {key for key, _, state in self.states("ana") if state == "sent"} == {"hooked", "mail"}, "in both", 30)
        left = json.dumps(inbox.messages) + "".join(request["text"] + json.dumps(request["headers"]) for request in partner.requests)
        self.assertNotIn(string[:40], left)

    def test_29_a_tool_that_is_configured_for_them_gets_the_string_as_it_came(self):
        inboxes = {name: self.enterContext(Inbox()) for name in ("both", "tcf", "none")}
        strings = {"both": ", strings: [tcf, gpp]", "tcf": ", strings: [tcf]", "none": ""}
        tools = "destinations:\n" + "".join(f'  {n}: {{connector: webhook, url: "{i.url}", allow_private: true{strings[n]}}}\n' for n, i in inboxes.items())
        tools += "activations:\n" + "".join(f"  to_{n}: {{segment: lookers, destination: {n}, purpose: marketing, channel: display, map: {{browser: identifiers.anonymous_id}}}}\n" for n in inboxes)
        tools += "  by_basis: {segment: lookers, destination: both, purpose: service, channel: display, map: {browser: identifiers.anonymous_id}}\n"
        self.start(workspace(tools).replace("marketing: {basis: consent}", "marketing: {basis: consent, tcf: [1, 8]}"))
        first, second = tc_string([1, 8]), tc_string([1, 2, 8])
        self.assertNotEqual(first, second)
        consents = [{"tcf": {"tcString": first, "eventStatus": "useractioncomplete", "gdprApplies": True}, "gpp": f"DBABMA~{first}"}, {"tcf": second, "gpp": f"DBABMA~{second}"}]
        browsers = ("ana", "bob")
        for browser, consent in zip(browsers, consents, strict=True):
            self.shop.send({"type": "track", "event": "Seen", "anonymousId": browser, "context": {"consent": consent}}, viewed(browser), viewed(browser))
        for name, inbox in inboxes.items():
            wait_until(lambda inbox=inbox, name=name: len(inbox.taken()) == (4 if name == "both" else 2), name)
            told = {(m["activation"], m["data"]["browser"]): {k: m["consent"][k] for k in ("tcf", "gpp") if k in m["consent"]} for m in inbox.taken()}
            for browser, string in zip(browsers, (first, second), strict=True):
                whole = {"tcf": string, "gpp": f"DBABMA~{string}"}
                wanted = {"both": whole, "tcf": {"tcf": string}, "none": {}}[name]
                self.assertEqual(wanted, told[(f"to_{name}", browser)], (name, browser))
                if name == "both":
                    self.assertEqual({}, told[("by_basis", browser)], "it rests on no string")
        self.shop.send({"type": "track", "event": "Seen", "anonymousId": "ana", "context": {"consent": {"tcf": tc_string([])}}})
        for inbox in inboxes.values():
            left = wait_until(lambda inbox=inbox: next((m for m in inbox.taken() if m["type"] == "consent.withdrawn"), None), "taken back")
            self.assertEqual([], [k for k in ("tcf", "gpp") if k in left["consent"]])


if __name__ == "__main__":
    unittest.main()

"""Two people who were found to be one, taken apart, over the real binary: each has her own back, and nothing crosses over."""

import json
import threading
import unittest

from jumelle_server import wait_until
from shop import Inbox, Shop, basic, identified, viewed, workspace

ANA, LEO = "email:ana@example.org", "email:leo@example.org"
TOOLS = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true, country: FR}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, initial: send, map: {email: identifiers.email, size: traits.size}}
"""


class Case(unittest.TestCase):
    def start(self, answer=lambda message: 204, more=""):
        self.inbox = self.enterContext(Inbox(answer))
        self.shop = self.enterContext(Shop(workspace(TOOLS.replace("URL", self.inbox.url) + more)))

    def both(self, ana="granted", leo="denied"):
        """Ana and Leo, each known and member of `lookers`, with their choices for e-mail."""
        self.shop.send(identified("laptop", user_id="u1", email="ana@example.org", size="38"), viewed("laptop", seconds=2), viewed("laptop", seconds=1))
        self.shop.send(identified("phone", user_id=None, email="leo@example.org", size="45"), viewed("phone", seconds=2), viewed("phone", seconds=1))
        for email, state in (("ana@example.org", ana), ("leo@example.org", leo)):
            if state:
                self.shop.consent({"email": email}, state, channel="email")
        wait_until(lambda: self.shop.folded() and self.shop.segments(LEO) == ["lookers"], "both are known")

    def join(self):
        """A till's tablet was signed in as Ana when Leo gave his address."""
        self.shop.send({**identified("laptop", user_id="u1", email="leo@example.org"), "messageId": "the-tablet"}, write_key="wk_till")
        wait_until(lambda: self.shop.profile(LEO)["id"] == self.shop.profile(ANA)["id"], "found to be one")
        return self.shop.profile(ANA)["id"]

    def split(self, status=200, who=ANA, **body):
        body = {"identifiers": [LEO, "anonymous_id:phone"], "reason": "shared_device", **body}
        answer = self.shop.call("POST", f"/v1/profiles/{who}/split", body)
        self.assertEqual(status, answer.status, answer)
        return answer.json()

    def names(self, who):
        return {known["value"] for known in self.shop.profile(who)["identifiers"]}

    def choices(self, who):
        return [(item["for"], item["channel"], item["state"]) for item in self.shop.get(f"/v1/profiles/{who}/consents")["items"]]

    def is_allowed(self, who, channel="email"):
        answer = self.shop.get(f"/v1/allowed?destination=mailer&purpose=marketing&channel={channel}&id={who}")
        return answer["allowed"], answer["code"]

    def told(self):
        return [(message["type"], message["data"].get("email"), message["data"].get("size")) for message in self.inbox.taken()]

    def in_tool(self):
        """Who is in the tool, by the addresses that it was told."""
        held = set()
        for kind, email, _ in self.told():
            (held.discard if kind in ("segment.exited", "consent.withdrawn", "profile.erased") else held.add)(email)
        return held

    def quiet(self):
        """Nothing waits to be sent."""
        return self.shop.folded() and not self.shop.get("/v1/deliveries?state=queued")["items"]

    def is_rebuilt(self):
        self.shop.stop()
        report = self.shop.offline("rebuild")
        self.assertTrue(report["identical"], report["differences"])
        self.shop.start()


class Split(Case):
    def test_each_has_her_own_back_at_the_gate_in_the_answers_and_in_the_tools(self):
        self.start()
        self.both()
        wait_until(lambda: self.in_tool() == {"ana@example.org"} and self.quiet(), "the mailer has Ana alone")
        apart = {who: (self.choices(who), self.is_allowed(who)) for who in (ANA, LEO)}
        joined = self.join()
        self.shop.send(viewed("phone", "while-joined"), viewed("laptop"))
        wait_until(self.quiet, "folded")
        before = len(self.shop.exported_events())
        answer = self.split()
        self.assertEqual((joined, False, 1), (answer["profile"], answer["dry_run"], answer["naming_both"]))
        self.assertEqual(answer["other"], self.shop.profile(LEO)["id"])
        self.assertEqual(joined, self.shop.profile(ANA)["id"], "who stays keeps the id")
        self.assertNotEqual(joined, answer["other"])
        self.assertEqual([{"ana@example.org", "u1", "laptop"}, {"leo@example.org", "phone"}], [self.names(who) for who in (ANA, LEO)])
        self.assertEqual(apart, {who: (self.choices(who), self.is_allowed(who)) for who in (ANA, LEO)})
        self.assertEqual((True, False), (self.is_allowed(ANA)[0], self.is_allowed(LEO)[0]))
        profiles = [self.shop.profile(who) for who in (ANA, LEO)]
        self.assertEqual([("ana@example.org", "38"), ("leo@example.org", "45")], [(p["traits"]["email"], p["traits"]["size"]) for p in profiles])
        self.assertEqual([5, 4], [p["events"] - len([c for c in p["consents"]]) for p in profiles], "the tablet's event is Ana's")
        self.assertIn("while-joined", [event["messageId"] for event in self.shop.get(f"/v1/profiles/{LEO}/events")["items"]])
        wait_until(self.quiet, "the tools are told")
        self.assertEqual({"ana@example.org"}, self.in_tool())
        self.assertNotIn("leo@example.org", [email for _, email, _ in self.told()], "he never let anybody write to him")
        steps = [self.shop.get(f"/v1/profiles/{who}/joins")["splits"] for who in (ANA, LEO)]
        self.assertEqual([[(answer["other"], "shared_device")], [(joined, "shared_device")]], [[(s["other"], s["reason"]) for s in step] for step in steps])
        self.assertEqual(before, len(self.shop.exported_events()), "no event is made of it")
        self.is_rebuilt()
        self.assertEqual(apart, {who: (self.choices(who), self.is_allowed(who)) for who in (ANA, LEO)})

    def test_who_may_not_be_in_a_tool_leaves_it_under_the_name_it_knows_and_who_may_comes_in(self):
        self.start()
        # Ana chose nothing. Leo's own choice let him in; then the newest address of the joined person is his.
        self.both(ana=None, leo="granted")
        wait_until(lambda: self.in_tool() == {"leo@example.org"} and self.quiet(), "the mailer has Leo alone")
        joined = self.join()
        # By her customer number she lets write to herself, and the two are one: the grant covers both addresses.
        self.shop.consent({"user_id": "u1"}, "granted", channel="email")
        self.shop.consent({"email": "leo@example.org"}, "denied", channel="email")
        wait_until(lambda: self.in_tool() == {"ana@example.org"} and self.quiet(), "the other address is open")
        self.split()
        wait_until(self.quiet, "told")
        self.assertEqual({"ana@example.org"}, self.in_tool())
        self.assertEqual((False, "denied"), self.is_allowed(LEO))
        # She refuses; nothing of it is his. He agrees; nothing of it is hers.
        self.shop.consent({"user_id": "u1"}, "denied", channel="email")
        self.shop.consent({"email": "leo@example.org"}, "granted", channel="email")
        wait_until(lambda: self.in_tool() == {"leo@example.org"} and self.quiet(), "each her own")
        self.assertEqual([joined], sorted({m["profile"] for m in self.inbox.taken() if m["data"]["email"] == "ana@example.org"}))
        self.is_rebuilt()

    def test_what_the_tool_knows_by_one_id_stays_in_one_order(self):
        refuses = [True]

        def answer(message):
            if message["type"] in ("segment.exited", "consent.withdrawn") and refuses:
                refuses.clear()
                return 503
            return 204

        self.start(answer)
        self.both(ana=None, leo=None)
        joined = self.join()
        self.shop.consent({"user_id": "u1"}, "granted", channel="email")
        wait_until(lambda: self.in_tool() == {"leo@example.org"} and self.quiet(), "the one person, under the newest address")
        before = len(self.inbox.taken())
        self.split()
        wait_until(self.quiet, "told")
        told = [(message["type"], message["data"]["email"]) for message in self.inbox.taken()[before:] if message["profile"] == joined]
        self.assertEqual([], refuses, "his removal was refused once")
        self.assertEqual([("consent.withdrawn", "leo@example.org"), ("segment.entered", "ana@example.org")], told)

    def test_a_grant_that_the_joined_person_gave_opens_no_address_of_the_other(self):
        self.start()
        self.both(ana=None, leo=None)
        self.join()
        self.shop.consent({"user_id": "u1"}, "granted", channel="email")
        wait_until(lambda: len(self.in_tool()) == 1 and self.quiet(), "one address of the two")
        self.assertEqual([True, True], [self.is_allowed(who)[0] for who in (ANA, LEO)])
        self.split()
        self.assertEqual([True, False], [self.is_allowed(who)[0] for who in (ANA, LEO)])
        wait_until(lambda: self.in_tool() == {"ana@example.org"} and self.quiet(), "his address is out of the tool, hers is in")
        self.is_rebuilt()

    def test_what_waits_for_the_two_as_one_does_not_go_out(self):
        open_ = threading.Event()
        self.start(lambda message: 204 if open_.is_set() else 503)
        self.both(ana=None, leo=None)
        self.join()
        self.shop.consent({"user_id": "u1"}, "granted", channel="email")
        # A request under way could be answered by the open tool: it is over, and the next one a second off.
        wait_until(lambda: self.shop.get("/v1/deliveries?state=failed")["items"], "it was tried, and waits")
        self.split()
        open_.set()
        wait_until(lambda: self.in_tool() == {"ana@example.org"} and self.quiet(), "hers came in", 90)
        codes = [item["gate"]["code"] for who in (ANA, LEO) for item in self.shop.deliveries(who) if item["state"] == "blocked" and item["gate"]]
        self.assertEqual(["taken_apart"], [code for code in codes if code == "taken_apart"])
        last = [message for message in self.inbox.taken() if message["type"] == "segment.entered"][-1]
        self.assertEqual("ana@example.org", last["data"]["email"])

    def test_no_later_event_joins_them_again(self):
        self.start()
        self.both(ana="denied", leo="granted")
        self.join()
        self.split()
        for event in (
            identified("laptop", user_id="u1", email="leo@example.org", size="40"),
            identified("phone", email="ana@example.org"),
            {"type": "alias", "userId": "u1", "previousId": "phone"},
            identified("laptop", user_id="u1", phone="+33612345678"),
            # An identifier that came after the split joins them as little.
            {"type": "identify", "anonymousId": "phone", "traits": {"phone": "+33612345678"}},
        ):
            self.shop.send(event)
        wait_until(self.shop.folded, "folded")
        self.assertEqual([{"ana@example.org", "u1", "laptop", "+33612345678"}, {"leo@example.org", "phone"}], [self.names(who) for who in (ANA, LEO)])
        self.assertEqual(("ana@example.org", "40"), tuple(self.shop.profile(ANA)["traits"][key] for key in ("email", "size")))
        refused = self.shop.profile(ANA)["refused_joins"] + self.shop.profile(LEO)["refused_joins"]
        self.assertEqual(4, len([line for line in refused if "taken apart" in line]), refused)
        self.assertGreaterEqual(self.shop.metric("jumelle_refused_joins_total", namespace="email"), 1)
        with self.subTest("a choice that an event of hers says for his address is his"):
            self.shop.send({"type": "track", "event": "Newsletter", "userId": "u1", "context": {
                "traits": {"email": "leo@example.org"}, "consents": [{"purpose": "marketing", "channel": "email", "state": "denied"}]}})  # fmt: skip
            wait_until(self.shop.folded, "folded")
            self.assertEqual([(False, "denied"), (False, "denied")], [self.is_allowed(who) for who in (ANA, LEO)])
            self.assertEqual([({"email": "ana@example.org"}, "email", "denied")], self.choices(ANA))
        self.is_rebuilt()

    def test_a_dry_run_says_it_and_changes_nothing(self):
        self.start()
        self.both()
        self.join()
        wait_until(self.quiet, "quiet")
        state = lambda: [self.shop.profile(ANA), self.shop.deliveries(ANA), self.told(), self.shop.get(f"/v1/profiles/{ANA}/joins")]
        before = state()
        said = self.split(dry_run=True)
        self.assertEqual((True, None, 1), (said["dry_run"], said["other"], said["naming_both"]))
        self.assertEqual(before, state())
        sides = [said["stays"], said["leaves"]]
        self.assertEqual([{"ana@example.org", "u1", "laptop"}, {"leo@example.org", "phone"}], [{i["value"] for i in side["identifiers"]} for side in sides])
        self.assertEqual([["granted"], ["denied"]], [[choice["state"] for choice in side["consents"]] for side in sides])
        self.assertEqual([["lookers"], ["lookers"]], [side["segments"] for side in sides])
        self.assertEqual([(["mailer"], None), (["mailer"], "denied")], [
            ([tool["destination"] for tool in side["tools"]], (side["tools"][0]["gate"] or {}).get("code")) for side in sides
        ])  # fmt: skip
        done = self.split()
        self.assertEqual([said["stays"], said["leaves"]], [done["stays"], done["leaves"]], "it does what it said")

    def test_killed_right_after_the_call(self):
        self.start()
        self.both(leo="granted")
        self.join()
        answer = self.split()
        self.shop.kill()
        self.shop.start()
        wait_until(self.shop.folded, "caught up")
        self.assertEqual((answer["profile"], answer["other"]), tuple(self.shop.profile(who)["id"] for who in (ANA, LEO)))
        self.assertEqual([{"ana@example.org", "u1", "laptop"}, {"leo@example.org", "phone"}], [self.names(who) for who in (ANA, LEO)])
        wait_until(lambda: self.in_tool() == {"ana@example.org", "leo@example.org"} and self.quiet(), "both may be there", 60)
        self.shop.send(identified("laptop", email="leo@example.org"))
        wait_until(self.shop.folded, "folded")
        self.assertEqual({"leo@example.org", "phone"}, self.names(LEO), "still apart")
        self.is_rebuilt()

    def test_an_erasure_takes_her_side_alone_and_leaves_no_trace(self):
        for gone, left, trace in ((LEO, ANA, b"leo@example.org"), (ANA, LEO, b"ana@example.org")):
            with self.subTest(gone):
                self.start()
                self.both(leo="granted")
                self.join()
                self.split()
                wait_until(lambda: self.in_tool() == {"ana@example.org", "leo@example.org"} and self.quiet(), "both are in the tool", 60)
                kept = {**self.shop.profile(left), "refused_joins": None}
                self.assertEqual(200, self.shop.call("POST", "/v1/privacy/erase", {"identifier": gone}).status)
                wait_until(lambda: "profile.erased" in self.inbox.types(), "the tool is told")
                self.assertEqual(kept, {**self.shop.profile(left), "refused_joins": None})
                self.assertIsNone(self.shop.profile(gone))
                wait_until(lambda: not self.shop.traces(trace), "no file has the address", 60)
                proof = self.shop.get(f"/v1/privacy/proof?identifier={left}")
                self.assertEqual(["granted"], [choice["state"] for choice in proof["choices"]])
                self.shop.stop()
                self.shop.offline("rebuild")
                self.shop.start()
                same = ("id", "traits", "consents", "events", "absorbed")
                now = self.shop.profile(left)
                self.assertEqual({key: kept[key] for key in same}, {key: now[key] for key in same}, "a replay without the other")
                self.assertEqual({one["value"] for one in kept["identifiers"]}, {one["value"] for one in now["identifiers"]})
                self.assertIsNone(self.shop.profile(gone))
                self.assertEqual([], self.shop.traces(trace))

    def test_the_proof_of_each_has_her_own_choices_and_what_was_sent_to_her(self):
        self.start()
        self.both(leo="granted")
        wait_until(lambda: self.in_tool() == {"ana@example.org", "leo@example.org"} and self.quiet(), "both are in the tool")
        self.join()
        self.shop.consent({"email": "leo@example.org"}, "denied", channel="email")
        self.shop.consent({"email": "ana@example.org"}, "granted", channel="email")
        wait_until(lambda: self.in_tool() == {"ana@example.org"} and self.quiet(), "he is out")
        self.split()
        wait_until(self.quiet, "told")
        for who, name, choices in ((ANA, "ana", [("email", "granted"), ("email", "granted")]), (LEO, "leo", [("email", "denied"), ("email", "granted")])):
            proof = self.shop.get(f"/v1/privacy/proof?identifier={who}")
            self.assertEqual(choices, sorted((choice["channel"], choice["state"]) for choice in proof["choices"]))
            self.assertEqual({f"{name}@example.org"}, {item["data"]["email"] for item in proof["sent"]})
            self.assertEqual(["shared_device"], [split["reason"] for split in proof["splits"]])
            other = "leo@" if name == "ana" else "ana@"
            self.assertNotIn(other, json.dumps(proof))
        self.assertEqual(0, self.shop.call("POST", "/v1/ledger/verify").json()["problem_count"])

    def test_a_call_that_cannot_be_done_says_which_field_and_which_rule(self):
        self.start()
        self.both()
        self.join()
        everything = [ANA, LEO, "user_id:u1", "anonymous_id:laptop", "anonymous_id:phone"]
        for body, field, rule in (
            ({"identifiers": []}, "identifiers", "none_named"),
            ({"identifiers": everything}, "identifiers", "all_named"),
            ({"identifiers": [LEO, "email:eve@example.org"]}, "identifiers[1]", "not_hers"),
            ({"identifiers": ["leo@example.org"]}, "identifiers[0]", "unreadable_identifier"),
            ({"identifiers": ["fax:1"]}, "identifiers[0]", "unreadable_identifier"),
            ({"reason": "because"}, "reason", "unknown_reason"),
        ):
            with self.subTest(rule):
                answer = self.split(400, **body)
                self.assertEqual((field, rule), (answer["field"], answer["rule"]))
        self.split(404, who="email:eve@example.org")
        self.split(400, identifier="x")
        self.assertEqual(401, self.shop.call("POST", f"/v1/profiles/{ANA}/split", {}, admin=False).status)
        self.assertEqual(401, self.shop.call("POST", f"/v1/profiles/{ANA}/split", {}, headers=basic("wk_site"), admin=False).status)
        for role, status in (("marketer", 403), ("agent", 403), ("read", 403), ("privacy", 200)):
            token = self.shop.call("POST", "/v1/tokens", {"name": f"a {role}", "role": role}).json()["token"]
            body = {"identifiers": [LEO], "dry_run": True}
            answer = self.shop.call("POST", f"/v1/profiles/{ANA}/split", body, headers={"authorization": f"Bearer {token}"})
            self.assertEqual(status, answer.status, role)
        self.assertEqual(self.shop.profile(ANA)["id"], self.shop.profile(LEO)["id"], "nothing was done")

    def test_taken_apart_twice(self):
        self.start()
        self.both(ana="granted", leo="granted")
        self.shop.send(identified("desk", email="eve@example.org", size="40"))
        self.join()
        self.shop.send(identified("phone", email="eve@example.org"))
        wait_until(lambda: self.shop.profile("email:eve@example.org")["id"] == self.shop.profile(ANA)["id"], "three are one")
        first = self.split(identifiers=[LEO, "anonymous_id:phone", "email:eve@example.org", "anonymous_id:desk"])
        second = self.split(who=LEO, identifiers=["email:eve@example.org", "anonymous_id:desk"])
        self.assertEqual(first["other"], second["profile"])
        self.assertEqual(3, len({self.shop.profile(who)["id"] for who in (ANA, LEO, "email:eve@example.org")}))
        self.shop.send(identified("laptop", email="eve@example.org"), identified("phone", email="ana@example.org"))
        wait_until(self.shop.folded, "folded")
        self.assertEqual(3, len({self.shop.profile(who)["id"] for who in (ANA, LEO, "email:eve@example.org")}))
        wait_until(lambda: self.in_tool() == {"ana@example.org", "leo@example.org"} and self.quiet(), "each his own", 60)
        self.is_rebuilt()

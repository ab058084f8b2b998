"""Activation over the real binary: the gate, withdrawal, retries, order, and tools that are down."""

import threading
import time
import unittest
from datetime import datetime

from jumelle_server import free_port, wait_until
from shop import Inbox, Shop, identified, instant, viewed, workspace

TOOLS = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email, size: traits.size}}
"""
WHO = "email:ana@example.org"
ANA = {"email": "ana@example.org"}


def looking(name, email=None):
    """Events that make somebody a member of `lookers`."""
    events = [viewed(name, seconds=2), viewed(name, seconds=1)]
    return [identified(name, email=email), *events] if email else events


class Activation(unittest.TestCase):
    def start(self, tools=TOOLS, answer=lambda message: 204):
        self.inbox = self.enterContext(Inbox(answer))
        self.shop = self.enterContext(Shop(workspace(tools.replace("URL", self.inbox.url))))

    def states(self, who=WHO):
        return [(item["type"], item["state"]) for item in reversed(self.shop.deliveries(who))]

    def until_states(self, expected, who=WHO, seconds_max=15):
        try:
            wait_until(lambda: self.states(who) == expected, "", seconds_max)
        except AssertionError:
            self.assertEqual(expected, self.states(who))

    def member(self, email="ana@example.org", name="ana"):
        self.shop.send(*looking(name, email))
        wait_until(lambda: self.shop.segments(f"anonymous_id:{name}") == ["lookers"], "a member")

    def test_blocked_then_consent_then_entered_then_withdrawn(self):
        self.start()
        self.member()
        self.until_states([("segment.entered", "blocked")])
        self.assertEqual("no consent for marketing/email: unknown since ever", self.shop.deliveries(WHO)[0]["reason"])
        self.assertEqual([], self.inbox.messages)
        self.shop.consent(ANA, "granted", channel="email")
        self.until_states([("segment.entered", "blocked"), ("segment.entered", "sent")])
        entered = self.inbox.taken()[0]
        person = self.shop.profile(WHO)
        self.assertEqual(
            ("segment.entered", "mail", "lookers", person["id"], {"email": "ana@example.org"}),
            tuple(entered[key] for key in ("type", "activation", "segment", "profile", "data")),
        )
        self.assertEqual(
            ("marketing", "email", "granted", person["consents"][0]["receipt"]),
            tuple(entered["consent"][key] for key in ("purpose", "channel", "state", "receipt")),
        )
        self.shop.send(identified("ana", size="42"))
        self.until_states([("segment.entered", "blocked"), ("segment.entered", "sent"), ("profile.updated", "sent")])
        self.assertEqual({"email": "ana@example.org", "size": "42"}, self.inbox.taken()[1]["data"])
        self.shop.send(identified("ana", size="42"), identified("ana", city="Lille"))
        wait_until(lambda: self.shop.profile(WHO)["traits"].get("city") == "Lille", "folded")
        self.assertEqual(2, len(self.inbox.taken()), "nothing mapped has changed")
        self.shop.consent(ANA, "denied", channel="email")
        wait_until(lambda: len(self.inbox.taken()) == 3, "withdrawn")
        withdrawn = self.inbox.taken()[2]
        self.assertEqual("consent.withdrawn", withdrawn["type"])
        self.assertEqual({"email": "ana@example.org", "size": "42"}, withdrawn["data"], "what the tool has, and no more")
        self.shop.send(identified("ana", size="43"))
        wait_until(lambda: self.shop.profile(WHO)["traits"].get("size") == "43", "folded")
        self.shop.consent(ANA, "granted", channel="email")
        wait_until(lambda: self.inbox.types()[3:] == ["segment.entered"], "back again")
        self.assertEqual("43", self.inbox.taken()[3]["data"]["size"])
        self.assertEqual(4, len({message["id"] for message in self.inbox.messages}), "an id for each message")

    def test_withdrawal_while_the_tool_is_down(self):
        up = threading.Event()
        self.start(answer=lambda message: 204 if up.is_set() else 503)
        bia = {"email": "bia@example.org"}
        for who in (ANA, bia):
            self.shop.consent(who, "granted", channel="email")
        self.member()
        # The tool has seen this one and refused it; the others have never left.
        wait_until(lambda: self.inbox.messages, "tried")
        for name in range(6):
            email = f"open-{name}@example.org"
            self.shop.consent({"email": email}, "granted", channel="email")
            self.shop.send(*looking(f"open-{name}", email))
        status = wait_until(
            lambda: (found := self.shop.get("/v1/destinations/mailer")["status"]) and found["circuit"] == "open" and found,
            "the circuit opens",
        )
        self.assertTrue(status["open_until"])
        self.assertIn("503", status["last_error"])
        self.assertEqual("open", self.shop.get("/v1/destinations")["items"][0]["status"]["circuit"])
        self.shop.send(*looking("bia", "bia@example.org"))
        self.until_states([("segment.entered", "queued")], "email:bia@example.org")
        tried = {message["profile"] for message in self.inbox.messages}
        person = self.shop.profile("email:bia@example.org")["id"]
        self.assertNotIn(person, tried)
        self.shop.consent(bia, "denied", channel="email")
        up.set()
        self.assertEqual(200, self.shop.call("POST", "/v1/destinations/mailer/retry").status)
        self.until_states([("segment.entered", "blocked"), ("consent.withdrawn", "blocked")], "email:bia@example.org")
        blocked = {item["type"]: item["reason"] for item in self.shop.deliveries("email:bia@example.org")}
        self.assertIn("denied since", blocked["segment.entered"])
        withdrawal = next(one for one in self.shop.profile("email:bia@example.org")["consents"] if one["state"] == "denied")
        gate = next(item["gate"] for item in self.shop.deliveries("email:bia@example.org") if item["type"] == "segment.entered")
        self.assertEqual(withdrawal["receipt"], gate["receipt"])
        self.assertIn("never received", blocked["consent.withdrawn"])
        wait_until(lambda: len({m["profile"] for m in self.inbox.taken()}) == 7, "those who did not withdraw arrive")
        self.assertNotIn(person, {message["profile"] for message in self.inbox.messages}, "of her the tool heard nothing")
        wait_until(lambda: self.shop.get("/v1/destinations/mailer")["status"]["circuit"] == "closed", "closed again")

    def test_withdrawal_reaches_whom_the_tool_refused_to_answer_for(self):
        """A request that failed may have arrived: what it carried is blocked from now on, and nothing more is sent."""
        up = threading.Event()
        self.start(answer=lambda message: 204 if up.is_set() else 503)
        self.shop.consent(ANA, "granted", channel="email")
        self.member()
        wait_until(lambda: self.inbox.messages, "tried once")
        self.shop.consent(ANA, "denied", channel="email")
        withdrawn_at = time.monotonic()
        up.set()
        self.shop.call("POST", "/v1/destinations/mailer/retry")
        wait_until(lambda: ("segment.entered", "blocked") in self.states(), "blocked at the second gate")
        wait_until(lambda: all(state != "queued" for _, state in self.states()), "settled")
        late = [m for m in self.inbox.messages if m["type"] == "segment.entered" and m["arrived"] > withdrawn_at + 0.1]
        self.assertEqual([], late, "no entry begins later than 100 ms after the withdrawal")
        self.assertEqual(["consent.withdrawn"], self.inbox.types(), "and the tool is told, in case it had kept her")

    def test_a_retry_waits_as_long_as_it_is_asked_to(self):
        answers = iter([(429, {"retry-after": "2"})])
        self.start(answer=lambda message: next(answers, 204))
        self.shop.consent(ANA, "granted", channel="email")
        self.member()
        wait_until(lambda: self.inbox.messages, "refused once")
        wait_until(lambda: self.states() == [("segment.entered", "failed")], "waits for its next try")
        self.assertIn("429", self.shop.deliveries(WHO)[0]["reason"])
        self.until_states([("segment.entered", "sent")])
        first, second = self.inbox.messages
        self.assertEqual(first["id"], second["id"])
        self.assertGreaterEqual(second["arrived"] - first["arrived"], 1.9)
        self.assertLess(second["arrived"] - first["arrived"], 6)
        self.assertEqual(2, self.shop.deliveries(WHO)[0]["attempts"])

    def test_what_is_given_up_can_be_replayed(self):
        accept = threading.Event()
        self.start(answer=lambda message: 204 if accept.is_set() else 422)
        self.shop.consent(ANA, "granted", channel="email")
        self.member()
        for attempt in range(1, 5):
            wait_until(lambda attempt=attempt: len(self.inbox.messages) >= attempt, f"attempt {attempt}")
            wait_until(lambda: self.shop.deliveries(WHO)[0]["state"] in ("failed", "dead"), "refused")
            # Tries again at once what would wait for its backoff.
            self.shop.call("POST", "/v1/destinations/mailer/retry")
        self.until_states([("segment.entered", "dead")], seconds_max=30)
        dead = self.shop.get("/v1/deliveries?destination=mailer&state=dead")["items"]
        self.assertEqual([(5, 422)], [(item["attempts"], item["status"]) for item in dead])
        accept.set()
        self.assertEqual(200, self.shop.call("POST", f"/v1/deliveries/{dead[0]['id']}/retry").status)
        self.until_states([("segment.entered", "sent")])
        self.assertEqual(1, len({message["id"] for message in self.inbox.messages}), "always the same id")
        again = self.shop.call("POST", f"/v1/deliveries/{dead[0]['id']}/retry")
        self.assertEqual(400, again.status, "what was taken is not sent again")
        self.assertEqual(404, self.shop.call("POST", "/v1/deliveries/dlv_00000000000000000000000000/retry").status)

    def test_one_persons_messages_keep_their_order_and_stop_nobody_else(self):
        stuck = threading.Event()

        def answer(message):
            first_of_ana = message["data"].get("email") == "ana@example.org" and not stuck.is_set()
            return 422 if first_of_ana else 204

        self.start(answer=answer)
        for name in ("ana", "bia"):
            self.shop.consent({"email": f"{name}@example.org"}, "granted", channel="email")
        self.member()
        wait_until(lambda: self.inbox.messages, "she is stuck")
        for size in range(40, 46):
            self.shop.send(identified("ana", size=str(size)))
            wait_until(lambda size=size: self.shop.profile(WHO)["traits"].get("size") == str(size), "folded")
        self.member("bia@example.org", "bia")
        self.until_states([("segment.entered", "sent")], "email:bia@example.org", 5)
        self.assertEqual({"bia@example.org"}, {message["data"]["email"] for message in self.inbox.taken()})
        stuck.set()
        person = self.shop.profile(WHO)["id"]
        wait_until(lambda: len(self.inbox.taken(person)) == 7, "all of hers")
        self.assertEqual(["segment.entered"] + ["profile.updated"] * 6, self.inbox.types(person))
        self.assertEqual(
            [str(size) for size in range(40, 46)], [message["data"]["size"] for message in self.inbox.taken(person)[1:]]
        )

    def test_a_tool_that_is_down_does_not_slow_another(self):
        down = f"http://127.0.0.1:{free_port()}/hook"
        tools = TOOLS.replace(
            "activations:",
            f'  broken: {{connector: webhook, url: "{down}", allow_private: true}}\n'
            "activations:\n  other: {segment: lookers, destination: broken, purpose: marketing, channel: email, "
            "map: {email: identifiers.email}}",
        )
        self.start(tools)
        events = []
        for n in range(100):
            email = f"n{n}@example.org"
            choice = {"purpose": "marketing", "channel": "email", "state": "granted"}
            events.append({**identified(f"n{n}", email=email), "context": {"consents": [choice]}})
            events += looking(f"n{n}")
        began = time.monotonic()
        self.shop.send(*events)
        wait_until(lambda: len(self.inbox.taken()) == 100, "all at the one that works", 10)
        self.assertLess(time.monotonic() - began, 10)
        waiting = self.shop.get("/v1/deliveries?destination=broken&limit=1000")["items"]
        self.assertEqual(100, len(waiting))
        self.assertLessEqual({item["state"] for item in waiting}, {"queued", "failed"})
        broken = next(item for item in self.shop.get("/v1/destinations")["items"] if item["key"] == "broken")
        self.assertIn(broken["status"]["circuit"], ("open", "half_open"))
        self.assertEqual("closed", self.shop.get("/v1/destinations/mailer")["status"]["circuit"])

    def test_what_waits_survives_a_crash(self):
        up = threading.Event()
        self.start(answer=lambda message: 204 if up.is_set() else 503)
        for n in range(20):
            self.shop.consent({"email": f"n{n}@example.org"}, "granted", channel="email")
            self.shop.send(*looking(f"n{n}", f"n{n}@example.org"))
        wait_until(lambda: len(self.shop.get("/v1/deliveries?destination=mailer")["items"]) == 20, "queued")
        ids = {item["id"] for item in self.shop.get("/v1/deliveries?destination=mailer")["items"]}
        self.shop.kill()
        up.set()
        self.shop.start()
        wait_until(lambda: len(self.inbox.taken()) >= 20, "all arrive")
        self.assertEqual(ids, {message["id"] for message in self.inbox.taken()}, "under the ids that they had")
        wait_until(lambda: len(self.shop.get("/v1/deliveries?state=sent")["items"]) == 20, "recorded")

    def test_an_erasure_that_a_tool_confirms_late_leaves_no_trace(self):
        confirms = threading.Event()
        self.start(answer=lambda message: 204 if message["type"] != "profile.erased" or confirms.is_set() else 503)
        self.shop.consent(ANA, "granted", channel="email")
        self.member()
        self.until_states([("segment.entered", "sent")])
        self.assertEqual(200, self.shop.call("POST", "/v1/privacy/erase", {"identifier": WHO}).status)
        time.sleep(8)  # Files are merged and journals turned over: what is left is the message that tells the tool.
        self.assertNotEqual([], self.shop.traces(b"ana@example.org"))
        confirms.set()
        self.shop.call("POST", "/v1/destinations/mailer/retry")
        wait_until(lambda: not self.shop.traces(b"ana@example.org"), "no file has the address", 60)

    def test_a_command_on_a_stopped_directory_sends_nothing(self):
        up = threading.Event()
        self.start(answer=lambda message: 204 if up.is_set() else 503)
        self.shop.consent(ANA, "granted", channel="email")
        self.member()
        wait_until(lambda: self.inbox.messages, "tried")
        self.shop.stop()
        up.set()
        tried = len(self.inbox.messages)
        entries = self.shop.offline("doctor")["entries"]
        for _ in range(3):
            self.assertIn('"type":"identify"', self.shop.exported("events"))
        self.assertEqual((tried, entries), (len(self.inbox.messages), self.shop.offline("doctor")["entries"]))
        self.shop.start()
        wait_until(lambda: self.inbox.types() == ["segment.entered"], "the server sends it")

    def test_a_contract_needs_no_consent_until_she_objects(self):
        self.start(TOOLS.replace("purpose: marketing", "purpose: service"))
        self.member()
        self.until_states([("segment.entered", "sent")])
        consent = self.inbox.taken()[0]["consent"]
        self.assertEqual(("unknown", "contract"), (consent["state"], consent["basis"]))
        self.shop.consent({"email": "ana@example.org"}, "denied", purpose="service")
        wait_until(lambda: self.inbox.types() == ["segment.entered", "consent.withdrawn"], "the objection")
        gate = self.shop.get(f"/v1/profiles/{WHO}/explain")["gate"][0]
        self.assertFalse(gate["open"])

    def test_members_present_at_the_start_of_an_activation(self):
        for initial, received in (("skip", []), ("send", ["segment.entered"])):
            with self.subTest(initial):
                self.start(TOOLS.split("activations:")[0])
                self.shop.consent(ANA, "granted", channel="email")
                self.member()
                activation = {
                    "segment": "lookers", "destination": "mailer", "purpose": "marketing", "channel": "email",
                    "initial": initial, "map": {"email": "identifiers.email"},
                }  # fmt: skip
                self.assertEqual(200, self.shop.call("PUT", "/v1/activations/mail", activation).status)
                self.shop.consent({"email": "bia@example.org"}, "granted", channel="email")
                self.member("bia@example.org", "bia")
                ana, bia = self.shop.profile(WHO)["id"], self.shop.profile("email:bia@example.org")["id"]
                wait_until(lambda bia=bia: self.inbox.types(bia) == ["segment.entered"], "who comes later is sent")
                if received:
                    wait_until(lambda ana=ana: self.inbox.types(ana) == ["segment.entered"], "who was there is sent")
                self.assertEqual(received, self.inbox.types(ana))

    def test_private_addresses_are_refused_unless_allowed(self):
        self.start(TOOLS.replace(", allow_private: true", ""))
        self.shop.consent(ANA, "granted", channel="email")
        self.member()
        self.until_states([("segment.entered", "queued")])
        status = wait_until(lambda: (found := self.shop.get("/v1/destinations/mailer")["status"])["last_error"] and found, "refused")
        self.assertEqual("open", status["circuit"])
        self.assertEqual([], self.inbox.messages)

    def test_redirects_are_not_followed(self):
        self.start(answer=lambda message: (302, {"location": self.inbox.url + "/elsewhere"}))
        self.shop.consent(ANA, "granted", channel="email")
        self.member()
        wait_until(lambda: self.states() == [("segment.entered", "failed")], "held")
        self.assertEqual(1, len(self.inbox.messages))
        self.assertIn("redirect", self.shop.deliveries(WHO)[0]["reason"])


class Leaving(unittest.TestCase):
    def test_leaving_is_told_only_of_those_who_were_received(self):
        segment = "  recent:\n    rule: {did: Product Viewed, within: 3s}"
        tools = TOOLS.replace("segment: lookers", "segment: recent")
        with Inbox() as inbox, Shop(workspace(segment, tools.replace("URL", inbox.url))) as shop:
            shop.consent(ANA, "granted", channel="email")
            shop.send(identified("ana", email="ana@example.org"), identified("bia", email="bia@example.org"))
            shop.send(viewed("ana"), viewed("bia"))
            wait_until(lambda: inbox.types() == ["segment.entered"], "ana is in")
            wait_until(lambda: inbox.types() == ["segment.entered", "segment.exited"], "ana is out", 10)
            entered, exited = inbox.taken()
            self.assertEqual((entered["profile"], entered["data"]), (exited["profile"], exited["data"]))
            passed = (instant(exited["at"]) - instant(entered["at"])).total_seconds()
            self.assertLess(passed, 3.5)
            self.assertLess(abs((datetime.now(instant(exited["at"]).tzinfo) - instant(exited["at"])).total_seconds()), 2)
            wait_until(lambda: shop.segments("email:bia@example.org") == [], "bia is out as well")
            states = [(item["type"], item["state"]) for item in shop.deliveries("email:bia@example.org")]
            self.assertEqual([("segment.entered", "blocked")], states, "nothing is taken back that was never sent")
            self.assertEqual({entered["profile"]}, {message["profile"] for message in inbox.messages})


if __name__ == "__main__":
    unittest.main()

"""Choices that are dated in the future or forged, and a policy that changes while messages wait, over the real binary."""

import json
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone

import standardwebhooks
from jumelle_server import wait_until
from shop import Inbox, Shop, basic, identified, instant, now, viewed, workspace

SECRET, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_bm90IHRoZSBzZWNyZXQgb2YgdGhlIHRvb2w="
TOOLS = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true, inbound: {format: standard, secret: "SECRET"}}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""
ANA, WHO = {"email": "ana@example.org"}, "email:ana@example.org"
ALLOWED = f"/v1/allowed?destination=mailer&purpose=marketing&channel=email&id={WHO}"
SOON = timedelta(days=10)


class Faults(unittest.TestCase):
    def start(self, answer=lambda message: 204, marketing="{basis: consent}"):
        self.inbox = self.enterContext(Inbox(answer))
        self.text = workspace(TOOLS.replace("URL", self.inbox.url).replace("SECRET", SECRET)).replace("marketing: {basis: consent}", f"marketing: {marketing}")
        self.shop = self.enterContext(Shop(self.text))

    def member(self):
        self.shop.send(identified("ana", **ANA), viewed("ana", seconds=2), viewed("ana", seconds=1))
        wait_until(lambda: self.shop.segments(WHO) == ["lookers"], "a member")

    def code(self):
        return self.shop.get(ALLOWED)["code"]

    def test_a_choice_from_the_future_is_one_of_now(self):
        self.start()
        later = (datetime.now(timezone.utc) + SOON).isoformat()
        for first, then in (("granted", "denied"), ("denied", "granted")):
            with self.subTest(first=first):
                self.shop.consent(ANA, first, channel="email", at=later)
                standing = next(one for one in self.shop.profile(WHO)["consents"] if one["channel"] == "email")
                self.assertEqual(first, standing["state"])
                self.assertLessEqual(instant(standing["since"]), datetime.now(timezone.utc), "never later than its arrival")
                self.shop.consent(ANA, then, channel="email")
                self.assertEqual(then, self.code(), "it does not outweigh what is chosen after it")
        # By the tracking API, whose clock may be wrong, and of an event that is itself from the future.
        soon = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
        event = {**identified("ana", **ANA), "timestamp": soon, "context": {"consents": [{"purpose": "marketing", "channel": "email", "state": "granted", "at": later}]}}
        self.shop.send(event)
        self.shop.consent(ANA, "denied", channel="email")
        self.assertEqual("denied", self.code())
        # Far ahead of our clock it is no event at all.
        answer = self.shop.call("POST", "/v1/identify", {**event, "timestamp": later}, headers=basic("wk_site"), admin=False)
        self.assertEqual((400, "in_the_future"), (answer.status, answer.json()["rule"]))

    def test_a_public_key_lifts_no_signal(self):
        self.start()
        self.member()
        self.shop.consent(ANA, "granted", channel="email")
        lift = {"signal": "restriction", "state": "lifted", "for": ANA}
        self.shop.call("POST", "/v1/privacy/restrict", {"identifier": WHO, "identity": "staff"})
        self.assertEqual("restricted", self.code())
        say = lambda choice, key="wk_site", **more: self.shop.call("POST", "/v1/batch", {"batch": [viewed("eve"), {"type": "identify", "anonymousId": "eve", "traits": {}, "context": {"consents": [choice]}, **more}]}, headers=basic(key), admin=False).json()
        answer = say(lift)
        self.assertEqual((1, [(1, "context.consents[0].state", "lifts_signal")]), (answer["accepted"], [(one["index"], one["field"], one["rule"]) for one in answer["rejected"]]))
        self.assertEqual("restricted", self.code())
        # Nor does it when somebody tries again what is in quarantine.
        (item,) = self.shop.get("/v1/quarantine?rule=lifts_signal")["items"]
        self.assertEqual("lifts_signal", self.shop.call("POST", f"/v1/quarantine/{item['id']}/retry").json()["rule"])
        self.assertEqual(1, self.shop.call("POST", "/v1/quarantine/retry?rule=lifts_signal").json()["rejected"])
        self.assertEqual("restricted", self.code())
        # A source that keeps its key to itself may.
        self.assertEqual([], say(lift, "wk_till")["rejected"])
        self.assertEqual("granted", self.code())
        # It says no for anybody, and yes as it may.
        said = lambda state, **of: {"purpose": "marketing", "channel": "email", "state": state, **of}
        self.assertEqual([], say(said("denied", **{"for": ANA}))["rejected"])
        self.assertEqual("denied", self.code())
        self.assertEqual([], say(said("granted", **{"for": ANA}))["rejected"])
        self.assertEqual("granted", self.code())
        strict = self.text.replace("site: {kind: web,", "site: {kind: web, consents: device,")
        self.assertNotEqual(self.text, strict)
        self.assertEqual(200, self.shop.apply(strict).status)
        say(said("denied", **{"for": ANA}))
        for granted in (said("granted", **{"for": ANA}), said("granted"), {**said("granted"), "channel": "onsite"}, said("granted", **{"for": {"anonymous_id": "somebody"}}), {"purpose": "marketing", "state": "granted"}):
            with self.subTest(granted):
                self.assertEqual(["grants_beyond_device"], [one["rule"] for one in say(granted, traits=ANA)["rejected"]])
        self.assertEqual("denied", self.code())
        own = {"for": {"anonymous_id": "eve"}}
        for granted in ({"purpose": "marketing", "channel": "onsite", "state": "granted", **own}, {"purpose": "marketing", "state": "granted", **own}):
            self.assertEqual([], say(granted)["rejected"])
        # Of two members of one name the first is not the one that is checked, and the last the one that counts.
        twice = '{"batch": [{"type": "track", "event": "Consent Updated", "anonymousId": "eve", "context": {"consents": [{"signal": "objection", "state": "on", "state": "lifted", "for": {"email": "ana@example.org"}}]}}]}'
        answer = self.shop.call("POST", "/v1/batch", twice, headers=basic("wk_site"), admin=False).json()
        self.assertEqual("duplicate_field", answer["rule"])

    def test_forged_choices_change_nothing(self):
        self.start()
        self.member()
        self.shop.consent(ANA, "granted", channel="email")
        wait_until(lambda: self.inbox.types() == ["segment.entered"], "in")
        choice = {"purpose": "marketing", "channel": "email", "state": "denied", "for": ANA}
        said = json.dumps({"type": "unsubscribed", "address": ANA, "at": now()})

        def signed(secret, at, body=said, sent=None):
            signature = standardwebhooks.Webhook(secret).sign("msg_1", at, body)
            headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
            return self.shop.call("POST", "/v1/inbound/mailer", sent or body, headers=headers, admin=False).status

        present = datetime.now(timezone.utc)
        attempts = {
            "a report without a signature": lambda: self.shop.call("POST", "/v1/inbound/mailer", said, admin=False).status,
            "a report signed by somebody else": lambda: signed(OTHER, present),
            "a report that was changed": lambda: signed(SECRET, present, sent=said.replace("unsubscribed", "complained  ")),
            "a report of yesterday, played again": lambda: signed(SECRET, present - timedelta(days=1)),
            "a choice without a token": lambda: self.shop.call("POST", "/v1/consents", {"identifiers": ANA, "consents": [choice]}, admin=False).status,
            "a choice with a wrong token": lambda: self.shop.call("POST", "/v1/consents", {"identifiers": ANA, "consents": [choice]}, headers={"authorization": "Bearer not-the-token"}).status,
            "an event with a wrong write key": lambda: self.shop.call("POST", "/v1/identify", {"anonymousId": "ana", "traits": {}, "context": {"consents": [choice]}}, headers=basic("wk_none"), admin=False).status,
        }
        path = json.loads(self.shop.request("POST", "/v1/links", {"identifier": WHO, "scope": "unsubscribe", "purpose": "marketing", "channel": "email"}))["path"]
        for at in (4, len(path) // 2, len(path) - 2):
            changed = path[:at] + ("A" if path[at] != "A" else "B") + path[at + 1 :]
            attempts[f"a link changed at {at}"] = lambda changed=changed: self.shop.call("POST", changed, "List-Unsubscribe=One-Click", headers={"content-type": "application/x-www-form-urlencoded"}, admin=False).status
        before = self.shop.call("GET", f"/v1/profiles/{WHO}/consents").body
        for name, attempt in attempts.items():
            with self.subTest(name):
                self.assertGreaterEqual(attempt(), 400)
                self.assertEqual("granted", self.code())
        self.assertEqual(before, self.shop.call("GET", f"/v1/profiles/{WHO}/consents").body)
        self.assertEqual(["segment.entered"], self.inbox.types())
        self.assertLess(signed(SECRET, present), 300)
        wait_until(lambda: self.inbox.types() == ["segment.entered", "consent.withdrawn"], "the one that is not forged is heard")

    def test_a_policy_that_closes_while_messages_wait_holds_them_back(self):
        up = threading.Event()
        self.start(lambda message: 204 if up.is_set() else 503, '{basis: consent, texts: [{version: "1", en: Yes}]}')
        self.shop.consent(ANA, "granted", channel="email", proof={"text_version": "1"})
        self.member()
        wait_until(lambda: self.inbox.messages, "tried, and waits")
        anew = self.text.replace('[{version: "1", en: Yes}]', '[{version: "1", en: Yes}, {version: "2", en: Yes, ask_anew: true}]')
        self.assertEqual(200, self.shop.apply(anew).status)
        applied = time.monotonic()
        up.set()
        self.shop.call("POST", "/v1/destinations/mailer/retry")
        states = lambda: [(item["type"], item["state"]) for item in reversed(self.shop.deliveries(WHO))]  # noqa: E731
        wait_until(lambda: states()[:1] == [("segment.entered", "blocked")], "held back", 30)
        entered = next(item for item in self.shop.deliveries(WHO) if item["type"] == "segment.entered")
        self.assertEqual("old_text", entered["gate"]["code"])
        wait_until(lambda: all(state != "queued" for _, state in states()), "settled")
        late = [m for m in self.inbox.messages if m["type"] == "segment.entered" and m["arrived"] > applied + 0.1]
        self.assertEqual([], late, "no request began under the policy of before")
        self.shop.consent(ANA, "granted", channel="email", proof={"text_version": "2"})
        wait_until(lambda: self.inbox.types()[-1:] == ["segment.entered"], "with the new text she is let in")


if __name__ == "__main__":
    unittest.main()

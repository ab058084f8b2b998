"""The clock of prospects over the real binary: what renews it, who is found, warned, reported and erased (issue 6, point 2)."""

import json
import time
import unittest
from datetime import timedelta

from jumelle_server import wait_until
from shop import Inbox, Shop, identified, instant, now, viewed, workspace

YEARS_3 = 1095
TOOLS = """\
policy: {prospects: PROSPECTS}
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true, country: FR}
activations:
  mail: {segment: lookers, destination: mailer, purpose: service, channel: email, initial: send, map: {email: identifiers.email}}
"""
CLOCK = "{after: 1095d, then: THEN, warn_before: 30d}"


def text(then="report", clock=CLOCK, retention=""):
    whole = workspace(TOOLS.replace("PROSPECTS", clock.replace("THEN", then)))
    return whole.replace("  service: {basis: contract}", "  service: {basis: contract" + retention + "}")


def event(name, who, source_days, **more):
    """A track call of somebody, so many days ago."""
    return {"type": "track", "event": name, "userId": who, "timestamp": now(days=source_days), "properties": more}


def born(who, days, **traits):
    """Collected so many days ago: a synchronisation from the till's server, which is no act of hers."""
    return {**identified(user_id=who, **traits), "timestamp": now(days=days)}


class Clock(unittest.TestCase):
    def start(self, **how):
        self.inbox = self.enterContext(Inbox(lambda message: 204))
        self.text = text(**how).replace("URL", self.inbox.url)
        self.shop = self.enterContext(Shop(self.text))

    def members(self, state="lapsed"):
        return {item["profile"] for item in self.shop.get(f"/v1/privacy/retention/people?state={state}")["items"]}

    def lapsed(self, who):
        return "prospects_lapsed" in self.shop.segments(f"user_id:{who}")

    def retention(self):
        return self.shop.get("/v1/privacy/retention?fresh=true")

    def test_acts_of_hers_renew_it_and_what_is_done_to_her_does_not(self):
        self.start()
        renewing = {
            "click": event("Email Link Clicked", "click", 10),
            "visit": {"type": "page", "userId": "visit", "timestamp": now(days=10), "properties": {"path": "/"}},
            "order": event("Order Completed", "order", 10, order_id="o1", total=10, currency="EUR"),
            "form": {**identified(user_id="form", size="42"), "timestamp": now(days=10)},
            "choice": {"type": "track", "event": "Consent Recorded", "userId": "choice", "timestamp": now(days=10),
                "context": {"consents": [{"purpose": "marketing", "state": "denied"}]}},
        }  # fmt: skip
        passive = {
            "open": event("Email Opened", "open", 10),
            "delivery": event("Email Delivered", "delivery", 10),
            "bounce": {"type": "track", "event": "Consent Recorded", "userId": "bounce", "timestamp": now(days=10),
                "context": {"consents": [{"signal": "bounce", "channel": "email", "for": {"email": "b@example.org"}}]}},
        }  # fmt: skip
        for who in [*renewing, *passive, "sync", "silent"]:
            self.shop.send(born(who, YEARS_3 + 100), write_key="wk_till")
        # Each has done something within the time, but long ago: the clock is not of the first act alone.
        self.shop.send(*renewing.values(), *passive.values())
        self.shop.send(born("sync", 10, city="Lille"), write_key="wk_till")
        wait_until(self.shop.folded, "folded")
        for who in renewing:
            self.assertFalse(self.lapsed(who), who)
        for who in [*passive, "sync", "silent"]:
            wait_until(lambda who=who: self.lapsed(who), f"{who} has lapsed")
        # An import is no act either, but an order in it is one of hers.
        named = lambda who: {"context": {"externalIds": [{"type": "user_id", "id": who, "collection": "users", "encoding": "none"}]}, "timestamp": now(days=10)}
        order = {"type": "track", "event": "Order Completed", "properties": {"order_id": "o2", "total": 5, "currency": "EUR"}}
        visit = {"type": "track", "event": "Product Viewed", "properties": {"product_id": "p"}}
        for who in ("imported", "imported_order"):
            self.shop.send(born(who, YEARS_3 + 100), write_key="wk_till")
        rows = [{**visit, **named("imported"), "messageId": "i1"}, {**order, **named("imported_order"), "messageId": "i2"}]
        self.assertEqual(200, self.shop.call("POST", "/v1/imports/crm?import=a&events=2&done=true", {"batch": rows}).status)
        wait_until(self.shop.folded, "folded")
        self.assertEqual((True, False), (self.lapsed("imported"), self.lapsed("imported_order")))

    def test_she_is_warned_lapses_by_herself_and_an_act_brings_her_back(self):
        self.start(clock="{after: 6s, then: report, warn_before: 3s}")
        began = time.monotonic()
        self.shop.send({"type": "page", "anonymousId": "ana", "properties": {"path": "/"}})
        self.assertEqual([], self.shop.segments("anonymous_id:ana"))
        wait_until(lambda: self.shop.segments("anonymous_id:ana") == ["prospects_lapsing"], "she is warned", 10)
        self.assertGreater(time.monotonic() - began, 2.5)
        wait_until(lambda: self.shop.segments("anonymous_id:ana") == ["prospects_lapsed"], "her time is over", 10)
        self.assertGreater(time.monotonic() - began, 5.5)
        self.shop.send({"type": "track", "event": "Email Opened", "anonymousId": "ana"})
        wait_until(self.shop.folded, "folded")
        self.assertEqual(["prospects_lapsed"], self.shop.segments("anonymous_id:ana"))
        self.shop.send({"type": "track", "event": "Email Link Clicked", "anonymousId": "ana"})
        wait_until(lambda: self.shop.segments("anonymous_id:ana") == [], "back by her own act", 3)

    def test_who_ordered_is_a_customer_for_as_long_as_the_policy_says(self):
        self.start(clock="{after: 1095d, then: report, customers: 1825d}")
        for who, days in [("customer", 1_200), ("former", 1_900)]:
            self.shop.send(event("Order Completed", who, days, order_id=who, total=10, currency="EUR"), write_key="wk_till")
        wait_until(lambda: self.lapsed("former"), "a former customer's time is over")
        self.assertFalse(self.lapsed("customer"))

    def test_it_is_counted_reported_and_said_before_it_is_applied(self):
        self.start(retention=", retention: 365d")
        for who, days in [("gone", YEARS_3 + 1), ("soon", YEARS_3 - 10), ("later", YEARS_3 - 60), ("fresh", 10)]:
            self.shop.send(event("Product Viewed", who, days))
        wait_until(lambda: self.retention()["clocks"]["running"] == 4, "in the tables")
        found = self.retention()
        self.assertEqual({"after": "1095d", "then": "report", "warn_before": "30d"}, found["prospects"])
        self.assertEqual({"running": 4, "lapsed": 1, "restricted": 0, "due_30d": 1, "due_90d": 2, "past_retention": {"service": 3}, "past_every": 0}, found["clocks"])
        self.assertEqual([("marketing", None, None), ("service", "365d", 3)], [tuple(row[key] for key in ("purpose", "retention", "past")) for row in found["purposes"]])
        self.assertEqual([], found["erased"])
        said = self.shop.command("privacy", "retention")
        for line in ("after 1095d without an act of the person: report", "time is over", "service"):
            self.assertIn(line, said)
        self.assertEqual(1, len(self.members()))
        shorter = self.text.replace("{after: 1095d, then: report", "{after: 1000d, then: erase")
        plan = self.shop.call("PUT", "/v1/workspace?dry_run=true", shorter, headers={"content-type": "application/yaml"}).json()
        self.assertEqual({"then": "erase", "before": 1, "after_min": 3, "after_max": 3}, plan["reach"]["lapse"])
        self.assertIn("retention: the time of 3 people is over (now 1): they will be erased", plan["text"])
        self.assertEqual(1, len(self.members()), "a dry run does nothing")

    def test_a_new_clock_counts_what_was_before_it(self):
        self.start(clock="{after: 1095d, then: report}")
        without = self.text.replace("policy: {prospects: {after: 1095d, then: report}}\n", "")
        self.assertEqual(200, self.shop.apply(without).status)
        self.shop.send(born("opener", YEARS_3 + 100), born("clicker", YEARS_3 + 100), write_key="wk_till")
        self.shop.send(event("Email Opened", "opener", 10), event("Email Link Clicked", "clicker", 10))
        self.shop.send(born("silent", YEARS_3 + 100), write_key="wk_till")
        self.assertIsNone(self.retention()["prospects"])

        def planned():
            return self.shop.call("PUT", "/v1/workspace?dry_run=true", self.text, headers={"content-type": "application/yaml"}).json()["reach"]

        wait_until(lambda: planned()["looked_at"] == 3, "in the tables")
        # What they did is not read yet: the last event of two of them may have been an act.
        self.assertEqual({"then": "report", "before": 0, "after_min": 1, "after_max": 3}, planned()["lapse"])
        self.assertEqual(200, self.shop.apply(self.text).status)
        wait_until(lambda: len(self.members()) == 2, "those who did nothing")
        self.assertEqual((True, False, True), tuple(self.lapsed(who) for who in ("opener", "clicker", "silent")))

    def test_erased_on_schedule_told_to_the_tools_and_the_same_after_a_crash(self):
        self.start(then="erase", clock="{after: 8s, then: THEN, warn_before: 2s}")
        self.shop.send({**identified("ana", email="ana@example.org")}, viewed("ana"), viewed("ana"))
        wait_until(lambda: self.inbox.types() == ["segment.entered"], "the mailer has her")
        # Somebody whose processing is restricted is kept; somebody who goes on acting stays.
        self.shop.send(identified("bob", email="bob@example.org"))
        wait_until(lambda: self.shop.profile("email:bob@example.org"), "bob")
        self.assertEqual(200, self.shop.call("POST", "/v1/privacy/restrict", {"identifier": "email:bob@example.org"}).status)
        wait_until(lambda: self.shop.segments("anonymous_id:ana")[-1:] == ["prospects_lapsing"], "warned", 12)
        self.shop.kill()
        self.shop.start()

        def gone():
            self.shop.send(viewed("eva"))
            return self.shop.profile("email:ana@example.org") is None

        wait_until(gone, "erased", 25)
        wait_until(lambda: self.inbox.types()[-1] == "profile.erased", "the mailer is told")
        self.assertIsNotNone(self.shop.profile("email:bob@example.org"))
        self.assertIsNotNone(self.shop.profile("anonymous_id:eva"))
        self.assertEqual([1], [day["people"] for day in self.retention()["erased"]])
        self.assertNotIn("ana@example.org", json.dumps(self.shop.exported_events()))
        self.assertEqual([], self.shop.get("/v1/privacy/requests")["items"][1:], "no request of hers: nobody asked")
        with self.subTest("an old file does not bring her back into marketing, her own choice does"):
            self.shop.send({**identified("ana", email="ana@example.org")}, viewed("ana"))
            wait_until(lambda: self.shop.profile("email:ana@example.org"), "back")
            signals = self.shop.get("/v1/profiles/email:ana@example.org/consents")["signals"]
            self.assertEqual([("objection", "on", "erasure")], [(s["signal"], s["state"], s["source"]) for s in signals])
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])

    def test_what_cannot_be_a_clock_says_why(self):
        self.start()
        for wrong, said in [
            ("{after: 1095d}", "prospects say how long they stay and what happens then"),
            ("{after: 3 years, then: report}", "is not a duration"),
            ("{after: 1095d, then: forget}", "policy.prospects.then"),
            ("{after: 10d, then: report, warn_before: 10d}", "is not shorter than after"),
            ("{after: 10d, then: report, soon: 1d}", "policy.prospects.soon"),
        ]:
            with self.subTest(wrong):
                answer = self.shop.apply(self.text.replace(CLOCK.replace("THEN", "report"), wrong))
                self.assertEqual(422, answer.status, answer)
                self.assertIn(said, answer.body.decode())
        named = self.text.replace("  lookers:\n", "  prospects_lapsed: {rule: {all: []}}\n  lookers:\n")
        self.assertIn("comes with policy.prospects", self.shop.apply(named).body.decode())
        unclocked = self.text.replace("policy: {prospects: " + CLOCK.replace("THEN", "report") + "}\n", "")
        asked = unclocked.replace("  lookers:\n", "  ask: {rule: {prospect: lapsing}}\n  lookers:\n")
        self.assertIn("there is no clock of prospects", self.shop.apply(asked).body.decode())

    def test_who_is_to_be_asked_is_a_segment_that_rules_and_activations_name(self):
        ask = "  ask: {segment: to_ask, destination: mailer, purpose: service, channel: email, initial: send, map: {email: identifiers.email}}\n"
        self.start(then="ask")
        whole = (self.text + ask).replace("  lookers:\n", "  to_ask: {rule: {all: [{in_segment: prospects_lapsed}, {trait: city, eq: Lille}]}}\n  lookers:\n")
        self.assertEqual(200, self.shop.apply(whole).status)
        for who, city in [("ana", "Lille"), ("bob", "Paris")]:
            self.shop.send(born(who, YEARS_3 + 1, email=f"{who}@example.org", city=city), write_key="wk_till")
        wait_until(lambda: [m["data"]["email"] for m in self.inbox.taken()] == ["ana@example.org"], "asked")
        why = self.shop.get("/v1/profiles/user_id:ana/explain?segment=prospects_lapsed")
        self.assertIn("time is over", json.dumps(why, ensure_ascii=False))
        # She clicks in that mail: she stays.
        self.shop.send(event("Email Link Clicked", "ana", 0))
        wait_until(lambda: self.inbox.types()[-1] == "segment.exited", "answered")


KEPT = """\
policy: POLICY
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true, country: FR}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""


class Retention(unittest.TestCase):
    """The span after her last act for which a purpose uses a person."""

    def start(self, marketing="8s", service="1095d", policy="{extends: []}"):
        self.inbox = self.enterContext(Inbox(lambda message: 204))
        purposes = [("marketing", "consent", marketing), ("service", "contract", service)]
        self.text = workspace(KEPT.replace("POLICY", policy).replace("URL", self.inbox.url))
        for key, basis, span in purposes:
            if span:
                self.text = self.text.replace(f"{key}: {{basis: {basis}}}", f"{key}: {{basis: {basis}, retention: {span}}}")
        self.shop = self.enterContext(Shop(self.text))

    def enter(self, who="ana"):
        self.shop.send(identified(who, email=f"{who}@example.org"), viewed(who), viewed(who))
        self.shop.consent({"email": f"{who}@example.org"}, "granted", channel="email")

    def gate(self, who="ana"):
        question = {"destination": "mailer", "purpose": "marketing", "channel": "email", "ids": [f"email:{who}@example.org"]}
        (item,) = self.shop.call("POST", "/v1/allowed", question).json()["items"]
        return "open" if item["allowed"] else item["gate"]["code"]

    def listed(self):
        return [item["profile"] for item in self.shop.get("/v1/privacy/retention/people?state=retention_over")["items"]]

    def test_the_gate_closes_at_its_end_the_tools_are_told_and_an_act_opens_it(self):
        self.start()
        asked = self.text.replace("  lookers:\n", "  old: {rule: {retention_over: marketing}}\n  agreed: {rule: {consent: {purpose: marketing, channel: email}}}\n  lookers:\n")
        self.assertEqual(200, self.shop.apply(asked).status)
        began = time.monotonic()
        self.enter()
        wait_until(lambda: self.inbox.types() == ["segment.entered"], "the mailer has her")
        self.assertEqual({"agreed", "lookers"}, set(self.shop.segments("email:ana@example.org")))
        # No event: the end of the span alone.
        wait_until(lambda: self.inbox.types() == ["segment.entered", "consent.withdrawn"], "the mailer is told", 20)
        self.assertGreater(time.monotonic() - began, 7.5)
        self.assertEqual("retention_over", self.gate())
        self.assertEqual({"old", "lookers"}, set(self.shop.segments("email:ana@example.org")))
        why = self.shop.get("/v1/profiles/email:ana@example.org/explain?segment=old")
        self.assertIn("the retention of marketing is over", json.dumps(why))
        # What is done to her does not renew it, what she does does.
        self.shop.send({"type": "track", "event": "Email Opened", "anonymousId": "ana"})
        wait_until(self.shop.folded, "folded")
        self.assertEqual("retention_over", self.gate())
        self.shop.send({"type": "track", "event": "Email Link Clicked", "anonymousId": "ana"})
        wait_until(lambda: self.inbox.types()[2:] == ["segment.entered"], "she is back")
        self.assertEqual("open", self.gate())
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])

    def test_one_that_ends_while_the_server_is_down_is_found_when_it_starts(self):
        self.start(marketing="5s")
        self.enter()
        wait_until(lambda: self.inbox.types() == ["segment.entered"], "the mailer has her")
        self.shop.kill()
        time.sleep(5)
        self.shop.start()
        wait_until(lambda: self.inbox.types()[-1] == "consent.withdrawn", "the mailer is told")

    def test_a_message_that_waits_is_stopped(self):
        self.start(marketing="5s")
        self.inbox.answer = lambda message: 503
        self.enter()

        def deliveries(*states):
            return [d for d in self.shop.deliveries("email:ana@example.org") if d["state"] in states]

        wait_until(lambda: deliveries("queued", "failed"), "it waits")
        wait_until(lambda: self.gate() == "retention_over", "its end")
        self.inbox.answer = lambda message: 204
        # Before her choice was folded she was held back for want of one.
        codes = lambda: [d["gate"]["code"] for d in deliveries("blocked")]  # noqa: E731
        wait_until(lambda: "retention_over" in codes() and not deliveries("queued", "failed"), "stopped", 60)
        self.assertNotIn("segment.entered", self.inbox.types())

    def test_nobody_is_erased_unless_the_policy_says_so(self):
        self.start(marketing="3s", service="3s")
        self.enter()
        wait_until(lambda: self.gate() == "retention_over", "its end", 15)
        found = wait_until(lambda: (f := self.shop.get("/v1/privacy/retention?fresh=true"))["clocks"]["past_every"] == 1 and f, "counted", 15)
        self.assertEqual((None, None, {"marketing": 1, "service": 1}), (found["prospects"], found["then"], found["clocks"]["past_retention"]))
        self.assertIsNotNone(self.shop.profile("email:ana@example.org"))
        reporting = self.text.replace("{extends: []}", "{retention: {then: report}}")
        plan = self.shop.call("PUT", "/v1/workspace?dry_run=true", reporting, headers={"content-type": "application/yaml"}).json()
        self.assertIn("retention: the time of 1 people is over (now 0): they are reported", plan["text"])
        self.assertEqual(200, self.shop.apply(reporting).status)
        wait_until(lambda: len(self.listed()) == 1, "listed")
        self.assertIn("beyond every retention: 1; report", self.shop.command("privacy", "retention"))

    def test_whom_no_purpose_keeps_is_erased_and_the_restricted_is_not(self):
        self.start(marketing="2s", service="9s", policy="{retention: {then: erase}}")
        self.enter()
        self.shop.send(identified("bob", email="bob@example.org"))
        wait_until(lambda: self.shop.profile("email:bob@example.org"), "bob")
        self.assertEqual(200, self.shop.call("POST", "/v1/privacy/restrict", {"identifier": "email:bob@example.org"}).status)
        wait_until(lambda: self.gate() == "retention_over", "the end of the first")
        self.assertIsNotNone(self.shop.profile("email:ana@example.org"), "the other purpose keeps her")

        def gone():
            self.shop.send(viewed("eva"))
            return self.shop.profile("email:ana@example.org") is None

        wait_until(gone, "erased", 25)
        # Her page is gone first; her events follow, and the day's count is the last of it.
        wait_until(self.shop.folded, "folded")
        self.assertIsNotNone(self.shop.profile("email:bob@example.org"))
        self.assertIsNotNone(self.shop.profile("anonymous_id:eva"))
        self.assertEqual([1], [day["people"] for day in self.shop.get("/v1/privacy/retention")["erased"]])
        self.assertNotIn("ana@example.org", json.dumps(self.shop.exported_events()))
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])

    def test_a_new_span_counts_what_was_before_it(self):
        self.start(marketing=None, service=None)
        for who, days in [("ana", 40), ("bob", 10)]:
            first = {**identified(who, email=f"{who}@example.org"), "timestamp": now(days=100)}
            self.shop.send(first, {**viewed(who), "timestamp": now(days=days)})
            grant = {"purpose": "marketing", "state": "granted", "channel": "email", "for": {"email": f"{who}@example.org"}}
            self.shop.send({"type": "track", "event": "Consent Recorded", "anonymousId": who, "timestamp": now(days=days), "context": {"consents": [grant]}})
        wait_until(lambda: (self.gate("ana"), self.gate("bob")) == ("open", "open"), "both are reachable")
        spanned = self.text.replace("marketing: {basis: consent}", "marketing: {basis: consent, retention: 30d}")
        plan = self.shop.call("PUT", "/v1/workspace?dry_run=true", spanned, headers={"content-type": "application/yaml"}).json()
        self.assertTrue(plan["reach"]["retention_unread"])
        self.assertEqual([], plan["reach"]["changes"])
        self.assertIn("whom it closes then is not counted here", plan["text"])
        self.assertEqual(200, self.shop.apply(spanned).status)
        wait_until(lambda: (self.gate("ana"), self.gate("bob")) == ("retention_over", "open"), "what they did is read")
        shorter = spanned.replace("retention: 30d", "retention: 5d")
        plan = self.shop.call("PUT", "/v1/workspace?dry_run=true", shorter, headers={"content-type": "application/yaml"}).json()
        self.assertEqual([("marketing", "email", 0, 1)], [tuple(c[k] for k in ("purpose", "channel", "reachable", "unreachable")) for c in plan["reach"]["changes"] if c["channel"] == "email"])


if __name__ == "__main__":
    unittest.main()

"""Consent on the way in: what is left of events whose purpose is refused, over the real binary (issue 6, point 8)."""

import json
import secrets
import string
import unittest

from jumelle_server import wait_until
from shop import Shop, basic, now
from strings.test_strings import tc_string

WORKSPACE = """\
workspace: {key: shop, locale: en, timezone: Europe/Paris, country: FR, currency: EUR}
sources:
  site:
    kind: web
    write_key: wk_site
    reduce:
      - {purpose: analytics, to: anonymous, events: [Page Viewed]}
      - {purpose: analytics, to: counted, except: [Order Completed]}
  till:
    kind: server
    write_key: wk_till
    reduce:
      - {purpose: analytics, to: counted}
  strict:
    kind: server
    write_key: wk_strict
    set_aside: {user_agents: ["*bot*"]}
    reduce:
      - {purpose: analytics, to: dropped, when: not_granted}
  mailer:
    kind: server
    write_key: wk_mailer
    reduce:
      - {purpose: opens, channel: email, to: counted, when: not_granted, events: [Email Opened]}
  plain: {kind: server, write_key: wk_plain}
  crm:
    kind: file
    reduce: [{purpose: analytics, to: counted}]
purposes:
  analytics: {basis: consent, tcf: [1, 8], gcm: [analytics_storage], gpc: true}
  opens: {basis: consent, gpc: false, channels: [email]}
  marketing: {basis: consent, gpc: false}
consent:
  strings:
    gpp: {choices: {analytics: {opt_outs: [sale]}}}
    categories: {choices: {analytics: {categories: [Analytics]}}}
segments:
  lookers: {rule: {did: Product Viewed, count: {gte: 1}}}
"""

# How a browser says no, and yes: request headers, and `context`.
REFUSALS = {
    "tcf": ({}, {"consent": {"tcf": tc_string([1])}}),
    "gpp": ({}, {"consent": {"gpp": "DBABTA~1YYN"}}),
    "gpc": ({"sec-gpc": "1"}, {}),
    "consent mode": ({}, {"consent": {"gcm": {"analytics_storage": "denied"}}}),
    "categories": ({}, {"consent": {"categoryPreferences": {"Analytics": False}}}),
    "written": ({}, {"consents": [{"purpose": "analytics", "state": "denied"}]}),
}
GRANTS = {
    "tcf": {"consent": {"tcf": tc_string([1, 8])}},
    "consent mode": {"consent": {"gcm": {"analytics_storage": "granted"}}},
    "categories": {"consent": {"categoryPreferences": {"Analytics": True}}},
}


def token():
    """A value that stands nowhere by chance, and that no compression takes apart."""
    return "".join(secrets.choice(string.ascii_letters) for _ in range(24))


class Visit:
    """Events of one visitor, each value of hers a token."""

    def __init__(self, shop, key="wk_site"):
        self.shop, self.key = shop, key
        self.device, self.user, self.email = token(), token(), f"{token()}@example.org"
        self.messages = []

    def event(self, kind="page", name=None, **context):
        message = token()
        self.messages.append(message)
        event = {
            "type": kind, "messageId": message, "anonymousId": self.device, "userId": self.user, "timestamp": now(),
            "context": {
                "ip": "203.0.113.77", "userAgent": f"Mozilla/5.0 ({self.device})", "traits": {"email": self.email},
                "page": {"url": f"https://shop.example.org/account/{self.user}?token={self.device}", "path": f"/account/{self.user}",
                         "referrer": f"https://mail.example.com/in?to={self.email}", "search": f"?gclid={self.device}"},
                "campaign": {"source": "letter", "name": "autumn", "content": self.user}, **context,
            },
            "properties": {"category": "sneakers", "title": f"Hello {self.user}", "free": self.device, "order_id": self.user, "total": 12},
        }  # fmt: skip
        return {**event, "event": name} if name else event

    def send(self, *events, headers=None):
        answer = self.shop.call(
            "POST", "/v1/batch", {"batch": list(events)}, headers={**basic(self.key), **(headers or {})}, admin=False
        )
        if answer.status != 200:
            raise AssertionError(answer)
        return answer.json()

    def traces(self):
        """What would tell of her."""
        return [self.device, self.user, self.email.split("@")[0], *self.messages]

    def state(self, purpose="analytics"):
        found = self.shop.call("GET", f"/v1/profiles/anonymous_id:{self.device}/consents")
        items = found.json()["items"] if found.status == 200 else []
        return {one["state"] for one in items if one["purpose"] == purpose}


class Case(unittest.TestCase):
    def start(self, text=WORKSPACE):
        self.shop = self.enterContext(Shop(text))

    def counts(self, **asked):
        """By source, event and what is left."""
        query = "&".join(f"{key}={value}" for key, value in asked.items())
        found = {}
        for day in self.shop.get(f"/v1/privacy/reductions?{query}")["days"]:
            for one in day["counts"]:
                key = (one["source"], one["event"], one["to"])
                found[key] = found.get(key, 0) + one["events"]
        return found

    def expect(self, counts):
        wait_until(lambda: self.counts() == counts, f"{counts}, not {self.counts()}")

    def on_disk(self, traces):
        """Those of them that stand anywhere in the data directory or in what the server logged."""
        files = [path for path in self.shop.data.rglob("*") if path.is_file()] + [self.shop.log]
        content = [path.read_bytes() for path in files]
        return {trace for trace in traces if any(trace.encode() in one for one in content)}

    def stored(self, trace):
        """Events of the history that hold it."""
        return [event for event in self.shop.exported_events() if trace in json.dumps(event)]


class Signals(Case):
    def test_what_a_browser_refuses_is_reduced_before_anything_is_stored(self):
        self.start()
        events, bare, kept = 0, [], []
        for name, (headers, context) in REFUSALS.items():
            with self.subTest(name):
                visit = Visit(self.shop)
                answer = visit.send(visit.event("track", "Product Viewed", **context), headers=headers)
                self.assertEqual((1, 0, []), (answer["accepted"], answer["duplicates"], answer["rejected"]))
                self.assertNotIn("reduced", answer, "a public key learns nothing")
                # The refusal itself is kept, as the device's choice with its proof, and nothing beside it.
                self.assertEqual({"denied"}, visit.state())
                first = visit.messages[0]
                choice = self.stored(visit.device)
                self.assertEqual(["Consent Signal"], [event["event"] for event in choice], choice)
                self.assertEqual(first, choice[0]["messageId"])
                told = json.dumps(choice)
                for gone in ("sneakers", "203.0.113.77", "Mozilla", "gclid", "Hello"):
                    self.assertNotIn(gone, told)
                proof = self.shop.get(f"/v1/privacy/proof?identifier=anonymous_id:{visit.device}")
                self.assertIn("denied", [one["state"] for one in proof["choices"]], proof)
                # From then on nothing of her: the string that comes with each event is no news.
                for _ in range(3):
                    visit.send(visit.event("track", "Product Viewed", **context), visit.event("page", **context), headers=headers)
                self.assertEqual(1, len(self.stored(visit.device)))
                events += 1
                bare += visit.messages[1:]
                kept.append(visit.device)
                self.assertEqual([], self.shop.segments(f"anonymous_id:{visit.device}"))
        self.expect({("site", "Product Viewed", "counted"): events * 4, ("site", "Page Viewed", "anonymous"): events * 3})
        metric = self.shop.metric
        self.assertEqual(events * 4, metric("jumelle_reduced_events_total", source="site", purpose="analytics", to="counted"))
        self.assertEqual(events * 3, metric("jumelle_reduced_events_total", source="site", purpose="analytics", to="anonymous"))
        self.assertEqual([], self.shop.get("/v1/quarantine")["items"])
        whole = Visit(self.shop, "wk_plain")
        whole.send(whole.event("track", "Product Viewed"))
        self.shop.stop()
        self.assertEqual(set(), self.on_disk(bare))
        self.assertEqual(set(kept + whole.traces()), self.on_disk(kept + whole.traces()), "the search finds what is there")
        self.assertTrue(self.shop.offline("rebuild")["identical"])

    def test_an_event_of_nobody_holds_what_describes_wares_and_pages(self):
        self.start()
        visit = Visit(self.shop)
        visit.send(visit.event("page", **REFUSALS["tcf"][1]))
        visit.send(visit.event("page", **REFUSALS["tcf"][1]))
        nobody = [event for event in self.shop.exported_events() if event["type"] == "page"]
        self.assertEqual(1, len(nobody), "the one that came with the refusal is counted only")
        event = nobody[0]
        self.assertEqual({"category": "sneakers", "total": 12, "path": "/account/*", "referrer": "mail.example.com"}, event["properties"])
        self.assertEqual({"campaign": {"source": "letter", "name": "autumn"}}, event["context"])
        for field in ("userId", "anonymousId", "traits"):
            self.assertFalse(event.get(field), event)
        self.assertRegex(event["timestamp"], r":00:00(\.0+)?Z$")
        self.assertEqual(set(), {trace for trace in visit.traces() if trace in json.dumps(event)})
        again = Visit(self.shop)
        again.send(again.event("page", **REFUSALS["tcf"][1]), again.event("page", **REFUSALS["tcf"][1]))
        ids = [event["messageId"] for event in self.shop.exported_events() if event["type"] == "page"]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(1, self.shop.get("/v1/profiles?query=" + visit.device)["items"].__len__())

    def test_what_is_granted_is_whole(self):
        self.start()
        for name, context in GRANTS.items():
            with self.subTest(name):
                visit = Visit(self.shop)
                visit.send(visit.event("track", "Product Viewed", **context), visit.event("page", **context))
                found = self.stored(visit.device)
                self.assertEqual(["Product Viewed", None], [event.get("event") for event in found])
                self.assertEqual("203.0.113.77", found[0]["context"]["ip"])
                self.assertEqual(["lookers"], self.shop.segments(f"anonymous_id:{visit.device}"))
        silent = Visit(self.shop)
        silent.send(silent.event("page"))
        self.assertEqual(1, len(self.stored(silent.device)), "silence is no refusal")
        self.assertEqual({}, self.counts())


class Standing(Case):
    def test_a_choice_that_stands_counts_and_ends_with_the_next(self):
        self.start()
        visit = Visit(self.shop)
        visit.send(visit.event("page"))
        wait_until(lambda: self.shop.profile(f"user_id:{visit.user}"), "she is known")
        self.assertEqual(1, len(self.stored(visit.device)))
        self.shop.consent({"user_id": visit.user}, "denied", "analytics")
        # Any name of hers leads to it, also beside a device that nobody knows.
        other = Visit(self.shop)
        other.user = visit.user
        for _ in range(3):
            visit.send(visit.event("page"))
            other.send({**other.event("page"), "context": {}})
        self.assertEqual([], self.stored(other.device))
        self.assertEqual(1, len([one for one in self.stored(visit.device) if one["type"] == "page"]))
        self.expect({("site", "Page Viewed", "anonymous"): 6})
        # What the rule leaves out is kept whole.
        visit.send(visit.event("track", "Order Completed"))
        self.assertEqual(["Order Completed"], [one["event"] for one in self.stored(visit.device) if one.get("event")])
        self.shop.consent({"user_id": visit.user}, "granted", "analytics")
        visit.send(visit.event("track", "Product Viewed"))
        self.assertIn("Product Viewed", [one.get("event") for one in self.stored(visit.device)])
        self.shop.consent({"user_id": visit.user}, "denied", "analytics")
        visit.send(visit.event("track", "Product Viewed"))
        self.expect({("site", "Page Viewed", "anonymous"): 6, ("site", "Product Viewed", "counted"): 1})

    def test_the_newest_choice_counts_as_at_the_gate(self):
        self.start()
        visit = Visit(self.shop)
        accepted = {"consent": {"tcf": tc_string([1, 8])}}
        visit.send(visit.event("track", "Consent Updated", **accepted))
        self.assertEqual({"granted"}, visit.state())
        self.shop.consent({"anonymous_id": visit.device}, "denied", "analytics")
        # The browser still sends its old string: neither an end of the refusal, nor a new choice each time.
        for _ in range(3):
            visit.send(visit.event("track", "Product Viewed", **accepted))
        self.assertEqual(["Consent Updated"], [one["event"] for one in self.stored(visit.device) if one["source"] == "site"])
        self.expect({("site", "Product Viewed", "counted"): 3})
        visit.send(visit.event("track", "Consent Updated", **accepted), visit.event("track", "Product Viewed", **accepted))
        self.assertIn("Product Viewed", [one["event"] for one in self.stored(visit.device)])

    def test_an_earlier_event_of_a_batch_counts_for_the_later_ones(self):
        self.start()
        visit, other = Visit(self.shop), Visit(self.shop)
        refusal = visit.event("track", "Consent Updated", consents=[{"purpose": "analytics", "state": "denied"}])
        before, after = visit.event("track", "Product Viewed"), visit.event("track", "Product Viewed")
        by_user = {"type": "track", "event": "Cart Viewed", "userId": visit.user, "messageId": token()}
        visit.send(before, other.event("track", "Product Viewed"), refusal, after, by_user, other.event("track", "Cart Viewed"))
        self.assertEqual(["Product Viewed", "Consent Updated"], [one["event"] for one in self.stored(visit.user)])
        self.assertEqual(["Product Viewed", "Cart Viewed"], [one["event"] for one in self.stored(other.user)])
        self.expect({("site", "Product Viewed", "counted"): 1, ("site", "Cart Viewed", "counted"): 1})
        self.assertEqual({"denied"}, visit.state())

    def test_without_a_grant(self):
        self.start()
        visit = Visit(self.shop, "wk_strict")
        answer = visit.send(visit.event("page"), visit.event("track", "Product Viewed"))
        self.assertEqual((2, 2), (answer["accepted"], answer["reduced"]), "a secret key may know")
        self.assertEqual(2, self.shop.metric("jumelle_reduced_events_total", source="strict", purpose="analytics", to="dropped"))
        self.assertEqual({}, self.counts(), "nothing of it, not even a count")
        yes = visit.event("track", "Consent Updated", consents=[{"purpose": "analytics", "state": "granted"}])
        visit.send(visit.event("page"), yes, visit.event("page"))
        self.assertEqual(["track", "page"], [one["type"] for one in self.stored(visit.user)])
        self.shop.stop()
        # Made in the order: two, the choice, one before it in its batch, one after it.
        self.assertEqual(set(), self.on_disk([visit.messages[0], visit.messages[1], visit.messages[3]]))

    def test_opens_are_counted_until_their_purpose_is_granted(self):
        self.start()
        email = f"{token()}@example.org"

        def opened():
            event = {"type": "track", "event": "Email Opened", "messageId": token(), "context": {"traits": {"email": email}}}
            clicked = {**event, "event": "Email Link Clicked", "messageId": token()}
            self.shop.send(event, clicked, write_key="wk_mailer")

        opened()
        self.assertEqual(["Email Link Clicked"], [one["event"] for one in self.stored(email)])
        self.shop.consent({"email": email}, "granted", "opens", channel="email")
        opened()
        self.assertEqual(1, [one["event"] for one in self.stored(email)].count("Email Opened"))
        self.shop.consent({"email": email}, "denied", "opens", channel="email")
        opened()
        self.expect({("mailer", "Email Opened", "counted"): 2})


class Kept(Case):
    def test_a_repeat_counts_once(self):
        self.start()
        visit = Visit(self.shop)
        first = visit.event("track", "Product Viewed", **REFUSALS["tcf"][1])
        more = visit.event("track", "Product Viewed", **REFUSALS["tcf"][1])
        self.assertEqual(0, visit.send(first, more)["duplicates"])
        self.assertEqual(2, visit.send(first, more)["duplicates"])
        self.assertEqual(1, visit.send(more)["duplicates"])
        # Granted meanwhile: what was reduced does not come back whole.
        visit.send(visit.event("track", "Consent Updated", **GRANTS["tcf"]))
        bare = {**more, "context": {}}
        self.assertEqual(1, visit.send(bare)["duplicates"])
        self.expect({("site", "Product Viewed", "counted"): 2})

    def test_what_was_acknowledged_is_counted_after_a_crash(self):
        self.start()
        visit = Visit(self.shop)
        for n in range(30):
            visit.send(*[visit.event("track", "Product Viewed", **REFUSALS["categories"][1]) for _ in range(5)])
            if n in (10, 20):
                self.shop.kill()
                self.shop.start()
        self.shop.kill()
        self.shop.start()
        self.expect({("site", "Product Viewed", "counted"): 150})
        self.assertEqual(1, len(self.stored(visit.device)))
        self.shop.stop()
        told = self.shop.offline("rebuild")
        self.assertTrue(told["identical"], told)
        self.assertEqual(set(), self.on_disk(visit.messages[1:]))

    def test_quarantine_and_what_is_set_aside_keep_no_more(self):
        self.start()
        refused, silent = Visit(self.shop), Visit(self.shop)
        refused.send(refused.event("page", **REFUSALS["tcf"][1]))
        broken = {**refused.event("track", "Product Viewed"), "timestamp": f"yesterday {refused.email}"}
        answer = refused.send(broken, refused.event("page"))
        self.assertEqual(("timestamp", "not_a_timestamp"), (answer["rejected"][0]["field"], answer["rejected"][0]["rule"]))
        self.assertNotIn("quarantine", answer["rejected"][0])
        unread = refused.event("page", consent={"tcf": "C" + refused.user})
        self.assertEqual("tcf_string", refused.send(unread, refused.event("page"))["rejected"][0]["rule"])
        cut = self.shop.call("POST", "/v1/batch", '{"batch": [{"userId": "' + refused.user, headers=basic("wk_site"), admin=False)
        self.assertEqual(400, cut.status)
        # Whoever has said nothing is mended as ever.
        held = silent.send({**silent.event("track", "Product Viewed"), "timestamp": "yesterday"}, silent.event("page"))
        item = held["rejected"][0]["quarantine"]
        self.shop.consent({"user_id": silent.user}, "denied", "analytics")
        self.assertEqual([item], [one["id"] for one in self.shop.get("/v1/quarantine")["items"]])
        mended = {**silent.event("track", "Product Viewed"), "messageId": token()}
        self.assertEqual(200, self.shop.call("POST", f"/v1/quarantine/{item}/retry", mended).status)
        self.assertEqual(0, [one.get("event") for one in self.stored(silent.user)].count("Product Viewed"), "refused meanwhile")
        robot = Visit(self.shop, "wk_strict")
        robot.send(robot.event("page", userAgent="robot"))
        self.assertEqual([], self.shop.get("/v1/quarantine?rule=set_aside_user_agent")["items"])
        self.shop.stop()
        self.assertEqual(set(), self.on_disk([refused.user, *refused.messages[1:], *robot.traces()]))

    def test_files_too(self):
        self.start()
        email = f"{token()}@example.org"
        self.shop.consent({"email": email}, "denied", "analytics")
        event = {"type": "track", "event": "Product Viewed", "messageId": token(), "context": {"traits": {"email": email}}}
        other = {**event, "messageId": token(), "context": {"traits": {"email": f"{token()}@example.org"}}}
        answer = self.shop.call("POST", "/v1/imports/crm?import=x&events=2&done=true", {"batch": [event, other]}).json()
        self.assertEqual((2, 1), (answer["accepted"], answer["reduced"]), answer)
        self.expect({("crm", "Product Viewed", "counted"): 1})

    def test_a_name_that_may_name_somebody_is_counted_as_another(self):
        self.start()
        visit = Visit(self.shop)
        visit.send(visit.event("track", f"Bought by {visit.email}", **REFUSALS["categories"][1]))
        visit.send(visit.event("identify", **REFUSALS["categories"][1]))
        self.expect({("site", "(other)", "counted"): 1, ("site", "identify", "counted"): 1})
        self.assertEqual({}, self.counts(source="till"))
        self.assertEqual({}, self.counts(purpose="opens"))

    def test_nobody_watching_sees_more(self):
        self.start()
        visit = Visit(self.shop)
        visit.send(visit.event("page", **REFUSALS["tcf"][1]))
        visit.send(visit.event("page", **REFUSALS["tcf"][1]), visit.event("track", "Product Viewed", **REFUSALS["tcf"][1]))
        wait_until(self.shop.folded, "all is folded")
        told = self.shop.get(f"/v1/profiles/anonymous_id:{visit.device}/events")
        self.assertEqual(1, len(told["items"]), told)
        self.assertNotIn("sneakers", json.dumps(told))

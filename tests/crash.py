"""Nothing acknowledged is lost, nothing is counted twice, and a replay gives the same tables: `kill -9` at random under load."""

import collections
import http.client
import json
import random
import threading
import time
import unittest

from jumelle_server import wait_until
from shop import Inbox, Shop, basic, identified, now, viewed, workspace

KILLS = 12
SENDERS = 4
EVENTS_OF_A_BATCH = 20
# A seed that is printed with a failure, so that the same kills can be tried again (as far as the machine lets them).
SEED = random.SystemRandom().randrange(1 << 32)

ACTIVATED = """\
  right_now:
    rule: {did: Product Viewed, within: 1s}
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email, size: traits.size}}
  now: {segment: right_now, destination: mailer, purpose: service, channel: email, map: {email: identifiers.email}}
"""


class Sender(threading.Thread):
    """Sends batches until told to stop; a batch without an answer is sent again, as SDKs do."""

    def __init__(self, shop, number, stop):
        super().__init__(daemon=True)
        self.shop, self.number, self.stop = shop, number, stop
        self.random = random.Random(SEED + number)
        self.acknowledged, self.sent, self.repeated, self.failure = set(), set(), 0, None

    def run(self):
        try:
            batch, connection = 0, http.client.HTTPConnection("127.0.0.1", self.shop.port, timeout=10)
            while not self.stop.is_set():
                events = [self.event(batch, n) for n in range(EVENTS_OF_A_BATCH)]
                self.sent.update(event["messageId"] for event in events)
                body, answered = json.dumps({"batch": events}), False
                while not answered:
                    try:
                        connection.request("POST", "/v1/batch", body, {**basic("wk_site"), "content-type": "application/json"})
                        answer = connection.getresponse()
                        text = answer.read()
                        if answer.status == 200:
                            counts = json.loads(text)
                            if counts["accepted"] + counts["duplicates"] != EVENTS_OF_A_BATCH:
                                raise AssertionError(f"a batch of {EVENTS_OF_A_BATCH} was answered with {text}")
                            self.acknowledged.update(event["messageId"] for event in events)
                            answered = True
                        elif answer.status == 503:
                            time.sleep(0.05)
                        else:
                            raise AssertionError(f"{answer.status} {text}")
                    except (OSError, http.client.HTTPException):
                        connection.close()
                        self.repeated += 1
                        if self.stop.is_set():
                            return
                        time.sleep(0.02)
                batch += 1
            connection.close()
        except Exception as error:  # Told by the test, which sees it only here.
            self.failure = error

    def event(self, batch, n):
        """Visits, orders, and now and then somebody who says who she is, so that people join while the server dies."""
        message_id = f"s{self.number}-{batch}-{n}"
        person = self.random.randrange(200)
        kind = self.random.random()
        if kind < 0.1:
            event = identified(f"b{person}", email=f"p{person // 2}@example.org", size=str(n))
        elif kind < 0.2:
            event = {
                "type": "track", "event": "Order Completed", "anonymousId": f"b{person}",
                "properties": {"order_id": f"o{self.random.randrange(5000)}", "total": n + 0.5, "currency": "EUR"},
            }  # fmt: skip
        else:
            event = viewed(f"b{person}", seconds=self.random.randrange(3))
        if kind > 0.95:
            state = self.random.choice(["granted", "denied"])
            event["context"] = {"consents": [{"purpose": "marketing", "channel": "email", "state": state}]}
        return {**event, "messageId": message_id}


class Crash(unittest.TestCase):
    def check_directory(self, shop):
        """Stops well, replays the same, and is whole."""
        shop.stop()
        damages = shop.offline("doctor")["damages"]
        self.assertEqual([], damages)
        report = shop.offline("rebuild")
        self.assertTrue(report["identical"], report["differences"])
        self.assertGreater(report["rows"]["people"], 0, report)
        self.assertEqual([], shop.offline("doctor")["damages"], "also after the rebuild")

    def test_killed_at_random_under_load(self):
        chance = random.Random(SEED)
        with Inbox() as inbox, Shop(workspace(ACTIVATED.replace("URL", inbox.url))) as shop:
            stop = threading.Event()
            senders = [Sender(shop, number, stop) for number in range(SENDERS)]
            for sender in senders:
                sender.start()
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.05, 1.2))
                shop.kill()
                shop.start()
            time.sleep(0.5)
            stop.set()
            for sender in senders:
                sender.join(30)
                self.assertIsNone(sender.failure)
            acknowledged = set().union(*(sender.acknowledged for sender in senders))
            sent = set().union(*(sender.sent for sender in senders))
            self.assertGreater(len(acknowledged), 1_000, "there was load")
            self.assertGreater(sum(sender.repeated for sender in senders), 0, "kills were felt")
            wait_until(shop.folded, "folded", 60)
            stored = collections.Counter(event["messageId"] for event in shop.exported_events())
            told = f"seed {SEED}, {len(acknowledged)} acknowledged"
            self.assertEqual(set(), acknowledged - set(stored), f"acknowledged and lost: {told}")
            self.assertEqual([], [key for key, times in stored.items() if times > 1], f"stored twice: {told}")
            self.assertLessEqual(set(stored), sent, told)

            # People are what the events say, counted independently of the fold.
            people = [json.loads(line) for line in shop.request("GET", "/v1/export/profiles").splitlines()]
            self.assertEqual(len(stored), sum(person["events"] for person in people), told)
            orders = {}
            for event in shop.exported_events():
                if event.get("event") == "Order Completed":
                    orders.setdefault(event["anonymousId"], set()).add(event["properties"]["order_id"])
            for person in people:
                browsers = [i["value"] for i in person["identifiers"] if i["namespace"] == "anonymous_id"]
                ordered = set().union(*(orders.get(browser, set()) for browser in browsers))
                self.assertEqual(len(ordered), person["computed"]["orders"] or 0, f"{person['id']}: {told}")
            by_id = collections.defaultdict(set)
            for message in inbox.taken():
                by_id[message["id"]].add((message["type"], message["profile"]))
            self.assertTrue(all(len(contents) == 1 for contents in by_id.values()), "a repeated message is the same message")
            print(f" {told}, {len(sent) - len(stored)} never stored, {len(inbox.taken())} messages … ", end="", flush=True)
            self.check_directory(shop)

    def test_killed_while_definitions_change(self):
        chance = random.Random(SEED)
        with Shop() as shop:
            shop.send(*[viewed(f"a{n % 50}", f"before-{n}", seconds=n) for n in range(400)])
            for round_ in range(4):
                def apply(round_=round_):
                    try:
                        shop.apply(workspace(f"  keen_{round_}:\n    rule: {{did: Product Viewed, count: {{gte: 5}}, within: 7d}}"))
                    except OSError:
                        pass  # It was killed meanwhile.

                applying = threading.Thread(target=apply)
                applying.start()
                time.sleep(chance.uniform(0, 0.1))
                shop.kill()
                applying.join()
                shop.start()
                keys = {item["key"] for item in shop.get("/v1/segments")["items"]}
                # The one of this round or of the start (the command line applies the file again), whole.
                self.assertLessEqual(keys, {"lookers"} | {f"keen_{n}" for n in range(4)})
                self.assertIn("lookers", keys)
            shop.apply(workspace("  keen:\n    rule: {did: Product Viewed, count: {gte: 8}, within: 7d}"))
            wait_until(lambda: shop.get("/v1/segments/keen")["count"] == 50, "all of them, from their past")
            self.check_directory(shop)


class Rebuild(unittest.TestCase):
    def test_a_run_with_everything_replays_the_same(self):
        with Inbox(lambda message: 503 if message["type"] == "profile.updated" else 204) as inbox:
            text = workspace(ACTIVATED.replace("URL", inbox.url))
            with Shop(text) as shop:
                for n in range(12):
                    who = f"p{n}@example.org"
                    shop.send(viewed(f"b{n}", seconds=n), viewed(f"b{n}", seconds=n + 1))
                    shop.send(identified(user_id=f"u{n}", email=who, size="41"))
                    shop.send(identified(f"b{n}", email=who))
                    if n % 2 == 0:
                        shop.consent({"email": who}, "granted", channel="email", at=now(minutes=n))
                wait_until(lambda: inbox.types().count("segment.entered") >= 6, "six in the tool")
                shop.send(identified("b0", size="42"))
                shop.consent({"email": "p2@example.org"}, "denied", channel="email")
                shop.call("POST", "/v1/track", {"event": 5, "userId": "bad"}, headers=basic("wk_site"))
                # Limits refuse, definitions change half-way, a segment goes.
                shop.send(identified(user_id="u3", email="p4@example.org"))
                added = "  keen:\n    rule: {all: [{did: Product Viewed, count: {gte: 2}}, {trait: size, eq: '41'}]}\n"
                applied = shop.apply(text.replace("destinations:", added + "destinations:"))
                self.assertEqual(200, applied.status, applied)
                shop.call("PUT", "/v1/traits/views", {"count": "Product Viewed", "within": "30d"})
                wait_until(lambda: "keen" in shop.segments("email:p1@example.org"), "from her past")
                shop.send(*[viewed(f"b{n}") for n in range(6)])
                wait_until(lambda: shop.get("/v1/segments/right_now")["count"] == 0, "windows run out", 10)
                self.assertEqual(200, shop.call("POST", "/v1/privacy/erase", {"identifier": "email:p0@example.org"}).status)
                self.assertEqual(200, shop.call("POST", "/v1/privacy/erase", {"identifier": "email:p5@example.org"}).status)
                wait_until(lambda: "profile.erased" in inbox.types(), "the tool is told")
                self.assertEqual(200, shop.call("DELETE", "/v1/segments/keen").status)
                shop.kill()
                shop.start()
                shop.send(*[viewed(f"b{n}") for n in range(12)], identified("b0", email="p0@example.org"))
                wait_until(shop.folded, "folded")
                wait_until(lambda: shop.get("/v1/segments/right_now")["count"] == 0, "windows run out again", 10)
                before = self.export(shop)
                shop.stop()
                report = shop.offline("rebuild")
                self.assertTrue(report["identical"], report["differences"])
                self.assertEqual([], shop.offline("doctor")["damages"])
                shop.start()
                after = self.export(shop)
                self.assertEqual(before.keys(), after.keys())
                for key in before:
                    self.assertEqual(before[key], after[key])
                shop.stop()
                self.assertTrue(shop.offline("rebuild")["identical"], "and again after a start")

    def export(self, shop):
        wait_until(shop.folded, "folded")
        # Written behind within a second, and read from there.
        time.sleep(1.2)
        people = [json.loads(line) for line in shop.request("GET", "/v1/export/profiles").splitlines()]
        return {person["id"]: person for person in people}


if __name__ == "__main__":
    unittest.main()

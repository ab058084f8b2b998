"""Load, and what is known of it outside of the server: which events were acknowledged, which messages were received."""

import collections
import http.client
import json
import random
import threading

from jumelle_server import wait_until
from shop import basic, identified, viewed

EVENTS_OF_A_BATCH = 20
# Between two batches of a sender: crashes are to be many, not the events that each check reads again.
PAUSE_S = 0.01

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

    def __init__(self, shop, number, seed, stop, events_of_a_batch=EVENTS_OF_A_BATCH):
        super().__init__(daemon=True)
        self.shop, self.number, self.stop, self.events_of_a_batch = shop, number, stop, events_of_a_batch
        self.random = random.Random(seed + number)
        self.acknowledged, self.sent, self.repeated, self.refused, self.failure = set(), set(), 0, 0, None

    def run(self):
        try:
            batch, connection = 0, http.client.HTTPConnection("127.0.0.1", self.shop.port, timeout=10)
            while not self.stop.is_set():
                events = [self.event(batch, n) for n in range(self.events_of_a_batch)]
                self.sent.update(event["messageId"] for event in events)
                body, answered = json.dumps({"batch": events}), False
                while not answered:
                    try:
                        connection.request("POST", "/v1/batch", body, {**basic("wk_site"), "content-type": "application/json"})
                        answer = connection.getresponse()
                        text = answer.read()
                        if answer.status == 200:
                            counts = json.loads(text)
                            if counts["accepted"] + counts["duplicates"] != self.events_of_a_batch:
                                raise AssertionError(f"a batch of {self.events_of_a_batch} was answered with {text}")
                            self.acknowledged.update(event["messageId"] for event in events)
                            answered = True
                        elif answer.status == 503:
                            self.refused += 1
                            if self.stop.wait(0.05):
                                return
                        else:
                            raise AssertionError(f"{answer.status} {text}")
                    except (OSError, http.client.HTTPException):
                        connection.close()
                        self.repeated += 1
                        if self.stop.wait(0.02):
                            return
                batch += 1
                self.stop.wait(PAUSE_S)
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


class Load:
    """Senders against one shop, round after round, and what they know."""

    def __init__(self, shop, seed, senders=4, events_of_a_batch=EVENTS_OF_A_BATCH):
        self.shop, self.seed, self.stopping = shop, seed, threading.Event()
        self.senders = [Sender(shop, number, seed, self.stopping, events_of_a_batch) for number in range(senders)]

    def __enter__(self):
        for sender in self.senders:
            sender.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for sender in self.senders:
            sender.join(60)

    def acknowledged(self):
        return set().union(*(set(sender.acknowledged) for sender in self.senders))

    def sent(self):
        return set().union(*(sender.sent for sender in self.senders))

    def repeated(self):
        return sum(sender.repeated for sender in self.senders)

    def refused(self):
        return sum(sender.refused for sender in self.senders)

    def check(self, test, told, besides=frozenset()):
        """Of a running server whose senders have ended: every acknowledged event is there once, and people are what they say."""
        for sender in self.senders:
            test.assertIsNone(sender.failure, told)
        shop = self.shop
        wait_until(shop.folded, f"folded, {told}", 60)
        acknowledged = self.acknowledged()
        events = shop.exported_events()
        stored = collections.Counter(event["messageId"] for event in events)
        told = f"{told}, {len(acknowledged)} acknowledged"
        test.assertEqual(set(), acknowledged - set(stored), f"acknowledged and lost: {told}")
        test.assertEqual([], [key for key, times in stored.items() if times > 1], f"stored twice: {told}")
        test.assertLessEqual(set(stored), self.sent() | set(besides), told)

        # People are what the events say, counted independently of the fold.
        people = exported_people(shop, len(stored))
        orders = {}
        for event in events:
            if event.get("event") == "Order Completed":
                orders.setdefault(event["anonymousId"], set()).add(event["properties"]["order_id"])
        for person in people:
            browsers = [i["value"] for i in person["identifiers"] if i["namespace"] == "anonymous_id"]
            ordered = set().union(*(orders.get(browser, set()) for browser in browsers))
            test.assertEqual(len(ordered), person["computed"]["orders"] or 0, f"{person['id']}: {told}")
        return stored


def exported_people(shop, events):
    """The profiles once all these events are in them: an export shows what is written behind, within a second or so."""
    people = []

    def all_there():
        people[:] = [json.loads(line) for line in shop.request("GET", "/v1/export/profiles").splitlines()]
        return sum(person["events"] for person in people) == events

    wait_until(all_there, f"{events} events in the people's profiles", 20)
    return people


def check_messages(test, shop, inbox, told):
    """Of a server that is at rest: no message is lost, and a repeated one is the same one."""

    def settled():
        return not shop.get("/v1/deliveries?state=queued")["items"]

    wait_until(settled, f"nothing waits to be sent, {told}", 60)
    # First what is said to be sent, then what was received: the clock goes on meanwhile, and people leave segments.
    sent, cursor = set(), None
    while True:
        page = shop.get("/v1/deliveries?state=sent&limit=200" + (f"&cursor={cursor}" if cursor else ""))
        sent.update(item["id"] for item in page["items"])
        cursor = page["next"]
        if not cursor:
            break
    by_id = collections.defaultdict(set)
    for message in inbox.taken():
        by_id[message["id"]].add((message["type"], message["profile"], message["activation"]))
    test.assertTrue(all(len(contents) == 1 for contents in by_id.values()), f"a repeated message is the same message, {told}")
    test.assertEqual(set(), sent - set(by_id), f"said to be sent and never received, {told}")
    unknown = [key for key in set(by_id) - sent if shop.call("GET", f"/v1/deliveries/{key}").status != 200]
    # With a person her deliveries are erased.
    unknown = [key for key in unknown if shop.call("GET", f"/v1/profiles/{next(iter(by_id[key]))[1]}").status != 404]
    test.assertEqual([], unknown, f"received and not known, {told}")
    return by_id


def check_directory(test, shop, told=""):
    """Stops well, replays the same, and is whole."""
    shop.stop()
    test.assertEqual([], shop.offline("doctor")["damages"], told)
    report = shop.offline("rebuild")
    test.assertTrue(report["identical"], f"{report['differences']} {told}")
    test.assertGreater(report["rows"]["people"], 0, report)
    test.assertEqual([], shop.offline("doctor")["damages"], f"also after the rebuild {told}")

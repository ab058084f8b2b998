"""20,000 people × 60 days of the simulated shop through the real binary, compared with what the simulator knows.

- Consents: every choice for every address, device and person, exactly, at four instants.
- Segments: for every person whose events all stand in one profile and nobody else's in it, exactly as the simulator says; for
  every other profile, as plain Python over its events says.
- Identity: pairwise precision and recall, not below what the documented rules can reach on this data (`identity_oracle.py`).

JUMELLE_TRUTH_PEOPLE takes another number of people.
"""

import collections
import datetime
import http.client
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

import duckdb
from identity_oracle import Identity, evidence, pairwise
from jumelle_server import BINARY, ROOT, Server, wait_until

PEOPLE = int(os.environ.get("JUMELLE_TRUTH_PEOPLE", "20000"))
FROM, TO = "2026-01-01", "2026-03-02"
BATCH_EVENTS = 350
DAY = datetime.timedelta(days=1)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
REFERENCE = {
    "sneakers_undecided", "recent_buyers", "good_customers", "unhappy", "basket_left", "readers", "web_to_store", "sleeping",
}  # fmt: skip
# A preview reads the whole history; these three ask for windows, sums with refunds, and what is not there.
PREVIEWED = {"sneakers_undecided", "good_customers", "sleeping"}
# No identifier of the shop: moves the clock of a server whose time is that of the events.
CLOCK = "the-clock-of-the-test"


def instant(text):
    """`2026-03-01T10:00:00.000Z` or with microseconds."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def written(at):
    """The inverse, with milliseconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


class Sender:
    """Posts batches over one connection, in order. Events keep their order within a source."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        self.waiting = {}
        self.unanswered = None

    def add(self, key, line, sent):
        """`sent` is called with each event at the moment at which its batch leaves."""
        batch = self.waiting.setdefault(key, [])
        batch.append((line, sent))
        if len(batch) >= BATCH_EVENTS:
            self.flush(key)

    def flush(self, key=None):
        """Sends what waits, for a write key or for all."""
        for write_key in [key] if key else sorted(self.waiting):
            batch = self.waiting.pop(write_key, [])
            if batch:
                self.post(write_key, [event() for event in (self.shifted(line) for line, _ in batch)])
                for _, sent in batch:
                    sent()

    @staticmethod
    def shifted(line):
        """A device whose clock is off sends its `sentAt` now."""
        if '"sentAt"' not in line:
            return lambda: line

        def of_now():
            event = json.loads(line)
            now = datetime.datetime.now(datetime.timezone.utc)
            event["sentAt"] = written(instant(event["sentAt"]) + (now - instant(event["receivedAt"])))
            return json.dumps(event)

        return of_now

    def post(self, write_key, lines):
        """Sends one batch. While the server works on it the next one is read; its answer is awaited before that one is sent."""
        self.settle()
        self.unanswered = f'{{"writeKey":"{write_key}","batch":[{",".join(lines)}]}}'.encode()
        self.request()

    def request(self):
        self.connection.request("POST", "/v1/batch", self.unanswered, {"content-type": "application/json"})

    def settle(self):
        """Waits for the answer to the last batch; sends it again when the server asks for that."""
        while self.unanswered is not None:
            answer = self.connection.getresponse()
            text = answer.read()
            if answer.status in (429, 503):
                time.sleep(float(answer.headers.get("retry-after", "1")))
                self.request()
                continue
            if answer.status not in (200, 400):  # 400: nothing but bad events.
                raise AssertionError(f"/v1/batch answered {answer.status}: {text[:500]}")
            self.unanswered = None


class Profiles:
    """Everyone as the server exports them at an instant."""

    def __init__(self, server):
        self.of, self.segments, self.consents, self.by_user = {}, {}, {}, {}
        for line in server.request("GET", "/v1/export/profiles").splitlines():
            profile = json.loads(line)
            names = [(one["namespace"], one["value"]) for one in profile["identifiers"]]
            if ("anonymous_id", CLOCK) in names:
                continue
            self.of.update(dict.fromkeys(names, profile["id"]))
            self.segments[profile["id"]] = {one["key"] for one in profile["segments"]}
            users = [value for namespace, value in names if namespace == "user_id"]
            for one in profile["consents"]:
                key = (one["purpose"], one["channel"] or "")
                if one["for"] == "person":
                    for user in users:
                        self.by_user[(*key, user)] = one["state"]
                # A person's grant for letters also covers the addresses of the moment, which means nothing for letters.
                elif one["channel"] != "postal":
                    ((namespace, value),) = one["for"].items()
                    self.consents[(*key, namespace, value)] = one["state"]


class Facts:
    """What the reference segments ask about, per event, read from the events themselves."""

    @staticmethod
    def of(event):
        name, properties = event.get("event"), event.get("properties") or {}
        match name:
            case "Product Viewed":
                return ("look", properties["category"] == "sneakers", None)
            case "Product Added" | "Email Opened":
                return (name, None, None)
            case "Order Completed":
                return ("order", properties["order_id"], (round(properties["total"] * 100), properties["channel"]))
            case "Order Refunded":
                total = properties.get("total")
                return ("refund", properties["order_id"], None if total is None else round(total * 100))
            case "Survey Answered" if properties["kind"] == "nps":
                return ("nps", properties["score"], None)
        return None


def segments_of(facts, at):
    """The reference segments of a profile with these facts, (time, fact), at an instant; written from their definitions."""
    facts = sorted((fact for fact in facts if fact[0] <= at), key=lambda fact: fact[0])

    def within(days, *kinds):
        return [fact for time, fact in facts if time > at - days * DAY and fact[0] in kinds]

    ever_ordered = any(fact[0] == "order" for _, fact in facts)
    orders = {fact[1]: fact[2][0] for fact in within(60, "order")}
    for _, (kind, order, refunded) in facts:
        if kind == "refund" and order in orders:
            orders[order] = max(0, orders[order] - refunded) if refunded is not None else 0
    answers = [fact[1] for _, fact in facts if fact[0] == "nps"]
    found = {
        "sneakers_undecided": sum(fact[1] for fact in within(30, "look")) >= 3 and not within(14, "order"),
        "recent_buyers": bool(within(30, "order")),
        "good_customers": sum(orders.values()) >= 15_000,
        "unhappy": bool(answers) and answers[-1] <= 6,
        "basket_left": bool(within(2, "Product Added")) and not within(2, "order"),
        "readers": len(within(30, "Email Opened")) >= 2,
        "web_to_store": bool(within(30, "look")) and any(fact[2][1] == "store" for fact in within(30, "order")),
        "sleeping": ever_ordered and not within(21, "order") and not within(21, "look"),
    }
    return {key for key, member in found.items() if member}


class Truth(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="jumelle-truth-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.events = pathlib.Path(cls.folder.name) / "events.jsonl"
        subprocess.run(
            [str(BINARY), "demo", "--people", str(PEOPLE), "--from", FROM, "--to", TO,
             "--to-file", str(cls.events), "--truth", cls.folder.name],
            check=True, timeout=300,
        )  # fmt: skip
        cls.database = duckdb.connect()
        cls.database.execute("SET TimeZone = 'UTC'")
        cls.person = dict(cls.rows("SELECT message_id, person FROM events"))
        cls.checkpoints = [
            EPOCH + datetime.timedelta(milliseconds=at)
            for (at,) in cls.rows("SELECT DISTINCT epoch_ms(as_of) FROM members ORDER BY 1")
        ]

    @classmethod
    def rows(cls, query):
        """Rows of a query over the truth's tables."""
        for table in ("events", "consents", "members", "exposures", "purchases"):
            query = query.replace(f"FROM {table}", f"FROM '{cls.folder.name}/{table}.parquet'")
        return cls.database.execute(query).fetchall()

    def test_a_newsletter_shown_causes_the_purchases_that_it_is_said_to(self):
        kinds = self.rows(
            "SELECT customer, count(*), any_value(buys_anyway_ppm), any_value(added_ppm), sum(buys_anyway), sum(buys_if_shown) "
            "FROM exposures GROUP BY customer"
        )
        self.assertEqual({"loyal", "occasional", "dormant", "bargain"}, {kind for kind, *_ in kinds})
        for kind, number, anyway_ppm, added_ppm, anyway, shown in kinds:
            for ppm, happened in ((anyway_ppm, anyway), (added_ppm, shown - anyway)):
                with self.subTest(customer=kind, ppm=ppm, of=number):
                    mean = number * ppm / 1e6
                    # Five standard deviations: the seed is fixed, so it holds for ever or never.
                    self.assertLess(abs(happened - mean), 5 * mean**0.5 + 1)
        # Whoever buys because of it has a purchase that says so, within three days; whoever was not shown it has none.
        caused = self.rows(
            "SELECT campaign, person FROM exposures WHERE arm = 'shown' AND buys_if_shown = 1 AND buys_anyway = 0 "
            f"AND happened_at < TIMESTAMPTZ '{TO} 00:00:00Z' - INTERVAL 3 DAY ORDER BY ALL"
        )
        purchases = self.rows(
            "SELECT p.caused_by, p.person FROM purchases p WHERE p.cause = 'mail' AND EXISTS (SELECT 1 FROM exposures e WHERE "
            f"e.person = p.person AND e.campaign = p.caused_by AND e.happened_at < TIMESTAMPTZ '{TO} 00:00:00Z' - INTERVAL 3 DAY "
            "AND p.happened_at BETWEEN e.happened_at AND e.happened_at + INTERVAL 3 DAY) ORDER BY ALL"
        )
        self.assertGreater(len(caused), PEOPLE // 1_000)
        self.assertEqual(caused, purchases)

    def test_the_shop_as_jumelle_knows_it(self):
        text = (ROOT / "examples" / "maison" / "workspace.yaml").read_text()
        workspace = pathlib.Path(self.folder.name) / "workspace.yaml"
        # The shop's definitions without its activations, which would only try to reach tools that are not there.
        workspace.write_text(text.split("\nactivations:")[0])
        with Server(workspace, "--clock", "events", environment={"HOOK_SECRET": "nothing is sent in this test"}) as server:
            self.play(server)

    def play(self, server):
        self.assertGreaterEqual(len(self.checkpoints), 4)
        self.sender = Sender(server)
        self.addCleanup(self.sender.connection.close)
        self.identity = Identity()
        self.stored = {}  # message id → (first identifier, time of arrival, time, fact)
        checkpoints = iter(self.checkpoints)
        until = next(checkpoints)
        until_text = written(until)
        began, posted = time.monotonic(), 0
        with self.events.open() as lines:
            for line in lines:
                event = json.loads(line)
                # Written alike, so the order of the texts is that of the instants.
                while until is not None and event["receivedAt"] > until_text:
                    self.compare(server, until)
                    until = next(checkpoints, None)
                    until_text = until and written(until)
                posted += 1
                self.sender.add(event["writeKey"], line, lambda event=event: self.note(event))
        self.sender.flush()
        print(f"\n{posted} events in {time.monotonic() - began:.1f} s, comparisons on the way included", flush=True)
        if until is not None:
            self.compare(server, until)
        self.previews(server, self.checkpoints[1])

    def note(self, event):
        """Follows what was sent, in the order of sending."""
        message_id = event.get("messageId")
        if message_id not in self.person or message_id in self.stored:
            return
        identifiers = evidence(event)
        self.identity.see(identifiers)
        for choice in event["context"].get("consents", []):
            for namespace, value in choice.get("for", {}).items():
                self.identity.see([(namespace, value)])
        off = instant(event["sentAt"]) - instant(event["receivedAt"]) if "sentAt" in event else datetime.timedelta(0)
        self.stored[message_id] = (identifiers[0], instant(event["timestamp"]) - off, Facts.of(event))

    def move_clock(self, server, at):
        """Lets the server's time be the instant, and waits until its tables, which exports read, have got there."""

        def flushes():
            return float(re.search(r"(?m)^jumelle_flush_seconds_count (\S+)", server.request("GET", "/metrics").decode())[1])

        # A flush may have been under way when the first event came; the one after it takes everything.
        for part in ("first", "second"):
            self.tick(at, part)
            before = flushes()
            wait_until(lambda before=before: flushes() > before, "the tables are written", 120)

    def tick(self, at, part):
        """An event at the instant; it carries a consent, so its answer comes when everything before it is folded."""
        event = {
            "type": "track", "event": "Clock Moved", "messageId": f"clock-{at.isoformat()}-{part}", "anonymousId": CLOCK,
            "timestamp": written(at),
            "context": {"consents": [{"purpose": "analytics", "channel": "onsite", "state": "granted"}]},
        }  # fmt: skip
        self.sender.post("wk_site", [json.dumps(event)])
        self.sender.settle()

    def compare(self, server, at):
        """Everything that the simulator knows at an instant, against everything that the server knows then."""
        self.sender.flush()
        self.move_clock(server, at)
        profiles = Profiles(server)
        self.compare_consents(profiles, at)
        self.compare_segments(profiles, at)
        if at == self.checkpoints[-1]:
            self.compare_identity(profiles, at)

    def compare_consents(self, profiles, at):
        addresses, people = {}, {}
        # The later choice counts; at the same instant the denial.
        for purpose, channel, namespace, value, person, state in self.rows(
            "SELECT purpose, coalesce(channel, ''), namespace, value, person, state FROM consents "
            f"WHERE received_at <= '{written(at)}' ORDER BY happened_at, state DESC"
        ):
            if namespace is None:
                people[(purpose, channel, f"u-{person + 100_000}")] = state
            else:
                addresses[(purpose, channel, namespace, value)] = state
        with self.subTest("consents of addresses and devices", at=at):
            self.assertGreater(len(addresses), PEOPLE // 4)
            self.assert_same(addresses, profiles.consents)
        with self.subTest("consents of people", at=at):
            self.assertGreater(len(people), PEOPLE // 100)
            self.assert_same(people, profiles.by_user)
        print(f"{at:%Y-%m-%d}: {len(addresses)} consents of addresses and devices, {len(people)} of people", flush=True)

    def assert_same(self, expected, found):
        """Two dictionaries; says the first differences and not a hundred thousand lines."""
        wrong = [(key, expected.get(key), found.get(key)) for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)]
        if wrong:
            self.fail(f"{len(wrong)} differences, (what, expected, found): {sorted(wrong, key=str)[:5]}")

    def compare_segments(self, profiles, at):
        clusters, people = {}, {}
        for message_id, (identifier, when, fact) in self.stored.items():
            cluster = self.identity.find(identifier)
            known = clusters.setdefault(cluster, (identifier, set(), []))
            person = self.person[message_id]
            known[1].add(person)
            if fact is not None:
                known[2].append((when, fact))
            people.setdefault(person, set()).add(cluster)
        members = {}
        for segment, person in self.rows(f"SELECT segment, person FROM members WHERE as_of = '{written(at)}'"):
            members.setdefault(person, set()).add(segment)
        counts = collections.Counter(key for of_one in members.values() for key in of_one)
        alone, mixed, wrong = 0, 0, []
        for identifier, persons, facts in clusters.values():
            found = profiles.segments[profiles.of[identifier]] & REFERENCE
            by_events = segments_of(facts, at)
            if found != by_events:
                wrong.append((identifier, "by its events", by_events, found))
            (person, *others) = persons
            if others or person is None or len(people[person]) > 1:
                mixed += 1
                continue
            alone += 1
            if found != members.get(person, set()):
                wrong.append((identifier, "as the simulator says", members.get(person, set()), found))
        with self.subTest("segments", at=at):
            if wrong:
                self.fail(f"{len(wrong)} differ: {wrong[:5]}")
            self.assertGreater(alone, len(people) // 4, "the comparison with the simulator is about many")
            if at == self.checkpoints[-1] and PEOPLE >= 20_000:
                self.assertEqual(REFERENCE, set(counts), "every reference segment has members")
        print(f"{at:%Y-%m-%d}: profiles of one whole person: {alone}, others: {mixed}; members: {dict(sorted(counts.items()))}", flush=True)

    def compare_identity(self, profiles, at):
        def people(cluster_of):
            for message_id, (identifier, *_) in self.stored.items():
                person = self.person[message_id]
                # A robot is its own person.
                yield cluster_of(identifier), identifier if person is None else person

        precision, recall = pairwise(people(profiles.of.get))
        reach_precision, reach_recall = pairwise(people(self.identity.find))
        print(
            f"{at:%Y-%m-%d}: identity: precision {precision:.6f}, recall {recall:.6f}; "
            f"in reach of the rules: {reach_precision:.6f}, {reach_recall:.6f} ({self.identity.refused} joins refused)",
            flush=True,
        )
        with self.subTest("identity", at=at):
            self.assertGreaterEqual(precision, reach_precision)
            self.assertGreaterEqual(recall, reach_recall)

    def previews(self, server, at):
        """The past, asked for at the end: with everything that has arrived since, and the people as they are known now."""
        clusters = {}
        for identifier, when, fact in self.stored.values():
            if fact is not None:
                clusters.setdefault(self.identity.find(identifier), []).append((when, fact))
        expected = {}
        for facts in clusters.values():
            for key in segments_of(facts, at):
                expected[key] = expected.get(key, 0) + 1
        for key, count in sorted(expected.items()):
            if key not in PREVIEWED:
                continue
            with self.subTest("preview", segment=key, at=at):
                body = {"segment": key, "at": written(at)}
                answer = json.loads(server.request("POST", "/v1/segments/preview", body))
                self.assertEqual(count, answer["count"])


if __name__ == "__main__":
    unittest.main()

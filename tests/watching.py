"""What the console reads, over the real binary: the overview, the live stream, the session, lists in the order of time."""

import json
import threading
import unittest
import urllib.request

from jumelle_server import TOKEN, wait_until
from shop import Inbox, Shop, identified, instant, now, viewed, workspace

TOOLS = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""


class Watcher:
    """A reader of `GET /v1/live`."""

    def __init__(self, shop, recent=0):
        request = urllib.request.Request(f"{shop.url}/v1/live?recent={recent}", headers={"authorization": f"Bearer {TOKEN}"})
        self.answer = urllib.request.urlopen(request, timeout=60)
        self.heard = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        name = None
        try:
            for line in self.answer:
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    self.heard.append((name, json.loads(value)))
        except (OSError, ValueError, AttributeError):
            pass  # The server has ended, or the test has.

    def effects(self, **wanted):
        return [data for name, data in list(self.heard) if name == "effect" and all(data[k] == v for k, v in wanted.items())]

    def wait(self, **wanted):
        return wait_until(lambda: self.effects(**wanted), f"an effect with {wanted}")[-1]


class Watching(unittest.TestCase):
    def start(self, answer=lambda message: 204):
        self.inbox = self.enterContext(Inbox(answer))
        self.shop = self.enterContext(Shop(workspace(TOOLS.replace("URL", self.inbox.url))))

    def test_live_tells_what_each_entry_did(self):
        self.start()
        watcher = Watcher(self.shop)
        self.shop.send(viewed("ana", "m1"))
        first = watcher.wait(message_id="m1")
        self.assertEqual(("event", "track", "Product Viewed", "site"), tuple(first[k] for k in ("kind", "type", "name", "source")))
        self.assertTrue(first["created"])
        self.assertEqual([{"namespace": "anonymous_id", "value": "ana", "new": True}], first["identifiers"])
        self.assertIsNone(first["label"])
        self.assertEqual("sneakers", first["body"]["properties"]["category"])

        self.shop.send(viewed("ana", "m2"), {**identified("ana", email="ana@example.org", size="42"), "messageId": "m3"})
        second, third = watcher.wait(message_id="m2"), watcher.wait(message_id="m3")
        self.assertEqual((False, ["lookers"]), (second["created"], second["entered"]))
        self.assertEqual([("mail", "blocked")], [(d["activation"], d["state"]) for d in second["deliveries"]])
        self.assertEqual("no consent for marketing/email: unknown since ever", second["deliveries"][0]["reason"])
        self.assertEqual({"email": "ana@example.org", "size": "42"}, third["traits"])
        self.assertEqual("ana@example.org", third["label"])

        self.shop.send({**viewed("other", "m4"), "userId": "u1"}, {**viewed("ana", "m5"), "userId": "u1"})
        joined = watcher.wait(message_id="m5")
        self.assertEqual(1, len(joined["joined"]))
        self.shop.consent({"email": "ana@example.org"}, "granted", channel="email")
        granted = wait_until(lambda: [e for e in watcher.effects() if e["consents"]], "a consent")[0]
        self.assertEqual([{"purpose": "marketing", "channel": "email", "state": "granted"}], granted["consents"])
        self.assertEqual([("queued", None)], [(d["state"], d["reason"]) for d in granted["deliveries"]])
        result = watcher.wait(kind="result")
        self.assertEqual(("mailer", "sent", 204), tuple(result["result"][k] for k in ("destination", "state", "status")))

        self.assertEqual(granted, self.shop.get(f"/v1/live/{granted['position']}"))
        self.assertEqual(404, self.shop.call("GET", "/v1/live/99999999").status)
        later = Watcher(self.shop, recent=1000)
        later.wait(message_id="m1")
        self.assertEqual(401, self.shop.call("GET", "/v1/live", admin=False).status)

    def test_live_tells_what_was_not_understood(self):
        self.start()
        watcher = Watcher(self.shop)
        answer = self.shop.send(viewed("ana"), {"type": "track", "event": "X", "messageId": "bad"})
        problem = watcher.wait(kind="quarantined")["problem"]
        self.assertEqual(answer["rejected"][0]["quarantine"], problem["id"])
        self.assertEqual(answer["rejected"][0]["field"], problem["field"])

    def test_the_overview_adds_up(self):
        self.start()
        self.shop.send(*[viewed(f"p{n}", f"v{n}") for n in range(5)], {"type": "track", "event": "no one"})
        self.shop.send(viewed("p0"), identified("p0", email="p0@example.org"), identified("p1", user_id="u1"))
        self.shop.send({**viewed("p2"), "userId": "u1"})
        wait_until(lambda: self.shop.get("/v1/overview")["events"] == 9 and self.shop.folded(), "all is folded")
        seen = self.shop.get("/v1/overview")
        self.assertEqual((4, 9, 1), (seen["people"], seen["events"], seen["quarantine"]))
        self.assertIn(len(seen["minutes"]), (10, 11), "since the start, ten at least")
        self.assertEqual(9, sum(minute["events"] for minute in seen["minutes"]))
        (day,) = seen["days"]
        self.assertEqual(
            {"events": 9, "people": 5, "recognised": 2, "joins": 1, "quarantined": 1, "queued": 0, "sent": 0, "blocked": 2},
            {key: value for key, value in day.items() if key != "day"},
        )
        expected = {"activation": "mail", "destination": "mailer", "purpose": "marketing", "channel": "email"}
        self.assertEqual([{**expected, "reason": "unknown", "count": 2}], seen["blocked"])
        self.assertEqual({"site": 9, "till": 0, "crm": 0}, {s["key"]: s["events_hour"] for s in seen["sources"]})
        self.assertTrue(seen["health"]["ready"])
        (segment,) = self.shop.get("/v1/segments")["items"]
        self.assertEqual([{"day": day["day"], "count": 2, "entered": 2, "left": 0}], segment["days"])
        self.assertEqual("« Product Viewed » au moins 2 fois sur les 30 derniers jours", segment["sentence"]["fr"])
        # The same after a restart, and after a replay of the history.
        self.shop.stop()
        report = self.shop.offline("rebuild")
        self.assertTrue(report["identical"], report)
        self.shop.start()
        again = self.shop.get("/v1/overview")
        for key in ("people", "recognised", "events", "days", "blocked", "quarantine"):
            self.assertEqual(seen[key], again[key], key)

    def test_days_outlive_an_erasure(self):
        self.start()
        self.shop.send(viewed("ana"), viewed("ana"), identified("ana", email="ana@example.org"), viewed("bob"))
        wait_until(self.shop.folded, "folded")
        self.shop.request("POST", "/v1/privacy/erase", {"identifier": "email:ana@example.org"})
        wait_until(lambda: self.shop.get("/v1/overview")["people"] == 1, "erased")
        before = self.shop.get("/v1/overview")
        self.assertEqual((1, 0, 4), (before["people"], before["recognised"], before["days"][0]["events"]))
        self.assertEqual([], [e for _, e in Watcher(self.shop, recent=1000).heard if e.get("label") == "ana@example.org"])
        self.shop.stop()
        report = self.shop.offline("rebuild")
        self.assertTrue(report["identical"], report)
        self.shop.start()
        self.assertEqual(before["days"], self.shop.get("/v1/overview")["days"])

    def test_lists_begin_with_the_newest(self):
        self.start()
        for n in range(7):
            bad = {"type": "track", "event": f"bad {n}"}
            self.shop.send(viewed(f"p{n}", seconds=1), viewed(f"p{n}"), bad)
        people = [self.shop.profile(f"anonymous_id:p{n}")["id"] for n in range(7)]
        whole = self.shop.get("/v1/deliveries?destination=mailer&state=blocked")["items"]
        self.assertEqual(people[::-1], [item["profile"] for item in whole])
        for path, key in (("/v1/deliveries?activation=mail&", "id"), ("/v1/quarantine?", "id")):
            with self.subTest(path):
                pages = self.pages(path)
                self.assertEqual(7, len({item[key] for item in pages}))
                self.assertEqual(sorted(pages, key=lambda item: item["at"], reverse=True), pages)
        self.assertEqual([], self.shop.get("/v1/deliveries?activation=other")["items"])
        members = self.shop.get("/v1/segments/lookers/members")["items"]
        self.assertEqual({None}, {member["label"] for member in members})

    def test_instants_sort_as_their_texts_do(self):
        """Arrivals of one batch are a microsecond apart: 1,100 of them hold a whole millisecond with others right behind it."""
        self.start()
        self.shop.send(*[viewed(f"p{n}", seconds=1) for n in range(1_100)])
        self.shop.send(*[viewed(f"p{n}") for n in range(1_100)], *[{"type": "track", "event": f"bad {n}"} for n in range(1_100)])
        wait_until(self.shop.folded, "folded")
        for path in ("/v1/deliveries?activation=mail", "/v1/quarantine?"):
            with self.subTest(path):
                told = self.shop.get(f"{path}&limit=1000")
                told = told["items"] + self.shop.get(f"{path}&limit=1000&cursor={told['next']}")["items"]
                times = [item["at"] for item in told]
                self.assertEqual(1_100, len(set(times)))
                self.assertEqual(sorted(times, key=instant, reverse=True), times, "the newest first")
                self.assertEqual(sorted(times, reverse=True), times, "as texts too")

    def pages(self, path):
        """All items of a list, three at a time."""
        items, cursor = [], ""
        while cursor is not None:
            page = self.shop.get(f"{path}limit=3{cursor and '&cursor=' + cursor}")
            items += page["items"]
            cursor = page["next"]
        return items

    def test_a_search_by_trait_and_a_persons_deliveries_page_too(self):
        self.start()
        self.shop.send(*[identified(f"p{n}", city="Lille" if n % 2 else "Lyon", size=n) for n in range(9)])
        self.shop.send(viewed("p1"), viewed("p1"))
        for turn in range(4):
            choice = {"for": {"email": "p1@example.org"}, "channel": "email"}
            self.shop.consent({"anonymous_id": "p1", "email": "p1@example.org"}, "granted", **choice)
            wait_until(lambda n=2 * turn + 1: len(self.inbox.taken()) == n, "entered")
            self.shop.consent({"anonymous_id": "p1", "email": "p1@example.org"}, "denied", **choice)
            wait_until(lambda n=2 * turn + 2: len(self.inbox.taken()) == n, "withdrawn")
        lille = {self.shop.profile(f"anonymous_id:p{n}")["id"] for n in (1, 3, 5, 7)}
        wait_until(lambda: {person["id"] for person in self.pages("/v1/profiles?query=city:lille&")} == lille, "four in Lille")
        self.assertEqual(4, len(self.pages("/v1/profiles?query=Lille&")))
        self.assertEqual(1, len(self.pages("/v1/profiles?query=size:7&")), "a number is found as it is written")
        self.assertEqual([], self.pages("/v1/profiles?query=city:Paris&"))
        told = self.pages("/v1/profiles/anonymous_id:p1/deliveries?")
        self.assertEqual(9, len({delivery["id"] for delivery in told}))
        self.assertEqual(sorted(told, key=lambda one: one["caused_at"], reverse=True), told)

    def test_the_dead_are_replayed_in_order(self):
        down = True
        self.start(lambda message: 400 if down else 204)
        for n in range(3):
            self.shop.send(viewed(f"p{n}", seconds=1), viewed(f"p{n}"), identified(f"p{n}", email=f"p{n}@example.org"))
            self.shop.consent({"email": f"p{n}@example.org"}, "granted", channel="email")
        wait_until(lambda: self.shop.get("/v1/destinations/mailer")["dead"] == 3, "given up", 60)
        seen = self.shop.get("/v1/destinations/mailer")
        self.assertEqual((0, 0), (seen["queued"], seen["sent_hour"]))
        self.assertGreaterEqual(seen["failed_hour"], 3)
        self.assertIn("400", seen["last_error"])
        down = False
        replayed = self.shop.call("POST", "/v1/destinations/mailer/replay", {"state": "dead"})
        self.assertEqual({"replayed": 3, "more": False}, replayed.json())
        wait_until(lambda: len(self.inbox.taken()) == 3, "sent after all")
        wait_until(lambda: self.shop.get("/v1/destinations/mailer")["sent_hour"] == 3, "counted")
        self.assertEqual(0, self.shop.get("/v1/destinations/mailer")["dead"])
        self.assertEqual(400, self.shop.call("POST", "/v1/destinations/mailer/replay", {"state": "sent"}).status)
        self.assertEqual(404, self.shop.call("POST", "/v1/destinations/none/replay", {"state": "dead"}).status)

    def test_joins_are_told_in_order(self):
        self.start()
        self.shop.send(viewed("phone"), viewed("phone"), viewed("laptop"))
        self.shop.send(identified("phone", email="ana@example.org"), identified("laptop", email="ana@example.org"))
        wait_until(lambda: len((self.shop.profile("email:ana@example.org") or {"identifiers": []})["identifiers"]) == 3, "one")
        steps = self.shop.get("/v1/profiles/email:ana@example.org/joins")["items"]
        self.assertEqual(["first", "first", "attached", "joined"], [step["kind"] for step in steps])
        self.assertEqual(1, steps[-1]["brought"])
        self.assertEqual(
            [("email", "ana@example.org"), ("anonymous_id", "laptop")],
            [(i["namespace"], i["value"]) for i in steps[-1]["identifiers"]],
        )

    def test_the_consoles_session(self):
        self.start()
        wrong = self.shop.call("POST", "/v1/session", {"token": "not it"}, admin=False)
        self.assertEqual(401, wrong.status)
        answer = self.shop.call("POST", "/v1/session", {"token": TOKEN}, admin=False)
        self.assertEqual(204, answer.status)
        cookie = answer.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(part, cookie)
        self.assertNotIn(TOKEN, cookie)
        signed = {"cookie": cookie.split(";")[0]}
        who = self.shop.call("GET", "/v1/session", headers=signed, admin=False)
        self.assertEqual(("admin", "shop"), (who.json()["role"], who.json()["workspace"]["key"]))
        preview = {"segment": "lookers"}
        forged = self.shop.call("POST", "/v1/segments/preview", preview, headers=signed, admin=False)
        self.assertEqual(403, forged.status)
        mine = self.shop.call("POST", "/v1/segments/preview", preview, headers={**signed, "x-jumelle-console": "1"}, admin=False)
        self.assertEqual(200, mine.status)
        self.shop.kill()
        self.shop.start()
        self.assertEqual(200, self.shop.call("GET", "/v1/session", headers=signed, admin=False).status, "a restart keeps it")
        tampered = {"cookie": signed["cookie"][:-1] + ("0" if signed["cookie"][-1] != "0" else "1")}
        self.assertEqual(401, self.shop.call("GET", "/v1/session", headers=tampered, admin=False).status)
        gone = self.shop.call("DELETE", "/v1/session", headers=signed, admin=False)
        self.assertIn("Max-Age=0", gone.headers["set-cookie"])


if __name__ == "__main__":
    unittest.main()

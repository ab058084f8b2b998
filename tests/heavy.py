"""One person with more events than a person makes, and robots: they slow nobody, are reported, and can be set aside. Over the real binary."""

import json
import time
import unittest

from jumelle_server import wait_until
from shop import WORKSPACE, Shop, now, workspace

# More than the 10,000 orders that a condition keeps of a person: what is kept stays full.
ORDERS = 14_000
BATCH = 200
# Of one person, against the same from many people, in one run. Without the bound it was 60 times slower.
SLOWER_MAX = 12
MANY = workspace("""\
  buyers_of_many:
    rule: {did: Order Completed, count: {gte: 2000}, within: 30d}
  big_spenders:
    rule: {did: Order Completed, sum: {of: total, gte: 1000000}, within: 90d}
  just_bought:
    rule: {did: Order Completed, within: 2s}""")
ASIDE = WORKSPACE.replace(
    "site: {kind: web, write_key: wk_site}",
    'site: {kind: web, write_key: wk_site, set_aside: {user_agents: ["*bot*"], rate: {events: 100, per: 1h}}}',
)


def order(person, number):
    return {
        "type": "track", "event": "Order Completed", "userId": person, "messageId": f"{person}-{number}", "timestamp": now(),
        "properties": {"order_id": f"o{number}", "total": 12.5, "currency": "EUR"},
    }  # fmt: skip


class OnePerson(unittest.TestCase):
    def rate(self, shop, person):
        """Events stored and folded in a second."""
        began = time.monotonic()
        for first in range(0, ORDERS, BATCH):
            shop.send(*(order(person(number), number) for number in range(first, first + BATCH)))
        wait_until(shop.folded, "folded", 300)
        return ORDERS / (time.monotonic() - began)

    def test_the_orders_of_one_are_as_quick_as_those_of_many(self):
        with Shop(MANY) as shop:
            many = self.rate(shop, lambda number: f"u{number % 2_000}")
            one = self.rate(shop, lambda _: "robot")
            print(f" {many:.0f} orders a second of many, {one:.0f} of one … ", end="", flush=True)
            self.assertLess(many / one, SLOWER_MAX)
            # She is where she belongs, a second later at most, and leaves as time passes.
            wait_until(lambda: "buyers_of_many" in shop.segments("user_id:robot"), "she has bought many", 10)
            wait_until(lambda: "just_bought" not in shop.segments("user_id:robot"), "and not right now", 20)
            heavy = shop.get("/v1/overview")["heavy"]
            self.assertEqual(1, heavy["people"], heavy)
            self.assertEqual(shop.profile("user_id:robot")["id"], heavy["items"][0]["profile"])
            self.assertLessEqual(heavy["items"][0]["events"], ORDERS)
            self.assertGreater(heavy["items"][0]["events"], ORDERS * 0.95)
            self.assertEqual(1, shop.metric("jumelle_heavy_people"))
            token = shop.call("POST", "/v1/tokens", {"name": "numbers", "role": "read"}).json()["token"]
            seen = shop.call("GET", "/v1/overview", headers={"authorization": f"Bearer {token}"}).json()["heavy"]
            self.assertEqual((1, []), (seen["people"], seen["items"]), "numbers name nobody")
            shop.stop()
            report = shop.offline("rebuild")
            self.assertTrue(report["identical"], report["differences"])


class SetAside(unittest.TestCase):
    def event(self, number, person="p", **more):
        return {"type": "track", "event": "Product Viewed", "userId": person, "messageId": f"{person}-{number}",
                "properties": {"product_id": "p1"}, **more}  # fmt: skip

    def items(self, shop, rule):
        found, cursor = [], ""
        while cursor is not None:
            page = shop.get(f"/v1/quarantine?rule={rule}&limit=40{cursor and '&cursor=' + cursor}")
            found, cursor = found + page["items"], page["next"]
        return found

    def test_robots_are_kept_apart_and_can_be_taken_in(self):
        with Shop(ASIDE) as shop:
            robot = {"context": {"userAgent": "Mozilla/5.0 (compatible; SomeBot/2.1)"}}
            answer = shop.send(self.event(0), self.event(1, "robot", **robot), self.event(2, "robot", **robot))
            self.assertEqual((1, 2), (answer["accepted"], answer["set_aside"]))
            self.assertEqual(2, shop.metric("jumelle_set_aside_events_total", source="site", rule="set_aside_user_agent"))
            # A single call, whose path says what it is, from a browser that says what it is only in its headers.
            body = {"event": "Seen", "userId": "robot", "messageId": "robot-3", "writeKey": "wk_site"}
            said = shop.call("POST", "/v1/track", body, headers={"user-agent": "Googlebot/2.1"}, admin=False)
            self.assertEqual((200, 0, 1), (said.status, said.json()["accepted"], said.json()["set_aside"]))
            wait_until(shop.folded, "folded")
            self.assertIsNone(shop.profile("user_id:robot"))
            self.assertEqual(["p-0"], [event["messageId"] for event in shop.exported_events()])
            items = self.items(shop, "set_aside_user_agent")
            self.assertEqual({"robot-1", "robot-2", "robot-3"}, {json.loads(item["body"])["messageId"] for item in items})

            # Whoever chooses is heard, robot or not.
            choice = {"consents": [{"purpose": "marketing", "channel": "email", "state": "denied"}], **robot["context"]}
            self.assertEqual(1, shop.send(self.event(4, "robot", context=choice))["accepted"])

            # By rate: what comes within it is taken; then nothing is until it is quiet.
            answers = [shop.send(*(self.event(f"{batch}-{n}", "till") for n in range(50))) for batch in range(4)]
            self.assertEqual(100, sum(answer["accepted"] for answer in answers))
            self.assertEqual(100, sum(answer.get("set_aside", 0) for answer in answers))
            self.assertEqual(1, shop.send(self.event(5, "somebody"))["accepted"])
            self.assertEqual(100, len(self.items(shop, "set_aside_rate")))
            self.assertEqual(0, len(self.items(shop, "no_such_rule")))
            wait_until(shop.folded, "folded")
            self.assertEqual(100, shop.profile("user_id:till")["events"])

            # A robot's event was lost by nobody: the history has it after a crash, and it can be taken in.
            shop.kill()
            shop.start()
            self.assertEqual(400, shop.call("POST", "/v1/quarantine/retry").status)
            taken, cursor = 0, ""
            while cursor is not None:
                page = shop.call("POST", f"/v1/quarantine/retry?rule=set_aside_rate&source=site&limit=30{cursor and '&cursor=' + cursor}").json()
                self.assertEqual(0, page["rejected"])
                taken, cursor = taken + page["accepted"], page["next"]
            self.assertEqual(100, taken)
            self.assertEqual([], self.items(shop, "set_aside_rate"))
            self.assertEqual(3, len(self.items(shop, "set_aside_user_agent")))
            self.assertEqual(200, shop.profile("user_id:till")["events"])
            shop.stop()
            report = shop.offline("rebuild")
            self.assertTrue(report["identical"], report["differences"])

    def test_a_rule_that_is_wrong_is_refused_at_its_place(self):
        with Shop(ASIDE) as shop:
            said = shop.apply(ASIDE.replace("per: 1h", "per: never"))
            self.assertEqual(422, said.status)
            problem = said.json()["errors"][0]
            self.assertEqual("sources.site.set_aside.rate.per", problem["path"])
            line = next(n for n, line in enumerate(ASIDE.splitlines(), 1) if "set_aside" in line)
            self.assertEqual(line, problem["line"])
            self.assertGreater(problem["column"], 90)


if __name__ == "__main__":
    unittest.main()

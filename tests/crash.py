"""Nothing acknowledged is lost, nothing is counted twice, no message goes missing, and a replay gives the same tables: the process
ends at every named place, in the middle of its writes, and at random under load."""

import concurrent.futures
import http.client
import json
import random
import re
import resource
import threading
import time
import unittest

import disk
from jumelle_server import ROOT, wait_until
from oracle import ACTIVATED, Load, check_directory, check_messages
from shop import Inbox, Shop, basic, identified, now, viewed, workspace

CRASHES = 52
DIRECTORIES = 2
# How long a start may take to reach its place under load; then it is killed where it is, which is a crash too.
REACH_S_MAX = 4
# A seed that is printed with a failure, so that the same kills can be tried again (as far as the machine lets them).
SEED = random.SystemRandom().randrange(1 << 32)

# Calls that come with a compaction, if at all.
RARE_CALLS = ("unlink", "create")

PLACES = re.findall(r'^    "(.+)",$', (ROOT / "crates/store/src/failpoint.rs").read_text(), re.MULTILINE)
# Calls to the disk, before, after, and (a write) in the middle: what the places above do not name, inside the storage engine.
DISK_CALLS = [("sync", disk.KILL_BEFORE), ("sync", disk.KILL_AFTER), ("write", disk.KILL_BEFORE), ("write", disk.KILL_AFTER)] + [
    (call, when) for call in RARE_CALLS for when in [disk.KILL_BEFORE, disk.KILL_AFTER]
]


class Crashing(Shop):
    """A shop that ends where it is told, under load, again and again."""

    def __init__(self, text):
        super().__init__(text)
        self.data.mkdir()
        # Real syncs are not waited for: the process dies, the machine does not.
        self.disk = disk.Disk(self.data, keeps_log=False)
        self.environment.update(self.disk.environment())
        self.victims, self.reached = [], {}

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.disk.close()

    def crash(self, plan, chance):
        """Starts and ends once. `plan`: a place, a call to the disk, or None for any instant."""
        compacts = "compaction" in plan if isinstance(plan, str) else bool(plan) and plan[0] in RARE_CALLS
        if isinstance(plan, str):
            # A flush comes once a second.
            rare = compacts or plan == "before start" or "flush" in plan
            self.environment["JUMELLE_CRASH_AT"] = f"{plan}:{1 if rare else chance.randrange(1, 6)}"
        elif plan:
            self.disk.fail((*plan, chance.randrange(2 if compacts else 30), "/data/"))
        try:
            self.start()
        except AssertionError:
            if self.process.poll() is None or not plan:
                raise
        deadline = time.monotonic() + (REACH_S_MAX if plan else chance.uniform(0.02, 0.8))
        if compacts:
            self.erase_somebody(deadline)
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        key = plan if isinstance(plan, str) else " ".join(map(str, plan)) if plan else "any instant"
        self.reached.setdefault(key, []).append(self.process.poll() is not None or not plan)
        self.kill()
        self.environment.pop("JUMELLE_CRASH_AT", None)
        self.disk.heal()

    def erase_somebody(self, deadline):
        """An erasure compacts the history."""
        name = f"victim{len(self.victims)}"
        self.victims.append(name)
        try:
            self.send(viewed(name, f"{name}-view"))
            # Before her event is folded nobody knows her.
            while time.monotonic() < deadline:
                answer = self.call("POST", "/v1/privacy/erase", {"identifier": f"anonymous_id:{name}"})
                if answer.status != 404:
                    return
        except (OSError, http.client.HTTPException, AssertionError):
            pass  # It ended meanwhile; that is what it is for.


def plans(crashes, chance):
    """Every place and every call in turn, and as often any instant."""
    named = [*PLACES, *DISK_CALLS]
    chance.shuffle(named)
    turns = []
    while len(turns) < crashes:
        turns.extend(named)
        turns.extend([None] * (len(named) // 2))
    turns = turns[:crashes]
    chance.shuffle(turns)
    return turns


def run(test, turns, seed):
    """One directory through many crashes; gives how many events were acknowledged and which places were reached."""
    chance = random.Random(seed)
    with Inbox() as inbox:
        shop = Crashing(workspace(ACTIVATED.replace("URL", inbox.url)))
        with shop, Load(shop, seed, senders=2, events_of_a_batch=10) as load:
            time.sleep(0.3)
            for plan in turns:
                shop.kill()
                shop.crash(plan, chance)
            shop.start()
            time.sleep(0.2)
            load.stop()
            told = f"seed {seed}, {len(turns)} crashes"
            load.check(test, told, besides={f"{name}-view" for name in shop.victims})
            check_messages(test, shop, inbox, told)
            check_directory(test, shop, told)
            return len(load.acknowledged()), shop.reached, load.repeated()


def run_all(test, crashes, directories, seed):
    """Gives how many events were acknowledged, and how often each place was reached of how often it was asked for."""
    turns = plans(crashes, random.Random(seed))
    with concurrent.futures.ThreadPoolExecutor(directories) as pool:
        runs = [pool.submit(run, test, turns[n::directories], seed + 1_000_000 * n) for n in range(directories)]
        done = [future.result() for future in runs]
    reached = {}
    for _, places, _ in done:
        for place, times in places.items():
            reached.setdefault(place, []).extend(times)
    test.assertGreater(sum(repeated for _, _, repeated in done), 0, "crashes were felt")
    return sum(acknowledged for acknowledged, _, _ in done), reached


class Crash(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.core_limit = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, cls.core_limit[1]))

    @classmethod
    def tearDownClass(cls):
        resource.setrlimit(resource.RLIMIT_CORE, cls.core_limit)

    def test_killed_at_every_place_and_at_random_under_load(self):
        acknowledged, reached = run_all(self, CRASHES, DIRECTORIES, SEED)
        crashes = sum(map(len, reached.values()))
        there = sum(map(sum, reached.values()))
        elsewhere = sorted(place for place, times in reached.items() if not all(times))
        print(f" {crashes} crashes, {there} where they were wanted, {acknowledged} acknowledged, seed {SEED}, elsewhere: {elsewhere} … ", end="", flush=True)
        self.assertGreaterEqual(crashes, 50)
        self.assertEqual([], [place for place in PLACES if not any(reached[place])], "each named place was reached")
        self.assertGreater(there, crashes * 2 // 3, elsewhere)
        self.assertGreater(acknowledged, 300, "there was load")

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
            check_directory(self, shop)


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

"""A disk that is full, fails or lies: what cannot be kept is refused, what is damaged is named, and no wrong answer is given."""

import concurrent.futures
import errno
import http.client
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import unittest

import disk
from jumelle_server import BINARY, wait_until
from oracle import Load, check_directory, exported_people
from shop import Shop, basic, identified, viewed, workspace

FLIPS = 48
# Of what `doctor` has found one in so many is served all the same; what it has not found always is.
SERVED_ONE_IN = 3
WITH_SIZES = workspace("  sized:\n    rule: {trait: size, eq: '41'}\n")
SEED = random.SystemRandom().randrange(1 << 32)


class OnBadDisk(Shop):
    """A shop whose disk can be told to fail."""

    def __init__(self):
        super().__init__(workspace())
        self.data.mkdir()
        self.disk = disk.Disk(self.data, keeps_log=False)
        self.environment.update(self.disk.environment())

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.disk.close()

    def batch(self, name, count=5):
        events = [viewed(f"b{n}", f"{name}-{n}") for n in range(count)]
        return self.call("POST", "/v1/batch", {"batch": events}, headers=basic("wk_site"), admin=False)

    def stored(self):
        return {event["messageId"] for event in self.exported_events()}


class Refusals(unittest.TestCase):
    def refuses(self, shop, why, trigger=None):
        """No more writes are taken, also when the disk is well again; readiness says why; reads go on; a restart heals."""
        answer = shop.batch("refused")
        if trigger:
            trigger()
            answer = wait_until(lambda: (a := shop.batch("refused")).status != 200 and a, "it is refused")
        self.assertEqual(503, answer.status, answer)
        self.assertIn("retry-after", {name.lower() for name in answer.headers})
        ready = wait_until(lambda: (r := shop.call("GET", "/readyz")).status == 503 and r, "it is not ready")
        self.assertIn(why, ready.json()["detail"])
        shop.disk.heal()
        self.assertEqual(503, shop.batch("again").status, "a failed disk is not tried again")
        self.assertEqual(503, shop.call("GET", "/readyz").status)
        self.assertEqual(200, shop.call("GET", "/healthz").status)
        self.assertEqual(200, shop.call("GET", "/v1/profiles/anonymous_id:b0").status, "what is known can be read")
        shop.kill()
        shop.start()
        answer = shop.batch("refused")
        self.assertEqual(200, answer.status, "after a restart")
        self.assertEqual(5, answer.json()["accepted"] + answer.json()["duplicates"])
        wait_until(shop.folded, "folded")
        kept = {f"{name}-{n}" for name in ["before", "refused"] for n in range(5)}
        self.assertEqual(kept, {key for key in shop.stored() if not key.startswith("filler")})
        check_directory(self, shop)

    def test_what_the_history_cannot_keep_is_refused(self):
        for call, number, why in [
            ("sync", errno.EIO, "error"), ("write", errno.EIO, "error"), ("write", errno.ENOSPC, "No space"), ("write", errno.EROFS, "Read-only"),
        ]:  # fmt: skip
            with self.subTest(f"{call} {errno.errorcode[number]}"), OnBadDisk() as shop:
                self.assertEqual(200, shop.batch("before").status)
                wait_until(shop.folded, "folded")
                shop.disk.fail((call, number, 0, "/history/"))
                self.refuses(shop, why)

    def test_what_the_tables_cannot_keep_stops_it_too(self):
        for call, number in [("write", errno.EIO), ("write", errno.ENOSPC)]:
            with self.subTest(f"{call} {errno.errorcode[number]}"), OnBadDisk() as shop:
                self.assertEqual(200, shop.batch("before").status)
                wait_until(shop.folded, "folded")
                shop.disk.fail((call, number, 0, "/tables/"))
                with Fillers(shop) as fillers:
                    wait_until(lambda: shop.call("GET", "/readyz").status == 503, "the flush has failed")
                self.assertGreater(fillers.sent, 0)
                self.refuses(shop, "the tables")

    def test_a_directory_that_cannot_be_written_is_no_start(self):
        with OnBadDisk() as shop:
            self.assertEqual(200, shop.batch("before").status)
            shop.kill()
            shop.disk.fail(("any", errno.EROFS, 0, "/data"))
            with self.assertRaisesRegex(AssertionError, "Read-only file system"):
                shop.start()
            shop.disk.heal()
            shop.start()
            self.assertEqual({f"before-{n}" for n in range(5)}, shop.stored())

    def test_a_full_disk_under_load_loses_nothing_acknowledged(self):
        with OnBadDisk() as shop, Load(shop, SEED, senders=2, events_of_a_batch=10) as load:
            wait_until(lambda: len(load.acknowledged()) > 200, "load")
            shop.disk.fail(("write", errno.ENOSPC, 3, "/data/"))
            wait_until(lambda: load.refused() > 4, "refused")
            shop.disk.heal()
            shop.kill()
            shop.start()
            before = len(load.acknowledged())
            wait_until(lambda: len(load.acknowledged()) > before + 100, "it takes them again")
            load.stop()
            load.check(self, f"seed {SEED}")
            check_directory(self, shop, f"seed {SEED}")


class Fillers:
    """Events that keep the tables changing, so that there is something to flush."""

    def __init__(self, shop):
        self.shop, self.sent = shop, 0

    def __enter__(self):
        self.sent += self.shop.batch("filler").status == 200
        return self

    def __exit__(self, *_):
        pass


class NotStarted(Shop):
    """A shop whose directory is made before its first start."""

    def __enter__(self):
        return self


class FlippedBits(unittest.TestCase):
    """Every file of a small directory, a bit at a random place: it is found and named, or the data are what they were."""

    @classmethod
    def setUpClass(cls):
        cls.shop = Shop(WITH_SIZES)
        with cls.shop as shop:
            for n in range(30):
                shop.send(*[viewed(f"b{n}", f"v{n}-{v}", seconds=v) for v in range(n % 4 + 1)], identified(f"b{n}", email=f"p{n // 2}@example.org", size="41"))
            # An erasure compacts the history: so there are tables and blobs beside the journals.
            shop.send(viewed("gone"))
            wait_until(shop.folded, "folded")
            shop.request("POST", "/v1/privacy/erase", {"identifier": "anonymous_id:gone"})
            shop.stop()
            shop.start()
            shop.send(*[viewed(f"b{n}", f"late{n}") for n in range(30)])
            cls.truth = cls.answers(shop)
            shop.stop()
            room = tempfile.TemporaryDirectory(prefix="jumelle-whole-")
            cls.addClassCleanup(room.cleanup)
            cls.kept = pathlib.Path(room.name) / "data"
            shutil.copytree(shop.data, cls.kept)
        cls.files = sorted(
            path.relative_to(cls.kept) for path in cls.kept.rglob("*") if path.is_file() and path.stat().st_size
        )

    @staticmethod
    def answers(shop):
        wait_until(shop.folded, "folded")
        events = sorted(json.dumps(event, sort_keys=True) for event in shop.exported_events())
        people = sorted(json.dumps(person, sort_keys=True) for person in exported_people(shop, len(events)))
        counts = {item["key"]: item["count"] for item in shop.get("/v1/segments")["items"]}
        return {"people": people, "events": events, "counts": counts}

    def test_found_or_harmless(self):
        self.flip_all(FLIPS, SERVED_ONE_IN)

    def flip_all(self, count, served_one_in):
        chance = random.Random(SEED)
        wanted = [self.files[n % len(self.files)] for n in range(max(count, len(self.files)))]
        flips = [(file, chance.randrange(1 << 30), chance.randrange(8), n % served_one_in == 0) for n, file in enumerate(wanted)]
        print(f" {len(flips)} flips in {len(self.files)} files, seed {SEED} … ", end="", flush=True)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            fates = list(pool.map(lambda flip: self.flip(*flip), flips))
        print({fate: fates.count(fate) for fate in sorted(set(fates))}, end=" … ", flush=True)
        self.assertEqual([], [fate for fate in fates if "WRONG" in fate])
        self.assertGreater(len([fate for fate in fates if fate.startswith("named")]), len(fates) // 2)

    def flip(self, file, place, bit, serve):
        """What came of it, in a few words; WRONG if something was served or passed that is not the truth."""
        with NotStarted(WITH_SIZES) as other:
            shutil.copytree(self.kept, other.data)
            path = other.data / file
            with path.open("r+b") as stored:
                starts = [start for start, _ in disk.extents(stored, path.stat().st_size)] or [0]
                used = len(stored.read()) if not starts else path.stat().st_size
                stored.seek(place % used)
                byte = stored.read(1)[0]
                stored.seek(place % used)
                stored.write(bytes([byte ^ 1 << bit]))
            examined = shutil.copytree(other.data, other.data.with_name("examined"))
            doctor = subprocess.run(
                [str(BINARY), "doctor", "--data", str(examined), "--json"], capture_output=True, text=True, timeout=120, check=False
            )
            found = doctor.returncode != 0
            if found and str(examined / file.parts[0]) not in doctor.stderr:
                return f"WRONG: {file} is not named: {doctor.stderr}"
            named = "named" if str(file) in doctor.stderr else "found"
            if found and not serve:
                return named
            try:
                other.start()
                served = self.answers(other)
            except (AssertionError, http.client.HTTPException):
                return f"{named}, and refused" if found else f"WRONG: refused and doctor is content, {file} byte {place % used}"
            if served == self.truth:
                return f"{named}, and harmless" if found else "harmless"
            return f"WRONG: served something else, {file} byte {place % used} bit {bit}, doctor {doctor.returncode}"


class Doctor(unittest.TestCase):
    def damaged_journal(self, shop, database):
        """Flips a bit in the middle of what the journal holds; gives its path."""
        journal = shop.data / database / "0.jnl"
        content = bytearray(journal.read_bytes())
        content[len(bytes(content).rstrip(b"\0")) // 2] ^= 4
        journal.write_bytes(content)
        return journal

    def failing(self, shop, command, *arguments):
        done = subprocess.run(
            [str(BINARY), command, "--data", str(shop.data), *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        self.assertEqual(7, done.returncode, done)
        return done.stderr

    def test_says_what_is_lost_and_rebuild_goes_on_without_it(self):
        with Shop() as shop:
            for n in range(40):
                shop.send(viewed(f"b{n % 4}", f"v{n}"))
            shop.stop()
            journal = self.damaged_journal(shop, "history")
            self.assertIn(str(journal), self.failing(shop, "doctor"))
            self.assertIn("--accept-loss", self.failing(shop, "doctor"))
            with self.assertRaisesRegex(AssertionError, f"ended with 7(.|\n)*{journal.name} at byte"):
                shop.start()
            self.assertIn(str(journal), self.failing(shop, "rebuild"))
            report = shop.offline("rebuild", "--accept-loss")
            self.assertFalse(report["identical"])
            self.assertEqual([], shop.offline("doctor")["damages"])
            shop.start()
            kept = {event["messageId"] for event in shop.exported_events()}
            self.assertLess(5, len(kept))
            self.assertEqual({f"v{n}" for n in range(len(kept))}, kept, "what stands before the damage, and that whole")

    def test_a_history_that_is_shorter_than_its_tables_is_refused(self):
        with Shop() as shop:
            for n in range(10):
                shop.send(viewed("b", f"v{n}"))
            shop.stop()
            journal = shop.data / "history" / "0.jnl"
            content = journal.read_bytes().rstrip(b"\0")
            # As if the last acknowledged block had never been synced: to the journal alone it looks like a torn end.
            os.truncate(journal, len(content) - 20)
            with self.assertRaisesRegex(AssertionError, "ended with 7(.|\n)*acknowledged ones are lost"):
                shop.start()
            self.assertIn("acknowledged ones are lost", self.failing(shop, "doctor"))

    def test_damaged_tables_are_made_anew(self):
        with Shop() as shop:
            for n in range(40):
                shop.send(viewed(f"b{n % 4}", f"v{n}"))
            shop.stop()
            manifest = next((shop.data / "tables" / "keyspaces" / "1").glob("v*"))
            content = bytearray(manifest.read_bytes())
            content[len(content) // 3] ^= 1
            manifest.write_bytes(content)
            self.assertIn("nothing is lost: `jumelle rebuild`", self.failing(shop, "doctor"))
            with self.assertRaisesRegex(AssertionError, "ended with 7(.|\n)*jumelle rebuild"):
                shop.start()
            report = shop.offline("rebuild")
            self.assertIn(manifest.name, report["unreadable"])
            self.assertEqual([], shop.offline("doctor")["damages"])
            shop.start()
            self.assertEqual(4, len(shop.request("GET", "/v1/export/profiles").splitlines()))


if __name__ == "__main__":
    unittest.main()

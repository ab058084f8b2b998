"""Backups of a running server: complete, incremental, checked, and restored, also to an instant and without the erased."""

import hashlib
import json
import pathlib
import random
import shutil
import subprocess
import threading
import unittest

from jumelle_server import BINARY, wait_until
from oracle import Sender
from shop import Inbox, Shop, identified, viewed, workspace
from storage import BUCKET, SECRET, Storage

SEED = random.SystemRandom().randrange(1 << 32)
ACTIVATED = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: mailer, purpose: service, channel: email, map: {email: identifiers.email}}
"""


class Backups(unittest.TestCase):
    """A shop, a folder for backups, and the command line."""

    def setUp(self):
        self.inbox = Inbox().__enter__()
        self.addCleanup(self.inbox.__exit__, None, None, None)
        self.shop = Shop(workspace(ACTIVATED.replace("URL", self.inbox.url))).__enter__()
        self.addCleanup(self.shop.__exit__, None, None, None)
        self.folder = pathlib.Path(self.shop.files.name)
        self.backup = self.folder / "backup"

    environment = {}

    def jumelle(self, *arguments, code=0):
        """A command; its JSON answer, or what it says on standard error when it must fail."""
        done = subprocess.run(
            [str(BINARY), *map(str, arguments), "--json", "--server", self.shop.url],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
            env={**self.shop.client_environment(), **self.environment},
        )  # fmt: skip
        self.assertEqual(code, done.returncode, f"{arguments}\n{done.stdout}\n{done.stderr}\n{self.shop.log_end()}")
        return json.loads(done.stdout) if code == 0 else done.stderr

    def restored(self, name, *arguments, backup=None):
        """Restores to a fresh directory, and checks what must always hold: whole, and its tables are those of a replay."""
        data = self.folder / name
        report = self.jumelle("restore", backup or self.backup, "--data", data, *arguments)
        before = self.jumelle("doctor", "--data", data)
        self.assertEqual([], before["damages"])
        self.assertEqual(before["entries"], before["tables_position"])
        self.assertTrue(self.jumelle("rebuild", "--data", data)["identical"])
        return data, report, before

    def events_of(self, data):
        path = self.folder / "events.jsonl"
        self.jumelle_text("export", "events", "--data", data, "--to", path)
        return [json.loads(line) for line in path.read_text().splitlines()]

    def jumelle_text(self, *arguments):
        subprocess.run([str(BINARY), *map(str, arguments)], check=True, capture_output=True, timeout=300)

    def files(self):
        """Files of the backup with their content's hash."""
        return {
            str(path.relative_to(self.backup)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.backup.rglob("*") if path.is_file() and path.name != "lock"
        }  # fmt: skip

    def message_ids(self, events):
        return [event["messageId"] for event in events]

    def end_load(self, senders, stop):
        """Ends what sent beside the backups, which nothing may have hindered, and the server when all of it is folded."""
        self.assertTrue(all(sender.is_alive() for sender in senders), "load went on to the end")
        stop.set()
        for sender in senders:
            sender.join(30)
            self.assertIsNone(sender.failure)
        wait_until(self.shop.folded, "folded", 60)
        self.shop.stop()


class UnderLoad(Backups):
    def test_all_that_was_acknowledged_before_is_in_it_and_the_tables_are_the_same(self):
        stop = threading.Event()
        senders = [Sender(self.shop, number, SEED, stop) for number in range(3)]
        for sender in senders:
            sender.start()
        reports, acknowledged, copies = [], [], []
        for run in range(3):
            wait_until(lambda: sum(len(sender.acknowledged) for sender in senders) > 1_500 * (run + 1), "load", 60)
            acknowledged.append(set().union(*(set(sender.acknowledged) for sender in senders)))
            before = self.files() if run else {}
            reports.append(self.jumelle("backup", self.backup))
            blocks = {name: content for name, content in self.files().items() if name.startswith("blocks/")}
            for name, content in before.items():
                if name.startswith("blocks/"):
                    self.assertEqual(content, blocks.get(name), "a file never changes")
            self.assertGreater(len(blocks), len(before) and len([name for name in before if name.startswith("blocks/")]))
            self.assertEqual([], self.jumelle("backup", self.backup, "--verify")["damages"])
            copies.append(self.folder / f"backup-{run}")
            shutil.copytree(self.backup, copies[-1])
        self.end_load(senders, stop)
        self.assertEqual(reports[2]["end"], sum(report["new_entries"] for report in reports), "each run adds what is new")
        last = self.jumelle("backup", self.backup, "--data", self.shop.data)
        original = self.jumelle("doctor", "--data", self.shop.data)
        self.assertEqual(original["entries"], last["end"])
        whole = self.message_ids(self.events_of(self.shop.data))

        data, report, doctor = self.restored("whole")
        self.assertEqual(original["entries"], report["entries"])
        self.assertEqual(original["digests"], doctor["digests"], "the tables that the original server has")
        self.assertEqual(whole, self.message_ids(self.events_of(data)))

        # One taken under load is the beginning of the history, to the event, and as if restored from a later one to its instant.
        data, report, then = self.restored("under-load", backup=copies[1])
        ids = self.message_ids(self.events_of(data))
        self.assertEqual(whole[: len(ids)], ids)
        self.assertEqual(set(), acknowledged[1] - set(ids), f"acknowledged before the backup began and not in it: seed {SEED}")
        self.assertLess(len(ids), len(whole))
        _, by_instant, doctor = self.restored("to-its-instant", "--until", report["received"])
        self.assertEqual(report["entries"], by_instant["entries"])
        self.assertEqual(then["digests"], doctor["digests"])
        print(f" {len(whole)} events, {[report['new_entries'] for report in reports]} new by run … ", end="", flush=True)


class Instants(Backups):
    def test_restore_to_an_instant(self):
        self.shop.send(viewed("a", "first"), viewed("a", "second"))
        # Two commits: the instant lies within neither, and between two entries of the second.
        self.shop.send(*[viewed("b", f"third-{n}") for n in range(5)])
        backed_up = self.jumelle("backup", self.backup)
        self.shop.stop()
        arrivals = {event["messageId"]: event["receivedAt"] for event in self.events_of(self.shop.data)}
        data, report, _ = self.restored("instant", "--until", arrivals["third-2"])
        self.assertEqual(["first", "second", "third-0", "third-1", "third-2"], self.message_ids(self.events_of(data)))
        self.assertEqual(backed_up["end"], report["entries"] + report["left_out"])
        _, report, _ = self.restored("before", "--until", "2001-01-01")
        self.assertEqual(0, report["entries"])
        self.assertIn("not an instant", self.jumelle("restore", self.backup, "--data", self.folder / "x", "--until", "noon", code=3))

    def test_a_restored_server_goes_on(self):
        self.shop.send(identified("a", email="ana@example.org"), viewed("a", "v1"), viewed("a", "v2"))
        wait_until(lambda: self.inbox.types() == ["segment.entered"], "in the tool")
        wait_until(lambda: self.shop.deliveries("email:ana@example.org")[0]["state"] == "sent", "and known to be")
        self.jumelle("backup", self.backup)
        self.shop.stop()
        shutil.rmtree(self.shop.data)
        self.jumelle("restore", self.backup, "--data", self.shop.data)
        self.shop.start()
        self.assertEqual(["lookers"], self.shop.segments("email:ana@example.org"))
        self.assertEqual(1, self.shop.send(viewed("a", "v2"))["duplicates"], "known message ids are known again")
        self.shop.send(viewed("a", "v3"))
        wait_until(self.shop.folded, "folded")
        self.assertEqual(["segment.entered"], self.inbox.types(), "what was sent is not sent again")
        # Another history from here on: the old backup must not be continued with it.
        self.assertIn("another history", self.jumelle("backup", self.backup, code=3))
        self.assertEqual(6, self.jumelle("backup", self.folder / "next")["end"], "definitions, four events, a result")


class Erasures(Backups):
    def setUp(self):
        super().setUp()
        self.shop.send(identified("a", email="ana@example.org", size="38-ana"), viewed("a", "a1"), viewed("a", "a2"))
        self.shop.send(identified("b", email="bob@example.org"), viewed("b", "b1"), viewed("b", "b2"))
        wait_until(lambda: len(self.inbox.types()) == 2, "both in the tool")
        wait_until(lambda: self.shop.deliveries("email:ana@example.org")[0]["state"] == "sent", "and known to be")
        self.jumelle("backup", self.backup)
        self.older = self.folder / "older"
        shutil.copytree(self.backup, self.older)
        self.instant = self.jumelle("backup", self.backup, "--verify")["received"]
        self.assertEqual(200, self.shop.call("POST", "/v1/privacy/erase", {"identifier": "email:ana@example.org"}).status)
        wait_until(lambda: "profile.erased" in self.inbox.types(), "the tool is told")
        wait_until(lambda: self.shop.get("/v1/deliveries?state=queued")["items"] == [], "and that is known")
        wait_until(self.shop.folded, "folded")

    def gone(self, data):
        self.assertEqual(["b1", "b2"], [key for key in self.message_ids(self.events_of(data)) if key in {"a1", "a2", "b1", "b2"}])
        for event in self.events_of(data):
            self.assertNotIn("ana", json.dumps(event))

    def test_she_stays_erased(self):
        with self.subTest("an older backup, with the tombstones of a newer one"):
            data, _, _ = self.restored("plain-older", backup=self.older)
            self.assertIn("a1", self.message_ids(self.events_of(data)), "the older one alone knows nothing of it")
            report = self.jumelle("backup", self.backup)
            self.assertEqual(1, report["rewritten_files"])
            self.assertEqual(1, report["erasures"])
            data, report, _ = self.restored("older-without-her", "--erasures", self.backup, backup=self.older)
            self.assertEqual(1, report["erasures"])
            self.gone(data)
        with self.subTest("to an instant before the erasure"):
            data, _, _ = self.restored("before", "--until", self.instant)
            self.gone(data)
        with self.subTest("whole"):
            data, _, doctor = self.restored("whole")
            self.gone(data)
            self.assertEqual(1, doctor["kinds"]["erasure"])
        with self.subTest("the newer backup itself has lost her"):
            self.assertEqual([], self.jumelle("backup", self.backup, "--verify")["damages"])
            self.shop.stop()
            self.assertEqual(0, self.jumelle("backup", self.backup, "--data", self.shop.data)["rewritten_files"], "once is enough")
            self.assertEqual([], self.traces(self.backup))
            self.assertNotEqual([], self.traces(self.older), "the search can find")

    def traces(self, backup):
        """Files that hold her trait. LZ4 keeps what stands for the first time as it is."""
        return [str(path) for path in backup.rglob("*.blocks") if b"38-ana" in path.read_bytes()]

    def test_tombstones_of_another_history_say_nothing(self):
        with Shop() as other:
            wait_until(other.folded, "folded")
            theirs = self.folder / "theirs"
            other.command("backup", theirs)
        said = self.jumelle("restore", self.older, "--data", self.folder / "x", "--erasures", theirs, code=3)
        self.assertIn("another history", said)
        self.assertFalse((self.folder / "x").exists(), "nothing is left of a refused restore")
        self.assertFalse((self.folder / "x.restoring").exists())

    def test_a_restored_directory_still_knows_of_her(self):
        self.jumelle("backup", self.backup)
        data, _, _ = self.restored("before", "--until", self.instant)
        again = self.folder / "again"
        self.assertEqual(1, self.jumelle("backup", again, "--data", data)["erasures"])


class Damage(Backups):
    def setUp(self):
        super().setUp()
        self.shop.send(*[viewed(f"p{n}", f"m{n}") for n in range(50)])
        self.jumelle("backup", self.backup)
        self.shop.send(*[viewed(f"p{n}", f"n{n}") for n in range(50)])
        self.jumelle("backup", self.backup)

    def test_a_flipped_bit_in_any_file_is_found(self):
        chance = random.Random(SEED)
        for path in sorted(path for path in self.backup.rglob("*") if path.is_file() and path.name != "lock"):
            whole = path.read_bytes()
            for _ in range(6 if whole else 0):
                place, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
                with self.subTest(path.name, place=place, bit=bit, seed=SEED):
                    path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
                    said = self.jumelle("backup", self.backup, "--verify", code=3)
                    self.assertIn(path.name, said)
                    if not path.name.startswith("workspace"):
                        failed = subprocess.run(
                            [str(BINARY), "restore", str(self.backup), "--data", str(self.folder / "damaged")],
                            capture_output=True, text=True, timeout=60, check=False,
                        )  # fmt: skip
                        self.assertNotEqual(0, failed.returncode)
                        self.assertIn(path.name, failed.stderr)
                        self.assertFalse((self.folder / "damaged").exists())
            path.write_bytes(whole)
        self.assertEqual([], self.jumelle("backup", self.backup, "--verify")["damages"])

    def test_a_missing_or_shorter_file_is_found(self):
        path = sorted(self.backup.rglob("*.blocks"))[0]
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        self.assertIn(path.name, self.jumelle("backup", self.backup, "--verify", code=3))
        path.unlink()
        self.assertIn(path.name, self.jumelle("backup", self.backup, "--verify", code=3))
        self.assertIn(path.name, self.jumelle("restore", self.backup, "--data", self.folder / "x", code=1))

    def test_a_run_that_is_cut_off_changes_nothing(self):
        before = self.files()
        self.shop.send(*[viewed(f"p{n}", f"o{n}") for n in range(50)])
        self.shop.kill()
        self.jumelle("backup", self.backup, code=5)
        # What a run that died half-way leaves: a file that nothing names. The next run removes it.
        stray = self.backup / "blocks" / f"{101:020}-{151:020}.0.blocks"
        stray.write_bytes(b"half of it")
        verified = self.jumelle("backup", self.backup, "--verify")
        self.assertEqual(([], ["blocks/" + stray.name]), (verified["damages"], verified["stray"]))
        stray.rename(stray.with_suffix(".partial"))
        self.shop.start()
        self.jumelle("backup", self.backup)
        after = self.files()
        self.assertEqual([], [name for name in after if "partial" in name])
        for name in before:
            if name.startswith("blocks/"):
                self.assertEqual(before[name], after[name])


class Refusals(Backups):
    def test_what_is_refused(self):
        self.shop.send(viewed("a", "m1"))
        self.jumelle("backup", self.backup)
        full = self.folder / "full"
        full.mkdir()
        (full / "mine.txt").write_text("mine")
        self.assertIn("not empty", self.jumelle("restore", self.backup, "--data", full, code=3))
        self.assertIn("neither empty nor a backup", self.jumelle("backup", full, code=3))
        self.assertEqual("mine", (full / "mine.txt").read_text())
        self.assertIn("neither a directory nor s3://", self.jumelle("backup", "ftp://host/jumelle", code=3))
        self.assertIn("write s3://BUCKET/PREFIX", self.jumelle("backup", "s3:///jumelle", code=3))
        self.assertIn("is no backup", self.jumelle("restore", self.folder / "none", "--data", self.folder / "x", code=3))
        self.assertIn("is no backup", self.jumelle("backup", self.folder / "none", "--verify", code=3))
        self.assertEqual(401, self.shop.call("GET", "/v1/backup", admin=False).status)
        self.assertEqual(400, self.shop.call("GET", "/v1/backup?from=3").status)
        empty = self.folder / "empty"
        empty.mkdir()
        self.jumelle("restore", self.backup, "--data", empty)

    def test_a_copy_that_went_another_way_is_refused(self):
        self.shop.send(viewed("a", "m1"))
        self.shop.stop()
        copy = self.folder / "copy"
        shutil.copytree(self.shop.data, copy)
        self.shop.start()
        self.shop.send(viewed("a", "m2"))
        self.jumelle("backup", self.backup)
        self.shop.stop()
        self.assertIn("another way", self.jumelle("backup", self.backup, "--data", copy, code=3))
        self.jumelle("backup", self.backup, "--data", self.shop.data)


class Bucket(Backups):
    """The same in object storage, whose end of the line may fail."""

    def setUp(self):
        super().setUp()
        self.storage = Storage().__enter__()
        self.addCleanup(self.storage.__exit__, None, None, None)
        self.environment = self.storage.environment()
        self.backup = f"s3://{BUCKET}/shop/daily"

    def blocks(self):
        return {key: tag for key, tag in self.storage.objects().items() if "/blocks/" in key}

    def test_under_load_it_is_complete_and_incremental(self):
        stop = threading.Event()
        senders = [Sender(self.shop, number, SEED, stop) for number in range(3)]
        for sender in senders:
            sender.start()
        acknowledged, reports = [], []
        for run in range(3):
            wait_until(lambda: sum(len(sender.acknowledged) for sender in senders) > 1_000 * (run + 1), "load", 60)
            acknowledged.append(set().union(*(set(sender.acknowledged) for sender in senders)))
            before = self.blocks()
            reports.append(self.jumelle("backup", self.backup))
            after = self.blocks()
            self.assertEqual(before, {key: after.get(key) for key in before}, "an object never changes")
            self.assertGreater(len(after), len(before))
        self.end_load(senders, stop)
        self.assertEqual(reports[2]["end"], sum(report["new_entries"] for report in reports), "each run adds what is new")
        self.jumelle("backup", self.backup, "--data", self.shop.data)
        self.assertEqual([], self.jumelle("backup", self.backup, "--verify")["damages"])
        original = self.jumelle("doctor", "--data", self.shop.data)
        whole = self.message_ids(self.events_of(self.shop.data))

        data, _, doctor = self.restored("whole")
        self.assertEqual(original["digests"], doctor["digests"], "the tables that the original server has")
        self.assertEqual(whole, self.message_ids(self.events_of(data)))
        data, report, _ = self.restored("to-an-instant", "--until", reports[1]["received"])
        self.assertEqual(reports[1]["end"], report["entries"])
        ids = self.message_ids(self.events_of(data))
        self.assertEqual(whole[: len(ids)], ids)
        self.assertEqual(set(), acknowledged[1] - set(ids), f"acknowledged before the backup began and not in it: seed {SEED}")
        ledger = {path.name: path.read_bytes() for path in (self.shop.data / "ledger").iterdir() if path.suffix == ".chain"}
        self.assertGreater(sum(map(len, ledger.values())), 0, "choices were noted")
        for name, chain in ledger.items():
            self.assertTrue((self.folder / "whole" / "ledger" / name).read_bytes().startswith(chain), "the ledger is in it")
        # The format is that of directories: copied to one it is a backup.
        copied = self.folder / "copied"
        self.storage.copy("shop/daily/", copied)
        _, _, doctor = self.restored("from-the-copy", backup=copied)
        self.assertEqual(original["digests"], doctor["digests"])

    def held(self, count, name):
        """The backup of before is whole, and restores to so many entries."""
        self.storage.answer = None
        self.assertEqual([], self.jumelle("backup", self.backup, "--verify")["damages"])
        self.assertEqual(count, self.jumelle("restore", self.backup, "--data", self.folder / name)["entries"])

    def test_a_run_that_breaks_leaves_the_one_before(self):
        self.shop.send(viewed("a", "m1"))
        end = self.jumelle("backup", self.backup)["end"]
        self.storage.requests.clear()
        self.jumelle("backup", self.backup)
        # What a run writes, in order: each of these is where one can break.
        written = [path.rpartition("daily/")[2].partition("/")[0].partition(".")[0] for method, path in self.storage.requests if method == "PUT"]
        self.assertEqual(["erasures", "backup"], written, "nothing is new, so no blocks")
        for number, place in enumerate(["/blocks/", "/erasures.", "/backup.json"]):
            with self.subTest("the storage says 500", place=place):
                self.shop.send(viewed(f"p{number}", f"refused-{number}"))
                self.storage.answer = lambda method, path, place=place: 500 if method == "PUT" and place in path else None
                said = self.jumelle("backup", self.backup, code=1)
                self.assertIn("s3://house/shop/daily", said)
                self.held(end, f"refused-{number}")
            with self.subTest("killed in the middle", place=place):
                reached, go_on = threading.Event(), threading.Event()

                def wait(method, path, place=place):
                    if method == "PUT" and place in path:
                        reached.set()
                        go_on.wait(30)
                        return 500
                    return None

                self.storage.answer = wait
                run = subprocess.Popen(
                    [str(BINARY), "backup", self.backup, "--server", self.shop.url], stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**self.shop.client_environment(), **self.environment},
                )  # fmt: skip
                self.assertTrue(reached.wait(60))
                run.kill()
                run.wait()
                go_on.set()
                self.held(end, f"killed-{number}")
        self.assertGreater(len(self.blocks()), 1, "what broken runs have left")
        report = self.jumelle("backup", self.backup)
        self.assertEqual(end + 3, report["end"])
        self.assertEqual(2, len(self.blocks()), "and the next one has removed")
        self.held(report["end"], "whole")

    def test_trouble_that_passes_is_tried_again(self):
        self.shop.send(viewed("a", "m1"))
        failed = set()

        def once(method, path):
            if (method, path) in failed:
                return None
            failed.add((method, path))
            return 503

        self.storage.answer = once
        end = self.jumelle("backup", self.backup)["end"]
        self.assertGreater(len(failed), 4)
        self.held(end, "restored")

    def test_of_two_runs_at_once_one_wins(self):
        for first in (True, False):
            with self.subTest(first=first):
                self.shop.send(viewed("a", f"m-{first}"))
                reached, go_on = threading.Event(), threading.Event()

                def wait(method, path):
                    if method == "PUT" and path.endswith("/backup.json") and not reached.is_set():
                        reached.set()
                        go_on.wait(30)

                self.storage.answer = wait
                said = []
                slow = threading.Thread(target=lambda: said.append(self.jumelle("backup", self.backup, code=3)))
                slow.start()
                self.assertTrue(reached.wait(60))
                self.shop.send(viewed("a", f"n-{first}"))
                end = self.jumelle("backup", self.backup)["end"]
                go_on.set()
                slow.join(60)
                self.assertIn("another run has written", said[0])
                self.held(end, f"restored-{first}")

    def test_whoever_was_erased_is_taken_out(self):
        self.shop.send(identified("a", email="ana@example.org", size="38-ana"), viewed("a", "a1"), viewed("b", "b1"))
        self.jumelle("backup", self.backup)
        before = self.blocks()
        self.assertEqual(200, self.shop.call("POST", "/v1/privacy/erase", {"identifier": "email:ana@example.org"}).status)
        wait_until(self.shop.folded, "folded")
        self.assertEqual(1, self.jumelle("backup", self.backup)["rewritten_files"])
        self.assertEqual({}, {key: tag for key, tag in self.blocks().items() if key in before}, "the object that held her is gone")
        data, _, _ = self.restored("without-her")
        self.assertEqual(["b1"], self.message_ids(self.events_of(data)))
        data, _, _ = self.restored("erasures", "--erasures", self.backup)
        self.assertEqual(["b1"], self.message_ids(self.events_of(data)))

    def test_what_is_refused_and_what_is_said(self):
        self.shop.send(viewed("a", "m1"))
        self.storage.client.put_object(Bucket=BUCKET, Key="mine/notes.txt", Body=b"mine")
        said = [
            self.jumelle("backup", "s3://nowhere/shop", code=1),
            self.jumelle("backup", f"s3://{BUCKET}/mine", code=3),
            self.jumelle("restore", f"s3://{BUCKET}/none", "--data", self.folder / "x", code=3),
        ]
        for words, told in zip(["NoSuchBucket", "neither empty nor a backup: it holds notes.txt", "is no backup"], said, strict=True):
            self.assertIn(words, told)
        self.environment["RUST_LOG"] = "trace"
        self.storage.answer = lambda method, path: 403
        said.append(self.jumelle("backup", self.backup, code=1))
        self.assertIn("403", said[-1])
        # Without credentials the machine is asked for a role, which it does not have.
        given = self.environment
        self.environment = {key: value for key, value in given.items() if not key.startswith("AWS_")}
        self.environment |= {"AWS_METADATA_ENDPOINT": self.storage.url, "AWS_ALLOW_HTTP": "true"}
        said.append(self.jumelle("backup", self.backup, "--s3-endpoint", self.storage.url, code=1))
        self.assertIn("no credentials: set AWS_ACCESS_KEY_ID", said[-1])
        self.environment = given
        for told in said:
            self.assertNotIn(SECRET, told)
        self.storage.answer = None
        # A whole bucket, without a prefix, and the flag, which goes before the environment.
        self.storage.client.delete_object(Bucket=BUCKET, Key="mine/notes.txt")
        self.environment["JUMELLE_S3_ENDPOINT"] = "http://127.0.0.1:1"
        self.jumelle("backup", f"s3://{BUCKET}", "--s3-endpoint", self.storage.url)
        self.assertIn("backup.json", self.storage.objects())


if __name__ == "__main__":
    unittest.main()

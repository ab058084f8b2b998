"""Directories of every format that there ever was open, say what they always said, and rebuild; a newer one is refused."""

import json
import pathlib
import subprocess
import tarfile
import unittest

from jumelle_server import BINARY
from oracle import exported_people
from shop import Shop, workspace

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
TODAY = 3


def said(shop):
    """What a directory answers, in an order of its own."""
    events, people = sorted(event["messageId"] for event in shop.exported_events()), {}
    for person in exported_people(shop, len(events)):
        names = sorted(f"{i['namespace']}:{i['value']}" for i in person["identifiers"])
        people[person["id"]] = {"identifiers": names, "events": person["events"], "orders": person["computed"]["orders"]}
    return {
        "events": events,
        "people": people,
        "lookers": shop.get("/v1/segments/lookers")["count"],
    }


class Fixture(Shop):
    """A server on a directory that was made earlier; it starts with the definitions that it finds there."""

    def __init__(self, archive):
        super().__init__(workspace())
        with tarfile.open(archive) as packed:
            packed.extractall(self.data.parent, filter="data")


class Formats(unittest.TestCase):
    def test_each_format_opens_and_says_the_same(self):
        archives = sorted(FIXTURES.glob("format-*.tar.xz"))
        self.assertEqual([f"format-{number}.tar.xz" for number in range(1, TODAY + 1)], [path.name for path in archives])
        for archive in archives:
            with self.subTest(archive.name):
                self.assertLess(archive.stat().st_size, 200_000)
                expected = json.loads(archive.with_suffix("").with_suffix(".json").read_text())
                self.assertEqual(10, len(expected["people"]), "nine couples and one who came late")
                shop = Fixture(archive)
                self.assertEqual([], shop.offline("doctor")["damages"], "before anything else has touched it")
                with shop:
                    self.assertEqual(expected, said(shop))
                    shop.stop()
                    self.assertEqual(f"jumelle-data {TODAY}\n", (shop.data / "FORMAT").read_text())
                    self.assertEqual([], shop.offline("doctor")["damages"])
                    report = shop.offline("rebuild")
                    # Of an older format the fold may have learnt something since; what it says may not have changed.
                    if archive.name == f"format-{TODAY}.tar.xz":
                        self.assertTrue(report["identical"], report["differences"])
                    self.assertEqual([], shop.offline("doctor")["damages"])
                    shop.start()
                    self.assertEqual(expected, said(shop))

    def test_a_newer_one_is_refused_and_left_alone(self):
        with Shop() as shop:
            shop.stop()
            (shop.data / "FORMAT").write_text("jumelle-data 99\n")
            before = {path: path.stat().st_mtime_ns for path in shop.data.rglob("*")}
            for command in ["serve", "doctor", "rebuild"]:
                done = subprocess.run(
                    [str(BINARY), command, "--data", str(shop.data)], capture_output=True, text=True, timeout=60, check=False
                )
                self.assertEqual(6, done.returncode, done.stderr)
                self.assertIn("format 99", done.stderr)
            self.assertEqual(before, {path: path.stat().st_mtime_ns for path in shop.data.rglob("*")})
            (shop.data / "FORMAT").write_text("jumelle-dat\n")
            done = subprocess.run([str(BINARY), "serve", "--data", str(shop.data)], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(7, done.returncode, done.stderr)
            self.assertIn("FORMAT is damaged", done.stderr)


if __name__ == "__main__":
    unittest.main()

"""Members of five segments at three instants of 2011, compared with an independent SQL over the same file.

`online_retail_oracle.py` says what is right. Two ways of asking must agree with it exactly: a preview at the instant
(`jumelle segment preview KEY --at INSTANT`), and the members of a server whose clock follows the events, stopped there.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from jumelle_server import ROOT, Server, wait_until

DATA = pathlib.Path(os.environ.get("JUMELLE_TEST_DATA") or ROOT.parent / "shared" / "data")
PARQUET = DATA / "online_retail" / "online_retail.parquet"
EXAMPLE = ROOT / "examples" / "online_retail"
ORACLE_S_MAX = 300


def expected():
    """{instant: {segment: members}}, from the oracle."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "online_retail_oracle.py"), str(PARQUET)],
        capture_output=True, text=True, timeout=ORACLE_S_MAX, check=False, env={**os.environ, "JUMELLE_TEST_DATA": str(DATA)},
    )  # fmt: skip
    if done.returncode != 0:
        raise AssertionError(f"the oracle ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout)


def import_until(server, instant=None):
    """Imports the file in the order of time, up to and with an instant."""
    until = ["--until", instant] if instant else []
    server.command("import", PARQUET, "--source", "shop", "--mapping", EXAMPLE / "mapping.yaml", *until)


class OnlineRetail(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not PARQUET.exists():
            if os.environ.get("CI") == "true":
                raise AssertionError(f"{PARQUET} is not there, and CI=true asks for it")
            raise unittest.SkipTest(f"{PARQUET} is not there; JUMELLE_TEST_DATA names another folder of data")
        cls.expected = expected()

    def compare(self, instant, count_of):
        for segment, members in sorted(self.expected[instant].items()):
            with self.subTest(segment=segment, at=instant):
                self.assertEqual(members, count_of(segment))

    def test_previews(self):
        with Server(EXAMPLE / "workspace.yaml") as server:
            import_until(server)
            for instant in sorted(self.expected):
                self.compare(
                    instant,
                    lambda key, at=instant: json.loads(
                        server.command("segment", "preview", key, "--at", at, "--json")
                    )["count"],
                )  # fmt: skip
            stored = len(server.exported_events())
            import_until(server)
            with self.subTest("a second import changes nothing"):
                self.assertEqual(stored, len(server.exported_events()))

    def test_members_on_the_clock_of_the_events(self):
        with Server(EXAMPLE / "workspace.yaml", "--clock", "events") as server:
            for instant in sorted(self.expected):
                import_until(server, instant)
                self.move_clock(server, instant)
                self.compare(instant, lambda key: server.get(f"/v1/segments/{key}")["count"])

    def move_clock(self, server, instant):
        """Windows that run out after the last invoice and before the instant: an event at the instant moves the clock there."""
        event = {"type": "track", "event": "Clock Moved", "messageId": f"clock-{instant}", "anonymousId": "clock", "timestamp": instant}
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write(json.dumps(event) + "\n")
            file.flush()
            server.command("import", file.name, "--source", "shop")
        wait_until(
            lambda: all(server.get(f"/v1/segments/{key}").get("status") != "computing" for key in self.expected[instant]),
            "the segments are computed",
        )


if __name__ == "__main__":
    unittest.main()

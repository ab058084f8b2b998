"""Unmodified SDKs deliver every call exactly once, and still do when the server is killed half-way.

What they sent is compared with `GET /v1/export/events`, by message id: nothing is missing, nothing is there twice.
"""

import json
import pathlib
import subprocess
import sys
import unittest
from collections import Counter

from jumelle_server import Server, wait_until

HERE = pathlib.Path(__file__).resolve().parent
CALLS = 500
SENDER_S_MAX = 180
SENDERS = {
    "analytics-python": [sys.executable, str(HERE / "send.py")],
    "analytics-node": ["node", str(HERE / "send.mjs")],
}


class Sender:
    """A sender script, stopped half-way until `go_on`."""

    def __init__(self, sdk, server):
        self.process = subprocess.Popen(
            [*SENDERS[sdk], server.url, "wk_sdk", str(CALLS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        line = self.process.stdout.readline().strip()
        if line != "half":
            self.process.kill()
            raise AssertionError(f"{sdk} said {line!r} instead of half")

    def go_on(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def sent(self):
        """What it says it sent, once everything is acknowledged."""
        try:
            output, _ = self.process.communicate(timeout=SENDER_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the sender is not done after {SENDER_S_MAX} s") from None
        if self.process.returncode != 0:
            raise AssertionError(f"the sender ended with {self.process.returncode}")
        return json.loads(output.strip().splitlines()[-1])


class Sdks(unittest.TestCase):
    def check(self, server, sent):
        """Every call that was sent is in the history once, as the call that it was."""
        self.assertEqual(sorted(call for call, _, _ in sent), list(range(CALLS)))
        events = {}
        seen = Counter()
        for event in server.exported_events():
            events[event["messageId"]] = event
            seen[event["messageId"]] += 1
        self.assertEqual([], [id for id, times in seen.items() if times > 1], "stored more than once")
        self.assertEqual(CALLS, len(seen), "events in the history")
        for call, kind, message_id in sent:
            self.assertIn(message_id, events, f"call {call} ({kind}) is not in the history")
            event = events[message_id]
            self.assertEqual((kind, call), (event["type"], event["context"]["call"]))
            self.assertEqual(f"user-{call % 50}", event["userId"])

    def once(self, sdk):
        with Server(HERE / "workspace.yaml") as server:
            sender = Sender(sdk, server)
            sender.go_on()
            self.check(server, sender.sent())

    def once_through_a_kill(self, sdk):
        with Server(HERE / "workspace.yaml") as server:
            sender = Sender(sdk, server)
            wait_until(server.exported_events, "a first batch is stored")
            server.kill()
            # The second half is sent to nobody at first; the SDK's own retries must bring it.
            sender.go_on()
            server.start()
            self.check(server, sender.sent())
            server.kill()
            server.start()
            self.assertEqual(CALLS, len(server.exported_events()), "events after a second kill")

    def test_python(self):
        self.once("analytics-python")

    def test_python_through_a_kill(self):
        self.once_through_a_kill("analytics-python")

    def test_node(self):
        self.once("analytics-node")

    def test_node_through_a_kill(self):
        self.once_through_a_kill("analytics-node")


if __name__ == "__main__":
    unittest.main()

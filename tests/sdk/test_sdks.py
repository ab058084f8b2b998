"""Unmodified SDKs deliver every call exactly once: straight, and through a faulty proxy while the server is killed half-way.

What they sent is compared with `GET /v1/export/events`, by message id: nothing is missing, nothing is there twice. All SDKs run at
the same time on one server, each with a source and a proxy of its own. Only what a user would set is set: see the senders.
"""

import json
import pathlib
import subprocess
import sys
import unittest
from collections import Counter
from contextlib import ExitStack

from rudderstack.analytics.client import Client

from jumelle_server import Server, wait_until
from sdk.faulty_proxy import KINDS, STORED_THOUGH_FAILED, FaultyProxy

HERE = pathlib.Path(__file__).resolve().parent
SENDER_S_MAX = 180
SEED = 4
# Share of the requests with events that fail.
SHARE = 0.5


class Sdk:
    """How an SDK is started and how many calls it makes."""

    def __init__(self, command, calls):
        self.command, self.calls = command, calls


def python(script):
    return [sys.executable, str(HERE / script)]


def node(script):
    return ["node", str(HERE / script)]


SDKS = {
    "analytics-node": Sdk(node("analytics-node.mjs"), 480),
    # One request for each call, so fewer of them.
    "analytics-next": Sdk(node("analytics-next.mjs"), 120),
    "analytics-python": Sdk(python("analytics_python.py"), 480),
    "rudder-node": Sdk(node("rudder-node.mjs"), 480),
    "rudder-python": Sdk(python("rudder_python.py"), 480),
}


def source(name):
    """The source of an SDK in workspace.yaml."""
    return name.replace("-", "_")


class Sender:
    """A sender script; it stops half-way until `go_on`."""

    def __init__(self, name, url):
        self.name = name
        self.process = subprocess.Popen(
            [*SDKS[name].command, url, f"wk_{source(name)}", str(SDKS[name].calls)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def line(self, wanted):
        """Reads on until a line that begins like `wanted`; SDKs print lines of their own."""
        for line in self.process.stdout:
            if line.startswith(wanted):
                return line
        raise AssertionError(f"{self.name} ended with {self.process.wait()} before it said {wanted!r}")

    def half(self):
        self.line("half")

    def go_on(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def sent(self):
        """What it says it sent."""
        return json.loads(self.line("[["))

    def end(self):
        """It must end well: an SDK that gave up on a call says so by its exit code."""
        try:
            self.process.communicate("end\n", timeout=SENDER_S_MAX)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} is not done after {SENDER_S_MAX} s") from None
        if self.process.returncode != 0:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}")


class Delivery:
    """What became of an SDK's calls."""

    def __init__(self, sent, events):
        self.sent = sent
        self.events = {event["messageId"]: event for event in events}
        self.times = Counter(event["messageId"] for event in events)
        self.once = sum(1 for _, _, id, _ in sent if self.times[id] == 1)
        self.twice = sum(1 for times in self.times.values() if times > 1)
        self.lost = sum(1 for _, _, id, _ in sent if self.times[id] == 0)


class Sdks(unittest.TestCase):
    def deliveries(self, server, senders):
        """Waits for every sender to be done, then compares with the history."""
        sent = {sender.name: sender.sent() for sender in senders}
        wanted = {id for calls in sent.values() for _, _, id, _ in calls}

        def arrived():
            return wanted <= {event["messageId"] for event in server.exported_events()}

        # Only the browser's SDK does not say when it is done. What is lost shows below.
        try:
            wait_until(arrived, "every call is stored", SENDER_S_MAX)
        except AssertionError:
            pass
        for sender in senders:
            sender.end()
        events = server.exported_events()
        return {
            name: Delivery(calls, [event for event in events if event["source"] == source(name)]) for name, calls in sent.items()
        }

    def check(self, name, delivery):
        """Every call is in the history once, as the call that it was."""
        calls = SDKS[name].calls
        self.assertEqual(list(range(calls)), sorted(call for call, _, _, _ in delivery.sent))
        self.assertEqual((calls, 0, 0), (delivery.once, delivery.twice, delivery.lost), "stored once, twice, lost")
        self.assertEqual(calls, len(delivery.events), "nothing else is stored")
        for call, kind, message_id, user in delivery.sent:
            event = delivery.events[message_id]
            self.assertEqual((kind, call), (event["type"], event["context"]["call"]))
            # The browser's SDK fills in who is signed in when it sends; a call made before that shows none here.
            self.assertIn(user, (None, event.get("userId")))

    def test_straight(self):
        with Server(HERE / "workspace.yaml") as server, ExitStack() as stack:
            senders = [stack.enter_context(Sender(name, server.url)) for name in SDKS]
            for sender in senders:
                sender.half()
                sender.go_on()
            for name, delivery in self.deliveries(server, senders).items():
                with self.subTest(name):
                    self.check(name, delivery)

    def test_through_faults_and_a_kill(self):
        with Server(HERE / "workspace.yaml") as server, ExitStack() as stack:
            proxies = {name: stack.enter_context(FaultyProxy(server.url, SEED, SHARE)) for name in SDKS}
            senders = [stack.enter_context(Sender(name, proxies[name].url)) for name in SDKS]
            for sender in senders:
                sender.half()
            wait_until(server.exported_events, "a first batch is stored")
            server.kill()
            # The second half is sent to nobody at first.
            for sender in senders:
                sender.go_on()
            server.start()
            deliveries = self.deliveries(server, senders)
            show(proxies, deliveries)
            for name, delivery in deliveries.items():
                with self.subTest(name):
                    self.check(name, delivery)
                    # Otherwise the test would have shown nothing.
                    self.assertEqual(set(KINDS), set(proxies[name].faults), "kinds of faults that it met")
                    self.assertGreater(proxies[name].repeated, 0, "messages that the server had to know again")
            server.kill()
            server.start()
            with self.subTest("after a second kill"):
                self.assertEqual(sum(sdk.calls for sdk in SDKS.values()), len(server.exported_events()))

    def test_a_refusal_is_told_at_once_and_holds_up_nobody(self):
        """rudder-sdk-python makes batches of up to 4 MB. One over the server's limit is refused; the next call must come through."""
        errors = []
        with Server(HERE / "workspace.yaml") as server:
            client = Client(
                "wk_rudder_python", host=server.url, upload_size=20, upload_interval=1, max_retries=2,
                on_error=lambda error, batch: errors.append((error, len(batch))),
            )  # fmt: skip
            for _ in range(20):
                client.track("user-1", "Too Much Together", {"text": "x" * 30_000})
            client.track("user-1", "Comes After", message_id="after")
            client.shutdown()
            told = [(getattr(error, "status", error), getattr(error, "code", None), count) for error, count in errors]
            self.assertEqual([(413, "body_too_large", 20)], told)
            self.assertEqual(["after"], [event["messageId"] for event in server.exported_events()])


def show(proxies, deliveries):
    """The table: what was called, what failed on the way, what is stored."""
    columns = ["SDK", "calls", "requests", *KINDS, "sent again", "once", "twice", "lost"]
    rows = []
    for name, delivery in deliveries.items():
        proxy = proxies[name]
        faults = [proxy.faults[kind] for kind in KINDS]
        stored = [delivery.once, delivery.twice, delivery.lost]
        rows.append([name, len(delivery.sent), proxy.requests, *faults, proxy.repeated, *stored])
    widths = [max(len(str(row[n])) for row in [columns, *rows]) for n in range(len(columns))]
    print()
    for name, *cells in [columns, *rows]:
        print("  ".join([name.ljust(widths[0]), *(str(cell).rjust(width) for cell, width in zip(cells, widths[1:]))]))
    stored_though_failed = ", ".join(kind for kind in KINDS if kind in STORED_THOUGH_FAILED)
    print(f"Stored although the SDK saw a failure: {stored_though_failed}. Sent again: messages that the server got more than once.")


if __name__ == "__main__":
    unittest.main()

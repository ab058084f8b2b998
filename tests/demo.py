"""`make run`, without building: within a minute a newcomer sees people recognised, segments filled, messages sent and blocked."""

import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jumelle_server import BINARY, free_port, wait_until

WITHIN_S = 60


def get(url, token=None):
    """A JSON answer, or a page's text."""
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read().decode()
        return json.loads(text) if "json" in answer.headers["content-type"] else text


class Demo(unittest.TestCase):
    def test_the_living_shop_shows_everything_within_a_minute(self):
        began = time.monotonic()
        with tempfile.TemporaryFile("w+") as told:
            demo = subprocess.Popen(
                [str(BINARY), "demo", "--lang", "en", "--listen", f"127.0.0.1:{free_port()}"],
                stdin=subprocess.DEVNULL, stdout=told, stderr=subprocess.STDOUT,
                env={key: value for key, value in os.environ.items() if key != "JUMELLE_ADMIN_TOKEN"},
            )  # fmt: skip

            def printed(pattern):
                def found():
                    self.assertIsNone(demo.poll(), "the demo is running")
                    told.seek(0)
                    return re.search(pattern, told.read())

                return wait_until(found, pattern, WITHIN_S)

            try:
                server, token = printed(r"(http://[\d.:]+)/#token=(jt_\w+)").groups()
                inbox = printed(r"Inbox +(http://[\d.:]+/)")[1]
                events = int(printed(r"days of history: (\d+) events in")[1])
                self.assertGreater(events, 20_000)
                received = wait_until(
                    lambda: (tools := get(f"{inbox}received.json")) and sum(t["total"] > 0 for t in tools.values()) >= 3 and tools,
                    "three tools have received something", WITHIN_S,
                )  # fmt: skip
                for state in ("sent", "blocked"):
                    wait_until(lambda s=state: get(f"{server}/v1/deliveries?state={s}", token)["items"], f"a delivery {state}")
                took = time.monotonic() - began
                print(f"\n{events} events of history; messages sent and blocked {took:.1f} s after the start", flush=True)
                self.assertLess(took, WITHIN_S)
                blocked = get(f"{server}/v1/deliveries?state=blocked", token)["items"]
                self.assertTrue(any("no consent for" in item["reason"] for item in blocked))
                filled = [one["key"] for one in get(f"{server}/v1/segments", token)["items"] if one["count"] > 0]
                self.assertGreaterEqual(len(filled), 12)
                page = get(inbox)
                for tool, messages in received.items():
                    for message in messages["messages"][:1]:
                        self.assertIn(next(value for value in message["data"].values() if value), page, tool)
            finally:
                demo.send_signal(signal.SIGINT)
                self.assertEqual(0, demo.wait(30), "Ctrl-C ends it cleanly")

    def test_the_story_ends_by_itself(self):
        for language, word in (("fr", "porte"), ("en", "gate")):
            done = subprocess.run(
                [str(BINARY), "demo", "--story", "--once", "--lang", language, "--listen", f"127.0.0.1:{free_port()}"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertIn(word, done.stdout)
            self.assertIn("segment.entered", done.stdout)

    def test_a_load_reaches_a_server_that_asks_for_patience_whole(self):
        received, refusals = [], [429, 503, 503]

        class Busy(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = refusals.pop() if refusals else 200
                if status == 200:
                    received.extend((body["writeKey"], event) for event in body["batch"])
                self.send_response(status)
                if status != 200:
                    self.send_header("retry-after", "1")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder) / "events.jsonl"
                # A small shop, and one of a few compressed seconds.
                for days, more in (("2026-02-20", []), ("2026-02-28", ["--speed", "40000"])):
                    received.clear()
                    load = [str(BINARY), "demo", "--people", "2000", "--from", days]
                    subprocess.run([*load, "--to-file", str(file)], check=True, capture_output=True)
                    to = f"http://127.0.0.1:{server.server_port}"
                    done = subprocess.run([*load, "--to-server", to, *more], check=True, capture_output=True, text=True, timeout=60)
                    written = [json.loads(line) for line in file.read_text().splitlines()]
                    self.assertGreater(len(written), 100)
                    ids = sorted(event.get("messageId", "") for event in written)
                    self.assertEqual(ids, sorted(event.get("messageId", "") for _, event in received))
                    self.assertTrue(all(key == event["writeKey"] for key, event in received))
                    self.assertRegex(done.stderr, rf"{len(written)} events sent in [\d.]+ s: \d+ events/s")
                # The last run told the wall's time.
                newest = max(event["timestamp"] for _, event in received)
                age = datetime.now(timezone.utc) - datetime.fromisoformat(newest.replace("Z", "+00:00"))
                self.assertLess(abs(age), timedelta(hours=6), "a clock that is off is off by five hours at most")
        finally:
            server.shutdown()
            server.server_close()

    def test_the_same_seed_writes_the_same_file(self):
        with tempfile.TemporaryDirectory() as folder:
            files = [pathlib.Path(folder) / name for name in ("one.jsonl", "two.jsonl", "other.jsonl")]
            for file, seed in zip(files, ("5", "5", "6")):
                subprocess.run(
                    [str(BINARY), "demo", "--people", "300", "--seed", seed, "--to-file", str(file)], check=True, capture_output=True
                )
            one, two, other = (file.read_bytes() for file in files)
            self.assertEqual(one, two)
            self.assertNotEqual(one, other)


if __name__ == "__main__":
    unittest.main()

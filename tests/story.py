"""The story of `make run`, played by an independent client: from the first click to a consented activation, and back.

The webhook's signature is checked with the Standard Webhooks project's own library, not with ours.
"""

import base64
import json
import pathlib
import tempfile
import threading
import unittest
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jumelle_server import ROOT, Server, wait_until
from standardwebhooks import Webhook

EXAMPLE = ROOT / "examples" / "sneakers"
SECRET = "whsec_" + base64.b64encode(b"a secret of the story's own test").decode()
WRITE_KEYS = {"site": "wk_site", "till": "wk_till"}
PERSON = "/v1/profiles/email:ana@example.org"


class Inbox:
    """The e-mail tool: a server that keeps what it receives."""

    def __enter__(self):
        self.received = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append((dict(self.headers), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def message(self, number):
        """The n-th message, its signature checked."""
        wait_until(lambda: len(self.received) > number, f"message {number + 1} at the tool")
        headers, body = self.received[number]
        return Webhook(SECRET).verify(body, headers)


def play(server):
    """Sends a step after the other; after each one, gives its message id to the caller."""
    for line in (EXAMPLE / "story.jsonl").read_text().splitlines():
        step = json.loads(line)
        at = datetime.now(timezone.utc) - timedelta(minutes=step.get("minutes_ago", 0))
        event = {**step["event"], "timestamp": at.isoformat(timespec="milliseconds")}
        server.request("POST", f"/v1/{event['type']}", event, write_key=WRITE_KEYS[step["source"]])
        yield event["messageId"]


class Story(unittest.TestCase):
    def deliveries(self, server):
        return [(item["type"], item["state"]) for item in server.get(f"{PERSON}/deliveries")["items"]]

    def test_from_the_first_click_to_a_consented_activation(self):
        with Inbox() as inbox:
            workspace = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "workspace.yaml"
            example = (EXAMPLE / "workspace.yaml").read_text()
            workspace.write_text(example.replace("http://127.0.0.1:9000/hook", inbox.url))
            with Server(workspace, environment={"HOOK_SECRET": SECRET}) as server:
                steps = play(server)

                for message_id in steps:
                    if message_id == "story-look-2":
                        break
                wait_until(
                    lambda: server.get("/v1/profiles/anonymous_id:browser-7f3a")["segments"] == [], "known, in no segment"
                )
                self.assertEqual("story-look-3", next(steps))
                visitor = wait_until(
                    lambda: (profile := server.get("/v1/profiles/anonymous_id:browser-7f3a"))["segments"] and profile,
                    "the third look makes her a member",
                )
                holder = server.get("/v1/profiles/loyalty_card:2900417733")
                self.assertNotEqual(holder["id"], visitor["id"])

                self.assertEqual("story-identify", next(steps))
                person = wait_until(
                    lambda: (profile := server.get("/v1/profiles/anonymous_id:browser-7f3a"))["id"] == holder["id"] and profile,
                    "the visitor turns out to be the card holder, whose older id stays",
                )
                self.assertEqual(["sneakers_undecided"], [segment["key"] for segment in person["segments"]])
                self.assertEqual({"amount": 8990, "currency": "EUR"}, person["computed"]["spent_365d"])
                self.assertEqual([], inbox.received, "nothing leaves without consent")
                blocked = server.get(f"{PERSON}/deliveries")["items"]
                self.assertTrue(blocked and all(item["state"] == "blocked" for item in blocked), blocked)
                self.assertIn("no consent for marketing/email: unknown since ever", {item["reason"] for item in blocked})

                self.assertEqual("story-consent", next(steps))
                entered = inbox.message(0)
                self.assertEqual("segment.entered", entered["type"])
                self.assertEqual({"email": "ana@example.org", "size": "42"}, entered["data"])
                self.assertEqual(holder["id"], entered["profile"])
                self.assertEqual("granted", entered["consent"]["state"])
                wait_until(lambda: ("segment.entered", "sent") in self.deliveries(server), "the delivery's result is recorded")

                self.assertEqual("story-withdrawal", next(steps))
                withdrawn = inbox.message(1)
                self.assertEqual(("consent.withdrawn", holder["id"]), (withdrawn["type"], withdrawn["profile"]))
                wait_until(lambda: ("consent.withdrawn", "sent") in self.deliveries(server), "so is the withdrawal's")
                self.assertEqual(2, len(inbox.received))


if __name__ == "__main__":
    unittest.main()

"""Declared connectors over the real binary: batches through the gate, partial failure, limits, tokens, and what is taken back.

A fake partner on the loopback interface stands in for the tools (`base_url`); what it saw is what left.
"""

import contextlib
import json
import pathlib
import re
import shutil
import socket
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jumelle_server import ROOT, wait_until
from shop import Shop, identified, viewed, workspace

SECRETS = {"REST_KEY": "rest-secret", "PROJECT_KEY": "project", "API_KEY": "api-secret", "OAUTH_SECRET": "hidden", "REFRESH": "refresh-1"}
BATCH = """\
destinations:
  tool: {connector: batch, rest_key: {env: REST_KEY}, project_key: {env: PROJECT_KEY}, base_url: "URL", allow_private: true}
activations:
  push: {segment: lookers, destination: tool, purpose: marketing, channel: email,
         map: {user_id: identifiers.user_id, email: identifiers.email}}
"""
BREVO = """\
destinations:
  tool: {connector: brevo, settings: {api_key: {env: API_KEY}, list: 7}, base_url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: tool, purpose: marketing, channel: email, map: {email: identifiers.email, size: traits.size}}
"""
GOOGLE = """\
destinations:
  tool: {connector: google-data-manager, account: 111, audience: 222, client_id: c, client_secret: {env: OAUTH_SECRET},
         refresh_token: {env: REFRESH}, base_url: "URL", allow_private: true}
activations:
  ads: {segment: lookers, destination: tool, purpose: service, channel: social, map: {email: identifiers.email}}
"""

META = """\
destinations:
  tool: {connector: meta-conversions, access_token: {env: API_KEY}, pixel: 123, base_url: "URL", allow_private: true}
activations:
  orders: {segment: lookers, destination: tool, purpose: marketing, channel: social,
           map: {event_id: computed.order_id, value: computed.order_total, email: identifiers.email, fbc: traits.fbc.value}}
"""

SPLIO = """\
destinations:
  tool: {connector: splio, api_key: {env: API_KEY}, list: 25, base_url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: tool, purpose: marketing, channel: email, map: {key: identifiers.email, email: identifiers.email}}
"""


TWILIO = """\
destinations:
  tool: {connector: twilio-sms, sid: AC0123456789abcdef0123456789abcdef, token: {env: API_KEY}, from: "+33700000000", text: Bonjour, base_url: "URL", allow_private: true}
activations:
  sms: {segment: lookers, destination: tool, purpose: marketing, channel: sms, map: {phone: identifiers.phone}}
"""


class Partner:
    """Answers as it is told and remembers every request."""

    def __init__(self, answer):
        self.requests, self.lock = [], threading.Lock()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_any(self):
                length = int(self.headers.get("content-length") or 0)
                text = self.rfile.read(length).decode()
                seen = {
                    "at": time.monotonic(), "method": self.command, "path": self.path, "text": text,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                    "json": json.loads(text) if text.startswith(("{", "[")) else None,
                }
                with partner.lock:
                    partner.requests.append(seen)
                    status, headers, body = answer(seen, len(partner.requests))
                payload = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(payload)), "content-type": "application/json"}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def ok(request, nth):
    return 202, {}, {"code": "SUCCESS"}


class Partners(unittest.TestCase):
    def start(self, tools, answer=ok):
        self.partner = self.enterContext(Partner(answer))
        self.text = workspace(tools.replace("URL", self.partner.url))
        self.shop = self.enterContext(Shop(self.text, environment=SECRETS))

    def member(self, name, granted=True):
        email = f"{name}@example.org"
        if granted:
            self.shop.consent({"email": email}, "granted", channel="email")
        self.shop.send(identified(name, name, email=email), viewed(name, seconds=2), viewed(name, seconds=1))

    def state(self, name):
        who = f"email:{name}@example.org"
        # Nobody is known by it before her events are folded.
        items = self.shop.deliveries(who) if self.shop.profile(who) else []
        return [(item["type"], item["state"]) for item in reversed(items)]

    def until_state(self, name, expected, seconds_max=25):
        try:
            wait_until(lambda: self.state(name) == expected, "", seconds_max)
        except AssertionError:
            self.assertEqual(expected, self.state(name), self.partner.requests)

    def test_one_blocked_and_one_refused_among_three(self):
        def answer(request, nth):
            places = [n for n, row in enumerate(request["json"]) if row["identifiers"]["custom_id"] == "bo"]
            errors = [{"bulk_index": n, "reason": "a bad profile"} for n in places]
            return 202, {}, {"code": "SUCCESS_WITH_PARTIAL_ERRORS" if errors else "SUCCESS", "errors": errors}

        self.start(BATCH, answer)
        self.member("ana")
        self.member("cyd", granted=False)
        self.member("bo")
        self.until_state("ana", [("segment.entered", "sent")])
        self.until_state("bo", [("segment.entered", "dead")])
        self.until_state("cyd", [("segment.entered", "blocked")])
        refused = self.shop.deliveries("email:bo@example.org")[0]
        self.assertEqual("a bad profile", refused["reason"])
        sent = [row["identifiers"]["custom_id"] for request in self.partner.requests for row in request["json"]]
        self.assertEqual(["ana", "bo"], sorted(sent))
        self.assertEqual("/2.6/profiles/update", self.partner.requests[0]["path"])
        self.assertEqual("Bearer rest-secret", self.partner.requests[0]["headers"]["authorization"])
        self.assertIn("subscribed", self.partner.requests[0]["text"])

    def test_a_withdrawal_while_a_request_is_awaited_is_not_in_the_next_one(self):
        self.start(BATCH)
        self.member("ana")
        self.member("bo")
        # Within the time in which the request waits for more people.
        self.shop.consent({"email": "bo@example.org"}, "denied", channel="email")
        self.until_state("ana", [("segment.entered", "sent")])
        wait_until(lambda: self.state("bo")[:1] == [("segment.entered", "blocked")], "bo is held back")
        self.assertNotIn("bo", [row["identifiers"]["custom_id"] for r in self.partner.requests for row in r["json"]])

    def test_a_withdrawal_while_the_tool_lets_one_wait_at_its_door_leaves_no_byte(self):
        door = self.enterContext(socket.socket())
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        port = door.getsockname()[1]
        # Whoever comes next is not let in: the queue is full.
        before = self.enterContext(socket.create_connection(("127.0.0.1", port)))
        self.shop = self.enterContext(Shop(workspace(BATCH.replace("URL", f"http://127.0.0.1:{port}")), environment=SECRETS))
        self.member("bo")
        waiting = re.compile(rf" [0-9A-F]{{8}}:{port:04X} 02 ")
        wait_until(lambda: waiting.search(pathlib.Path("/proc/net/tcp").read_text()), "it stands at the door")
        self.shop.consent({"email": "bo@example.org"}, "denied", channel="email")
        before.close()
        door.settimeout(1)
        seen = b""
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError, ConnectionError):
                connection, _ = door.accept()
                with connection:
                    connection.settimeout(1)
                    while piece := connection.recv(65_536):
                        seen += piece
        self.assertEqual(b"", seen)
        wait_until(lambda: self.state("bo")[:1] == [("segment.entered", "blocked")], "bo is held back")

    def test_too_many_requests_is_waited_out(self):
        self.start(BATCH, lambda request, nth: (429, {"Retry-After": "2"}, {}) if nth == 1 else ok(request, nth))
        self.member("ana")
        self.until_state("ana", [("segment.entered", "sent")])
        first, second = self.partner.requests
        self.assertGreaterEqual(second["at"] - first["at"], 2.0)
        self.assertEqual(first["text"], second["text"])

    def test_what_is_taken_back_is_who_was_sent(self):
        self.start(BREVO)
        self.member("ana")
        self.until_state("ana", [("segment.entered", "sent")])
        self.assertEqual([{"email": "ana@example.org", "attributes": {}}], self.partner.requests[0]["json"]["jsonBody"])
        # Another address, then a refusal for the one that was sent.
        self.shop.send(identified("ana", "ana", email="ana.new@example.org"))
        self.shop.consent({"email": "ana@example.org"}, "denied", channel="email")
        self.until_state("ana", [("segment.entered", "sent"), ("consent.withdrawn", "sent")])
        last = self.partner.requests[-1]
        self.assertEqual(("PUT", "/v3/contacts/ana%40example.org"), (last["method"], last["path"]))
        self.assertEqual({"unlinkListIds": [7], "emailBlacklisted": True}, last["json"])

    def test_a_removal_that_the_tool_refuses_is_tried_until_it_is_confirmed(self):
        removals = []

        def answer(request, nth):
            if request["method"] != "PUT":
                return 200, {}, {}
            removals.append(request)
            return (400, {}, {"code": "invalid_parameter", "message": "not now"}) if len(removals) <= 2 else (204, {}, {})

        self.start(BREVO, answer)
        self.member("ana")
        self.until_state("ana", [("segment.entered", "sent")])
        self.shop.consent({"email": "ana@example.org"}, "denied", channel="email")
        self.until_state("ana", [("segment.entered", "sent"), ("consent.withdrawn", "sent")])
        self.assertEqual(3, len(removals))

    def test_a_number_that_told_the_tool_to_stop_is_closed_here_too(self):
        self.start(TWILIO, lambda request, nth: (400, {}, {"code": 21610, "message": "Attempt to send to unsubscribed recipient"}))
        self.shop.consent({"phone": "+33612345678"}, "granted", channel="sms")
        self.shop.send(identified("ana", phone="+33612345678"), viewed("ana", seconds=2), viewed("ana", seconds=1))
        states = lambda: [(item["type"], item["state"]) for item in self.shop.deliveries("phone:+33612345678")]
        wait_until(lambda: ("segment.entered", "dead") in states(), "refused")
        time.sleep(1)
        self.assertEqual([("consent.withdrawn", "blocked"), ("segment.entered", "dead")], sorted(states()), "there is nothing to take back, and that is said once")
        asked = lambda channel: self.shop.get(f"/v1/allowed?destination=tool&purpose=marketing&channel={channel}&id=phone:%2B33612345678")
        self.assertEqual(("objected", "opposition"), (asked("sms")["code"], asked("sms")["gate"]["signal"]))
        self.assertEqual("unknown", asked("call_center")["code"], "of calls nothing was said")
        choices = self.shop.get("/v1/privacy/proof?identifier=phone:%2B33612345678")["choices"]
        self.assertEqual([("tool", "400:")], [(one["shown"]["tool"], one["shown"]["reported"]) for one in choices if (one["shown"] or {}).get("tool")])

    def test_a_tool_whose_connector_cannot_take_back_is_named_as_a_risk(self):
        self.start(TWILIO, lambda request, nth: (201, {}, {"sid": "SM1"}))
        risks = self.shop.apply(self.text).json()["risks"]
        self.assertEqual([("tool", True)], [(risk["destination"], "cannot be taken back" in risk["reason"]) for risk in risks])
        self.shop.consent({"phone": "+33612345678"}, "granted", channel="sms")
        self.shop.send(identified("ana", phone="+33612345678"), viewed("ana", seconds=2), viewed("ana", seconds=1))
        states = lambda: [(item["type"], item["state"]) for item in self.shop.deliveries("phone:+33612345678")]
        wait_until(lambda: states() == [("segment.entered", "sent")], "sent")
        self.shop.consent({"phone": "+33612345678"}, "denied", channel="sms")
        wait_until(lambda: ("consent.withdrawn", "blocked") in states(), "nothing can be sent")
        time.sleep(1)
        self.assertEqual([("consent.withdrawn", "blocked"), ("segment.entered", "sent")], sorted(states()), "once, and no more")
        gate = next(item for item in self.shop.deliveries("phone:+33612345678") if item["type"] == "consent.withdrawn")["gate"]
        self.assertEqual(("cannot_be_told", True), (gate["code"], "cannot be taken back" in gate["en"]))
        (tool,) = self.shop.get("/v1/profiles/phone:%2B33612345678/tools")["items"]
        self.assertEqual("cannot_be_told", tool["state"])
        (seen,) = self.shop.get("/v1/privacy/tools")["items"]
        self.assertIn("cannot be taken back", seen["cannot_be_told"]["reason"])
        self.assertEqual(1, len(self.partner.requests))

    def test_each_order_is_told_once_with_the_click_and_none_after_a_withdrawal(self):
        self.partner = self.enterContext(Partner(lambda request, nth: (200, {}, {"events_received": 1})))
        whole = workspace(META.replace("URL", self.partner.url)).replace("{did: Product Viewed, count: {gte: 2}, within: 30d}", "{did: Order Completed}")
        whole = whole.replace("  orders: {count", "  order_id: {last: Order Completed.order_id}\n  order_total: {last: Order Completed.total}\n  orders: {count", 1)
        self.shop = self.enterContext(Shop(whole, environment=SECRETS))
        self.shop.consent({"email": "ana@example.org"}, "granted", channel="social")
        clicks = {"fbc": {"value": "fb.1.1764323000000.Click", "at": "2026-11-28T09:00:00Z"}}
        self.shop.send(identified("ana", "ana", email="ana@example.org"))

        def order(number, total, seconds):
            event = viewed("ana", seconds=seconds)
            return {**event, "event": "Order Completed", "properties": {"order_id": number, "total": total}, "context": {"traits": clicks}}

        def told():
            return [one for request in self.partner.requests for one in request["json"]["data"]]

        self.shop.send(order("o-1", 59.9, 2))
        self.until_state("ana", [("segment.entered", "sent")])
        self.shop.send(order("o-2", 12, 1))
        self.until_state("ana", [("segment.entered", "sent"), ("profile.updated", "sent")])
        self.assertEqual([("o-1", 59.9), ("o-2", 12)], [(one["event_id"], one["custom_data"]["value"]) for one in told()])
        self.assertEqual(["fb.1.1764323000000.Click"] * 2, [one["user_data"]["fbc"] for one in told()])
        self.assertNotIn("ana@example.org", str(self.partner.requests))
        self.shop.consent({"email": "ana@example.org"}, "denied", channel="social")
        self.shop.send(order("o-3", 5, 0))
        wait_until(lambda: len(self.state("ana")) == 3, "a withdrawal is noted", 25)
        self.assertEqual(2, len(told()), "what was counted is not recalled, and nothing more is told")

    def test_a_token_that_is_refused_is_renewed_once(self):
        tokens = []

        def answer(request, nth):
            if request["path"] == "/token":
                tokens.append(request["text"])
                return 200, {}, {"access_token": f"token-{len(tokens)}", "expires_in": 3600}
            if request["headers"]["authorization"] == "Bearer token-1":
                return 401, {}, {"error": {"message": "expired"}}
            return 200, {}, {"requestId": "r"}

        self.start(GOOGLE, answer)
        self.member("ana", granted=False)
        self.until_state("ana", [("segment.entered", "sent")], 50)
        self.assertEqual(2, len(tokens))
        self.assertIn("refresh_token=refresh-1", tokens[0])
        paths = [request["path"] for request in self.partner.requests]
        self.assertEqual(["/token", "/v1/audienceMembers:ingest"] * 2, paths)
        # A contract asks for no grant, and is not told as one.
        consent = self.partner.requests[-1]["json"]["audienceMembers"][0]["consent"]
        self.assertEqual({"adUserData": "CONSENT_DENIED", "adPersonalization": "CONSENT_DENIED"}, consent)

    def test_a_token_for_a_key_is_asked_for_once_and_takes_out_again(self):
        def answer(request, nth):
            if request["path"] == "/authenticate":
                return 200, {}, {"token": "short-lived"}
            return (404 if request["method"] == "GET" else 200), {}, {}

        self.start(SPLIO, answer)
        self.member("ana")
        self.until_state("ana", [("segment.entered", "sent")])
        self.shop.consent({"email": "ana@example.org"}, "denied", channel="email")
        self.until_state("ana", [("segment.entered", "sent"), ("consent.withdrawn", "sent")])
        contact = "/data/contacts/ana%40example.org"
        self.assertEqual(
            [("POST", "/authenticate"), ("GET", contact), ("POST", "/data/contacts"), ("POST", f"{contact}/lists/unsubscribe")],
            [(request["method"], request["path"]) for request in self.partner.requests],
        )
        self.assertEqual({"api_key": "api-secret"}, self.partner.requests[0]["json"])
        self.assertEqual({"Bearer short-lived"}, {request["headers"].get("authorization") for request in self.partner.requests[1:]})
        self.assertNotIn("api-secret", "".join(request["text"] for request in self.partner.requests[1:]))

    def test_definitions_are_held_to_the_manifest(self):
        self.start(BREVO)
        for old, new, path in [
            ("list: 7", "list: seven", "destinations.tool.settings.list"),
            ("list: 7", "lst: 7", "destinations.tool.settings.lst"),
            ("{env: API_KEY}", "plain-text-of-a-secret", "destinations.tool.settings.api_key"),
            ("connector: brevo", "connector: brevvo", "destinations.tool.connector"),
            ("map: {email: identifiers.email, size: traits.size}", "map: {size: traits.size}", "activations.mail.map"),
            ("channel: email", "channel: postal", "activations.mail.channel"),
            (", allow_private: true", "", "destinations.tool.base_url"),
        ]:
            with self.subTest(path):
                answer = self.shop.apply(workspace(BREVO.replace("URL", self.partner.url).replace(old, new)))
                self.assertEqual(422, answer.status, answer)
                self.assertIn(path, [error["path"] for error in answer.json()["errors"]])
        shown = self.shop.call("GET", "/v1/destinations/tool").body.decode()
        self.assertNotIn("api-secret", shown)
        connectors = self.shop.call("GET", "/v1/connectors").json()["items"]
        self.assertIn("brevo", [connector["key"] for connector in connectors])


class Own(unittest.TestCase):
    """A team's own connector, changed while the server runs."""

    TOOL = """\
destinations:
  tool: {connector: ours, settings: {api_key: {env: API_KEY}, list: 7}, base_url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: tool, purpose: service, channel: email, map: {email: identifiers.email}}
"""

    def setUp(self):
        self.partner = self.enterContext(Partner(ok))
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.manifest = folder / "ours" / "connector.yaml"
        shutil.copytree(ROOT / "connectors" / "brevo", self.manifest.parent)
        text = self.manifest.read_text().replace("connector: brevo\n", "connector: ours\n").replace("linger: 5s", "linger: 0s")
        self.whole = text
        self.manifest.write_text(text)
        self.shop = self.enterContext(Shop(workspace(self.TOOL.replace("URL", self.partner.url)), "--connectors", str(folder), environment=SECRETS))

    def reads(self, outcome):
        return self.shop.metric("jumelle_connector_reloads_total", outcome=outcome)

    def imported(self):
        """Who was sent, by the path that the manifest gave."""
        return [(request["path"].rsplit("/", 1)[1], request["json"]["jsonBody"][0]["email"]) for request in self.partner.requests]

    def member(self, name):
        self.shop.send(identified(name, name, email=f"{name}@example.org"), viewed(name, seconds=2), viewed(name, seconds=1))

    def test_a_change_is_taken_and_what_does_not_hold_is_left(self):
        self.member("ana")
        wait_until(lambda: self.imported() == [("import", "ana@example.org")], "as it was at the start")
        self.manifest.write_text(self.whole.replace("/v3/contacts/import", "/v3/contacts/bring"))
        wait_until(lambda: self.reads("taken") == 1, "read again")
        self.member("bia")
        wait_until(lambda: self.imported()[1:] == [("bring", "bia@example.org")], "as it is now")
        # Broken, or not there though a destination is of it: the server goes on with what it has.
        bring = self.manifest.read_text()
        self.manifest.write_text("ops: [")
        wait_until(lambda: self.reads("refused") == 1, "broken")
        self.manifest.unlink()
        wait_until(lambda: self.reads("refused") == 2, "gone")
        self.assertIn("changed connectors were not taken", self.shop.log_end())
        self.member("cleo")
        wait_until(lambda: self.imported()[2:] == [("bring", "cleo@example.org")], "as it was")
        self.manifest.write_text(bring)
        self.member("dora")
        wait_until(lambda: self.imported()[3:] == [("bring", "dora@example.org")], "as it was")
        self.assertEqual((1, 2), (self.reads("taken"), self.reads("refused")), "nothing is changed")
        self.assertIn("ours", [item["key"] for item in self.shop.get("/v1/connectors")["items"]])

    def test_what_waits_goes_on_with_the_mended_one(self):
        self.manifest.write_text(self.whole.replace("status in 200..299", "status == 299"))
        wait_until(lambda: self.reads("taken") == 1, "an outcome that the tool never gives")
        self.member("ana")
        wait_until(lambda: self.partner.requests, "tried")
        wait_until(lambda: [item["attempts"] for item in self.shop.deliveries("email:ana@example.org")] != [0], "and not understood")
        self.manifest.write_text(self.whole)
        wait_until(lambda: self.reads("taken") == 2, "mended")
        self.shop.call("POST", "/v1/destinations/tool/retry")
        wait_until(lambda: [item["state"] for item in self.shop.deliveries("email:ana@example.org")] == ["sent"], "sent", 30)


if __name__ == "__main__":
    unittest.main()

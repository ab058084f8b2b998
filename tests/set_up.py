"""What a marketer does before and after an activation goes live, over the real binary: try a destination, look at what would leave,
count whom it reaches, and try again what was given up or held back."""

import json
import os
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jumelle_server import wait_until
from security import ROLES, bearer, make
from shop import Inbox, Shop, identified, instant, viewed, workspace

TOOLS = """\
destinations:
  mailer: {connector: webhook, url: "URL/hook/path-secret", allow_private: true, secret: {env: SET_UP_SECRET}}
  other: {connector: webhook, url: "URL", allow_private: true}
  sheet: {connector: file, to: "folder:sheet", content: full, when: {after: 1h}, name: "people_{stamp}.csv"}
  contacts: {connector: brevo, api_key: {env: SET_UP_KEY}, list: "7", base_url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
  post: {segment: lookers, destination: other, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""
KEY = "xkeysib-not-to-be-told"
SECRET = "a signature secret of the shop"
DRAFT = {"segment": "lookers", "destination": "mailer", "purpose": "marketing", "channel": "email", "map": {"email": "identifiers.email"}}


class Recorder(ThreadingHTTPServer):
    """A tool over HTTP that keeps each request and answers as it is told."""

    daemon_threads = True

    def __init__(self):
        self.requests, self.status, self.body = [], 200, b"{}"

        class Handler(BaseHTTPRequestHandler):
            def answer(handler):
                length = int(handler.headers.get("content-length") or 0)
                self.requests.append((handler.command, handler.path, dict(handler.headers), handler.rfile.read(length)))
                handler.send_response(self.status)
                handler.send_header("content-length", str(len(self.body)))
                handler.end_headers()
                handler.wfile.write(self.body)

            do_GET = do_POST = do_PUT = answer

            def log_message(handler, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class OneShop(unittest.TestCase):
    def setUp(self):
        environment = {**os.environ, "SET_UP_SECRET": SECRET, "SET_UP_KEY": KEY}
        self.tool = self.enterContext(Recorder())
        self.shop = self.enterContext(Shop(workspace(TOOLS.replace("URL", self.tool.url)), environment=environment))
        self.tokens = {role: make(self.shop, role)[1] for role in ROLES}

    def ask(self, path, body=None, role="admin"):
        return self.shop.call("POST", path, body, headers=bearer(self.tokens[role]), admin=False)

    def member(self, name, state="granted"):
        """Somebody in the segment, known by her address."""
        address = f"{name}@example.org"
        self.shop.send(viewed(name, seconds=2), viewed(name, seconds=1), identified(name, email=address))
        if state:
            self.shop.consent({"email": address}, state, channel="email")
        wait_until(lambda: "lookers" in self.shop.segments(f"email:{address}"), "a member")
        return self.shop.profile(f"email:{address}")["id"]


class Looks(OneShop):
    def test_what_is_shown_is_what_leaves(self):
        ana = self.member("ana")
        seen = self.ask("/v1/activations/preview", {"key": "mail", "activation": DRAFT, "profile": "email:ana@example.org"}).json()
        self.assertEqual((ana, True, []), (seen["profile"], seen["member"], seen["empty"]))
        self.assertTrue(seen["gate"]["open"])
        (shown,) = seen["shown"]["requests"]
        wait_until(lambda: any(path == "/hook/path-secret" for _, path, *_ in self.tool.requests), "sent")
        method, path, headers, body = next(r for r in self.tool.requests if r[1] == "/hook/path-secret")
        sent = json.loads(body)
        # All but what belongs to one message: its id, its instant, its signature.
        for one in (sent, shown["body"]):
            one.pop("id"), one.pop("at")
        self.assertEqual(sent, shown["body"])
        self.assertEqual((method, self.tool.url + path), (shown["method"], shown["url"]))
        self.assertLessEqual(set(shown["headers"]), {name.lower() for name in headers})
        self.assertEqual("v1,••••••", shown["headers"]["webhook-signature"])

    def test_a_declared_connector_is_shown_with_its_secret_veiled(self):
        self.member("ana")
        draft = {**DRAFT, "destination": "contacts"}
        answer = self.ask("/v1/activations/preview", {"activation": draft, "profile": "email:ana@example.org"})
        seen = answer.json()
        self.assertEqual("requests", seen["shown"]["as"], seen)
        self.assertIn("ana@example.org", json.dumps(seen["shown"]["requests"]))
        self.assertTrue(all(request["url"].startswith(self.tool.url) for request in seen["shown"]["requests"]))
        self.assertNotIn(KEY.encode(), answer.body)
        self.assertEqual([], self.tool.requests and [r for r in self.tool.requests if r[1] != "/hook/path-secret" and r[1] != "/"])

    def test_a_file_shows_her_line(self):
        self.member("ana")
        draft = {**DRAFT, "destination": "sheet", "map": {"email": "identifiers.email", "town": "traits.city"}}
        seen = self.ask("/v1/activations/preview", {"activation": draft, "profile": "email:ana@example.org"}).json()
        self.assertEqual(("line", ["town"]), (seen["shown"]["as"], seen["empty"]), seen)
        cells = dict(seen["shown"]["cells"])
        self.assertEqual(("ana@example.org", None), (cells["email"], cells["town"]))
        self.assertEqual(instant(seen["gate"]["granted_since"]), instant(cells["consent_at"]))

    def test_a_closed_gate_says_why_and_nothing_is_queued(self):
        self.member("bruno", "denied")
        before = len(self.shop.deliveries("email:bruno@example.org"))
        seen = self.ask("/v1/activations/preview", {"activation": DRAFT, "profile": "email:bruno@example.org"}).json()
        self.assertEqual((False, "denied"), (seen["gate"]["open"], seen["gate"]["gate"]["code"]))
        self.assertEqual("refused", seen["shown"]["requests"][0]["body"]["consent"]["state"])
        self.assertEqual(before, len(self.shop.deliveries("email:bruno@example.org")))

    def test_what_a_tool_needs_and_she_lacks_is_said(self):
        self.shop.send(viewed("nobody", seconds=2), viewed("nobody", seconds=1))
        wait_until(lambda: self.shop.segments("anonymous_id:nobody") == ["lookers"], "a member")
        draft = {**DRAFT, "destination": "contacts"}
        seen = self.ask("/v1/activations/preview", {"activation": draft, "profile": "anonymous_id:nobody"}).json()
        self.assertEqual(("nothing", ["email"]), (seen["shown"]["as"], seen["empty"]), seen)

    def test_a_draft_that_does_not_hold_names_the_field(self):
        wrong = {**DRAFT, "map": {"email": "identifiers.nothing"}}
        answer = self.ask("/v1/activations/preview", {"key": "mail", "activation": wrong, "profile": "email:x@example.org"})
        self.assertEqual(422, answer.status)
        self.assertIn("activations.mail.map.email", answer.json()["detail"])
        self.assertEqual(400, self.ask("/v1/activations/preview", {"activation": DRAFT}).status)
        missing = self.ask("/v1/activations/preview", {"activation": DRAFT, "profile": "email:x@example.org"})
        self.assertEqual((404, "profile"), (missing.status, missing.json()["field"]))

    def test_a_marketer_looks_at_members_alone(self):
        ana = self.member("ana")
        self.shop.send(identified("carla", email="carla@example.org"))
        wait_until(lambda: self.shop.profile("email:carla@example.org"), "known")
        carla = self.shop.profile("email:carla@example.org")["id"]
        ask = lambda profile: self.ask("/v1/activations/preview", {"activation": DRAFT, "profile": profile}, "marketer")
        seen = ask(ana)
        self.assertEqual(200, seen.status)
        self.assertEqual(self.tool.url, seen.json()["shown"]["requests"][0]["url"], "of the address the host alone")
        self.assertNotIn(b"path-secret", seen.body)
        self.assertEqual(403, ask("email:ana@example.org").status)
        self.assertEqual(403, ask(carla).status)
        for role in ("privacy", "agent", "read"):
            self.assertEqual(403, self.ask("/v1/activations/preview", {"activation": DRAFT, "profile": ana}, role).status)
            self.assertEqual(403, self.ask("/v1/activations/audience", {"activation": DRAFT}, role).status)

    def test_an_audience_adds_up(self):
        for name in ("ana", "bea"):
            self.member(name)
        self.member("bruno", "denied")
        self.member("dora", None)
        seen = self.ask("/v1/activations/audience", {"activation": DRAFT}, "marketer").json()
        self.assertEqual((4, 4, False, 2, 0), tuple(seen[k] for k in ("members", "looked_at", "sampled", "reachable", "later")))
        self.assertEqual([{"reason": "denied", "people": 1}, {"reason": "unknown", "people": 1}], seen["closed"])
        self.assertEqual([], seen["untold"])
        paused = self.ask("/v1/activations/audience", {"activation": {**DRAFT, "purpose": "service"}}).json()
        self.assertEqual(4, paused["reachable"])


class Trials(OneShop):
    def test_a_destination_in_force_is_tried(self):
        answer = self.ask("/v1/destinations/mailer/test", role="marketer")
        self.assertEqual({"outcome": "ok", "status": 200}, answer.json())
        (request,) = self.tool.requests
        body = json.loads(request[3])
        self.assertEqual(("test", {}), (body["type"], body["data"]), "about nobody")
        self.assertIn("webhook-signature", {name.lower() for name in request[2]})
        self.assertEqual(404, self.ask("/v1/destinations/none/test").status)
        self.assertEqual(403, self.ask("/v1/destinations/mailer/test", role="read").status)

    def draft(self, **definition):
        return self.ask("/v1/connectors/brevo/test", {"key": "crm", "definition": definition})

    def test_a_draft_is_tried_and_no_secret_is_told(self):
        given = {"api_key": {"env": "SET_UP_KEY"}, "list": "7", "base_url": self.tool.url, "allow_private": True}
        self.assertEqual("ok", self.draft(**given).json()["outcome"])
        self.assertEqual(KEY, {name.lower(): value for name, value in self.tool.requests[0][2].items()}["api-key"])
        self.tool.status, self.tool.body = 401, json.dumps({"message": f"Key {KEY} not found"}).encode()
        refused = self.draft(**given)
        self.assertEqual(("refused", 401, ["api_key"]), tuple(refused.json()[k] for k in ("outcome", "status", "fields")))
        self.assertIn("Key •••••• not found", refused.json()["said"])
        self.assertNotIn(KEY.encode(), refused.body)
        unset = self.draft(**{**given, "api_key": {"env": "NOT_SET_ANYWHERE"}}).json()
        self.assertEqual("unusable", unset["outcome"])
        self.assertIn("NOT_SET_ANYWHERE", unset["said"])
        missing = self.draft(list="7")
        self.assertEqual(422, missing.status)
        self.assertIn("destinations.crm.api_key", missing.json()["detail"])
        plain = self.draft(**{**given, "api_key": KEY})
        self.assertEqual(422, plain.status)
        self.assertNotIn(KEY.encode(), plain.body)

    def test_private_addresses_are_refused_unless_allowed(self):
        for url in (self.tool.url, "http://169.254.169.254/latest/meta-data", "http://localhost:1/x", "http://[::1]/"):
            answer = self.ask("/v1/connectors/webhook/test", {"definition": {"url": url}}).json()
            self.assertIn(answer.get("outcome", "unusable"), ("unusable", "away"), answer)
            self.assertRegex(json.dumps(answer), "private|allow_private")
        self.assertEqual([], self.tool.requests)
        allowed = {"url": self.tool.url, "allow_private": True}
        self.assertEqual("ok", self.ask("/v1/connectors/webhook/test", {"definition": allowed}).json()["outcome"])

    def test_a_draft_goes_where_it_says_so_it_is_the_administrators(self):
        for role in ROLES[1:]:
            self.assertEqual(403, self.ask("/v1/connectors/webhook/test", {"definition": {"url": self.tool.url}}, role).status)
        self.assertEqual(404, self.ask("/v1/connectors/none/test", {"definition": {}}).status)
        self.assertEqual([], self.tool.requests)


class Replays(unittest.TestCase):
    def setUp(self):
        self.down = True
        self.inbox = self.enterContext(Inbox(lambda message: 400 if self.down else 204))
        tools = TOOLS[: TOOLS.index("  sheet")] + TOOLS[TOOLS.index("activations:") :]
        environment = {**os.environ, "SET_UP_SECRET": SECRET}
        self.shop = self.enterContext(Shop(workspace(tools.replace("URL", self.inbox.url)), environment=environment))

    def people(self, count, state="granted"):
        for n in range(count):
            name, address = f"{state}{n}", f"{state}{n}@example.org"
            self.shop.send(viewed(name, seconds=1), viewed(name), identified(name, email=address))
            self.shop.consent({"email": address}, state, channel="email")

    def until(self, state, count, destination="mailer"):
        path = f"/v1/deliveries?destination={destination}&state={state}&limit=1000"
        wait_until(lambda: len(self.shop.get(path)["items"]) == count, f"{count} {state}", 60)
        return self.shop.get(path)["items"]

    def retry(self, **request):
        return self.shop.call("POST", "/v1/deliveries/retry", {"state": "dead", **request})

    def test_by_filter_and_time(self):
        self.people(3)
        dead = self.until("dead", 3)
        self.until("dead", 3, "other")
        middle = sorted(dead, key=lambda one: one["at"])[1]
        count = lambda **request: self.retry(dry_run=True, **request).json()["matching"]
        self.assertEqual((6, 3, 3), (count(), count(destination="mailer"), count(activation="post")))
        self.assertEqual(2, count(destination="mailer", **{"from": middle["at"]}))
        self.assertEqual(1, count(destination="mailer", to=middle["at"]))
        self.assertEqual((3, 0), (count(destination="mailer", reason="400"), count(reason="no such words")))
        self.assertEqual(2, count(profile=middle["profile"]))
        listed = self.shop.get(f"/v1/deliveries?state=dead&profile={middle['profile']}")["items"]
        self.assertEqual({"mailer", "other"}, {one["destination"] for one in listed})
        self.assertEqual(6, len(self.shop.get("/v1/deliveries?state=dead&reason=400")["items"]), "a dry run changes nothing")
        self.down = False
        answer = self.retry(destination="mailer", **{"from": middle["at"]}).json()
        self.assertEqual((2, 2, None), (answer["matching"], answer["replayed"], answer["next"]))
        self.until("sent", 2)
        self.until("dead", 1)
        self.until("dead", 3, "other")

    def test_who_asked_and_every_step_are_kept(self):
        self.people(1)
        (dead,) = self.until("dead", 1)
        secret = make(self.shop, "marketer")[1]
        self.down = False
        asked = self.shop.call(
            "POST", "/v1/deliveries/retry", {"state": "dead", "destination": "mailer"}, headers=bearer(secret), admin=False
        )
        self.assertEqual(1, asked.json()["replayed"])
        self.until("sent", 1)
        steps = self.shop.get(f"/v1/deliveries/{dead['id']}")["steps"]
        self.assertEqual(["caused", "dead", "replayed", "sent"], [step["step"] for step in steps])
        self.assertEqual(("a marketer", 400, 204), (steps[2]["by"], steps[1]["status"], steps[3]["status"]))
        self.assertEqual(sorted(instant(step["at"]) for step in steps), [instant(step["at"]) for step in steps])
        # The same after a replay of the history, and nothing of it after an erasure.
        self.shop.stop()
        report = self.shop.offline("rebuild")
        self.assertTrue(report["identical"], report)
        self.shop.start()
        self.assertEqual(steps, self.shop.get(f"/v1/deliveries/{dead['id']}")["steps"])
        self.shop.call("POST", "/v1/privacy/erase", {"identifier": "email:granted0@example.org"})
        wait_until(lambda: self.shop.call("GET", f"/v1/deliveries/{dead['id']}").status == 404, "erased")

    def test_each_passes_the_gate_again(self):
        self.people(1)
        (dead,) = self.until("dead", 1)
        # Else it is held back as well.
        self.until("dead", 1, "other")
        self.down = False
        self.inbox.messages.clear()
        self.shop.consent({"email": "granted0@example.org"}, "denied", channel="email")
        wait_until(lambda: self.shop.folded(), "folded")
        self.assertEqual(1, self.retry(destination="mailer").json()["replayed"])
        one = lambda: self.shop.get(f"/v1/deliveries/{dead['id']}")
        wait_until(lambda: one()["state"] == "blocked", "held back")
        self.assertEqual("denied", one()["gate"]["code"])
        self.assertNotIn("segment.entered", self.inbox.types())
        by_code = self.shop.call("POST", "/v1/deliveries/retry", {"state": "blocked", "reason": "denied", "dry_run": True}).json()
        self.assertEqual(1, by_code["matching"])

    def test_what_does_not_hold_is_said(self):
        for request, status, field in [
            ({"state": "sent"}, 400, "state"),
            ({"destination": "none"}, 404, "destination"),
            ({"from": "yesterday"}, 400, "from"),
            ({"profile": "email:x@example.org"}, 400, "profile"),
            ({"sate": "dead"}, 400, None),
        ]:
            answer = self.retry(**request)
            self.assertEqual((status, field), (answer.status, answer.json().get("field")), request)
        for role, status in [("marketer", 200), ("privacy", 403), ("read", 403), ("agent", 403)]:
            answer = self.shop.call(
                "POST", "/v1/deliveries/retry", {"state": "dead"}, headers=bearer(make(self.shop, role)[1]), admin=False
            )
            self.assertEqual(status, answer.status, role)

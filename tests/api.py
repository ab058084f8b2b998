"""The HTTP API over the real binary: collection, bad input, duplicates, definitions, people, consents, erasure."""

import base64
import gzip
import json
import pathlib
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import zlib
from datetime import datetime, timedelta, timezone

from jumelle_server import BINARY, wait_until
from shop import WORKSPACE, Inbox, Shop, basic, identified, instant, now, viewed, workspace

# Everything in the past is stored with the time it had; a second is more than a busy machine needs between two clocks.
CLOCK_S_MAX = 1.0


class OnOneServer(unittest.TestCase):
    """Cases that share a server; each uses people of its own."""

    text = WORKSPACE

    @classmethod
    def setUpClass(cls):
        cls.shop = cls.enterClassContext(Shop(cls.text))

    def event(self, message_id):
        """A stored event, from the export."""
        found = [event for event in self.shop.exported_events() if event.get("messageId") == message_id]
        self.assertEqual(1, len(found), message_id)
        return found[0]

    def eventually(self, condition, what, seconds_max=15):
        return wait_until(condition, what, seconds_max)


class Collection(OnOneServer):
    def post(self, path, body, headers=None):
        return self.shop.call("POST", path, body, headers=headers, admin=False)

    def test_every_call_long_and_short(self):
        calls = {
            "track": {"event": "Opened"}, "identify": {"traits": {"city": "Lille"}}, "page": {"name": "Home"},
            "screen": {"name": "Home"}, "group": {"groupId": "g1"}, "alias": {"previousId": "calls-before"},
        }  # fmt: skip
        for kind, fields in calls.items():
            for path in (kind, kind[0]):
                with self.subTest(path=path):
                    body = {"userId": "calls", "messageId": f"calls-{path}", **fields}
                    answer = self.post(f"/v1/{path}", body, basic("wk_site"))
                    self.assertEqual((200, 1), (answer.status, answer.json().get("accepted")), answer)
                    stored = self.event(f"calls-{path}")
                    self.assertEqual((kind, "site"), (stored["type"], stored["source"]))
        for path in ("batch", "b", "import"):
            with self.subTest(path=path):
                body = {"batch": [{"type": "track", "event": "X", "userId": "calls", "messageId": f"calls-{path}"}]}
                self.assertEqual(1, self.post(f"/v1/{path}", body, basic("wk_site")).json()["accepted"])
                self.event(f"calls-{path}")

    def test_the_pixel_takes_an_event_and_always_shows_an_image(self):
        body = {"event": "Mail Opened", "userId": "pixel", "messageId": "pixel-1", "writeKey": "wk_site"}
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            data = encode(json.dumps(body).encode()).decode().rstrip("=")
            answer = self.shop.call("GET", f"/v1/pixel/track?data={urlquote(data)}", admin=False)
            self.assertEqual((200, "image/gif"), (answer.status, answer.headers["content-type"]))
            self.assertTrue(answer.body.startswith(b"GIF89a"))
        self.event("pixel-1")
        keyed = base64.b64encode(json.dumps({"event": "X", "userId": "pixel", "messageId": "pixel-2"}).encode()).decode()
        self.shop.call("GET", f"/v1/pixel/track?writeKey=wk_till&data={urlquote(keyed)}", admin=False)
        self.assertEqual("till", self.event("pixel-2")["source"])
        broken = self.shop.call("GET", "/v1/pixel/track?writeKey=wk_site&data=%21%21%21", admin=False)
        self.assertEqual((200, "image/gif"), (broken.status, broken.headers["content-type"]))
        items = self.eventually(
            lambda: [item for item in self.shop.get("/v1/quarantine")["items"] if item["rule"] == "not_base64"], "in quarantine"
        )
        self.assertEqual("data", items[0]["field"])

    def test_settings_of_the_browser_sdk(self):
        answer = self.shop.call("GET", "/v1/projects/wk_site/settings", admin=False)
        self.assertEqual((200, "wk_site"), (answer.status, answer.json()["integrations"]["Segment.io"]["apiKey"]))
        self.assertIn("max-age=300", answer.headers["cache-control"])
        self.assertEqual(404, self.shop.call("GET", "/v1/projects/wk_nobody/settings", admin=False).status)

    def test_gzip_and_deflate(self):
        for encoding, pack in {"gzip": gzip.compress, "deflate": zlib.compress}.items():
            with self.subTest(encoding):
                body = {"event": "Packed", "userId": "packed", "messageId": f"packed-{encoding}"}
                packed = pack(json.dumps(body).encode())
                answer = self.post("/v1/track", packed, {**basic("wk_site"), "content-encoding": encoding})
                self.assertEqual(200, answer.status, answer)
                self.event(f"packed-{encoding}")
        answer = self.post("/v1/track", b"this is no gzip", {**basic("wk_site"), "content-encoding": "gzip"})
        self.assertEqual((400, "unreadable_body"), (answer.status, answer.json()["rule"]))

    def test_the_write_key_by_basic_auth_or_in_the_body(self):
        by_body = self.post("/v1/track", {"event": "X", "userId": "keys", "messageId": "keys-1", "writeKey": "wk_till"})
        self.assertEqual(200, by_body.status)
        stored = self.event("keys-1")
        self.assertEqual("till", stored["source"])
        self.assertNotIn("writeKey", stored)
        for headers, body_key in ((basic("wk_wrong"), None), ({}, "wk_wrong"), ({}, None)):
            with self.subTest(headers=headers, body_key=body_key):
                body = {"event": "X", "userId": "keys", "messageId": "keys-2", **({"writeKey": body_key} if body_key else {})}
                answer = self.post("/v1/track", body, headers)
                self.assertEqual(401, answer.status, answer)
                self.assertEqual("application/problem+json", answer.headers["content-type"])
                # Without these two, rudder-sdk-python takes a refusal for a broken network.
                self.assertTrue({"code", "message"} <= answer.json().keys(), answer)
        self.assertNotIn("keys-2", [event.get("messageId") for event in self.shop.exported_events()])
        self.assertGreaterEqual(self.shop.metric("jumelle_unauthorized_total", what="write_key"), 3)

    def test_cors(self):
        headers = {
            "origin": "https://shop.example", "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,authorization",
        }  # fmt: skip
        for path in ("/v1/t", "/v1/batch", "/v1/track"):
            answer = self.shop.call("OPTIONS", path, headers=headers, admin=False)
            self.assertEqual((200, "*"), (answer.status, answer.headers["access-control-allow-origin"]), path)
            self.assertTrue(answer.headers["access-control-allow-methods"], path)
            # `*` would not let a browser send it.
            self.assertIn("authorization", answer.headers["access-control-allow-headers"].lower(), path)
        posted = self.post("/v1/t", {"event": "X", "userId": "cors", "writeKey": "wk_site"}, {"origin": "https://shop.example"})
        self.assertEqual((200, "*"), (posted.status, posted.headers["access-control-allow-origin"]))

    def test_sent_at_corrects_a_wrong_clock(self):
        wrong = datetime.now(timezone.utc) - timedelta(days=400)
        event = {
            "event": "X", "userId": "skew", "messageId": "skew-1",
            "timestamp": (wrong - timedelta(minutes=10)).isoformat(), "sentAt": wrong.isoformat(),
        }  # fmt: skip
        self.assertEqual(200, self.post("/v1/track", event, basic("wk_site")).status)
        ahead = datetime.now(timezone.utc) + timedelta(days=30)
        self.shop.send(
            {"type": "track", "event": "X", "userId": "skew", "messageId": "skew-2", "timestamp": ahead.isoformat()},
            sentAt=(ahead + timedelta(minutes=10)).isoformat(),
        )
        for message_id in ("skew-1", "skew-2"):
            age = datetime.now(timezone.utc) - instant(self.event(message_id)["timestamp"])
            self.assertAlmostEqual(600, age.total_seconds(), delta=5, msg=message_id)

    def test_a_message_id_is_made_when_there_is_none(self):
        self.post("/v1/track", {"event": "Nameless", "userId": "no-id"}, basic("wk_site"))
        found = [event for event in self.shop.exported_events() if event.get("userId") == "no-id"]
        self.assertEqual(1, len(found))
        self.assertTrue(found[0]["messageId"])

    def test_sizes(self):
        padded = {"event": "X", "userId": "sizes", "messageId": "sizes-1", "properties": {"text": "x" * 40 * 1024}}
        before = self.shop.metric("jumelle_rejected_events_total", rule="too_large")
        answer = self.post("/v1/track", padded, basic("wk_site"))
        self.assertEqual((400, "too_large"), (answer.status, answer.json()["rule"]))
        self.assertEqual(before + 1, self.shop.metric("jumelle_rejected_events_total", rule="too_large"))
        fits = {**padded, "properties": {"text": "x" * 31 * 1024}}
        self.assertEqual(200, self.post("/v1/track", fits, basic("wk_site")).status)
        batch = {"batch": [{**padded, "type": "track", "properties": {"text": "x" * 30_000}} for _ in range(20)]}
        self.assertEqual(413, self.post("/v1/batch", batch, basic("wk_site")).status)
        bomb = gzip.compress(b'{"batch": [' + b" " * 50_000_000 + b"]}")
        answer = self.post("/v1/batch", bomb, {**basic("wk_site"), "content-encoding": "gzip"})
        self.assertEqual((413, "body_too_large"), (answer.status, answer.json()["rule"]))


class BadInput(OnOneServer):
    def test_three_bad_of_a_hundred(self):
        batch = [{"type": "track", "event": "Good", "userId": f"h-{n}", "messageId": f"hundred-{n}"} for n in range(100)]
        batch[7]["timestamp"] = "1970-01-01T00:00:00Z"
        batch[42]["event"] = 12
        batch[99]["properties"] = {"total": "12.50"}
        answer = self.shop.send(*batch)
        self.assertEqual(97, answer["accepted"])
        self.assertEqual(
            [(7, "timestamp", "too_old"), (42, "event", "wrong_type"), (99, "properties.total", "number_as_text")],
            [(item["index"], item["field"], item["rule"]) for item in answer["rejected"]],
        )
        stored = {event["messageId"] for event in self.shop.exported_events() if event["messageId"].startswith("hundred-")}
        self.assertEqual({f"hundred-{n}" for n in range(100)} - {"hundred-7", "hundred-42", "hundred-99"}, stored)

        listed = self.eventually(
            lambda: (found := {item["id"]: item for item in self.quarantine()}) and
            all(item["quarantine"] in found for item in answer["rejected"]) and found,
            "the three are in quarantine",
        )  # fmt: skip
        old, typed, text = [listed[item["quarantine"]] for item in answer["rejected"]]
        self.assertEqual(("site", "timestamp", "too_old"), (old["source"], old["field"], old["rule"]))
        self.assertTrue(old["message"] and instant(old["at"]))
        self.assertEqual("hundred-7", json.loads(old["body"])["messageId"])

        again = self.shop.call("POST", f"/v1/quarantine/{old['id']}/retry")
        self.assertEqual((400, "too_old"), (again.status, again.json()["rule"]), "the same is as bad as before")
        fixed = {**json.loads(old["body"]), "timestamp": now(seconds=60)}
        self.assertEqual(1, self.shop.call("POST", f"/v1/quarantine/{old['id']}/retry", fixed).json()["accepted"])
        self.assertEqual("site", self.event("hundred-7")["source"])
        self.assertEqual(200, self.shop.call("DELETE", f"/v1/quarantine/{typed['id']}").status)
        left = {item["id"] for item in self.quarantine()}
        self.assertNotIn(old["id"], left)
        self.assertNotIn(typed["id"], left)
        self.assertIn(text["id"], left)
        self.assertEqual(404, self.shop.call("POST", f"/v1/quarantine/{old['id']}/retry").status)

    def quarantine(self):
        return self.shop.get("/v1/quarantine?limit=1000")["items"]

    def test_each_bad_input_is_answered_and_counted(self):
        deep = "x"
        for _ in range(200):
            deep = {"a": deep}
        good = {"event": "X", "userId": "bad"}
        cases = {
            "invalid JSON": ('{"event": "X", ', "invalid_json", ""),
            "a list": ("[1, 2]", "wrong_type", ""),
            "wrong type": ({**good, "properties": "text"}, "wrong_type", "properties"),
            "event a number": ({**good, "event": 5}, "wrong_type", "event"),
            "no event name": ({"userId": "bad"}, "missing", "event"),
            "nobody": ({"event": "X"}, "missing", "userId"),
            "too large": ({**good, "properties": {"t": "x" * 40 * 1024}}, "too_large", ""),
            "1970": ({**good, "timestamp": "1970-01-01T00:00:00Z"}, "too_old", "timestamp"),
            "2090": ({**good, "timestamp": "2090-01-01T00:00:00Z"}, "in_the_future", "timestamp"),
            "no date": ({**good, "timestamp": "yesterday"}, "not_a_timestamp", "timestamp"),
            "number as text": ({**good, "properties": {"price": "9.90"}}, "number_as_text", "properties.price"),
            "in a product": (
                {**good, "properties": {"products": [{}, {"quantity": "2"}]}}, "number_as_text", "properties.products[1].quantity",
            ),
            "NUL in the name": ({**good, "event": "a\0b"}, "control_character", "event"),
            "NUL in the id": ({**good, "userId": "a\0b"}, "control_character", "userId"),
            "200 levels": ({**good, "properties": deep}, "too_deep", ""),
            "200,000 levels": ('{"event":"X","userId":"bad","properties":' + "[" * 15_000, "invalid_json", ""),
            "unknown purpose": (
                {**good, "context": {"consents": [{"purpose": "spam", "state": "granted"}]}}, "unknown_purpose",
                "context.consents[0].purpose",
            ),
            "state maybe": (
                {**good, "context": {"consents": [{"purpose": "marketing", "state": "maybe"}]}}, "consent_state",
                "context.consents[0].state",
            ),
            "not UTF-8": (b'{"event": "\xff", "userId": "bad"}', "not_utf8", None),
        }  # fmt: skip
        for name, (body, rule, field) in cases.items():
            with self.subTest(name):
                before = self.shop.metric("jumelle_rejected_events_total", rule=rule)
                answer = self.shop.call("POST", "/v1/track", body, headers=basic("wk_site"), admin=False)
                problem = answer.json()
                self.assertEqual((400, rule, field), (answer.status, problem["rule"], problem.get("field")), answer)
                self.assertTrue(problem["detail"])
                self.assertEqual(before + 1, self.shop.metric("jumelle_rejected_events_total", rule=rule))
        for body in ({"batch": "no list"}, {"events": []}, "[]"):
            answer = self.shop.call("POST", "/v1/batch", body, headers=basic("wk_site"), admin=False)
            self.assertEqual((400, "wrong_type", "batch"), (answer.status, answer.json()["rule"], answer.json()["field"]), answer)
        self.assertEqual(200, self.shop.call("GET", "/healthz").status, "and it still runs")

    def test_an_unknown_type_in_a_batch(self):
        answer = self.shop.call("POST", "/v1/batch", {"batch": [{"type": "dance", "userId": "bad"}]}, headers=basic("wk_site"))
        self.assertEqual((400, "unknown_type"), (answer.status, answer.json()["rule"]))

    def test_emoji_are_letters_like_any_other(self):
        self.shop.send({"type": "track", "event": "Acheté 👟🇫🇷", "userId": "émoji-👟", "messageId": "emoji"})
        stored = self.event("emoji")
        self.assertEqual(("Acheté 👟🇫🇷", "émoji-👟"), (stored["event"], stored["userId"]))
        self.eventually(lambda: self.shop.profile("user_id:" + urlquote("émoji-👟")), "she is found by it")


class Administration(OnOneServer):
    def test_every_admin_route_asks_for_the_token(self):
        paths = self.shop.call("GET", "/openapi.json", admin=False).json()["paths"]
        walked = 0
        for path, operations in paths.items():
            for method, operation in operations.items():
                if {"token": []} not in operation.get("security", []):
                    continue
                filled = path
                for parameter in operation["parameters"]:
                    if parameter["in"] == "path":
                        filled = filled.replace("{" + parameter["name"] + "}", "x:y")
                with self.subTest(f"{method} {path}"):
                    body = {} if "requestBody" in operation else None
                    for headers in ({}, {"authorization": "Bearer wrong"}, basic("wk_site")):
                        answer = self.shop.call(method.upper(), filled, body, headers=headers, admin=False)
                        self.assertEqual(401, answer.status, f"{method} {filled}: {answer}")
                        self.assertEqual("application/problem+json", answer.headers["content-type"])
                    walked += 1
        self.assertGreater(walked, 20, "the description names its admin routes")
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs/"):
            self.assertEqual(200, self.shop.call("GET", path, admin=False).status, path)

    def test_an_unknown_path_is_a_problem(self):
        answer = self.shop.call("GET", "/v2/nothing/at/all")
        self.assertEqual((404, "application/problem+json"), (answer.status, answer.headers["content-type"]))


class Duplicates(unittest.TestCase):
    def test_a_message_counts_once(self):
        with Shop() as shop:
            order = {
                "type": "track", "event": "Order Completed", "userId": "dup", "messageId": "dup-1",
                "properties": {"order_id": "o-1", "total": 10.5, "currency": "EUR"},
            }  # fmt: skip
            first = shop.send(order, dict(order))
            self.assertEqual((1, 1), (first["accepted"], first["duplicates"]), "twice in one batch")
            self.assertEqual((0, 1), ((again := shop.send(order))["accepted"], again["duplicates"]), "in two batches")
            shop.kill()
            shop.start()
            self.assertEqual((0, 1), ((again := shop.send(order))["accepted"], again["duplicates"]), "across a kill")
            shop.stop()
            shop.start()
            self.assertEqual((0, 1), ((again := shop.send(order))["accepted"], again["duplicates"]), "across a stop")
            self.assertEqual(1, sum(event["messageId"] == "dup-1" for event in shop.exported_events()))

            shop.send({**order, "messageId": "dup-2"}, write_key="wk_till")
            shop.send({**order, "messageId": "dup-3", "properties": {**order["properties"], "order_id": "o-2", "total": 4}})
            computed = wait_until(
                lambda: (profile := shop.profile("user_id:dup")) and profile["events"] == 3 and profile["computed"], "three events"
            )
            self.assertEqual({"orders": 2, "spent": {"amount": 1450, "currency": "EUR"}}, computed, "an order id counts once")


class Definitions(unittest.TestCase):
    def setUp(self):
        self.shop = self.enterContext(Shop())

    def test_put_get_delete(self):
        segment = {"rule": {"did": "Product Viewed", "count": {"gte": 5}, "within": "7d"}}
        dry = self.shop.call("PUT", "/v1/segments/keen?dry_run=true", segment)
        self.assertEqual((200, False), (dry.status, dry.json()["applied"]))
        self.assertEqual(404, self.shop.call("GET", "/v1/segments/keen").status)
        made = self.shop.call("PUT", "/v1/segments/keen", segment)
        self.assertEqual((200, True), (made.status, made.json()["applied"]), made)
        found = self.shop.get("/v1/segments/keen")
        self.assertEqual(("keen", 0), (found["key"], found["count"]))
        self.assertEqual("Product Viewed", found["definition"]["rule"]["did"])
        self.assertEqual({"keen", "lookers"}, {item["key"] for item in self.shop.get("/v1/segments")["items"]})
        self.assertEqual(200, self.shop.call("DELETE", "/v1/segments/keen").status)
        self.assertEqual(404, self.shop.call("GET", "/v1/segments/keen").status)
        self.assertEqual(404, self.shop.call("DELETE", "/v1/segments/keen").status)
        self.assertEqual(404, self.shop.call("GET", "/v1/nonsense/keen").status)
        for collection in ("sources", "identifiers", "purposes", "traits", "segments", "destinations", "activations"):
            self.assertEqual(200, self.shop.call("GET", f"/v1/{collection}").status, collection)
        in_use = self.shop.call("DELETE", "/v1/sources/site")
        self.assertEqual(200, in_use.status, in_use)

    def test_what_does_not_hold_is_refused_with_line_and_column(self):
        text = workspace("  broken:\n    rule: {did: Product Viewed, cuont: {gte: 2}}")
        answer = self.shop.apply(text)
        self.assertEqual(422, answer.status, answer)
        line = next(n for n, line in enumerate(text.splitlines(), 1) if "cuont" in line)
        error = answer.json()["errors"][0]
        self.assertEqual(line, error["line"])
        column = text.splitlines()[line - 1].index("cuont") + 1
        self.assertEqual(column, error["column"], error)
        self.assertIn("cuont", error["message"])
        answer = self.shop.call("PUT", "/v1/activations/a", {"segment": "nowhere", "destination": "nowhere", "purpose": "marketing"})
        self.assertEqual(422, answer.status, answer)
        self.assertIn("nowhere", answer.json()["detail"])
        self.assertEqual(422, self.shop.apply("workspace: [").status)
        self.assertEqual(422, self.shop.apply("").status)

    def test_apply_is_whole_or_not_at_all(self):
        before = self.shop.get("/v1/workspace")
        text = workspace("  fine:\n    rule: {did: A}", "  broken:\n    rule: {did: B, within: 3 moons}")
        self.assertEqual(422, self.shop.apply(text).status)
        self.assertEqual(before, self.shop.get("/v1/workspace"))
        applied = self.shop.apply(workspace("  fine:\n    rule: {did: A}"))
        self.assertEqual((200, True), (applied.status, applied.json()["applied"]))
        self.assertIn("fine", applied.json()["text"])
        self.assertEqual({"lookers", "fine"}, set(self.shop.get("/v1/workspace")["segments"]))
        again = self.shop.apply(workspace("  fine:\n    rule: {did: A}"))
        self.assertEqual((200, False), (again.status, again.json()["applied"]), "nothing changed, nothing applied")
        shown = self.shop.apply(json.dumps(self.shop.get("/v1/workspace")))
        self.assertEqual((200, False), (shown.status, shown.json().get("applied")), f"what is shown can be put back: {shown}")

    def test_a_segment_added_later_takes_in_people_from_their_past(self):
        self.shop.send(*[viewed("past", f"past-{n}", seconds=1_000 * n) for n in range(1, 6)], viewed("idle"))
        wait_until(lambda: self.shop.segments("anonymous_id:past") == ["lookers"], "known")
        asked = datetime.now(timezone.utc)
        self.shop.call("PUT", "/v1/segments/keen", {"rule": {"did": "Product Viewed", "count": {"gte": 5}, "within": "7d"}})
        profile = wait_until(
            lambda: (profile := self.shop.profile("anonymous_id:past")) and len(profile["segments"]) == 2 and profile, "a member"
        )
        since = next(instant(segment["since"]) for segment in profile["segments"] if segment["key"] == "keen")
        self.assertLess(abs((since - asked).total_seconds()), 5, "since the definition, not since the views")
        self.assertEqual([], self.shop.segments("anonymous_id:idle"))
        members = wait_until(lambda: self.shop.get("/v1/segments/keen/members")["items"], "listed")
        self.assertEqual([profile["id"]], [member["profile"] for member in members])
        self.assertEqual((1, "ready"), ((found := self.shop.get("/v1/segments/keen"))["count"], found["status"]))
        self.shop.call("PUT", "/v1/segments/keen", {"rule": {"did": "Product Viewed", "count": {"gte": 6}, "within": "7d"}})
        wait_until(lambda: self.shop.segments("anonymous_id:past") == ["lookers"], "a changed rule lets her go")
        self.assertEqual([], self.shop.get("/v1/segments/keen/members")["items"])

    def test_a_trait_added_later_counts_the_past(self):
        self.shop.send(*[viewed("past", f"trait-{n}", seconds=n) for n in range(4)])
        self.shop.call("PUT", "/v1/traits/views", {"count": "Product Viewed"})
        wait_until(lambda: (self.shop.profile("anonymous_id:past") or {}).get("computed", {}).get("views") == 4, "four views")

    def test_a_window_that_runs_out_ends_a_membership_without_an_event(self):
        self.shop.call("PUT", "/v1/segments/right_now", {"rule": {"did": "Product Viewed", "within": "2s"}})
        self.shop.send(viewed("window", "window-1"))
        # The event's time: the window holds 2 s from it.
        looked = instant(next(event for event in self.shop.exported_events() if event["messageId"] == "window-1")["timestamp"])
        wait_until(lambda: "right_now" in self.shop.segments("anonymous_id:window"), "in")
        wait_until(lambda: "right_now" not in self.shop.segments("anonymous_id:window"), "out", 10)
        left = datetime.now(timezone.utc)
        self.assertLess((left - looked).total_seconds(), 3 + CLOCK_S_MAX)
        history = self.shop.get("/v1/profiles/anonymous_id:window/segments")["history"]
        self.assertEqual(["segment.exited", "segment.entered"], [item["type"] for item in history])
        self.assertEqual(2.0, (instant(history[0]["at"]) - looked).total_seconds(), "at the instant at which the window ran out")
        self.assertEqual(0, self.shop.get("/v1/segments/right_now")["count"])

    def test_an_idle_server_writes_nothing(self):
        self.shop.send(viewed("idle"))
        wait_until(self.shop.folded, "folded")
        position = len(self.shop.exported_events()), self.shop.metric("jumelle_history_bytes_total")
        time.sleep(1.5)
        self.assertEqual(position, (len(self.shop.exported_events()), self.shop.metric("jumelle_history_bytes_total")))


ACTIVATED = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
  web: {segment: lookers, destination: mailer, purpose: marketing, channel: onsite, map: {device: identifiers.anonymous_id}}
  card: {segment: lookers, destination: mailer, purpose: marketing, channel: postal, map: {card: identifiers.loyalty_card}}
"""


class People(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.inbox = cls.enterClassContext(Inbox())
        cls.shop = cls.enterClassContext(Shop(workspace(ACTIVATED.replace("URL", cls.inbox.url))))

    def known(self, identifier, events):
        return wait_until(
            lambda: (profile := self.shop.profile(identifier)) and profile["events"] >= events and profile, f"{identifier} is known"
        )

    def gate(self, identifier, activation="mail"):
        explained = self.shop.get(f"/v1/profiles/{identifier}/explain?lang=en")["gate"]
        return next(item for item in explained if item["activation"] == activation)

    # identity

    def test_a_visitor_and_a_customer_are_found_to_be_one(self):
        self.shop.send(identified(user_id="join", email=" Join@Example.org ", city="Lille"))
        older = self.known("user_id:join", 1)
        self.shop.send(viewed("join-browser", seconds=9), viewed("join-browser", seconds=8))
        newer = self.known("anonymous_id:join-browser", 2)
        self.assertEqual(["lookers"], self.shop.segments("anonymous_id:join-browser"))
        self.assertNotEqual(older["id"], newer["id"])
        self.shop.send(identified("join-browser", email="join@example.org"))
        one = self.known("email:join@example.org", 4)
        self.assertEqual(older["id"], one["id"], "the older id stays")
        self.assertEqual([newer["id"]], one["absorbed"])
        for name in ("user_id:join", "anonymous_id:join-browser", "email:JOIN@example.org", older["id"], newer["id"]):
            with self.subTest(name):
                self.assertEqual(older["id"], self.shop.profile(name)["id"])
        self.assertEqual(["lookers"], [segment["key"] for segment in one["segments"]])
        self.assertEqual("Lille", one["traits"]["city"])
        self.assertEqual("site", one["provenance"]["city"]["source"])
        self.assertEqual(
            {("user_id", "join"), ("email", "join@example.org"), ("anonymous_id", "join-browser")},
            {(item["namespace"], item["value"]) for item in one["identifiers"]},
        )
        members = [member["profile"] for member in self.shop.get("/v1/segments/lookers/members?limit=1000")["items"]]
        self.assertEqual(1, members.count(older["id"]))
        self.assertNotIn(newer["id"], members)

    def test_a_join_that_breaks_a_limit_is_refused_and_explained(self):
        self.shop.send(identified(user_id="limit-1", email="limit@example.org"))
        self.shop.send(identified(user_id="limit-2", email="limit@example.org"))
        first, second = self.known("user_id:limit-1", 1), self.known("user_id:limit-2", 1)
        self.assertNotEqual(first["id"], second["id"])
        self.assertEqual(first["id"], self.shop.profile("email:limit@example.org")["id"])
        for refused in (second["refused_joins"], self.shop.get("/v1/profiles/user_id:limit-2/explain")["refused_joins"]):
            self.assertEqual(1, len(refused))
            self.assertIn("user_id", refused[0])
            self.assertIn(first["id"], refused[0])

    def test_alias_external_ids_and_phones(self):
        self.shop.send(viewed("alias-browser"))
        self.known("anonymous_id:alias-browser", 1)
        self.shop.send(
            {"type": "alias", "previousId": "alias-browser", "userId": "alias-user"},
            {
                "type": "track", "event": "X", "userId": "alias-user",
                "context": {
                    "externalIds": [{"type": "loyalty_card", "id": "alias-card", "collection": "users", "encoding": "none"}],
                    "traits": {"phone": "06 12 34 56 78"},
                },
            },
        )  # fmt: skip
        found = self.known("loyalty_card:alias-card", 3)
        for name in ("anonymous_id:alias-browser", "user_id:alias-user", "phone:%2B33612345678", "phone:0612345678"):
            self.assertEqual(found["id"], self.shop.profile(name)["id"], name)

    def test_blocked_values_name_nobody(self):
        self.shop.send(identified("blocked-1", email="test@example.org"), identified("blocked-2", email="test@example.org"))
        first, second = self.known("anonymous_id:blocked-1", 1), self.known("anonymous_id:blocked-2", 1)
        self.assertNotEqual(first["id"], second["id"])
        self.assertIsNone(self.shop.profile("email:test@example.org"))

    # profiles

    def test_what_is_shown_of_a_person(self):
        order = {"order_id": "shown-1", "total": 19.9, "currency": "EUR"}
        self.shop.send(
            identified("shown", "shown-user", email="shown@example.org", city="Roubaix"),
            *[viewed("shown", f"shown-{n}", seconds=100 - n) for n in range(5)],
            {"type": "track", "event": "Order Completed", "userId": "shown-user", "properties": order},
        )
        profile = self.known("user_id:shown-user", 7)
        self.assertEqual({"orders": 1, "spent": {"amount": 1990, "currency": "EUR"}}, profile["computed"])
        base = "/v1/profiles/user_id:shown-user"
        self.assertEqual(["lookers"], [item["key"] for item in self.shop.get(f"{base}/segments")["items"]])
        pages, cursor = [], ""
        while cursor is not None:
            page = self.shop.get(f"{base}/events?limit=3" + (f"&cursor={cursor}" if cursor else ""))
            pages, cursor = [*pages, page["items"]], page["next"]
        events = [event for page in pages for event in page]
        self.assertEqual(7, len(events), "each once, over pages")
        self.assertEqual(sorted((event["position"] for event in events), reverse=True), [event["position"] for event in events])
        explained = self.shop.get(f"{base}/explain?lang=fr")
        self.assertIn("lookers", [item["key"] for item in explained["segments"]])
        self.assertTrue(next(item for item in explained["segments"] if item["key"] == "lookers")["member"])
        self.assertEqual("no consent for marketing/email: unknown since ever", self.gate("user_id:shown-user")["reason"])
        self.assertEqual([], self.shop.get(f"{base}/consents")["items"])
        self.assertEqual({"blocked"}, {item["state"] for item in self.shop.get(f"{base}/deliveries")["items"]})
        for query in ("shown@example.org", "Roubaix"):
            found = wait_until(lambda query=query: self.shop.get(f"/v1/profiles?query={query}")["items"], f"found by {query}")
            self.assertEqual([profile["id"]], [item["id"] for item in found])
        self.assertEqual(404, self.shop.call("GET", "/v1/profiles/email:nobody@example.org").status)
        self.assertEqual(400, self.shop.call("GET", "/v1/profiles/shoe_size:42").status)
        self.assertEqual(400, self.shop.call("GET", "/v1/profiles/nonsense").status)
        exported = wait_until(
            lambda: [line for line in self.lines("/v1/export/profiles?segment=lookers") if line["id"] == profile["id"]], "exported"
        )
        self.assertEqual(profile["computed"], exported[0]["computed"])
        wait_until(lambda: profile["id"] in [line["id"] for line in self.lines("/v1/export/profiles")], "and with everyone")
        preview = self.shop.call("POST", "/v1/segments/preview", {"segment": "lookers"}).json()
        self.assertGreaterEqual(preview["count"], 1)
        earlier = self.shop.call("POST", "/v1/segments/preview", {"segment": "lookers", "at": "2020-01-01T00:00:00Z"}).json()
        self.assertEqual(0, earlier["count"])

    def lines(self, path):
        return [json.loads(line) for line in self.shop.request("GET", path).splitlines()]

    # consent

    def test_a_consent_in_an_events_context(self):
        choice = {"purpose": "marketing", "channel": "email", "state": "granted", "proof": {"form": "f-1"}}
        self.shop.send({**identified("context", email="context@example.org"), "context": {"consents": [choice]}})
        kept = self.shop.get("/v1/profiles/email:context@example.org/consents")["items"]
        self.assertEqual(1, len(kept), "the answer comes when the gate knows of it")
        shown = {key: kept[0][key] for key in ("purpose", "channel", "state", "for", "source", "proof")}
        self.assertEqual(
            {"purpose": "marketing", "channel": "email", "state": "granted", "for": {"email": "context@example.org"},
             "source": "site", "proof": {"form": "f-1"}},
            shown,
        )  # fmt: skip
        self.assertTrue(kept[0]["receipt"].startswith("r_"))
        self.assertTrue(self.gate("email:context@example.org")["open"])

    def test_the_later_choice_wins_and_of_equal_ones_the_denial(self):
        who = {"email": "later@example.org"}
        self.shop.consent(who, "granted", channel="email", at=now(hours=1))
        self.assertTrue(self.gate("email:later@example.org")["open"])
        self.shop.consent(who, "denied", channel="email", at=now(hours=2))
        self.assertTrue(self.gate("email:later@example.org")["open"], "an older denial that arrives later")
        at = now(minutes=30)
        self.shop.consent(who, "denied", channel="email", at=at)
        self.shop.consent(who, "granted", channel="email", at=at)
        self.assertFalse(self.gate("email:later@example.org")["open"], "at equal times the denial")
        self.shop.consent(who, "granted", channel="email", at=now(minutes=-600))
        self.assertTrue(self.gate("email:later@example.org")["open"])
        self.shop.consent(who, "denied", channel="email")
        self.assertFalse(self.gate("email:later@example.org")["open"], "a choice dated ahead is not later than its arrival")

    def test_a_choice_without_a_channel_is_for_all_of_them(self):
        who = {"email": "all@example.org"}
        self.shop.consent(who, "granted")
        gate = self.gate("email:all@example.org")
        self.assertTrue(gate["open"], gate)
        self.shop.consent(who, "denied", channel="email", **{"for": who})
        self.assertFalse(self.gate("email:all@example.org")["open"])

    def test_an_undated_import_loses_against_a_dated_denial(self):
        who = {"email": "weak@example.org"}
        self.shop.consent(who, "denied", channel="email", at=now(days=30))
        self.shop.consent(who, "granted", channel="email", undated=True, at=now(days=1))
        self.assertFalse(self.gate("email:weak@example.org")["open"])

    def test_one_address_does_not_open_another(self):
        self.shop.send(identified("two", "two-user", email="two-a@example.org"))
        self.shop.send(identified("two", "two-user", email="two-b@example.org"))
        self.known("email:two-b@example.org", 2)
        self.shop.consent({"email": "two-a@example.org"}, "granted", channel="email")
        gate = self.gate("user_id:two-user")
        self.assertEqual((True, ["email", "two-a@example.org"]), (gate["open"], gate["address"]), "the one that is open is used")
        self.shop.consent({"email": "two-a@example.org"}, "denied", channel="email")
        self.assertFalse(self.gate("user_id:two-user")["open"])
        self.shop.consent({"user_id": "two-user"}, "granted", channel="email", **{"for": {"email": "two-b@example.org"}})
        gate = self.gate("user_id:two-user")
        self.assertEqual((True, ["email", "two-b@example.org"]), (gate["open"], gate["address"]))
        self.shop.consent({"user_id": "two-user"}, "denied", channel="email")
        self.assertFalse(self.gate("user_id:two-user")["open"], "an objection by the person closes all")

    def test_a_persons_grant_covers_what_she_has_and_nothing_later(self):
        self.shop.send(identified("cover", "cover-user", email="cover-a@example.org"))
        self.known("user_id:cover-user", 1)
        self.shop.consent({"user_id": "cover-user"}, "granted", channel="email")
        self.assertTrue(self.gate("user_id:cover-user")["open"])
        self.shop.send(identified("cover", "cover-user", email="cover-b@example.org"))
        self.known("email:cover-b@example.org", 3)
        gate = self.gate("user_id:cover-user")
        self.assertEqual((True, ["email", "cover-a@example.org"]), (gate["open"], gate["address"]), "not the newer one")
        self.shop.consent({"email": "cover-a@example.org"}, "denied", channel="email")
        self.assertFalse(self.gate("user_id:cover-user")["open"], "the later address was never covered")

    def test_a_persons_denial_covers_what_comes_later(self):
        self.shop.consent({"user_id": "deny-user"}, "denied", channel="email")
        self.shop.send(identified(user_id="deny-user", email="deny@example.org"))
        self.known("email:deny@example.org", 2)
        gate = self.gate("user_id:deny-user")
        self.assertFalse(gate["open"])
        self.assertIn("denied since", gate["reason"])

    def test_a_join_opens_nothing(self):
        self.shop.send(identified(user_id="shut-user", email="shut-a@example.org"))
        self.known("user_id:shut-user", 1)
        self.shop.consent({"user_id": "shut-user"}, "granted", channel="email")
        self.shop.send(identified("shut-browser", email="shut-b@example.org"))
        self.known("email:shut-b@example.org", 1)
        self.shop.send(identified("shut-browser", "shut-user"))
        one = self.known("email:shut-b@example.org", 4)
        self.assertEqual(one["id"], self.shop.profile("user_id:shut-user")["id"])
        self.assertEqual(["email", "shut-a@example.org"], self.gate("user_id:shut-user")["address"])
        self.shop.consent({"email": "shut-a@example.org"}, "denied", channel="email")
        self.assertFalse(self.gate("user_id:shut-user")["open"], "the other's address stays shut")

    def test_a_device_has_its_own_choice(self):
        cookie = {"purpose": "marketing", "channel": "onsite", "state": "granted"}
        self.shop.send({**viewed("device-1"), "context": {"consents": [cookie]}})
        gate = self.gate("anonymous_id:device-1", "web")
        self.assertEqual((True, ["anonymous_id", "device-1"]), (gate["open"], gate["address"]))
        self.shop.send(identified("device-1", "device-user"), identified("device-2", "device-user"))
        self.known("anonymous_id:device-2", 3)
        gate = self.gate("anonymous_id:device-2", "web")
        self.assertEqual((True, ["anonymous_id", "device-1"]), (gate["open"], gate["address"]), "only the one that chose")
        self.shop.send({**viewed("device-1"), "context": {"consents": [{**cookie, "state": "denied"}]}})
        self.assertFalse(self.gate("anonymous_id:device-1", "web")["open"])

    def test_a_message_without_an_address_needs_the_persons_grant(self):
        card = {"externalIds": [{"type": "loyalty_card", "id": "card-1", "collection": "users", "encoding": "none"}]}
        self.shop.send({**identified(user_id="card-user", email="card@example.org"), "context": card})
        self.known("user_id:card-user", 1)
        self.shop.consent({"email": "card@example.org"}, "granted", **{"for": {"email": "card@example.org"}})
        self.assertFalse(self.gate("user_id:card-user", "card")["open"], "an address' consent is not the person's")
        self.shop.consent({"user_id": "card-user"}, "granted")
        self.assertTrue(self.gate("user_id:card-user", "card")["open"])

    def test_consents_that_are_not_understood(self):
        for body in (
            {"identifiers": {}, "consents": []},
            {"identifiers": {"shoe_size": "42"}, "consents": [{"purpose": "marketing", "state": "granted"}]},
            {"identifiers": {"email": "no address"}, "consents": [{"purpose": "marketing", "state": "granted"}]},
            {"identifiers": {"email": "a@example.org"}, "consents": [{"purpose": "spam", "state": "granted"}]},
            {"identifiers": {"email": "a@example.org"}, "consents": [{"purpose": "marketing", "state": "perhaps"}]},
            {"identifiers": {"email": "a@example.org"}, "consents": [{"purpose": "marketing", "channel": "pigeon", "state": "granted"}]},
            {"identifiers": {"email": "a@example.org"}, "consents": "all"},
            {"identifiers": {"email": "a@example.org"}},
            "not JSON",
        ):  # fmt: skip
            with self.subTest(body):
                answer = self.shop.call("POST", "/v1/consents", body)
                self.assertEqual(400, answer.status, answer)
                self.assertTrue(answer.json()["detail"])
        self.assertIsNone(self.shop.profile("email:a@example.org"))


class Erasure(unittest.TestCase):
    def test_a_right_covers_what_was_taken_a_moment_ago(self):
        with Shop(workspace()) as shop:
            for n in range(10):
                crowd = [viewed(f"crowd-{n}-{m}", f"crowd-{n}-{m}") for m in range(400)]
                shop.send(*crowd, identified(f"late-{n}", email=f"late-{n}@example.org"))
                answer = shop.call("POST", "/v1/privacy/erase", {"identifier": f"email:late-{n}@example.org"})
                self.assertEqual((200, 1), (answer.status, answer.json().get("events")), answer)

    def test_a_person_is_erased_and_her_tools_are_told(self):
        with Inbox() as inbox, Shop(workspace(ACTIVATED.replace("URL", inbox.url))) as shop:
            who = "email:gone@example.org"
            shop.consent({"email": "gone@example.org"}, "granted", channel="email")
            shop.send(identified("gone-browser", email="gone@example.org", city="Tourcoing"))
            shop.send(viewed("gone-browser", "gone-1"), viewed("gone-browser", "gone-2"), viewed("stays", "stays-1"))
            wait_until(lambda: inbox.types() == ["segment.entered"], "the tool has her")
            wait_until(lambda: [d["state"] for d in shop.deliveries(who) if d["activation"] == "mail"] == ["sent"], "recorded")
            person = shop.profile(who)
            answer = shop.call("POST", "/v1/privacy/erase", {"identifier": who})
            self.assertEqual((200, person["id"]), (answer.status, answer.json()["erased"]), answer)
            message = wait_until(lambda: len(inbox.taken()) > 1 and inbox.taken()[1], "the tool is told")
            self.assertEqual(("profile.erased", person["id"]), (message["type"], message["profile"]))
            self.assertEqual({"email": "gone@example.org"}, message["data"])
            for name in (who, "anonymous_id:gone-browser", person["id"]):
                self.assertEqual(404, shop.call("GET", f"/v1/profiles/{name}").status, name)
            exported = shop.request("GET", "/v1/export/events").decode()
            for trace in ("gone@example.org", "gone-browser", "gone-1", "Tourcoing"):
                self.assertNotIn(trace, exported)
            self.assertIn("stays-1", exported)
            self.assertEqual([], shop.get("/v1/segments/lookers/members")["items"])
            self.assertEqual(0, shop.get("/v1/segments/lookers")["count"])
            self.assertEqual(404, shop.call("POST", "/v1/privacy/erase", {"identifier": who}).status)
            self.assertEqual([], shop.get("/v1/profiles?query=gone@example.org")["items"])

            shop.kill()
            shop.start()
            self.assertIsNone(shop.profile(who), "also after a crash")
            shop.send(identified("gone-browser", email="gone@example.org"))
            again = wait_until(lambda: shop.profile(who), "who comes back is somebody new")
            self.assertNotEqual(person["id"], again["id"])
            self.assertEqual(([], {}), (again["consents"], {key: again["traits"][key] for key in again["traits"] if key == "city"}))
            # The sweep that was due when it was killed, journals included.
            wait_until(lambda: not shop.traces(b"Tourcoing"), "nothing of her is left in the clear", 60)
            shop.stop()
            self.assertEqual(["segment.entered", "profile.erased"], inbox.types())
            told = shop.offline("rebuild")
            self.assertTrue(told["identical"], told)
            self.assertEqual([], shop.traces(b"Tourcoing"))


class Files(unittest.TestCase):
    """What a broken file must not do."""

    def refused(self, shop, *arguments):
        """A command that must end with exit code 3; gives what it said."""
        done = subprocess.run(
            [str(BINARY), *map(str, arguments), "--server", shop.url],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
            env=shop.client_environment(),
        )  # fmt: skip
        self.assertEqual(3, done.returncode, done.stdout + done.stderr)
        return done.stderr

    def test_a_file_cut_in_the_middle_is_not_imported_until_it_is_whole(self):
        lines = [json.dumps({**identified(user_id=f"u{n}"), "messageId": f"cut-{n}-{n * 7919}"}) for n in range(3_000)]
        whole = gzip.compress("\n".join(lines).encode())
        with Shop() as shop, tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "people.jsonl.gz"
            file.write_bytes(whole[: len(whole) // 2])
            self.assertIn("people.jsonl.gz", self.refused(shop, "import", file, "--source", "crm"))
            file.write_bytes(whole)
            shop.command("import", file, "--source", "crm")
            wait_until(shop.folded, "the file is folded")
            self.assertEqual(3_000, len(shop.exported_events()), "every line once")

    def test_an_empty_workspace_file_takes_nothing_away(self):
        with Shop() as shop, tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "workspace.yaml"
            file.write_text("")
            self.assertIn("defines nothing at all", self.refused(shop, "apply", file))
            self.assertTrue(shop.get("/v1/sources")["items"])


def urlquote(text):
    return urllib.parse.quote(text, safe="")




if __name__ == "__main__":
    unittest.main()

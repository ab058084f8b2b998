"""Who may do what, over the real binary: every path with every role, tokens, sessions, rates; OWASP's API Top 10 (THREAT_MODEL.md)."""

import base64
import hmac
import itertools
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import urllib.request

from jumelle_server import BINARY, ROOT, TOKEN, wait_until
from shop import Inbox, Shop, basic, identified, now, viewed, workspace

TOOLS = """\
destinations:
  mailer: {connector: webhook, url: "URL/services/T0/hook-secret", allow_private: true}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""
COLLECTIONS = ("sources", "identifiers", "purposes", "traits", "segments", "destinations", "activations")
ROLES = ("admin", "marketer", "privacy", "agent", "read")
LIMITED = ("--limit-loopback",)


def table():
    """docs/reference/roles.md: {(method, path): roles}."""
    rows = {}
    for line in (ROOT / "docs/reference/roles.md").read_text().splitlines():
        row = re.fullmatch(r"\| `([A-Z]+) (\S+)` \|(.*)\|", line)
        if row:
            cells = [cell.strip() for cell in row[3].split("|")]
            rows[row[1], row[2]] = {role for role, cell in zip(ROLES, cells, strict=True) if cell == "yes"}
    return rows


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def make(shop, role, **more):
    """A token of a role: its id and its secret."""
    answer = shop.call("POST", "/v1/tokens", {"name": f"a {role}", "role": role, **more})
    if answer.status != 201:
        raise AssertionError(f"{answer}")
    return answer.json()["id"], answer.json()["token"]


class OneShop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        inbox = cls.enterClassContext(Inbox())
        cls.shop = cls.enterClassContext(Shop(workspace(TOOLS.replace("URL", inbox.url))))
        cls.tokens = {role: make(cls.shop, role)[1] for role in ROLES}

    def call(self, role, method, path, body=None, **headers):
        return self.shop.call(method, path, body, headers={**bearer(self.tokens[role]), **headers}, admin=False)


class Roles(OneShop):
    """The table that is printed is the table that decides."""

    def test_every_path_with_every_role(self):
        printed = table()
        described = self.shop.call("GET", "/openapi.json", admin=False).json()["paths"]
        seen = set()
        for path, operations in described.items():
            for method, operation in operations.items():
                protected = {"token": []} in operation.get("security", [])
                for expanded in [path.replace("{collection}", c) for c in COLLECTIONS] if "{collection}" in path else [path]:
                    if not protected:
                        continue
                    call = (method.upper(), expanded)
                    seen.add(call)
                    with self.subTest(" ".join(call)):
                        self.assertIn(call, printed, "not in docs/reference/roles.md")
                        self.check(*call, printed[call], "requestBody" in operation)
        self.assertEqual(set(printed), seen, "what is printed is described, and the other way round")
        self.assertGreater(len(seen), 60)

    def check(self, method, path, allowed, has_body):
        # Nobody has these ids, so what is allowed changes nothing and ends as 200, 400, 404, 415 or 422.
        filled = re.sub(r"\{[^}]+\}", "nobody", path)
        if path == "/v1/live":
            filled += "?recent=0"
        body = "{" if has_body else None
        for role in ROLES:
            if path == "/v1/live" and role in allowed:
                continue  # It does not end; test_a_revoked_token_stops_its_stream opens it.
            status = self.call(role, method, filled, body).status
            if role in allowed:
                self.assertNotIn(status, (401, 403, 405, 429, 500), f"{role}: {status}")
            else:
                self.assertEqual(403, status, role)
        strangers = {"nobody": {}, "a wrong token": bearer("jt_" + "0" * 32), "a write key": basic("wk_site"), "a key as token": bearer("wk_site")}
        for who, headers in strangers.items():
            self.assertEqual(401, self.shop.call(method, filled, body, headers=headers, admin=False).status, who)

    def test_collection_takes_no_token_and_a_token_no_collection(self):
        for role in ROLES:
            answer = self.call(role, "POST", "/v1/track", {"event": "X", "userId": "u"})
            self.assertEqual(401, answer.status, role)

    def test_what_the_table_does_not_know_is_denied_to_the_administrator_too(self):
        for path in ("/v1/%73egments", "/v1/secrets", "/v1/segments/x/y/z"):
            self.assertEqual(404, self.shop.call("GET", path).status, path)
        self.assertEqual(405, self.shop.call("PATCH", "/v1/session", "{}").status)

    def test_keys_and_addresses_of_tools_are_the_administrators(self):
        inner = ("wk_site", "wk_till", "hook-secret")
        for role, path in itertools.product(("marketer", "privacy", "read"), ("/v1/workspace", "/v1/sources", "/v1/sources/site",
                "/v1/destinations", "/v1/destinations/mailer", "/v1/overview")):  # fmt: skip
            text = self.call(role, "GET", path).body.decode()
            for secret in inner:
                self.assertNotIn(secret, text, f"{role} {path}")
        self.assertIn("wk_site", self.call("admin", "GET", "/v1/sources/site").body.decode())
        self.assertIn("hook-secret", self.call("admin", "GET", "/v1/destinations/mailer").body.decode())

    def test_a_marketer_does_not_change_where_data_goes(self):
        moved = {"connector": "webhook", "url": "https://evil.example/hook"}
        self.assertEqual(403, self.call("marketer", "PUT", "/v1/destinations/mailer", moved).status)
        self.assertEqual(403, self.call("marketer", "PUT", "/v1/purposes/marketing", {"basis": "contract"}).status)
        self.assertEqual(200, self.call("marketer", "PUT", "/v1/segments/mine", {"rule": {"did": "X"}}).status)
        self.assertEqual(403, self.call("privacy", "DELETE", "/v1/segments/mine").status)
        self.assertEqual(200, self.call("marketer", "DELETE", "/v1/segments/mine").status)


class Tokens(OneShop):
    def test_a_token_is_shown_once_and_kept_as_a_hash(self):
        token_id, secret = make(self.shop, "agent")
        self.assertRegex(secret, "^jt_[0-9a-f]{32}$")
        listed = self.shop.call("GET", "/v1/tokens")
        self.assertNotIn(secret, listed.body.decode())
        mine = next(item for item in listed.json()["items"] if item["id"] == token_id)
        self.assertEqual(("agent", None, None), (mine["role"], mine["expires"], mine["last_used"]))
        self.shop.call("GET", "/v1/session", headers=bearer(secret), admin=False)
        mine = next(item for item in self.shop.get("/v1/tokens")["items"] if item["id"] == token_id)
        self.assertRegex(mine["last_used"], r"^\d{4}-\d\d-\d\d$")
        file = self.shop.data / "tokens.json"
        self.assertEqual(0o600, file.stat().st_mode & 0o777)
        for path in pathlib.Path(self.shop.directory.name).rglob("*"):
            if path.is_file():
                self.assertNotIn(secret[3:].encode(), path.read_bytes(), path)

    def test_tokens_survive_kill_9_and_a_revoked_one_does_not_come_back(self):
        with Shop() as shop:
            kept, gone = make(shop, "read"), make(shop, "read")
            self.assertEqual(200, shop.call("DELETE", f"/v1/tokens/{gone[0]}").status)
            shop.kill()
            shop.start()
            self.assertEqual(200, shop.call("GET", "/v1/session", headers=bearer(kept[1]), admin=False).status)
            self.assertEqual(401, shop.call("GET", "/v1/session", headers=bearer(gone[1]), admin=False).status)
            self.assertEqual(404, shop.call("DELETE", f"/v1/tokens/{gone[0]}").status)

    def test_a_token_ends_when_it_says(self):
        past = self.shop.call("POST", "/v1/tokens", {"name": "x", "role": "read", "expires": "2020-01-01T00:00:00Z"})
        self.assertEqual(409, past.status)
        _, secret = make(self.shop, "read", expires=now(seconds=-2))
        self.assertEqual(200, self.shop.call("GET", "/v1/session", headers=bearer(secret), admin=False).status)
        wait_until(lambda: self.shop.call("GET", "/v1/session", headers=bearer(secret), admin=False).status == 401, "its end")

    def test_what_a_token_is_made_of(self):
        for wrong in ({}, {"name": "x"}, {"name": "x", "role": "root"}, {"name": "x", "role": "read", "admin": True},
                      {"name": "x", "role": "read", "expires": "soon"}, {"name": ["x"], "role": "read"}):  # fmt: skip
            self.assertEqual(400, self.shop.call("POST", "/v1/tokens", wrong).status, wrong)
        for name in ("", " ", "a\u0000b", "x" * 101):
            self.assertEqual(409, self.shop.call("POST", "/v1/tokens", {"name": name, "role": "read"}).status, repr(name))
        first = self.shop.call("DELETE", "/v1/tokens/first")
        self.assertEqual((409, True), (first.status, "JUMELLE_ADMIN_TOKEN" in first.json()["detail"]))

    def test_the_command_line(self):
        made = json.loads(self.shop.command("token", "create", "call centre", "--role", "agent", "--json"))
        self.assertIn("call centre", self.shop.command("token", "list"))
        self.assertEqual("agent", self.shop.call("GET", "/v1/session", headers=bearer(made["token"]), admin=False).json()["role"])
        self.shop.command("token", "revoke", made["id"])
        self.assertEqual(401, self.shop.call("GET", "/v1/session", headers=bearer(made["token"]), admin=False).status)

    def test_a_session_has_the_role_of_its_token_and_ends_with_it(self):
        token_id, secret = make(self.shop, "marketer")
        signed = self.sign_in(secret)
        who = self.shop.call("GET", "/v1/session", headers=signed, admin=False).json()
        self.assertEqual(("marketer", token_id, "a marketer"), (who["role"], who["token"], who["name"]))
        self.assertEqual(403, self.shop.call("GET", "/v1/tokens", headers=signed, admin=False).status)
        self.shop.call("DELETE", f"/v1/tokens/{token_id}")
        self.assertEqual(401, self.shop.call("GET", "/v1/session", headers=signed, admin=False).status)

    def test_a_sessions_token_cannot_be_exchanged(self):
        _, secret = make(self.shop, "read")
        admin_id, _ = make(self.shop, "admin")
        mine = self.sign_in(secret)["cookie"].split("=", 1)[1].split(".")
        for token_id in (admin_id, "first"):
            cookie = {"cookie": "jumelle_session=" + ".".join([token_id, *mine[1:]])}
            self.assertEqual(401, self.shop.call("GET", "/v1/session", headers=cookie, admin=False).status, token_id)

    def sign_in(self, secret):
        answer = self.shop.call("POST", "/v1/session", {"token": secret}, admin=False)
        self.assertEqual(204, answer.status)
        return {"cookie": answer.headers["set-cookie"].split(";")[0]}

    def test_a_revoked_token_stops_its_stream(self):
        token_id, secret = make(self.shop, "admin")
        request = urllib.request.Request(f"{self.shop.url}/v1/live?recent=0", headers=bearer(secret))
        with urllib.request.urlopen(request, timeout=30) as stream:
            self.shop.call("DELETE", f"/v1/tokens/{token_id}")
            self.assertEqual(b"", stream.read(), "it ends, with nothing more said")

    def test_a_damaged_file_of_tokens_stops_the_start(self):
        with Shop() as shop:
            make(shop, "read")
            shop.stop()
            file = shop.data / "tokens.json"
            whole = file.read_bytes()
            file.write_bytes(whole[: len(whole) // 2])
            with self.assertRaisesRegex(AssertionError, "damaged"):
                shop.start()
            # A later end, as a flipped bit may make it: it reads well, and its sum says that it is not what was written.
            file.write_bytes(whole.replace(b'"name": "', b'"name": "x', 1))
            with self.assertRaisesRegex(AssertionError, "sum does not match"):
                shop.start()
            file.write_bytes(whole)
            shop.start()


class Rates(unittest.TestCase):
    """429 with Retry-After, counted, and nobody else is touched."""

    def refused(self, answers):
        refused = [answer for answer in answers if answer.status == 429]
        for answer in refused:
            self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
            self.assertEqual("application/problem+json", answer.headers["content-type"])
        return len(refused)

    def track(self, shop, key="wk_site", **headers):
        return shop.call("POST", "/v1/track", {"event": "X", "userId": "u"}, headers={**basic(key), **headers}, admin=False)

    def test_collection_per_address(self):
        with Shop(workspace(), *LIMITED, "--rate-address", "1", "--trusted-proxy", "127.0.0.1") as shop:
            visitor = {"x-forwarded-for": "203.0.113.7"}
            answers = [self.track(shop, **visitor) for _ in range(20)]
            self.assertGreaterEqual(self.refused(answers), 10, "5 at once, then one a second")
            self.assertGreaterEqual(20 - self.refused(answers), 5)
            self.assertIn("*", next(a for a in answers if a.status == 429).headers["access-control-allow-origin"])
            self.assertEqual(200, self.track(shop, **{"x-forwarded-for": "203.0.113.8"}).status, "another address")
            self.assertEqual(429, self.track(shop, **{"x-forwarded-for": "198.51.100.1, 203.0.113.7"}).status, "no hiding")
            self.assertEqual(self.refused(answers) + 1, shop.metric("jumelle_limited_total", what="address"))
            self.assertEqual(200, shop.call("GET", "/v1/session").status)

    def test_collection_per_write_key(self):
        with Shop(workspace(), *LIMITED, "--rate-write-key", "1") as shop:
            answers = [self.track(shop) for _ in range(20)]
            self.assertGreaterEqual(self.refused(answers), 10)
            self.assertEqual("too_many_requests", next(a for a in answers if a.status == 429).json()["code"], "as SDKs read it")
            self.assertEqual(200, self.track(shop, "wk_till").status, "another key")
            self.assertEqual(self.refused(answers), shop.metric("jumelle_limited_total", what="write_key"))
            wait_until(lambda: self.track(shop).status == 200, "the next second")

    def test_calls_per_token(self):
        with Shop(workspace(), *LIMITED, "--rate-token", "1") as shop:
            _, other = make(shop, "read")
            answers = [shop.call("GET", "/v1/session") for _ in range(20)]
            self.assertGreaterEqual(self.refused(answers), 10)
            self.assertEqual(200, shop.call("GET", "/v1/session", headers=bearer(other), admin=False).status, "another token")

    def test_guesses_are_slowed_and_lock_nobody_out(self):
        with Shop(workspace(), *LIMITED, "--failed-sign-ins", "3") as shop:
            _, made = make(shop, "admin")
            guesses = [shop.call("POST", "/v1/session", {"token": f"guess {n}"}, admin=False) for n in range(10)]
            self.assertEqual([401] * 3 + [429] * 7, [answer.status for answer in guesses])
            self.assertGreaterEqual(int(guesses[-1].headers["retry-after"]), 10, "3 a minute")
            self.assertEqual(429, shop.call("GET", "/v1/session", headers=bearer("a guess"), admin=False).status, "nor by header")
            chosen = shop.call("POST", "/v1/session", {"token": TOKEN}, admin=False)
            self.assertEqual(429, chosen.status, "a token that somebody chose is not even looked at")
            self.assertEqual(200, shop.call("GET", "/v1/session", headers=bearer(made), admin=False).status)
            self.assertEqual(204, shop.call("POST", "/v1/session", {"token": made}, admin=False).status)

    def test_this_machine_is_not_limited_unless_asked(self):
        with Shop(workspace(), "--rate-address", "1", "--rate-write-key", "1", "--rate-token", "1") as shop:
            self.assertEqual(0, self.refused([self.track(shop) for _ in range(20)]))
            self.assertEqual(0, self.refused([shop.call("GET", "/v1/session") for _ in range(20)]))


class Headers(OneShop):
    def test_every_answer_carries_them(self):
        for path in ("/v1/session", "/v1/nothing", "/v1/profiles?query=x", "/healthz", "/metrics", "/openapi.json", "/docs/", "/",
                     "/no/such/path", "/v1/projects/wk_site/settings"):  # fmt: skip
            headers = self.shop.call("GET", path).headers
            with self.subTest(path):
                self.assertEqual("nosniff", headers["x-content-type-options"])
                self.assertEqual("DENY", headers["x-frame-options"])
                self.assertEqual("no-referrer", headers["referrer-policy"])
                self.assertIn("frame-ancestors 'none'", headers["content-security-policy"])
                self.assertNotIn("unsafe-eval", headers["content-security-policy"])
                self.assertNotRegex(headers["content-security-policy"], r"script-src[^;]*unsafe-inline")
                self.assertIsNone(headers["strict-transport-security"], "not without TLS")
                self.assertEqual(1, len(headers.get_all("content-security-policy")))
        self.assertEqual("no-store", self.shop.call("GET", "/v1/profiles?query=x").headers["cache-control"])
        self.assertEqual("same-origin", self.shop.call("GET", "/v1/session").headers["cross-origin-resource-policy"])
        pixel = self.shop.call("GET", "/v1/pixel/track?data=e30=", admin=False)
        self.assertEqual("cross-origin", pixel.headers["cross-origin-resource-policy"])

    def test_no_other_site_may_read_an_answer_about_people(self):
        answer = self.shop.call("GET", "/v1/profiles?query=x", headers={"origin": "https://evil.example", **bearer(TOKEN)})
        self.assertIsNone(answer.headers["access-control-allow-origin"])


class TopTen(OneShop):
    """OWASP API Security Top 10 (2023): what is not held by a test above. THREAT_MODEL.md says which holds what."""

    def test_api1_a_write_key_reaches_nobody(self):
        self.shop.send(identified("ana", email="ana@example.org"))
        for path in ("/v1/profiles/email:ana@example.org", "/v1/profiles?query=ana@example.org", "/v1/export/profiles"):
            self.assertEqual(401, self.shop.call("GET", path, headers=basic("wk_till"), admin=False).status, path)

    def test_api3_a_sender_cannot_set_what_is_ours_to_say(self):
        forged = {**viewed("mass", "mass-1"), "source": "till", "receivedAt": "2000-01-01T00:00:00Z", "position": 0,
                  "segments": ["lookers"], "profile": "p_0"}  # fmt: skip
        self.shop.send(forged)
        stored = next(event for event in self.shop.exported_events() if event["messageId"] == "mass-1")
        self.assertEqual("site", stored["source"])
        self.assertNotEqual((0, "2000-01-01T00:00:00Z"), (stored["position"], stored["receivedAt"]))
        self.assertEqual([], self.shop.segments("anonymous_id:mass"))

    def test_api4_lists_have_an_end(self):
        answer = self.shop.call("GET", "/v1/segments/lookers/members?limit=1000000000")
        self.assertEqual(200, answer.status)
        self.assertLessEqual(len(answer.json()["items"]), 1000)
        self.assertIn(self.shop.call("GET", "/v1/segments/lookers/members?limit=-1").status, (400, 422))

    def test_api7_a_destination_is_spoken_to_by_http(self):
        for url in ("file:///etc/passwd", "gopher://127.0.0.1/x"):
            answer = self.shop.call("PUT", "/v1/destinations/inside?dry_run=true", {"connector": "webhook", "url": url})
            self.assertEqual(422, answer.status, url)

    def test_api8_errors_tell_nothing_of_the_inside(self):
        for method, path, body in (("GET", "/v1/profiles/x:y", None), ("POST", "/v1/consents", "{"), ("PUT", "/v1/workspace", "]["),
                                   ("GET", "/v1/live/x", None), ("GET", "/v1/export/secrets", None)):  # fmt: skip
            answer = self.shop.call(method, path, body)
            self.assertLess(answer.status, 500, path)
            for inside in (".rs:", "panicked", str(self.shop.directory.name), "/src/"):
                self.assertNotIn(inside, answer.body.decode(), path)

    def test_api9_what_is_served_is_described(self):
        paths = self.shop.call("GET", "/openapi.json", admin=False).json()["paths"]
        source = (ROOT / "crates/server/src/lib.rs").read_text()
        routes = set(re.findall(r'\.route\("(/v1/[^"]+)"', source)) - {"/v1/b"}
        self.assertGreater(len(routes), 30)
        self.assertEqual(set(), routes - set(paths), "a route without a description")


SECRET = "a-secret-that-nobody-may-find-in-a-file"
SEALING = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true, secret: SECRET_HERE}
  other: {connector: webhook, url: "URL", allow_private: true}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""


def a_key():
    return subprocess.run([BINARY, "secret", "key"], capture_output=True, text=True, check=True).stdout.strip()


class Sealed(unittest.TestCase):
    """Secrets of destinations: on no disk, in no answer, opened by the server's key alone."""

    def definitions(self, inbox, secret):
        return workspace(SEALING.replace("URL", inbox.url).replace("SECRET_HERE", secret))

    def enter(self, shop, name):
        """Somebody who may be told enters; what is delivered is signed with the secret."""
        shop.consent({"email": f"{name}@example.org"}, "granted", channel="email")
        shop.send(identified(name, email=f"{name}@example.org"), viewed(name, f"{name}-1"), viewed(name, f"{name}-2"))

    def assert_signed(self, inbox, count):
        wait_until(lambda: len(inbox.signed) >= count, f"{count} deliveries")
        for head, body in inbox.signed:
            signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
            expected = base64.b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).decode()
            self.assertEqual(f"v1,{expected}", head["webhook-signature"])

    def assert_nowhere(self, shop):
        for path in shop.data.rglob("*"):
            if path.is_file():
                self.assertNotIn(SECRET.encode(), path.read_bytes(), path)
        shown = shop.request("GET", "/v1/workspace").decode() + shop.request("GET", "/v1/destinations/mailer").decode()
        self.assertNotIn(SECRET, shown)
        self.assertIn('"sealed":"jumelle1.', shown.replace(" ", ""))

    def test_a_plain_secret_is_sealed_when_it_is_applied_and_a_new_key_seals_anew(self):
        old, new = a_key(), a_key()
        with SignedInbox() as inbox, Shop(self.definitions(inbox, SECRET), environment={"JUMELLE_SECRETS_KEY": old}) as shop:
            self.enter(shop, "ana")
            self.assert_signed(inbox, 1)
            self.assert_nowhere(shop)
            sealed = shop.get("/v1/destinations/mailer")["definition"]["secret"]["sealed"]
            # The same file again is no change.
            again = shop.call("PUT", "/v1/workspace", self.definitions(inbox, SECRET).encode()).json()
            self.assertEqual((False, []), (again["applied"], again["changes"]), again)

            shop.stop()
            shop.environment["JUMELLE_SECRETS_KEY"] = f"{new}\n{old}"
            shop.start()
            self.enter(shop, "bea")
            self.assert_signed(inbox, 2)
            anew = shop.get("/v1/destinations/mailer")["definition"]["secret"]["sealed"]
            self.assertNotEqual(sealed, anew, "the file given at the start was sealed with the new key")

            shop.stop()
            shop.environment["JUMELLE_SECRETS_KEY"] = new
            shop.start()
            self.enter(shop, "cleo")
            self.assert_signed(inbox, 3)
            self.assert_nowhere(shop)

    def test_a_sealed_secret_opens_at_its_own_destination_only(self):
        with SignedInbox() as inbox, tempfile.TemporaryDirectory() as room:
            file = pathlib.Path(room) / "secrets.key"
            file.write_text(a_key())
            with Shop(workspace(), "--secrets-key-file", file) as shop:
                done = subprocess.run(
                    [BINARY, "secret", "seal", "mailer", "--server", shop.url],
                    input=SECRET + "\n", capture_output=True, text=True, check=True, env=shop.client_environment(),
                )  # fmt: skip
                self.assertRegex(done.stdout, r"^\{sealed: jumelle1\.[A-Za-z0-9_-]+\}\n$")
                moved = SEALING.replace("mailer", "thief").replace("other", "mailer").replace("URL", inbox.url)
                for text, arrives in ((self.definitions(inbox, done.stdout.strip()), True), (workspace(moved).replace("SECRET_HERE", done.stdout.strip()), False)):
                    self.assertEqual(200, shop.call("PUT", "/v1/workspace", text.encode()).status)
                    before = len(inbox.signed)
                    self.enter(shop, "own" if arrives else "moved")
                    if arrives:
                        self.assert_signed(inbox, before + 1)
                    else:
                        trouble = wait_until(lambda: shop.get("/v1/destinations/thief").get("last_error"), "it stands still")
                        self.assertIn("not sealed for thief", trouble)
                        self.assertEqual(before, len(inbox.signed))

    def test_a_wrong_key_stops_the_destination_and_nothing_else(self):
        with SignedInbox() as inbox, Shop(self.definitions(inbox, SECRET), environment={"JUMELLE_SECRETS_KEY": a_key()}) as shop:
            sealed = shop.get("/v1/destinations/mailer")["definition"]["secret"]["sealed"]
            shop.stop()
            (pathlib.Path(shop.files.name) / "workspace.yaml").write_text(self.definitions(inbox, f"{{sealed: {sealed}}}"))
            del shop.environment["JUMELLE_SECRETS_KEY"]
            shop.start()
            self.enter(shop, "ana")
            trouble = wait_until(lambda: shop.get("/v1/destinations/mailer").get("last_error"), "it says why it stands still")
            self.assertIn("sealed", trouble)
            self.assertEqual([], inbox.signed)
            self.assertEqual(200, shop.call("GET", "/v1/profiles/email:ana@example.org").status)
            refused = shop.call("POST", "/v1/secrets/seal", {"destination": "mailer", "secret": SECRET})
            self.assertEqual(409, refused.status)
            self.assertNotIn(SECRET, refused.body.decode())

    def test_a_command_gives_the_key_and_two_places_are_one_too_many(self):
        with Shop(workspace(), "--secrets-key-command", f"echo {a_key()}") as shop:
            answer = shop.call("POST", "/v1/secrets/seal", {"destination": "mailer", "secret": SECRET})
            self.assertEqual(200, answer.status, answer)
            self.assertEqual(400, shop.call("POST", "/v1/secrets/seal", {"destination": "mailer"}).status)
        for settings, said in (
            ({"JUMELLE_SECRETS_KEY": a_key(), "JUMELLE_SECRETS_KEY_COMMAND": "echo"}, "comes from one place"),
            ({"JUMELLE_SECRETS_KEY": "c2hvcnQ="}, "key 1 is not 32 bytes"),
            ({"JUMELLE_SECRETS_KEY_COMMAND": "exit 7"}, "exit status: 7"),
        ):
            with self.subTest(said), tempfile.TemporaryDirectory() as room:
                done = subprocess.run(
                    [BINARY, "serve", "--data", room, "--listen", "127.0.0.1:0"],
                    capture_output=True, text=True, check=False, timeout=30, env={**os.environ, **settings},
                )  # fmt: skip
                self.assertNotEqual(0, done.returncode)
                self.assertIn(said, done.stderr)
                self.assertNotIn(settings.get("JUMELLE_SECRETS_KEY", "no key"), done.stderr)


class SignedInbox(Inbox):
    """Keeps heads and bodies as they came."""

    def __init__(self):
        super().__init__()
        self.signed = []

    def heard(self, headers, body):
        self.signed.append((headers, body))


if __name__ == "__main__":
    unittest.main()

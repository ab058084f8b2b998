"""What strangers may cost: slow clients, huge headers, bombs, too many connections; and TLS. Over the real binary."""

import gzip
import http.client
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.request

from jumelle_server import TOKEN, free_port, wait_until
from shop import Shop, basic, workspace

# Short, so that nothing here takes long; long enough for a busy machine to send a whole request.
SHORT = ("--header-seconds", "2", "--body-seconds", "2", "--write-seconds", "2", "--idle-seconds", "3")
HEAD = b"POST /v1/track HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


def connect(shop, timeout=20):
    return socket.create_connection(("127.0.0.1", shop.port), timeout=timeout)


def until_closed(connection):
    """What the server said before it closed."""
    said = b""
    try:
        while piece := connection.recv(65_536):
            said += piece
    except ConnectionResetError:
        pass
    return said


def cuts(shop, why):
    return shop.metric("jumelle_connections_cut_total", why=why)


class Slow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shop = cls.enterClassContext(Shop(workspace(), *SHORT))

    def cut(self, why, converse):
        """A conversation is ended by the server, in time, and counted."""
        before = cuts(self.shop, why)
        began = time.monotonic()
        with connect(self.shop) as connection:
            said = converse(connection)
        self.assertLess(time.monotonic() - began, 30, "it was the limit that ended it")
        wait_until(lambda: cuts(self.shop, why) > before, f"{why} is counted")
        self.assertEqual(200, self.shop.call("GET", "/healthz").status)
        return said

    def test_a_head_that_never_ends(self):
        def drip(connection):
            connection.settimeout(0.1)
            for byte in b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: " + b"a" * 1_000:
                try:
                    connection.sendall(bytes([byte]))
                    if not connection.recv(1):
                        return b""
                except TimeoutError:
                    continue
                except OSError:
                    return b""
            raise AssertionError("a byte at a time is not a way to keep a connection")

        self.cut("head_too_slow", drip)

    def test_a_connection_that_says_nothing(self):
        self.cut("head_too_slow", until_closed)

    def test_an_idle_connection(self):
        # The second is answered from another thread, after hyper has looked whether the client is still there.
        for path in ("/healthz", "/v1/overview"):
            request = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode()

            def idle(connection):
                connection.sendall(request)
                return until_closed(connection)

            def idle_at_once(connection):
                # The request is there before the connection is accepted: no look at it has to wait.
                self.shop.process.send_signal(signal.SIGSTOP)
                with connect(self.shop) as early:
                    early.sendall(request)
                    self.shop.process.send_signal(signal.SIGCONT)
                    return until_closed(early)

            for converse in (idle, idle_at_once):
                with self.subTest(f"{path} {converse.__name__}"):
                    self.assertTrue(self.cut("idle", converse).startswith(b"HTTP/1.1 200"))

    def test_a_body_that_never_ends(self):
        def drip(connection):
            connection.sendall(HEAD + b"content-length: 1000\r\n\r\n")
            connection.settimeout(0.1)
            said = b""
            for _ in range(600):
                try:
                    connection.sendall(b" ")
                    piece = connection.recv(65_536)
                    said += piece
                    if not piece:
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            return said

        said = self.cut("body_too_slow", drip)
        self.assertTrue(said.startswith(b"HTTP/1.1 408"), said)
        self.assertIn(b'"rule":"body_too_slow"', said)

    def test_an_answer_that_nobody_takes(self):
        # Larger than the buffers of both systems together.
        def order(batch, number):
            message = f"big-{batch}-{number}"
            return {"type": "track", "event": "X", "userId": "u", "messageId": message, "properties": {"text": "x" * 30_000}}

        for batch in range(40):
            self.shop.send(*(order(batch, number) for number in range(15)))

        def take_nothing(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.sendall(f"GET /v1/export/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
            wait_until(lambda: cuts(self.shop, "answer_not_taken") > 0, "it is cut")
            return b""

        self.cut("answer_not_taken", take_nothing)

    def test_a_slow_client_hinders_nobody(self):
        slow = [connect(self.shop) for _ in range(200)]
        for connection in slow:
            connection.sendall(b"POST /v1/track HTTP/1.1\r\n")
        began = time.monotonic()
        for number in range(50):
            self.shop.send({"type": "track", "event": "X", "userId": "quick", "messageId": f"quick-{number}"})
        self.assertLess(time.monotonic() - began, 20, "a fraction of that, on a machine that does nothing else")
        for connection in slow:
            self.assertNotIn(b"HTTP/1.1 200", until_closed(connection))
            connection.close()
        wait_until(lambda: self.shop.metric("jumelle_connections") <= 2, "they are gone")

    def test_a_connection_is_kept_for_many_requests(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.shop.port, timeout=10)
        connection.connect()
        mine = connection.sock
        for number in range(20):
            body = json.dumps({"event": "X", "userId": "kept", "messageId": f"kept-{number}"})
            connection.request("POST", "/v1/track", body, {**basic("wk_site"), "content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            self.assertEqual(200, answer.status)
            self.assertIs(mine, connection.sock)
        connection.close()


class Sizes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shop = cls.enterClassContext(Shop(workspace(), "--header-bytes", "16384"))

    def say(self, bytes_):
        with connect(self.shop) as connection:
            try:
                connection.sendall(bytes_)
            except OSError:
                pass
            return until_closed(connection)

    def test_huge_headers(self):
        before = cuts(self.shop, "headers_too_large")
        one = b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-huge: " + b"a" * 20_000 + b"\r\n\r\n"
        many = b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x-%d: a\r\n" % n for n in range(200)) + b"\r\n"
        for name, request in {"one huge": one, "too many": many}.items():
            with self.subTest(name):
                said = self.say(request)
                self.assertTrue(said.startswith(b"HTTP/1.1 431"), said[:100])
        wait_until(lambda: cuts(self.shop, "headers_too_large") >= before + 2, "both are counted")
        fits = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-large: " + b"a" * 10_000 + b"\r\n\r\n"
        self.assertTrue(self.say(fits).startswith(b"HTTP/1.1 200"))

    def test_what_is_not_http(self):
        before = cuts(self.shop, "not_http")
        self.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100)
        wait_until(lambda: cuts(self.shop, "not_http") > before, "it is counted")

    def test_a_length_said_twice(self):
        smuggled = HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/session HTTP/1.1\r\nhost: x\r\n\r\n"
        said = self.say(smuggled)
        self.assertNotIn(b"HTTP/1.1 200", said)

    def bomb(self, bytes_, encoding="gzip"):
        return self.shop.call("POST", "/v1/batch", bytes_, headers={**basic("wk_site"), "content-encoding": encoding}, admin=False)

    def test_bombs(self):
        before = self.shop.metric("jumelle_rejected_events_total", rule="body_too_large")
        zeros = gzip.compress(b"0" * (200 << 20), 9)
        self.assertLess(len(zeros), 300_000)
        memory = self.resident()
        for _ in range(5):
            answer = self.bomb(zeros)
            self.assertEqual((413, "body_too_large"), (answer.status, answer.json()["rule"]))
        self.assertLess(self.resident() - memory, 50 << 20, "200 MiB were not unpacked")
        self.assertEqual(before + 5, self.shop.metric("jumelle_rejected_events_total", rule="body_too_large"))

    def test_a_bomb_that_comes_to_nothing(self):
        # A member of no bytes, 30,000 times: 600 kB that unpack to nothing at all.
        answer = self.bomb(gzip.compress(b"") * 30_000)
        self.assertIn(answer.status, (400, 413), answer)
        self.assertEqual(400, self.bomb(b"not gzip").status)
        self.assertIn(self.bomb(b"{}", "br").status, (400, 415))

    def resident(self):
        status = pathlib.Path(f"/proc/{self.shop.process.pid}/status").read_text()
        return 1_024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))

    def test_deep_nesting(self):
        deep = "[" * 100_000 + "]" * 100_000
        event = '{"type": "track", "event": "X", "userId": "u", "properties": {"deep": %s}}'
        for path, body in (("/v1/track", event % ("[" * 500 + "]" * 500)), ("/v1/track", deep), ("/v1/batch", deep),
                           ("/v1/batch", '{"batch": [%s]}' % (event % ("[" * 200 + "]" * 200)))):  # fmt: skip
            answer = self.shop.call("POST", path, body, headers=basic("wk_site"), admin=False)
            self.assertEqual(400, answer.status, path)
        for method, path in (("PUT", "/v1/workspace"), ("PUT", "/v1/segments/x"), ("POST", "/v1/segments/preview"), ("POST", "/v1/consents"),
                             ("POST", "/v1/tokens")):  # fmt: skip
            answer = self.shop.call(method, path, deep)
            self.assertIn(answer.status, (400, 422), path)
        rows = self.shop.call("POST", "/v1/imports/crm?import=x&events=1", deep).json()
        self.assertEqual((0, "too_deep"), (rows["accepted"], rows["rejected"][0]["rule"]))
        self.assertEqual(200, self.shop.call("GET", "/readyz").status)


class Many(unittest.TestCase):
    def holds(self, shop, held, wanted):
        while len(held) < wanted:
            connection = connect(shop)
            try:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
                admitted = connection.recv(65_536).startswith(b"HTTP/1.1 200")
            except OSError:
                admitted = False
            if not admitted:
                connection.close()
                return False
            held.append(connection)
        return True

    def test_more_connections_than_there_may_be(self):
        with Shop(workspace(), "--connections", "20") as shop:
            # The connection that asked whether the server is ready may not be counted out yet: who is refused for it comes again.
            held = []
            wait_until(lambda: self.holds(shop, held, 20), "20 connections are in")
            with connect(shop) as late:
                said = until_closed(late)
            self.assertTrue(said.startswith(b"HTTP/1.1 503"), said)
            self.assertIn(b"retry-after: 1", said)
            json.loads(said.partition(b"\r\n\r\n")[2])
            # Those that are in go on; one that leaves makes room.
            held[0].sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            self.assertTrue(held[0].recv(65_536).startswith(b"HTTP/1.1 200"))
            held.pop().close()
            held.pop().close()
            wait_until(lambda: self.answers(shop), "there is room again")
            self.assertGreaterEqual(shop.metric("jumelle_connections_refused_total", why="connections"), 1)
            for connection in held:
                connection.close()

    def answers(self, shop):
        try:
            return shop.call("GET", "/healthz").status == 200
        except OSError:
            return False

    def test_a_stop_does_not_wait_for_idle_connections(self):
        with Shop(workspace()) as shop:
            idle = connect(shop)
            idle.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            self.assertTrue(idle.recv(65_536).startswith(b"HTTP/1.1 200"))
            began = time.monotonic()
            shop.stop()
            self.assertLess(time.monotonic() - began, 8, "less than what requests under way get")
            idle.close()


class Secure(Shop):
    """A server that speaks TLS with a certificate made for this test."""

    def __init__(self, *arguments):
        self.certificates = tempfile.TemporaryDirectory(prefix="jumelle-tls-")
        self.certificate = pathlib.Path(self.certificates.name) / "cert.pem"
        self.key = pathlib.Path(self.certificates.name) / "key.pem"
        self.renew()
        super().__init__(workspace(), "--tls-cert", str(self.certificate), "--tls-key", str(self.key), *arguments,
                         environment={"SSL_CERT_FILE": str(self.certificate)})  # fmt: skip
        self.url = f"https://127.0.0.1:{self.port}"

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.certificates.cleanup()

    def renew(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
             "-keyout", str(self.key), "-out", str(self.certificate)],
            stdin=subprocess.DEVNULL, capture_output=True, check=True,
        )  # fmt: skip

    def trust(self):
        context = ssl.create_default_context(cafile=str(self.certificate))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        urllib.request.install_opener(opener)

    def shown(self):
        """The certificate that it shows."""
        return ssl.get_server_certificate(("127.0.0.1", self.port))


class Tls(unittest.TestCase):
    def setUp(self):
        self.addCleanup(urllib.request.install_opener, None)

    def test_a_server_of_its_own(self):
        shop = Secure("--header-seconds", "3")
        shop.trust()
        with shop:
            shop.send({"type": "track", "event": "X", "userId": "u", "messageId": "over-tls"})
            answer = shop.call("GET", "/v1/session")
            self.assertEqual("max-age=63072000", answer.headers["strict-transport-security"])
            signed = shop.call("POST", "/v1/session", {"token": TOKEN}, admin=False)
            self.assertIn("; Secure", signed.headers["set-cookie"])
            self.assertIn("first", shop.command("token", "list"), "the command line trusts SSL_CERT_FILE")

            with self.subTest("old versions and other certificates are refused"):
                old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
                old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
                with self.assertRaises((ssl.SSLError, OSError)), connect(shop) as plain:
                    old.wrap_socket(plain)
                with self.assertRaises(ssl.SSLError), connect(shop) as plain:
                    ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")
            with self.subTest("plain HTTP and silence are ended and counted"):
                with connect(shop) as plain:
                    plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                    self.assertNotIn(b"HTTP/1.1", until_closed(plain))
                with connect(shop) as silent:
                    until_closed(silent)
                wait_until(lambda: cuts(shop, "handshake") >= 1 and cuts(shop, "handshake_timeout") >= 1, "they are counted")
            with self.subTest("a new certificate is taken without a stop"):
                before = shop.shown()
                open_ = http.client.HTTPSConnection("127.0.0.1", shop.port, context=ssl._create_unverified_context(), timeout=10)
                open_.request("GET", "/healthz")
                open_.getresponse().read()
                whole = shop.certificate.read_text()
                shop.certificate.write_text(whole[:100])
                shop.process.send_signal(signal.SIGHUP)
                wait_until(lambda: "the one before stays" in shop.log.read_text(), "it says that the new one cannot be used")
                self.assertEqual(before, shop.shown())
                shop.renew()
                shop.process.send_signal(signal.SIGHUP)
                wait_until(lambda: shop.shown() != before, "the new one")
                shop.trust()
                self.assertEqual(200, shop.call("GET", "/v1/session").status)
                open_.request("GET", "/healthz")
                self.assertEqual(200, open_.getresponse().status, "connections from before go on")
                open_.close()

    def test_half_of_it_is_refused(self):
        shop = Secure()
        self.addCleanup(shop.certificates.cleanup)
        for arguments in (("--tls-cert", str(shop.certificate)), ("--tls-cert", str(shop.key), "--tls-key", str(shop.key)),
                          ("--tls-cert", "/nowhere", "--tls-key", str(shop.key))):  # fmt: skip
            with self.subTest(arguments[0]), self.assertRaisesRegex(AssertionError, "the server ended with [23]"):
                with Shop(workspace(), *arguments):
                    pass


class Settings(unittest.TestCase):
    def test_the_file_has_them_too(self):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "jumelle.toml"
            file.write_text("[http]\nlimit_loopback = true\nrate_token = 1\ntrusted_proxy = ['10.0.0.1']\n")
            with Shop(workspace(), "--config", str(file)) as shop:
                statuses = [shop.call("GET", "/v1/session").status for _ in range(20)]
                self.assertIn(429, statuses)
            # A flag comes before the environment, that before the file, and what equals the default is given all the same.
            for flags, environment, limited in (
                ((), {"JUMELLE_RATE_TOKEN": "999"}, False),
                ((), {"JUMELLE_RATE_TOKEN": "1000"}, False),
                (("--rate-token", "1000"), {}, False),
                (("--rate-token", "1000"), {"JUMELLE_RATE_TOKEN": "1"}, False),
                (("--rate-token", "1"), {"JUMELLE_RATE_TOKEN": "999"}, True),
                ((), {"JUMELLE_LIMIT_LOOPBACK": "false"}, False),
            ):
                with (
                    self.subTest(flags=flags, environment=environment),
                    Shop(workspace(), "--config", str(file), *flags, environment=environment) as shop,
                ):
                    statuses = {shop.call("GET", "/v1/session").status for _ in range(20)}
                    self.assertEqual({200, 429} if limited else {200}, statuses)
            file.write_text("[http]\nrate_tokens = 1\n")
            with self.assertRaisesRegex(AssertionError, "rate_tokens"), Shop(workspace(), "--config", str(file)):
                pass


if __name__ == "__main__":
    unittest.main()

"""More than the server can take: from 500 connections, as fast as they go; and with no file descriptors left. Over the real binary.

`make soak` runs the same for five minutes.
"""

import asyncio
import collections
import pathlib
import re
import resource
import socket
import threading
import time
import unittest

from jumelle_server import TOKEN, wait_until
from shop import Shop, basic, workspace

CONNECTIONS = 500
SECONDS = 8
# 100 of 3,000 bytes: 500 such bodies are more than the server holds at once.
BATCH = (100, 3_000)
SINGLE = (1, 200)
# What waits is bounded in bytes, and the disk takes some of them every second: nobody who is let in waits longer than this.
ACCEPTED_S_P99_MAX = 10
RECOVERY_S_MAX = 10
RESIDENT_MB_MAX = 600
MESSAGE_ID = re.compile(rb'"messageId":"(f[0-9-]+)"')


def resident_mb(process):
    """Memory that a process has, in MB."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) / 1_024


def cpu_seconds(process):
    """Processor time that a process has had."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


class Flood:
    """Connections that send and send; what they were answered, and what was acknowledged."""

    def __init__(self, shop, number, connections, seconds, kind):
        self.shop, self.number, self.connections, self.seconds = shop, number, connections, seconds
        self.events, event_bytes = kind
        one = '{"type":"track","event":"Product Viewed","anonymousId":"@P-%d","messageId":"@M-%d","properties":{"category":"x","pad":"%s"}}'
        events = ",".join(one % (n, n, "x" * (event_bytes - 100)) for n in range(self.events))
        body = '{"batch":[%s]}' % events
        self.length = len(body.replace("@P", self.person(0)).replace("@M", self.tag(0, 0)))
        head = f"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: {basic('wk_site')['authorization']}\r\n"
        self.template = f"{head}content-length: {self.length}\r\n\r\n{body}".encode()
        self.statuses, self.accepted_s, self.acknowledged = collections.Counter(), [], set()
        self.without_retry_after, self.broken, self.sent, self.resident_mb_max = 0, 0, 0, 0.0

    def person(self, connection):
        # Few: what people take in memory is another bound than what waits.
        return f"v{connection % 20:04}"

    def tag(self, connection, batch):
        return f"f{self.number}-{connection:04}-{batch:06}"

    def run(self):
        """Floods, and watches the server's memory meanwhile."""
        ended = threading.Event()

        def watch():
            while not ended.wait(0.05):
                self.resident_mb_max = max(self.resident_mb_max, resident_mb(self.shop.process))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            asyncio.run(self.all())
        finally:
            ended.set()
            watcher.join()
        return self

    async def all(self):
        self.deadline = time.monotonic() + self.seconds
        await asyncio.gather(*(self.one(number) for number in range(self.connections)))

    async def one(self, number):
        template = self.template.replace(b"@P", self.person(number).encode())
        batch, reader, writer = 0, None, None
        while time.monotonic() < self.deadline:
            tag = self.tag(number, batch)
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.shop.port)
                began = time.monotonic()
                writer.write(template.replace(b"@M", tag.encode()))
                self.sent += 1
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"content-length: (\d+)", head)[1])
                await reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError):
                # Not known whether it was taken: it may be there or not, but not twice.
                self.broken += 1
                batch += 1
                if writer:
                    writer.close()
                writer = None
                continue
            status = int(head[9:12])
            self.statuses[status] += 1
            if status == 200:
                self.accepted_s.append(time.monotonic() - began)
                self.acknowledged.add(tag)
            elif b"retry-after: " not in head:
                self.without_retry_after += 1
            if b"connection: close" in head:
                writer.close()
                writer = None
            batch += 1
        if writer:
            writer.close()

    def p99_s(self):
        return sorted(self.accepted_s)[int(len(self.accepted_s) * 0.99)]

    def told(self):
        answers = ", ".join(f"{count} × {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.sent} requests of {self.length:,} bytes in {self.seconds} s: {answers}, {self.broken} broken; accepted within "
            f"{self.p99_s():.2f} s (p99); {self.resident_mb_max:.0f} MB resident"
        )


def stored(shop):
    """How often each message id is in the history, without reading the rest of it."""
    connection = socket.create_connection(("127.0.0.1", shop.port), timeout=120)
    connection.sendall(f"GET /v1/export/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n".encode())
    counts, rest = collections.Counter(), b""
    with connection:
        while piece := connection.recv(1 << 20):
            # The rest may be the beginning of an id that goes on in the next piece.
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            counts.update(MESSAGE_ID.findall(whole + newline))
    counts.update(MESSAGE_ID.findall(rest))
    return counts


def flood(test, shop, number, connections, seconds, kind, is_too_much=True):
    """Floods a server and checks what has to hold then; gives what happened."""
    one = Flood(shop, number, connections, seconds, kind).run()
    for more in (2, 4) if is_too_much else ():
        # Those who send share the cores with the server: these were too few.
        if not one.statuses[503] + one.statuses[429]:
            one = Flood(shop, number + 10 * more, more * connections, seconds, kind).run()
    told = one.told()
    began = time.monotonic()
    shop.send({"type": "track", "event": "After", "userId": "after", "messageId": f"after-{number}"})
    wait_until(shop.folded, f"all is folded, {told}", RECOVERY_S_MAX)
    test.assertLess(time.monotonic() - began, RECOVERY_S_MAX, told)
    test.assertEqual(set(), set(one.statuses) - {200, 429, 503}, told)
    test.assertEqual(0, one.without_retry_after, told)
    test.assertGreater(one.statuses[200], 0, told)
    if is_too_much:
        test.assertGreater(one.statuses[503] + one.statuses[429], 0, f"it was not too much: {told}")
    test.assertLess(one.p99_s(), ACCEPTED_S_P99_MAX, told)
    test.assertLess(one.resident_mb_max, RESIDENT_MB_MAX, told)
    return one


def check_stored(test, shop, floods):
    """What was acknowledged is there, once."""
    counts = stored(shop)
    for one in floods:
        acknowledged = {f"{tag}-{n}".encode() for tag in one.acknowledged for n in range(one.events)}
        test.assertEqual(set(), acknowledged - set(counts), "acknowledged and lost")
    test.assertEqual([], [key for key, times in counts.items() if times > 1], "stored twice")


class Overload(unittest.TestCase):
    def test_too_much_is_refused_and_what_is_taken_is_kept(self):
        floods = []
        with Shop(workspace()) as shop:
            for number, (kind, seconds) in enumerate([(BATCH, SECONDS), (SINGLE, SECONDS / 2)]):
                with self.subTest(events=kind[0], bytes=kind[1]):
                    floods.append(flood(self, shop, number, CONNECTIONS, seconds, kind, is_too_much=kind is BATCH))
                    print(f"\n    {floods[-1].told()} … ", end="", flush=True)
            check_stored(self, shop, floods)
            refused = sum(one.statuses[503] for one in floods)
            counted = sum(shop.metric("jumelle_overloaded_total", what=what) for what in ("bodies", "intake"))
            self.assertEqual(refused, counted)
            shop.stop()
            self.assertEqual([], shop.offline("doctor")["damages"])


class FileDescriptors(unittest.TestCase):
    def opened(self, shop):
        return len(list(pathlib.Path(f"/proc/{shop.process.pid}/fd").iterdir()))

    def ask(self, connection):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        return connection.recv(65_536)

    def test_none_left(self):
        with Shop(workspace()) as shop:
            shop.send({"type": "track", "event": "X", "userId": "u", "messageId": "before"})
            first = socket.create_connection(("127.0.0.1", shop.port), timeout=20)
            self.assertTrue(self.ask(first).startswith(b"HTTP/1.1 200"))
            soft, hard = resource.prlimit(shop.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(shop.process.pid, resource.RLIMIT_NOFILE, (self.opened(shop), hard))
            waiting = [socket.create_connection(("127.0.0.1", shop.port), timeout=20) for _ in range(50)]

            def refused():
                said = self.ask_metrics(first)
                return float((re.search(r'^jumelle_connections_refused_total\{why="accept"\} (\d+)', said, re.M) or [0, 0])[1])

            before = wait_until(refused, "it is counted")
            began, cpu, logged = time.monotonic(), cpu_seconds(shop.process), shop.log.stat().st_size
            wait_until(lambda: time.monotonic() - began > 2, "two seconds")
            took = time.monotonic() - began
            self.assertLess(cpu_seconds(shop.process) - cpu, took / 2, "it does not spin")
            self.assertLess(refused() - before, took * 20)
            self.assertLess(shop.log.stat().st_size - logged, 1_000, "and says so now and then")
            self.assertTrue(self.ask(first).startswith(b"HTTP/1.1 200"), "who is in goes on")
            resource.prlimit(shop.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
            for connection in waiting:
                self.assertTrue(self.ask(connection).startswith(b"HTTP/1.1 200"), "who waited is let in")
                connection.close()
            first.close()
            shop.send({"type": "track", "event": "X", "userId": "u", "messageId": "after"})

    def ask_metrics(self, connection):
        connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        said = b""
        while b"\r\n\r\n" not in said:
            said += connection.recv(65_536)
        head, _, body = said.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1])
        while len(body) < length:
            body += connection.recv(65_536)
        return body.decode()

    def test_few_to_begin_with(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
        try:
            shop = self.enterContext(Shop(workspace()))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertIn("fewer connections than set", shop.log.read_text())
        held = [socket.create_connection(("127.0.0.1", shop.port), timeout=20) for _ in range(400)]
        answers = collections.Counter()
        for connection in held:
            try:
                answers[self.ask(connection)[:12]] += 1
            except OSError:
                answers[b""] += 1
        self.assertGreater(answers[b"HTTP/1.1 200"], 50, answers)
        self.assertGreater(answers[b"HTTP/1.1 503"] + answers[b""], 0, answers)
        for connection in held:
            connection.close()
        wait_until(lambda: shop.metric("jumelle_connections") <= 2, "they are gone")
        self.assertEqual(0, shop.metric("jumelle_connections_refused_total", why="accept"), "the disk has the files that it needs")
        shop.send(*({"type": "track", "event": "X", "userId": f"u{n}", "messageId": f"few-{n}"} for n in range(100)))
        wait_until(shop.folded, "folded")


if __name__ == "__main__":
    unittest.main()

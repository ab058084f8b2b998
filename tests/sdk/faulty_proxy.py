"""A proxy between an SDK and the server that fails a share of the requests, as networks and load balancers do.

It faults only what carries events (POST). Which requests fail, and how, follows from the seed and the order of arrival. A message
meets `FAULTS_MAX` faults at most, so that a run stays within what the SDKs say they retry.
"""

import gzip
import http.client
import json
import random
import socket
import struct
import threading
import urllib.parse
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What can happen, and whether the server has stored the request by then.
KINDS = {
    "429": "answers 429 with Retry-After, as the server does when it is overloaded",
    "503": "answers 503, every other time with Retry-After",
    "reset before": "resets the connection instead of passing the request on",
    "reset after": "passes the request on, then resets the connection instead of answering",
    "stall before": "neither passes the request on nor answers, for longer than the client waits",
    "stall after": "passes the request on and does not answer, for longer than the client waits",
    "cut head": "passes the request on and ends in the middle of the answer's headers",
    "cut body": "passes the request on and ends in the middle of the answer's body",
}
STORED_THOUGH_FAILED = {"reset after", "stall after", "cut head", "cut body"}
FAULTS_MAX = 4
RETRY_AFTER_S = 1
STALL_S = 4
UPSTREAM_S_MAX = 60
# Headers that belong to one connection, not to the request.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}


def message_ids(body, encoding):
    """Ids of the messages that a body carries; none if it is not understood."""
    try:
        content = json.loads(gzip.decompress(body) if encoding == "gzip" else body)
    except (ValueError, OSError):
        return []
    return [message.get("messageId") for message in content.get("batch", [content])]


class FaultyProxy:
    """Listens on `url`; counts requests, faults by kind, and how often each message was passed on."""

    def __init__(self, upstream, seed, share):
        self.upstream = urllib.parse.urlsplit(upstream).netloc
        self.share = share
        self.requests = 0
        self.faults = Counter()
        self.passed_on = Counter()
        self.random = random.Random(seed)
        self.bag = []
        self.faults_of_message = Counter()
        self.lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                ids = message_ids(body, self.headers.get("content-encoding"))
                proxy.answer(self, proxy.choose(ids), body, ids)

            def do_GET(self):
                proxy.answer(self, None, b"", [])

            do_OPTIONS = do_GET

        class Listener(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                """A client that hung up is what this is about, no reason to print anything."""

        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.listener.server_address[1]}"
        self.stopping = threading.Event()

    def __enter__(self):
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.listener.shutdown()
        self.listener.server_close()

    @property
    def repeated(self):
        """Messages that the server got more than once."""
        return sum(1 for times in self.passed_on.values() if times > 1)

    def choose(self, ids):
        """The fault of this request, or None. Every kind comes equally often: kinds are drawn from a bag without putting back."""
        with self.lock:
            self.requests += 1
            if self.random.random() >= self.share:
                return None
            if max((self.faults_of_message[id] for id in ids), default=0) >= FAULTS_MAX:
                return None
            if not self.bag:
                self.bag = self.random.sample(list(KINDS), len(KINDS))
            kind = self.bag.pop()
            self.faults[kind] += 1
            self.faults_of_message.update(ids)
            return kind

    def answer(self, client, kind, body, ids):
        """Does to one request what was chosen for it."""
        answered = None
        if kind is None or kind in STORED_THOUGH_FAILED:
            answered = self.pass_on(client, body, ids)
            if answered is None:
                return reset(client)  # The server is down: that is no fault of ours.
        match kind:
            case "429":
                # A browser sees status and header only with these, which the server sends with its own answers too.
                browser = {"access-control-allow-origin": "*", "access-control-expose-headers": "*"}
                reply(client, 429, {"retry-after": str(RETRY_AFTER_S), **browser}, b"{}")
            case "503":
                after = {"retry-after": str(RETRY_AFTER_S)} if self.faults["503"] % 2 else {}
                reply(client, 503, after, b"upstream is away")
            case "reset before" | "reset after":
                reset(client)
            case "stall before" | "stall after":
                self.stopping.wait(STALL_S)
                reset(client)
            case "cut head":
                client.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/js")
                end(client)
            case "cut body":
                status, headers, content = answered
                reply(client, status, headers, content, cut=True)
                end(client)
            case None:
                reply(client, *answered)

    def pass_on(self, client, body, ids):
        """The server's answer as (status, headers, body); None if there is no server."""
        headers = {name: value for name, value in client.headers.items() if name.lower() not in HOP_BY_HOP}
        connection = http.client.HTTPConnection(self.upstream, timeout=UPSTREAM_S_MAX)
        try:
            connection.request(client.command, client.path, body=body or None, headers=headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        with self.lock:
            self.passed_on.update(ids)
        kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
        return response.status, kept, content


def reply(client, status, headers, content, cut=False):
    """Sends an answer, or all of its head and half of its body."""
    client.send_response(status)
    for name, value in headers.items():
        client.send_header(name, value)
    client.send_header("content-length", str(len(content)))
    client.end_headers()
    client.wfile.write(content[: len(content) // 2] if cut else content)
    client.wfile.flush()


def reset(client):
    """Closes with a TCP reset: lingering for zero seconds throws away what is buffered."""
    client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end(client)


def end(client):
    """Closes the connection now."""
    client.close_connection = True
    try:
        client.wfile.flush()
    except OSError:
        pass  # The client was quicker.
    client.connection.close()

"""What the suites api, activation and crash share: a small shop's workspace, raw requests, and a tool that receives."""

import base64
import json
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jumelle_server import ANSWER_S_MAX, BINARY, TOKEN, Server

# Long enough for a first stop on a busy machine: the tables are written to the end.
STOP_S_MAX = 60

WORKSPACE = """\
workspace: {key: shop, locale: en, timezone: Europe/Paris, country: FR, currency: EUR}
sources:
  site: {kind: web, write_key: wk_site}
  till: {kind: server, write_key: wk_till}
  crm: {kind: file}
identifiers:
  user_id: {limit: 1}
  loyalty_card: {limit: 2}
  email: {limit: 3, normalize: email, block: ["test@*"]}
  phone: {limit: 3, normalize: e164}
  anonymous_id: {limit: 100}
purposes:
  marketing: {basis: consent}
  service: {basis: contract}
traits:
  orders: {count: Order Completed}
  spent: {sum: Order Completed.total}
segments:
  lookers:
    label: {en: Lookers, fr: Regardent}
    rule: {did: Product Viewed, count: {gte: 2}, within: 30d}
"""


def workspace(*more):
    """The shop's workspace with more lines of YAML at its end (whole sections)."""
    return "\n".join([WORKSPACE, *more]) + "\n"


def now(**ago):
    """This instant, or one before it (`seconds=3`), as the tracking API writes it."""
    return (datetime.now(timezone.utc) - timedelta(**ago)).isoformat(timespec="milliseconds")


def instant(text):
    """An instant of the API as a datetime."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class Answer:
    """Any answer of the server, whatever its status."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:600]!r}"


class Shop(Server):
    """A server with a workspace given as text, and helpers for what the suites do all the time."""

    def __init__(self, text=WORKSPACE, *arguments, environment=None):
        self.files = tempfile.TemporaryDirectory(prefix="jumelle-workspace-")
        path = pathlib.Path(self.files.name) / "workspace.yaml"
        path.write_text(text)
        super().__init__(path, *arguments, environment=environment)

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.files.cleanup()

    @property
    def data(self):
        return pathlib.Path(self.directory.name) / "data"

    def call(self, method, path, body=None, headers=None, admin=True):
        """One request; `body` is bytes, text, or anything that JSON can say."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        request = urllib.request.Request(
            self.url + path, method=method, data=body.encode() if isinstance(body, str) else body, headers=headers or {}
        )
        if body is not None and not request.has_header("Content-type"):
            request.add_header("content-type", "application/json")
        if admin and not request.has_header("Authorization"):
            request.add_header("authorization", f"Bearer {TOKEN}")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S_MAX) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def send(self, *events, write_key="wk_site", **body):
        """A batch; gives the answer as JSON."""
        answer = self.call("POST", "/v1/batch", {"batch": list(events), **body}, headers=basic(write_key), admin=False)
        if answer.status != 200:
            raise AssertionError(f"/v1/batch answered {answer}")
        return answer.json()

    def profile(self, identifier):
        """The profile, or None."""
        answer = self.call("GET", f"/v1/profiles/{identifier}")
        return answer.json() if answer.status == 200 else None

    def segments(self, identifier):
        profile = self.profile(identifier)
        return [segment["key"] for segment in profile["segments"]] if profile else []

    def deliveries(self, identifier):
        return self.get(f"/v1/profiles/{identifier}/deliveries")["items"]

    def consent(self, identifiers, state, purpose="marketing", **entry):
        """One choice by `POST /v1/consents`."""
        return self.request(
            "POST", "/v1/consents", {"identifiers": identifiers, "consents": [{"purpose": purpose, "state": state, **entry}]}
        )

    def apply(self, text):
        """`PUT /v1/workspace`."""
        return self.call("PUT", "/v1/workspace", text, headers={"content-type": "application/yaml"})

    def traces(self, *names):
        """Which of these bytes are in which files of the directory, of the running server too."""
        found = []
        for path in self.data.rglob("*"):
            try:
                content = path.read_bytes() if path.is_file() else b""
            except FileNotFoundError:  # Merged into another one meanwhile, which the next look reads.
                return [("?", path.name)]
            found += [(name, str(path.relative_to(self.data))) for name in names if name in content]
        return found

    def folded(self):
        """Nothing that is stored waits for the fold."""
        return self.get("/readyz")["lag_entries"] == 0

    def metric(self, name, **labels):
        """The value of a metric; 0 if it was never counted."""
        wanted = name + ("{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else "")
        for line in self.call("GET", "/metrics").body.decode().splitlines():
            metric, _, value = line.rpartition(" ")
            if metric == wanted:
                return float(value)
        return 0.0

    def stop(self):
        """Asks it to end and waits; fails if it does not end well."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=STOP_S_MAX)
        if code != 0:
            raise AssertionError(f"a stop ended with {code}:\n{self.log_end()}")

    def offline(self, command, *arguments):
        """A command on the directory of the stopped server, its JSON answer."""
        done = subprocess.run(
            [str(BINARY), command, "--data", str(self.data), "--json", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False, env=self.client_environment(),
        )  # fmt: skip
        if done.returncode != 0:
            raise AssertionError(f"jumelle {command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout)

    def exported(self, what):
        """`jumelle export` of the directory of the stopped server: its text."""
        command = [str(BINARY), "export", what, "--data", str(self.data)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=self.client_environment()).stdout


def basic(write_key):
    """Basic authentication as Segment's SDKs do it: the key as user name."""
    return {"authorization": "Basic " + base64.b64encode(f"{write_key}:".encode()).decode()}


def viewed(person, message_id=None, seconds=0, **properties):
    """A `Product Viewed` of an anonymous visitor."""
    event = {"type": "track", "event": "Product Viewed", "anonymousId": person, "timestamp": now(seconds=seconds)}
    event["properties"] = {"product_id": "p1", "category": "sneakers", **properties}
    return {**event, "messageId": message_id} if message_id else event


def identified(anonymous_id=None, user_id=None, **traits):
    """An `identify` call."""
    event = {"type": "identify", "traits": traits}
    if anonymous_id:
        event["anonymousId"] = anonymous_id
    if user_id:
        event["userId"] = user_id
    return event


class Inbox:
    """A tool that receives messages. `answer` decides what it says: a status, (status, headers), or with a body too."""

    def __init__(self, answer=lambda message: 204):
        self.answer = answer
        self.messages = []
        self.lock = threading.Lock()

    def heard(self, headers, body):
        """Each request as it came."""

    def __enter__(self):
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                inbox.heard(dict(self.headers), body)
                message = json.loads(body)
                message["arrived"] = time.monotonic()
                said = inbox.answer(message)
                status, headers, text = (*(said if isinstance(said, tuple) else (said, {})), b"")[:3]
                message["status"] = status
                with inbox.lock:
                    inbox.messages.append(message)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                """A killed server leaves connections behind; that is no news."""

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def taken(self, profile=None):
        """What it took (2xx), in order; of one person if asked."""
        with self.lock:
            return [m for m in self.messages if m["status"] < 300 and (profile is None or m["profile"] == profile)]

    def types(self, profile=None):
        return [message["type"] for message in self.taken(profile)]

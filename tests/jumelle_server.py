"""The real binary, started on a directory of its own, as the black-box tests use it."""

import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(
    os.environ.get("JUMELLE_BINARY") or ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug" / "jumelle"
)
TOKEN = "test-admin-token-0123456789"
# The tests talk to this machine only, whatever proxy it is set up with.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
START_S_MAX = 60
ANSWER_S_MAX = 60


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def build():
    """Builds what the suites run, if it is not there."""
    subprocess.run([ROOT / "scripts" / "build.sh"], stdin=subprocess.DEVNULL, check=True)


def wait_until(condition, what, seconds_max=30):
    """Waits for a condition and answers with what it gave; fails by name after `seconds_max`."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        outcome = condition()
        if outcome:
            return outcome
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds_max} s: {what}")


class Server:
    """`jumelle serve` on a fresh directory and port. Ended by its process id, never by name."""

    def __init__(self, workspace, *arguments, environment=None):
        self.workspace = pathlib.Path(workspace)
        self.arguments = arguments
        self.environment = environment or {}
        self.directory = tempfile.TemporaryDirectory(prefix="jumelle-test-")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = pathlib.Path(self.directory.name) / "server.log"
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        self.directory.cleanup()

    def start(self):
        """Starts it on the same directory and port, and waits until it is ready."""
        command = [
            str(BINARY), "serve",
            "--data", str(pathlib.Path(self.directory.name) / "data"),
            "--listen", f"127.0.0.1:{self.port}",
            "--workspace", str(self.workspace),
            *self.arguments,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.client_environment()
            )
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log_end()}")
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        raise AssertionError(f"the server is not ready after {START_S_MAX} s:\n{self.log_end()}")

    def kill(self):
        """`kill -9`: nothing is flushed, nobody is told."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def log_end(self):
        """The last lines that it logged."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def client_environment(self):
        """The environment of the server and of the commands that talk to it."""
        return {**os.environ, "JUMELLE_ADMIN_TOKEN": TOKEN, **self.environment}

    def request(self, method, path, body=None, write_key=None):
        """One request, as the administrator or with a write key; gives the answer's bytes."""
        request = urllib.request.Request(self.url + path, method=method)
        if body is not None:
            if write_key:
                body = {**body, "writeKey": write_key}
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        if not write_key:
            request.add_header("authorization", f"Bearer {TOKEN}")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S_MAX) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path} answered {error.code}: {error.read().decode(errors='replace')}") from None

    def get(self, path):
        """A JSON answer."""
        return json.loads(self.request("GET", path))

    def exported_events(self):
        """Every event of the history, from `GET /v1/export/events`."""
        return [json.loads(line) for line in self.request("GET", "/v1/export/events").splitlines() if line.strip()]

    def command(self, *arguments, seconds_max=1200):
        """Runs a `jumelle` command against this server; gives its standard output, fails with its standard error."""
        done = subprocess.run(
            [str(BINARY), *map(str, arguments), "--server", self.url],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds_max, env=self.client_environment(),
        )  # fmt: skip
        if done.returncode != 0:
            shown = " ".join(map(str, arguments))
            raise AssertionError(f"jumelle {shown} ended with {done.returncode}:\n{done.stderr[-4000:]}\n{self.log_end()}")
        return done.stdout

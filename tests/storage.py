"""Object storage that speaks S3, in a process of its own, behind a door that can fail, wait and count."""

import http.client
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config

from jumelle_server import free_port, wait_until

BUCKET = "house"
KEY = "AKIATESTONLY00000000"
SECRET = "a-secret-that-no-message-shows/+1"


class Storage:
    """moto's server with one bucket. `answer(method, path)` may give a status instead of what it would say, or wait."""

    def __enter__(self):
        self.requests, self.answer, self.lock = [], None, threading.Lock()
        self.files = tempfile.TemporaryDirectory(prefix="jumelle-storage-")
        self.port = free_port()
        log = (pathlib.Path(self.files.name) / "log").open("wb")
        with log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "MOTO_ACCOUNT_ID": "123456789012"},
            )  # fmt: skip
        wait_until(self.is_there, "object storage is there", 60)
        self.client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1",
            aws_access_key_id=KEY, aws_secret_access_key=SECRET, config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        self.client.create_bucket(Bucket=BUCKET)
        self.door = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.door.daemon_threads = True
        # A client that is killed leaves a connection behind; that is no news.
        self.door.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self.door.server_port}"
        threading.Thread(target=self.door.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.answer = None
        self.door.shutdown()
        self.door.server_close()
        self.process.kill()
        self.process.wait()
        self.files.cleanup()

    def is_there(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/moto-api/", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def environment(self):
        """What a command needs to speak to it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "JUMELLE_S3_ENDPOINT": self.url,
        }  # fmt: skip

    def objects(self, prefix=""):
        """Keys and their entity tags."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}

    def copy(self, prefix, folder):
        """All objects as files, as a tool that copies would do it."""
        for key in self.objects(prefix):
            path = folder / key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(BUCKET, key, str(path))

    def handler(self):
        storage = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with storage.lock:
                    storage.requests.append((self.command, self.path))
                status = storage.answer and storage.answer(self.command, self.path)
                if status:
                    return self.say(status, [], b"<Error><Code>Trouble</Code><Message>no</Message></Error>")
                connection = http.client.HTTPConnection("127.0.0.1", storage.port, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                self.say(answer.status, answer.getheaders(), answer.read())
                connection.close()

            def say(self, status, headers, body):
                self.send_response_only(status)
                length = dict((name.lower(), value) for name, value in headers).get("content-length")
                for name, value in headers:
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("content-length", length if self.command == "HEAD" and length else str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on

            def log_message(self, *_):
                pass

        return Door

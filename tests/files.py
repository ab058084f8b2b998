"""Destinations that receive files: everybody or what has changed, to a folder, OpenSSH, an FTP server and an S3 storage."""

import csv
import gzip
import hashlib
import io
import json
import logging
import os
import pathlib
import pwd
import select
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from jumelle_server import free_port, wait_until
from ledger import entries
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer
from shop import Shop, identified, viewed, workspace
from storage import BUCKET, KEY, SECRET, Storage

FILES = """\
destinations:
  tool: {connector: file, country: FR, secret: {env: TOOL_SECRET}, EXTRA}
activations:
  mail: {segment: lookers, destination: tool, purpose: marketing, channel: email,
         map: {email: identifiers.email, prenom: traits.first_name}}
"""
logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
FOLDER = 'to: "folder:tool", content: CONTENT, when: {after: 1s}'


class Door:
    """A port before another: connections wait until it is opened."""

    def __init__(self, port):
        self.to, self.open, self.held = port, threading.Event(), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open.set()
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.pass_on, args=(client,), daemon=True).start()

    def pass_on(self, client):
        self.held += 1
        self.open.wait()
        with client, socket.create_connection(("127.0.0.1", self.to)) as server:
            while True:
                for one in select.select([client, server], [], [])[0]:
                    try:
                        data = one.recv(1 << 16)
                    except OSError:
                        return
                    if not data:
                        return
                    (server if one is client else client).sendall(data)


class OpenSsh:
    """sshd with one key of a host and one of a user."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="jumelle-ssh-")
        at = pathlib.Path(self.folder.name)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(at / name)], check=True)
        (at / "known").write_text((at / "user.pub").read_text())
        (at / "in").mkdir()
        self.fingerprint = subprocess.run(["ssh-keygen", "-lf", str(at / "host.pub")], check=True, capture_output=True, text=True).stdout.split()[1]
        self.secret = (at / "user").read_text()
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.inbox = at / "in"
        self.port = free_port()
        os.makedirs("/run/sshd", exist_ok=True)
        with (at / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", str(self.port), "-o", "ListenAddress=127.0.0.1", "-h", str(at / "host"),
                 "-o", f"AuthorizedKeysFile={at / 'known'}", "-o", "StrictModes=no", "-o", "PidFile=none", "-o", "Subsystem=sftp internal-sftp"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(self.is_there, "sshd is there")
        return self

    def is_there(self):
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


class Ftp:
    """pyftpdlib, in clear or with TLS on both connections."""

    def __init__(self, tls, received=lambda name: None):
        """`received` is called with each file's name while its sender waits."""
        self.tls, self.received = tls, received

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="jumelle-ftp-")
        self.inbox = pathlib.Path(self.folder.name) / "root" / "in"
        self.inbox.mkdir(parents=True)
        authorizer = DummyAuthorizer()
        authorizer.add_user("jumelle", "a password that is long", str(self.inbox.parent), perm="elradfmw")
        base = TLS_FTPHandler if self.tls else FTPHandler
        handler = type("Handler", (base,), {"authorizer": authorizer, "on_file_received": lambda _, path: self.received(pathlib.Path(path).name)})
        if self.tls:
            self.certificate = pathlib.Path(self.folder.name) / "certificate.pem"
            both = pathlib.Path(self.folder.name) / "both.pem"
            certificate, key = certificate_for("localhost")
            self.certificate.write_bytes(certificate)
            both.write_bytes(certificate + key)
            handler.certfile, handler.tls_control_required, handler.tls_data_required = str(both), True, True
        self.server = FTPServer(("127.0.0.1", 0), handler)
        self.port = self.server.address[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.running = True
        self.thread.start()
        return self

    def serve(self):
        while self.running:
            self.server.ioloop.loop(timeout=0.1, blocking=False)

    def __exit__(self, *_):
        self.running = False
        self.thread.join(5)
        self.server.close_all()
        self.folder.cleanup()


def certificate_for(host):
    """A certificate that signs itself, and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    at = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1)).not_valid_after(at + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), private


class Files(unittest.TestCase):
    def start(self, extra, secret="a secret of sixteen", environment=None, text=FILES):
        self.text = workspace(text.replace("EXTRA", extra))
        environment = {"TOOL_SECRET": secret, **(environment or {})}
        self.shop = self.enterContext(Shop(self.text, environment=environment))
        self.folder = self.shop.data / "files" / "tool"

    def member(self, name, email=None, **traits):
        email = email or f"{name}@example.org"
        self.shop.consent({"email": email}, "granted", channel="email")
        self.shop.send(identified(name, email=email, **traits), viewed(name, seconds=2), viewed(name, seconds=1))

    def withdraw(self, name):
        self.shop.consent({"email": f"{name}@example.org"}, "denied", channel="email")

    def put(self, folder=None):
        """Names of the files that are whole, the oldest first."""
        folder = folder or self.folder
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        return [name for name in names if f"{name}.manifest.json" in names]

    def after(self, count, folder=None):
        wait_until(lambda: len(self.put(folder)) >= count, f"{count} files")
        return self.put(folder)

    def rows(self, name, folder=None, **options):
        data = ((folder or self.folder) / name).read_bytes()
        data = gzip.decompress(data) if name.endswith(".gz") else data
        return list(csv.DictReader(io.StringIO(data.decode()), **options))

    def manifest(self, name, folder=None):
        folder = folder or self.folder
        path, data = folder / f"{name}.manifest.json", (folder / name).read_bytes()
        # It follows its file; until then that of the file before stands there.
        wait_until(lambda: path.exists() and json.loads(path.read_text())["sha256"] == hashlib.sha256(data).hexdigest(), "its manifest")
        manifest = json.loads(path.read_text())
        self.assertEqual((hashlib.sha256(data).hexdigest(), len(data), name), (manifest["sha256"], manifest["bytes"], manifest["file"]))
        return manifest

    def state(self, name):
        items = self.shop.get(f"/v1/profiles/email:{name}@example.org/tools")["items"]
        return items[0]["state"] if items else None

    def until_state(self, name, state):
        wait_until(lambda: self.state(name) == state, f"{name} is {state}")

    def nothing_is_left_over(self):
        scratch = self.shop.data / "outgoing" / "tool"
        wait_until(lambda: [path.name for path in scratch.iterdir()] in (["state.json"], ["manifest.json", "state.json"], ["state.json", "manifest.json"]), "no rows are left in the scratch folder")

    def test_a_difference_says_who_comes_changes_and_goes(self):
        self.start(FOLDER.replace("CONTENT", "difference"))
        self.member("ana", first_name="Ana")
        first = self.after(1)[0]
        (row,) = self.rows(first)
        self.assertEqual(["email", "prenom", "op", "consent_at"], list(row))
        self.assertEqual(("ana@example.org", "Ana", "add"), (row["email"], row["prenom"], row["op"]))
        granted = self.shop.profile("email:ana@example.org")["consents"][0]["since"]
        self.assertEqual(granted[:19], row["consent_at"][:19], "the consent's date beside the person")
        manifest = self.manifest(first)
        self.assertEqual(({"segment.entered": 1}, "marketing", "email", "mail"), tuple(manifest[key] for key in ("counts", "purpose", "channel", "activation")))
        self.until_state("ana", "in")
        self.shop.send(identified("ana", first_name="Anaïs"))
        second = self.after(2)[1]
        self.assertEqual([("Anaïs", "update")], [(row["prenom"], row["op"]) for row in self.rows(second)])
        self.withdraw("ana")
        third = self.after(3)[2]
        self.assertEqual([("ana@example.org", "Anaïs", "remove", "")], [tuple(row.values()) for row in self.rows(third)], "as it was sent, and no more")
        self.until_state("ana", "confirmed")
        self.nothing_is_left_over()
        status = self.shop.get("/v1/destinations/tool")["status"]["file"]
        self.assertEqual((third, self.manifest(third)["sha256"]), (status["last"][0]["name"], status["last"][0]["sha256"]))
        self.assertEqual(3, self.shop.metric("jumelle_files_total", destination="tool"))
        released = [entry for entry in entries(self.shop.data) if entry and entry["kind"] == "release"]
        self.assertEqual([delivery["id"] for delivery in reversed(self.shop.deliveries("email:ana@example.org"))], [entry["delivery"] for entry in released], "each row is in the ledger")

    def test_who_comes_and_goes_before_the_file_is_written_is_in_none(self):
        self.start('to: "folder:tool", content: difference, when: {after: 3s}')
        self.member("ana")
        self.member("bia")
        wait_until(lambda: self.shop.deliveries("email:bia@example.org"), "both wait")
        self.withdraw("ana")
        name = self.after(1)[0]
        self.assertEqual(["bia@example.org"], [row["email"] for row in self.rows(name)])
        wait_until(lambda: {item["state"] for item in self.shop.deliveries("email:ana@example.org")} == {"blocked"}, "nothing was sent of her")
        self.assertIsNone(self.state("ana"))

    def test_a_full_file_holds_everybody_and_who_left_is_missing_from_the_next(self):
        self.start(FOLDER.replace("CONTENT", "full") + ', name: "{segment}.csv", oppositions: "oppose_{stamp}.csv"')
        for name in ("ana", "bia", "cleo"):
            self.member(name)
        wait_until(lambda: self.folder.exists() and "lookers.csv" in self.put() and len(self.rows("lookers.csv")) == 3, "all three")
        for name in ("ana", "bia", "cleo"):
            self.until_state(name, "in")
        self.withdraw("bia")
        wait_until(lambda: [row["email"] for row in sorted(self.rows("lookers.csv"), key=lambda row: row["email"])] == ["ana@example.org", "cleo@example.org"], "without her")
        self.until_state("bia", "confirmed")
        (opposed,) = [name for name in self.put() if name.startswith("oppose_")]
        self.assertEqual(["bia@example.org"], [row["email"] for row in self.rows(opposed)])
        profile = self.shop.profile("email:cleo@example.org")["id"]
        self.shop.command("erase", "email:cleo@example.org", "--yes")
        wait_until(lambda: [row["email"] for row in self.rows("lookers.csv")] == ["ana@example.org"], "the erased is missing", 60)
        self.assertEqual({"profile.updated": 1}, self.manifest("lookers.csv")["counts"])
        self.nothing_is_left_over()
        kept = self.shop.data / "outgoing"
        self.assertNotIn("cleo@example.org", "".join(path.read_text(errors="replace") for path in kept.rglob("*") if path.is_file()), profile)

    def test_a_crash_leaves_no_half_file_and_sends_nobody_twice(self):
        for place in ("after ledger write:1", "before send:1", "after send:1", "before result:1", "after result:1"):
            with self.subTest(place):
                self.text = workspace(FILES.replace("EXTRA", FOLDER.replace("CONTENT", "difference")))
                with Shop(self.text, environment={"TOOL_SECRET": "a secret of sixteen"}) as self.shop:
                    self.folder = self.shop.data / "files" / "tool"
                    # Everybody is a member already; what is missing is the last consent.
                    self.shop.send(*[event for n in range(20) for event in (identified(f"p{n}", email=f"p{n}@example.org"), viewed(f"p{n}", seconds=2), viewed(f"p{n}", seconds=1))])
                    wait_until(self.shop.folded, "all are folded")
                    self.shop.stop()
                    self.shop.environment["JUMELLE_CRASH_AT"] = place
                    self.shop.start()
                    for n in range(20):
                        try:
                            self.shop.consent({"email": f"p{n}@example.org"}, "granted", channel="email")
                        except (AssertionError, OSError):
                            break
                    wait_until(lambda: self.shop.process.poll() is not None, f"it ended {place}")
                    del self.shop.environment["JUMELLE_CRASH_AT"]
                    self.shop.start()
                    for n in range(20):
                        self.shop.consent({"email": f"p{n}@example.org"}, "granted", channel="email")
                    for n in range(20):
                        self.until_state(f"p{n}", "in")
                    wait_until(lambda: not any(path.name.endswith(".part") for path in self.folder.iterdir()), "no half file")
                    names = self.put()
                    sent = [row["email"] for name in names for row in self.rows(name)]
                    self.assertEqual(sorted(f"p{n}@example.org" for n in range(20)), sorted(sent), f"{place}: each once, in {names}")
                    for name in names:
                        self.manifest(name)

    def test_open_ssh_takes_files_from_whom_it_knows_and_we_give_to_whom_we_know(self):
        with OpenSsh() as ssh, Door(ssh.port) as door:
            extra = 'to: "sftp://127.0.0.1:PORT/FOLDER", user: USER, host_key: "KEY", allow_private: true, content: full, when: {after: 1s}, name: "people.csv"'
            extra = extra.replace("FOLDER", str(ssh.inbox)).replace("USER", ssh.user)
            self.start(extra.replace("PORT", str(door.port)).replace("KEY", ssh.fingerprint), secret=ssh.secret)
            self.member("ana")
            self.member("bia")
            wait_until(lambda: door.held > 0, "it has connected")
            # The file is made; the connection is not.
            self.withdraw("bia")
            wait_until(lambda: any(item["type"] == "consent.withdrawn" for item in self.shop.deliveries("email:bia@example.org")), "it is folded")
            self.assertEqual([], list(ssh.inbox.iterdir()))
            door.open.set()
            self.after(1, ssh.inbox)
            self.assertEqual(["ana@example.org"], [row["email"] for row in self.rows("people.csv", ssh.inbox)], "who withdrew while the connection was made is not in it")
            self.until_state("ana", "in")
            self.manifest("people.csv", ssh.inbox)
            # Again, in its place.
            self.member("cleo")
            wait_until(lambda: len(self.rows("people.csv", ssh.inbox)) == 2, "replaced")
            wait_until(lambda: sorted(path.name for path in ssh.inbox.iterdir()) == ["people.csv", "people.csv.manifest.json"], "nothing else is left there")
            # Another server behind the same address.
            self.shop.apply(workspace(FILES.replace("EXTRA", extra.replace("PORT", str(ssh.port)).replace("KEY", "SHA256:" + "A" * 43))))
            before = (ssh.inbox / "people.csv").read_bytes()
            self.member("dora")
            wait_until(lambda: "shows another key" in (self.shop.get("/v1/destinations/tool")["last_error"] or ""), "it is refused")
            self.assertEqual(before, (ssh.inbox / "people.csv").read_bytes())
            self.assertNotIn("PRIVATE KEY", self.shop.log.read_text())

    def test_an_ftp_server_takes_them_in_clear_or_over_tls(self):
        for tls in (False, True):
            with self.subTest(tls=tls), Ftp(tls) as ftp:
                scheme, host = ("ftps", "localhost") if tls else ("ftp", "127.0.0.1")
                extra = f'to: "{scheme}://{host}:{ftp.port}/in", user: jumelle, allow_private: true, content: full, when: {{after: 1s}}, name: "people.csv"'
                environment = {"TOOL_SECRET": "a password that is long", **({"SSL_CERT_FILE": str(ftp.certificate)} if tls else {})}
                with Shop(workspace(FILES.replace("EXTRA", extra)), environment=environment) as self.shop:
                    for count, name in enumerate(("ana", "bia"), 1):
                        self.member(name)
                        wait_until(lambda: self.put(ftp.inbox) and len(self.rows("people.csv", ftp.inbox)) == count, f"{count} people; {self.shop.log_end()}")
                        self.until_state(name, "in")
                    self.manifest("people.csv", ftp.inbox)
                    wait_until(lambda: sorted(path.name for path in ftp.inbox.iterdir()) == ["people.csv", "people.csv.manifest.json"], "nothing else is left there")

    def test_who_withdraws_while_a_file_is_on_its_way_is_not_in_the_next_one(self):
        received = []

        def hold(name):
            received.append(name)
            if len(received) == 1:
                self.withdraw("bia")

        more = "  more: {segment: lookers, destination: tool, purpose: marketing, channel: email, map: {email: identifiers.email}}\n"
        with Ftp(False, hold) as ftp:
            extra = f'to: "ftp://127.0.0.1:{ftp.port}/in", user: jumelle, allow_private: true, content: difference, when: {{after: 3s}}, name: "{{activation}}_{{stamp}}.csv"'
            self.start(extra, secret="a password that is long", text=FILES + more)
            self.member("ana")
            self.member("bia")
            self.until_state("ana", "in")
            first, second = (next(name for name in self.put(ftp.inbox) if name.startswith(key)) for key in ("mail", "more"))
            both = [[row["email"] for row in self.rows(name, ftp.inbox)] for name in (first, second)]
            self.assertEqual([["ana@example.org", "bia@example.org"], ["ana@example.org"]], [sorted(names) for names in both])
            # She was in the first: its tool hears that she left.
            gone = lambda: [row for name in self.put(ftp.inbox) if name not in (first, second) for row in self.rows(name, ftp.inbox) if row["email"] == "bia@example.org"]
            wait_until(gone, "she is taken back")
            self.assertTrue(all(name.startswith("mail") for name in self.put(ftp.inbox) if name not in (first, second)))
            wait_until(lambda: {(item["activation"], item["type"], item["state"]) for item in self.shop.deliveries("email:bia@example.org")} == {("mail", "segment.entered", "sent"), ("mail", "consent.withdrawn", "sent"), ("more", "segment.entered", "blocked"), ("more", "consent.withdrawn", "blocked")}, "and that is known")

    def test_object_storage_takes_them_whole(self):
        with Storage() as storage:
            extra = f'to: "s3://{BUCKET}/in", user: {KEY}, endpoint: "{storage.url}", allow_private: true, content: difference, when: {{after: 1s}}, name: "people_{{stamp}}.csv", compress: gzip'
            self.start(extra, secret=SECRET)
            self.member("ana")
            self.until_state("ana", "in")
            manifest = wait_until(lambda: [key for key in storage.objects("in/") if key.endswith(".manifest.json")], "its manifest is there")[0]
            key = manifest.removesuffix(".manifest.json")
            data = storage.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            self.assertEqual(["ana@example.org"], [row["email"] for row in csv.DictReader(io.StringIO(gzip.decompress(data).decode()))])
            said = json.loads(storage.client.get_object(Bucket=BUCKET, Key=manifest)["Body"].read())
            self.assertEqual(hashlib.sha256(data).hexdigest(), said["sha256"])
            self.assertTrue(key.endswith(".csv.gz"))

    def test_nothing_goes_to_a_private_address_that_was_not_allowed(self):
        for to, more in (("s3://bucket/in", f', endpoint: "http://127.0.0.1:{free_port()}"'), (f"ftps://localhost:{free_port()}/in", "")):
            with self.subTest(to), Shop(workspace(FILES.replace("EXTRA", f'to: "{to}", user: someone, content: full, when: {{after: 1s}}{more}')), environment={"TOOL_SECRET": "a secret of sixteen"}) as self.shop:
                self.member("ana")
                wait_until(lambda: "allow_private: true" in (self.shop.get("/v1/destinations/tool")["last_error"] or ""), "it is refused")
                self.assertEqual(["queued"], [item["state"] for item in self.shop.deliveries("email:ana@example.org")])

    def test_what_cannot_be_a_file_is_said_with_its_place(self):
        self.start(FOLDER.replace("CONTENT", "difference"))
        for extra, path, said in (
            ("", "tool", "a file says where it goes"),
            ('to: "folder:../etc", content: full, when: {after: 1s}', "tool.to", "below the server's folder"),
            ('to: "sftp://h/in", content: full, when: {after: 1s}, user: u', "tool.host_key", "no unknown server is trusted"),
            ('to: "sftp://u@h/in", content: full, when: {after: 1s}', "tool.to", "do not belong in an address"),
            ('to: "ftp://h/in", content: full, when: {after: 1s}', "tool.to", "in clear"),
            ('to: "folder:a", content: full, when: {cron: "0 25 * * *"}', "tool.when.cron", '"25" is no hour'),
            ('to: "folder:a", content: difference, when: {after: 1s}, name: "x.csv"', "tool.name", "put {stamp}"),
            ('to: "folder:a", content: full, when: {after: 1s}, columns: [emial]', "tool.columns", "maps no field"),
            ('to: "folder:a", content: difference, when: {after: 1s}, columns: [email]', "tool.columns", "says who leaves"),
            ('to: "folder:a", content: full, when: {after: 1s}, format: jsonl, separator: ";"', "tool.separator", "only a csv"),
            ('to: "folder:a", content: full, when: {after: 1s}, encoding: latin', "tool.encoding", "iso-8859-1"),
        ):
            with self.subTest(said):
                answer = self.shop.apply(workspace(FILES.replace("EXTRA", extra)))
                self.assertEqual(422, answer.status, answer)
                problems = answer.json().get("problems") or answer.json().get("errors") or []
                self.assertTrue([one for one in problems if one["path"] == f"destinations.{path}" and said in one["message"]], answer)

    def test_a_french_tool_reads_its_file_at_its_hour(self):
        columns = "columns: [{email: E-mail}, {prenom: Prénom}, {op: Opération}]"
        extra = f'to: "folder:tool", content: difference, when: {{cron: "0 6 1 1 *", timezone: Europe/Paris}}, separator: ";", encoding: windows-1252, newline: crlf, {columns}'
        self.start(extra)
        self.member("zoe", first_name="Zoé €")
        wait_until(lambda: self.shop.deliveries("email:zoe@example.org"), "it waits")
        status = wait_until(lambda: self.shop.get("/v1/destinations/tool")["status"].get("file"), "the schedule is read")
        self.assertTrue(status["next_at"].endswith("-01-01T05:00:00.000000Z"), status)
        self.assertEqual("in a year", "in a year" if status["longest_delay"] in ("366d", "8784h") else status["longest_delay"])
        # An operator does not wait for it.
        self.shop.call("POST", "/v1/destinations/tool/retry")
        name = self.after(1)[0]
        self.assertEqual("E-mail;Prénom;Opération\r\nzoe@example.org;Zoé €;add\r\n".encode("cp1252"), (self.folder / name).read_bytes())
        self.assertEqual("windows-1252", self.manifest(name)["encoding"])


if __name__ == "__main__":
    unittest.main()

"""Destinations that are no web API: a mail server and a database, real ones, each started here on the loopback interface.

aiosmtpd speaks SMTP in this process; PostgreSQL is Debian's, on a directory of its own. What they hold is what left.
"""

import contextlib
import email
import email.policy
import logging
import os
import pathlib
import pwd
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import warnings

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from files import Door, certificate_for
from jumelle_server import BINARY, free_port, wait_until
from shop import Shop, identified, viewed, workspace

# A refused certificate is what is tested here.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)
PASSWORD = "a password that is long"
MAIL = """\
preferences: {url: "http://127.0.0.1:1"}
destinations:
  tool:
    connector: smtp
    server: "SERVER"
    allow_private: PRIVATE
    user: jumelle
    password: {env: TOOL_SECRET}
    from: "Maison Été <bonjour@shop.example>"
    reply_to: service@shop.example
    subject: "Hello ${data.first_name|or you}, ça va ?"
    text: "Size ${data.size|or unknown}. Stop: ${unsubscribe.url}"
    html: "<p>Size ${data.size|or unknown}</p><a href=\\"${unsubscribe.url}\\">stop</a>"
    rate: 1000/s
    removal: {none: "what has left lies in her own mailbox", contact: "postmaster@shop.example"}
activations:
  mail: {segment: lookers, destination: tool, purpose: marketing, channel: email,
         map: {email: identifiers.email, first_name: traits.first_name, size: traits.size}}
"""
TABLE = """\
destinations:
  tool: {connector: postgresql, server: "SERVER", allow_private: PRIVATE, user: jumelle, password: {env: TOOL_SECRET}, table: crm.people, columns: "email, size", leavers: LEAVERS}
activations:
  crm: {segment: lookers, destination: tool, purpose: marketing, channel: email,
        map: {key: identifiers.user_id, email: identifiers.email, size: traits.size}}
"""
COLUMNS = """
  activation text, key text, delivery text, purpose text, consent text, consent_at timestamptz,
  updated_at timestamptz, removed_at timestamptz, email text, size integer, note text DEFAULT 'ours', PRIMARY KEY (activation, key)
"""


class Mailbox:
    """aiosmtpd: in clear, with STARTTLS, or with TLS from the first byte. `says(address)`: what it answers to a recipient."""

    def __init__(self, mode="clear", says=None, port=None):
        self.mode, self.says, self.port = mode, says or (lambda address: "250 OK"), port or free_port()
        self.letters, self.logins, self.refused, self.lock = [], [], [], threading.Lock()

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="jumelle-smtp-")
        options = {}
        if self.mode != "clear":
            self.certificate = pathlib.Path(self.folder.name) / "certificate.pem"
            both = pathlib.Path(self.folder.name) / "both.pem"
            certificate, key = certificate_for("localhost")
            self.certificate.write_bytes(certificate)
            both.write_bytes(certificate + key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(both)
            options = {"ssl_context": context} if self.mode == "tls" else {"tls_context": context, "require_starttls": True}
        self.controller = Controller(
            self, hostname="127.0.0.1", port=self.port, authenticator=self.authenticate,
            auth_required=True, auth_require_tls=self.mode == "starttls", **options,
        )  # fmt: skip
        self.controller.start()
        return self

    def __exit__(self, *_):
        self.controller.stop(no_assert=True)
        self.folder.cleanup()

    def authenticate(self, server, session, envelope, mechanism, data):
        fits = (data.login, data.password) == (b"jumelle", PASSWORD.encode())
        self.logins.append((fits, session.ssl is not None or self.mode == "tls"))
        return AuthResult(success=fits, handled=False)

    async def handle_RCPT(self, server, session, envelope, address, options):
        said = self.says(address)
        if said.startswith("250"):
            envelope.rcpt_tos.append(address)
        else:
            self.refused.append((address, said))
        return said

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.SMTP)
        with self.lock:
            self.letters.append((envelope.mail_from, envelope.rcpt_tos, message, time.monotonic()))
        return "250 2.0.0 taken"

    def to(self, address):
        return [message for _, recipients, message, _ in self.letters if recipients == [address]]


class Postgres:
    """PostgreSQL on a directory and port of its own, with one user that has to say its password."""

    def __init__(self, tls=False):
        self.tls, self.port = tls, free_port()
        self.programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), default=pathlib.Path(shutil.which("postgres") or "/").parent)

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="jumelle-pg-")
        self.at = pathlib.Path(self.folder.name)
        (self.at / "secret").write_text(PASSWORD)
        for name, content in zip(("certificate.pem", "key.pem"), certificate_for("localhost")):
            (self.at / name).write_bytes(content)
        (self.at / "key.pem").chmod(0o600)
        self.certificate = self.at / "certificate.pem"
        if os.getuid() == 0:
            # It runs as nobody's root.
            user = pwd.getpwnam("postgres")
            for path in (self.at, *self.at.iterdir()):
                os.chown(path, user.pw_uid, user.pw_gid)
        self.run("initdb", "-D", str(self.at / "data"), "-U", "jumelle", "-A", "scram-sha-256", f"--pwfile={self.at / 'secret'}", "-E", "UTF8", "--no-sync")
        if self.tls:
            (self.at / "data" / "pg_hba.conf").write_text("local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
        self.start()
        return self.fresh()

    def fresh(self):
        """With a table that nobody is in."""
        self.sql(f"DROP SCHEMA IF EXISTS crm CASCADE; CREATE SCHEMA crm; CREATE TABLE crm.people ({COLUMNS})")
        return self

    def __exit__(self, *_):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        self.folder.cleanup()

    def run(self, program, *arguments):
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        done = subprocess.run([*as_user, str(self.programs / program), *arguments], cwd=self.at, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, program, done.stdout)

    def start(self):
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.at} -c fsync=off"
        if self.tls:
            options += f" -c ssl=on -c ssl_cert_file={self.at}/certificate.pem -c ssl_key_file={self.at}/key.pem"
        self.run("pg_ctl", "-D", str(self.at / "data"), "-l", str(self.at / "log"), "-w", "-o", options, "start")

    def stop(self):
        self.run("pg_ctl", "-D", str(self.at / "data"), "-m", "immediate", "-w", "stop")

    def sql(self, text):
        done = subprocess.run(
            [str(self.programs / "psql"), "-h", str(self.at), "-p", str(self.port), "-U", "jumelle", "-d", "postgres", "-AtXq", "-v", "ON_ERROR_STOP=1", "-c", text],
            env={**os.environ, "PGPASSWORD": PASSWORD}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(done.stderr)
        return [tuple(line.split("|")) for line in done.stdout.splitlines()]

    def people(self):
        return self.sql("SELECT key, email, size, consent, note FROM crm.people ORDER BY key")


class Native(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # One for most tests: a start takes longer than they do.
        cls.database = cls.enterClassContext(Postgres())

    def setUp(self):
        # A log-in in clear is what is tested here.
        self.enterContext(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="Requiring AUTH while not requiring TLS")

    def start(self, text, server, private="true", environment=None, **more):
        for name, value in {"SERVER": server, "PRIVATE": private, "LEAVERS": "delete", **more}.items():
            text = text.replace(name, value)
        self.text = workspace(text)
        self.shop = self.enterContext(Shop(self.text, environment={"TOOL_SECRET": PASSWORD, **(environment or {})}))

    def member(self, name, granted=True, **traits):
        address = f"{name}@example.org"
        if granted:
            self.shop.consent({"email": address}, "granted", channel="email")
        self.shop.send(identified(name, name, email=address, **traits), viewed(name, seconds=2), viewed(name, seconds=1))

    def withdraw(self, name):
        self.shop.consent({"email": f"{name}@example.org"}, "denied", channel="email")

    def deliveries(self, name):
        who = f"email:{name}@example.org"
        return list(reversed(self.shop.deliveries(who))) if self.shop.profile(who) else []

    def state(self, name):
        return [(item["type"], item["state"]) for item in self.deliveries(name)]

    def until_state(self, name, expected, seconds_max=25):
        try:
            wait_until(lambda: self.state(name) == expected, "", seconds_max)
        except AssertionError:
            self.assertEqual(expected, self.state(name), (self.deliveries(name), self.shop.get("/v1/destinations/tool"), self.shop.log_end()))

    def it_waits(self, name):
        """Not yet tried, or to be tried again."""
        self.assertIn(self.state(name), ([("segment.entered", "queued")], [("segment.entered", "failed")]))

    def last_error(self):
        return self.shop.get("/v1/destinations/tool")["last_error"] or ""

    def test_a_mail_says_who_it_is_for_and_how_to_stop_it_and_one_click_does(self):
        mail = self.enterContext(Mailbox())
        self.start(MAIL, f"smtp://127.0.0.1:{mail.port}")
        self.member("ana", first_name="Zoé", size="<42>")
        self.until_state("ana", [("segment.entered", "sent")])
        (sender, recipients, message, _) = mail.letters[0]
        self.assertEqual(("bonjour@shop.example", ["ana@example.org"]), (sender, recipients))
        self.assertEqual("Maison Été <bonjour@shop.example>", str(message["from"]))
        self.assertEqual(("service@shop.example", "Hello Zoé, ça va ?"), (str(message["reply-to"]), str(message["subject"])))
        self.assertEqual(f"<{self.deliveries('ana')[0]['id']}@shop.example>", message["message-id"])
        text, html = (message.get_body((kind,)).get_content().strip() for kind in ("plain", "html"))
        link = re.search(r"Stop: (\S+)$", text)[1]
        self.assertTrue(text.startswith("Size <42>. "), text)
        self.assertEqual(f'<p>Size &lt;42&gt;</p><a href="{link}">stop</a>', html)
        # RFC 8058: both header fields, whole; the POST alone, without a token of ours, stops it.
        self.assertEqual((f"<{link}>", "List-Unsubscribe=One-Click"), (message["list-unsubscribe"], message["list-unsubscribe-post"]))
        path = urllib.parse.urlsplit(link).path
        answer = self.shop.call("POST", path, "List-Unsubscribe=One-Click", headers={"content-type": "application/x-www-form-urlencoded"}, admin=False)
        self.assertEqual(200, answer.status)
        wait_until(lambda: self.state("ana")[-1][0] == "consent.withdrawn", "she is out")
        # What has left is not taken back, and that is said.
        self.until_state("ana", [("segment.entered", "sent"), ("consent.withdrawn", "blocked")])
        self.assertIn("postmaster@shop.example", self.deliveries("ana")[-1]["reason"])
        self.assertEqual(0, self.shop.metric("jumelle_removals_overdue", destination="tool"), "nobody waits for what cannot come")
        self.member("bo", granted=False)
        self.until_state("bo", [("segment.entered", "blocked")])
        self.assertEqual(1, len(mail.letters))
        self.assertEqual([(True, False)], mail.logins, "one connection, logged in once")

    def test_each_recipient_has_an_end_of_her_own_and_a_dead_mailbox_closes_the_gate(self):
        answers = {"gone": "550 5.1.1 <gone@example.org>: user unknown", "spam": "550 5.7.1 not from you", "full": "452 4.2.2 mailbox full"}
        mail = self.enterContext(Mailbox(says=lambda address: answers.get(address.split("@")[0], "250 OK")))
        self.start(MAIL, f"smtp://127.0.0.1:{mail.port}")
        for name in ("gone", "full", "spam", "ana"):
            self.member(name)
        self.until_state("ana", [("segment.entered", "sent")])
        self.until_state("spam", [("segment.entered", "dead")])
        self.assertIn("5.7.1", self.deliveries("spam")[0]["reason"])
        wait_until(lambda: self.state("gone")[:1] == [("segment.entered", "dead")], "refused for good")
        profile = self.shop.profile("email:gone@example.org")
        self.assertIn("bounce", str(profile["signals"]), profile)
        self.assertNotIn("bounce", str(self.shop.profile("email:spam@example.org")["signals"]))
        self.assertEqual(1, self.shop.metric("jumelle_inbound_total", destination="tool"))
        # Hers waits; the others' do not wait for it, and then it comes.
        self.assertEqual("closed", self.shop.get("/v1/destinations/tool")["status"]["circuit"])
        answers.pop("full")
        self.until_state("full", [("segment.entered", "sent")])
        self.assertEqual(1, [address for address, _ in mail.refused].count("gone@example.org"), "nobody writes there again")
        # A grant does not bring a dead mailbox back.
        self.shop.consent({"email": "gone@example.org"}, "granted", channel="email")
        gate = self.shop.get("/v1/profiles/email:gone@example.org/explain")["gate"][0]
        self.assertFalse(gate["open"], gate)

    def test_tls_from_the_first_byte_or_by_starttls_and_no_login_without(self):
        for mode, scheme in (("tls", "smtps"), ("starttls", "smtp")):
            with self.subTest(mode), Mailbox(mode) as mail:
                self.start(MAIL, f"{scheme}://localhost:{mail.port}", environment={"SSL_CERT_FILE": str(mail.certificate)})
                self.member("ana")
                self.until_state("ana", [("segment.entered", "sent")])
                self.assertEqual([(True, True)], mail.logins)
                # A certificate that the machine does not know ends it before the password.
                del self.shop.environment["SSL_CERT_FILE"]
                self.shop.stop()
                self.shop.start()
                self.member("bo")
                wait_until(lambda: "certificate" in self.last_error().lower(), "it is refused")
                self.assertEqual(1, len(mail.logins))
                self.assertNotIn(PASSWORD, self.shop.log.read_text())

    def test_a_wrong_password_waits_for_an_operator(self):
        mail = self.enterContext(Mailbox())
        self.start(MAIL, f"smtp://127.0.0.1:{mail.port}", environment={"TOOL_SECRET": "not the password"})
        self.member("ana")
        wait_until(lambda: "does not let us in" in self.last_error(), "it is said")
        self.it_waits("ana")
        self.assertEqual("open", self.shop.get("/v1/destinations/tool")["status"]["circuit"])

    def test_who_withdraws_at_the_servers_door_gets_nothing(self):
        mail = self.enterContext(Mailbox())
        door = self.enterContext(Door(mail.port))
        self.start(MAIL, f"smtp://127.0.0.1:{door.port}")
        self.member("ana")
        wait_until(lambda: door.held > 0, "it has connected")
        self.withdraw("ana")
        door.open.set()
        wait_until(lambda: self.state("ana")[:1] == [("segment.entered", "blocked")], "she is held back")
        self.member("bo")
        self.until_state("bo", [("segment.entered", "sent")])
        self.assertEqual([["bo@example.org"]], [recipients for _, recipients, _, _ in mail.letters])

    def test_a_mail_that_is_repeated_carries_the_same_id_and_a_server_that_comes_back_gets_what_waits(self):
        mail = Mailbox()
        self.start(MAIL, f"smtp://127.0.0.1:{mail.port}")
        self.member("ana")
        wait_until(lambda: self.last_error(), "nobody is there")
        self.it_waits("ana")
        self.shop.stop()
        self.enterContext(mail)
        self.shop.environment["JUMELLE_CRASH_AT"] = "after send:1"
        self.shop.start()
        wait_until(lambda: self.shop.process.poll() is not None, "it ends between the send and the result")
        del self.shop.environment["JUMELLE_CRASH_AT"]
        self.shop.start()
        self.until_state("ana", [("segment.entered", "sent")])
        ids = {message["message-id"] for message in mail.to("ana@example.org")}
        self.assertEqual((2, {f"<{self.deliveries('ana')[0]['id']}@shop.example>"}), (len(mail.letters), ids))

    def test_a_table_keeps_step_with_a_segment(self):
        database = self.database.fresh()
        self.start(TABLE, f"postgresql://127.0.0.1:{database.port}/postgres")
        self.member("ana", size=42)
        self.member("bo")
        self.member("cyd", granted=False)
        self.until_state("ana", [("segment.entered", "sent")])
        self.until_state("bo", [("segment.entered", "sent")])
        self.until_state("cyd", [("segment.entered", "blocked")])
        self.assertEqual([("ana", "ana@example.org", "42", "granted", "ours"), ("bo", "bo@example.org", "", "granted", "ours")], database.people())
        database.sql("UPDATE crm.people SET note = 'theirs'")
        self.shop.send(identified("ana", "ana", size=43))
        wait_until(lambda: database.people()[0] == ("ana", "ana@example.org", "43", "granted", "theirs"), "her row changes, the team's column does not")
        # A value that does not fit stops her alone.
        self.shop.send(identified("ana", "ana", size="large"), identified("bo", "bo", size=44))
        wait_until(lambda: database.people()[1][2] == "44", "bo's row changes")
        wait_until(lambda: self.state("ana")[-1] == ("profile.updated", "dead"), "hers is refused")
        self.assertIn("22P02", self.deliveries("ana")[-1]["reason"])
        self.assertNotIn("large", self.shop.log.read_text())
        self.withdraw("bo")
        wait_until(lambda: self.state("bo")[-1] == ("consent.withdrawn", "sent"), "the withdrawal is carried")
        self.shop.command("erase", "email:ana@example.org", "--yes")
        wait_until(lambda: database.people() == [], "nobody is left", 40)

    def test_a_field_that_she_has_no_more_is_emptied_and_who_leaves_is_marked(self):
        database = self.database.fresh()
        self.start(TABLE, f"postgresql://127.0.0.1:{database.port}/postgres", LEAVERS="mark")
        self.member("ana", size=42)
        self.until_state("ana", [("segment.entered", "sent")])
        self.shop.send(identified("ana", "ana", size=None))
        wait_until(lambda: database.people() == [("ana", "ana@example.org", "", "granted", "ours")], "the size is gone")
        self.withdraw("ana")
        wait_until(lambda: database.people() == [("ana", "", "", "withdrawn", "ours")], "nothing of her is left but whose row it was")
        self.assertEqual([("t",)], database.sql("SELECT removed_at IS NOT NULL FROM crm.people"))
        self.shop.consent({"email": "ana@example.org"}, "granted", channel="email")
        wait_until(lambda: database.sql("SELECT email, removed_at FROM crm.people") == [("ana@example.org", "")], "she is back")
        self.shop.command("erase", "email:ana@example.org", "--yes")
        wait_until(lambda: database.people() == [], "an erasure deletes", 40)

    def test_a_row_is_there_once_whatever_is_cut(self):
        database = self.database.fresh()
        database.sql("CREATE TABLE crm.written (n int); CREATE FUNCTION crm.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO crm.written VALUES (1); RETURN NEW; END'; CREATE TRIGGER noted AFTER INSERT OR UPDATE ON crm.people FOR EACH ROW EXECUTE FUNCTION crm.noted()")
        self.start(TABLE, f"postgresql://127.0.0.1:{database.port}/postgres")
        everybody = [f"p{n}" for n in range(5)]
        wait_until(self.shop.folded, "it stands")
        self.shop.stop()
        self.shop.environment["JUMELLE_CRASH_AT"] = "after send:1"
        self.shop.start()
        for name in everybody:
            with contextlib.suppress(AssertionError, OSError):
                self.member(name)
        wait_until(lambda: self.shop.process.poll() is not None, "it ends between the statement and the result")
        wait_until(lambda: database.people(), "the rows are there")
        del self.shop.environment["JUMELLE_CRASH_AT"]
        # And the database ends as hard, and comes back.
        database.stop()
        self.shop.start()
        for name in everybody:
            self.member(name)
        wait_until(lambda: self.last_error(), "nobody is there")
        database.start()
        self.shop.call("POST", "/v1/destinations/tool/retry")
        for name in everybody:
            self.until_state(name, [("segment.entered", "sent")])
        self.assertEqual(everybody, [row[0] for row in database.people()])
        self.assertEqual([("5",)], database.sql("SELECT count(*) FROM crm.written"), "each row was written once")

    def test_a_database_is_spoken_to_over_tls_and_what_is_missing_there_is_said(self):
        database = self.enterContext(Postgres(tls=True))
        self.start(TABLE, f"postgresql://localhost:{database.port}/postgres", environment={"SSL_CERT_FILE": str(database.certificate)})
        self.member("ana", size=42)
        self.until_state("ana", [("segment.entered", "sent")])
        self.assertEqual([("t",)], database.sql("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'jumelle'"))
        database.sql("ALTER TABLE crm.people DROP COLUMN size")
        self.member("bo")
        wait_until(lambda: '42703 column "size"' in self.last_error().replace("kept.", ""), f"it is said, not lost: {self.last_error()}")
        self.it_waits("bo")
        database.sql("ALTER TABLE crm.people ADD COLUMN size integer")
        self.shop.call("POST", "/v1/destinations/tool/retry")
        self.until_state("bo", [("segment.entered", "sent")])
        self.assertNotIn(PASSWORD, self.shop.log.read_text())

    def test_who_withdraws_at_the_databases_door_is_in_no_row(self):
        database = self.database.fresh()
        door = self.enterContext(Door(database.port))
        self.start(TABLE, f"postgresql://127.0.0.1:{door.port}/postgres")
        self.member("ana")
        self.member("bo")
        wait_until(lambda: door.held > 0, "it has connected")
        self.withdraw("ana")
        door.open.set()
        self.until_state("bo", [("segment.entered", "sent")])
        wait_until(lambda: self.state("ana")[:1] == [("segment.entered", "blocked")], "she is held back")
        self.assertEqual(["bo"], [row[0] for row in database.people()])

    def test_nothing_goes_to_a_private_address_that_was_not_allowed(self):
        for text, scheme in ((MAIL, "smtps"), (TABLE, "postgresql")):
            with self.subTest(scheme):
                self.start(text, f"{scheme}://localhost:{free_port()}/x", private="false")
                self.member("ana")
                wait_until(lambda: "allow_private: true" in self.last_error(), "it is refused")
                self.it_waits("ana")

    def test_what_cannot_be_a_destination_is_said_with_its_place(self):
        self.start("", "")
        mail, table = (text.replace("PRIVATE", "true").replace("LEAVERS", "delete") for text in (MAIL.replace("SERVER", "smtps://h"), TABLE.replace("SERVER", "postgresql://h/crm")))
        for text, old, new, path, said in (
            (mail, "smtps://h", "https://h", "destinations.tool.server", "write smtps://host:port or smtp://host:port"),
            (mail, "smtps://h", "smtps://ana:secret@h", "destinations.tool.server", "settings of their own"),
            (mail, "{env: TOOL_SECRET}", '"a password that is long"', "destinations.tool.password", "write {env: NAME}"),
            (mail, "${data.size|or unknown}. Stop", "${settings.password}. Stop", "destinations.tool.text", "is not about the person"),
            (mail, "${data.size|or unknown}. Stop", "${data.sise}. Stop", "activations.mail.map", "map sise here"),
            (mail, "${data.size|or unknown}. Stop", "${data.size. Stop", "destinations.tool.text", "is not a path"),
            (mail, 'preferences: {url: "http://127.0.0.1:1"}\n', "", "activations.mail.destination", "say preferences.url"),
            (mail, "channel: email,\n", "channel: sms,\n", "activations.mail.channel", "serves email"),
            (mail, "rate: 1000/s", "rate: fast", "destinations.tool.rate", "does not look like one"),
            (mail, "    rate", '    base_url: "http://127.0.0.1:1"\n    rate', "destinations.tool.base_url", "among its settings"),
            (table, "crm.people", "people; DROP TABLE x", "destinations.tool.table", "does not look like one"),
            (table, '"email, size"', "email", "activations.crm.map", "size is mapped"),
            (table, "key: identifiers.user_id, ", "", "activations.crm.map", "needs the fields key"),
            (table, "leavers: delete", "leavers: keep", "destinations.tool.leavers", "delete, mark"),
        ):
            with self.subTest(said):
                self.assertIn(old, text)
                answer = self.shop.apply(workspace(text.replace(old, new, 1)))
                self.assertEqual(422, answer.status, answer)
                problems = answer.json().get("problems") or answer.json().get("errors") or []
                self.assertTrue([one for one in problems if one["path"] == path and said in one["message"]], answer)

    def test_settings_are_tried_without_anybodys_data(self):
        mail = self.enterContext(Mailbox())
        database = self.database.fresh()
        for text, server, fine in (
            (MAIL, f"smtp://127.0.0.1:{mail.port}", PASSWORD),
            (TABLE, f"postgresql://127.0.0.1:{database.port}/postgres", PASSWORD),
        ):
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as settings:
                text = text.replace("SERVER", server).replace("PRIVATE", "true").replace("LEAVERS", "mark")
                connector = re.search(r"connector: (\w+)", text)[1]
                block = text.split("tool:", 1)[1].split("activations:")[0]
                settings.write(block if block.lstrip(" ").startswith("{") else "".join(line[4:] + "\n" for line in block.splitlines()))
                settings.flush()
                for password, code, said in ((fine, 0, "the settings are right"), ("not the password", 3, "answers 403")):
                    with self.subTest(connector, password=password):
                        done = subprocess.run(
                            [str(BINARY), "connector", "try", connector, "--settings", settings.name], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, check=False, env={**os.environ, "TOOL_SECRET": password},
                        )  # fmt: skip
                        self.assertEqual(code, done.returncode, done)
                        self.assertIn(said, done.stdout + done.stderr)
        self.assertEqual(([], []), (mail.letters, database.people()))


if __name__ == "__main__":
    unittest.main()

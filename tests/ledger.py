"""The ledger over the real binary: what was sent is in it, whoever changes it is found, and a proof is checked from outside."""

import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import unittest

from jumelle_server import BINARY, ROOT, wait_until
from shop import Inbox, Shop, identified, viewed, workspace

ACTIVATED = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true, concurrency: 8}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""
SIGNALLED = """\
purposes:
  measuring: {basis: consent, gcm: [analytics_storage]}
  showing: {basis: consent, gcm: [ad_storage]}
"""
SHOWN = {"text": "news-2026-03", "method": "checkbox", "place": "https://shop.example/account"}
PAGE = ROOT / "docs" / "guide" / "proof.md"
LINES_MAX = 60


def entries(data):
    """All entries of the raw files, as a program that knows only the layout reads them; None for an erased one."""
    for path in sorted((data / "ledger").glob("*.text")):
        raw, at = path.read_bytes(), 0
        while at + 49 <= len(raw):
            (length,), what = struct.unpack_from("<I", raw, at), raw[at + 4]
            if at + 49 + length > len(raw):
                break
            yield None if what == 0 else json.loads(raw[at + 49 : at + 49 + length])
            at += 49 + length


class Ledgers(unittest.TestCase):
    def setUp(self):
        self.inbox = Inbox().__enter__()
        self.addCleanup(self.inbox.__exit__, None, None, None)
        self.shop = Shop(workspace(ACTIVATED.replace("URL", self.inbox.url)))
        self.folder = pathlib.Path(self.shop.files.name)
        self.key = self.folder / "ledger.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key], check=True)
        self.shop.arguments = ("--ledger-key", str(self.key))
        self.shop.__enter__()
        self.addCleanup(self.shop.__exit__, None, None, None)

    def jumelle(self, *arguments, code=0):
        done = subprocess.run(
            [str(BINARY), *map(str, arguments), "--json", "--server", self.shop.url],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
            env=self.shop.client_environment(),
        )  # fmt: skip
        self.assertEqual(code, done.returncode, f"{arguments}\n{done.stdout}\n{done.stderr}\n{self.shop.log_end()}")
        return json.loads(done.stdout) if code == 0 else done.stderr

    def looker(self, number, email, **entry):
        """Somebody who looks twice and agrees: one message."""
        self.shop.send(identified(f"b{number}", email=email), viewed(f"b{number}"), viewed(f"b{number}"))
        self.shop.consent({"email": email}, "granted", channel="email", **entry)

    def ana(self):
        self.looker(0, "ana@example.org", proof=SHOWN)
        wait_until(lambda: self.inbox.types() == ["segment.entered"], "in the tool")
        wait_until(lambda: self.shop.deliveries("email:ana@example.org")[0]["state"] == "sent", "and known to be")

    def public_key(self):
        """As OpenSSL sees it: the last 32 bytes of the key's DER."""
        der = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"], check=True, capture_output=True)
        return der.stdout[-32:].hex()

    def verifier(self):
        (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        self.assertLessEqual(len([line for line in program.splitlines() if line.strip()]), LINES_MAX)
        path = self.folder / "verifier.py"
        path.write_text(program)
        return path

    def check_outside(self, proof, key=None):
        path = self.folder / "proof.json"
        path.write_text(json.dumps(proof))
        command = [sys.executable, "-I", self.verifier(), path, key or self.public_key()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


class Proofs(Ledgers):
    def test_a_proof_says_what_was_shown_and_sent_and_is_checked_from_outside(self):
        self.ana()
        proof = self.jumelle("ledger", "proof", "email:ana@example.org")
        (choice,), (sent,) = proof["choices"], proof["sent"]
        self.assertEqual(("marketing", "email", "granted", SHOWN), tuple(choice[key] for key in ("purpose", "channel", "state", "shown")))
        self.assertEqual(["email", "ana@example.org"], choice["address"])
        (message,) = self.inbox.taken()
        self.assertEqual(message["id"], sent["delivery"])
        self.assertEqual({"email": "ana@example.org"}, sent["data"])
        self.assertEqual(message["consent"]["receipt"], sent["under"]["choice"]["receipt"])
        self.assertEqual(choice["entry"], sent["choice"], "the message leads to the choice")
        self.assertEqual(("sent", 204), (sent["outcome"]["state"], sent["outcome"]["status"]))
        done = self.check_outside(proof)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(f"{len(proof['entries'])} entries are in the signed days", done.stdout)

        for change in ("text", "index", "root", "key"):
            with self.subTest(changed=change):
                forged, key = json.loads(json.dumps(proof)), self.public_key()
                if change == "text":
                    entry = next(entry for entry in forged["entries"] if '"granted"' in entry["text"])
                    entry["text"] = entry["text"].replace("2026-03", "2026-04")
                elif change == "index":
                    forged["entries"][0]["index"] += 1
                elif change == "root":
                    next(iter(forged["roots"].values()))["size"] += 1
                else:
                    key = "00" * 31 + "01"
                self.assertNotEqual(0, self.check_outside(forged, key).returncode)

    def test_the_document_has_the_words_that_she_was_shown(self):
        texts = """{basis: consent, label: {fr: Nos offres, en: Our offers}, texts: [
            {version: "2026-03", fr: "Je veux bien des offres", en: "Send me offers"}, {version: "2026-08", fr: "Deux fois par mois", en: "Twice a month"}]}"""
        text = workspace(ACTIVATED.replace("URL", self.inbox.url)).replace("marketing: {basis: consent}", f"marketing: {texts}", 1)
        self.assertEqual(200, self.shop.apply(text).status)
        self.shop.send(identified("b0", email="ana@example.org"))
        self.shop.consent({"email": "ana@example.org"}, "granted", channel="email", proof={"text_version": "2026-03", "method": "form"})
        proof = self.jumelle("ledger", "proof", "email:ana@example.org")
        self.assertEqual({"fr": "Je veux bien des offres", "en": "Send me offers"}, proof["purposes"]["marketing"]["texts"]["2026-03"])
        for lang, there in (("fr", ("«\u00a0Je veux bien des offres\u00a0»", "Nos offres (marketing) · E-mail")), ("en", ("“Send me offers”", "Our offers (marketing) · E-mail"))):
            page = self.shop.request("GET", f"/v1/privacy/proof?identifier=email:ana@example.org&format=html&lang={lang}").decode()
            for words in there:
                self.assertIn(words, page)
            for words in ("Deux fois par mois", "Twice a month"):
                self.assertNotIn(words, page, "another version's")

    def test_words_that_are_changed_afterwards_change_no_proof(self):
        shown, version = {"en": "Send me offers"}, "2026-03"
        declared = lambda words: workspace(ACTIVATED.replace("URL", self.inbox.url)).replace("marketing: {basis: consent}", f'marketing: {{basis: consent, texts: [{{version: "{version}", en: "{words}"}}]}}', 1)
        self.assertEqual(200, self.shop.apply(declared(shown["en"])).status)
        self.shop.send(identified("b0", email="ana@example.org"))
        self.shop.consent({"email": "ana@example.org"}, "granted", channel="email", proof={"text_version": version})
        self.assertEqual(200, self.shop.apply(declared("Send me offers, and sell my address")).status)
        self.shop.consent({"email": "ana@example.org"}, "granted", channel="sms", proof={"text_version": version})
        # And the purpose goes altogether.
        plain = workspace("").replace("  marketing: {basis: consent}\n", "", 1)
        self.assertEqual(200, self.shop.call("PUT", "/v1/workspace?leave_behind=true", plain, headers={"content-type": "application/yaml"}).status, plain)
        proof = self.jumelle("ledger", "proof", "email:ana@example.org")
        by_channel = {choice["channel"]: choice["text"] for choice in proof["choices"]}
        self.assertEqual(shown, by_channel["email"]["words"])
        self.assertEqual({"en": "Send me offers, and sell my address"}, by_channel["sms"]["words"])
        places = [{"day": entry["day"], "index": entry["index"]} for entry in proof["entries"]]
        self.assertIn(by_channel["email"]["entry"], places, "the words are an entry of the ledger, with its way to the root")
        self.assertEqual(0, self.check_outside(proof).returncode)
        page = self.shop.request("GET", "/v1/privacy/proof?identifier=email:ana@example.org&format=html&lang=en").decode()
        self.assertIn("“Send me offers”", page)
        self.jumelle("ledger", "verify")

    def test_what_a_signal_says_is_one_entry_and_each_of_its_choices_has_its_proof(self):
        self.shop.apply(workspace(ACTIVATED.replace("URL", self.inbox.url)).replace("purposes:\n", SIGNALLED, 1))
        states = {"analytics_storage": "granted", "ad_storage": "granted"}
        event = {**viewed("b1", "m-signal"), "context": {"consent": {"gcm": states}}}
        self.shop.send(event, {**event, "messageId": "m-again"})
        profile = self.shop.profile("anonymous_id:b1")
        proof = self.jumelle("ledger", "proof", "anonymous_id:b1")
        said = {choice["purpose"]: choice for choice in proof["choices"]}
        self.assertEqual({"measuring": "granted", "showing": "granted"}, {key: choice["state"] for key, choice in said.items()})
        receipts = {consent["purpose"]: consent["receipt"] for consent in profile["consents"]}
        for purpose, choice in said.items():
            with self.subTest(purpose=purpose):
                self.assertEqual(("gcm", "m-signal"), (choice["shown"]["method"], choice["shown"]["message"]))
                self.assertIn("_storage", choice["shown"]["because"])
                self.assertEqual(["anonymous_id", "b1"], choice["address"])
                self.assertEqual([receipts[purpose]], choice["receipts"])
        self.assertEqual(1, len({json.dumps(choice["entry"]) for choice in said.values()}), "one entry")
        self.assertEqual(0, self.check_outside(proof).returncode)

    def test_the_document_is_in_french_and_english(self):
        self.ana()
        for lang, words in (("fr", ("Ce qui a été envoyé", "accordé")), ("en", ("What was sent", "granted"))):
            with self.subTest(lang=lang):
                path = self.folder / f"{lang}.html"
                arguments = ["ledger", "proof", "email:ana@example.org", "--html", path, "--lang", lang, "--server", self.shop.url]
                subprocess.run([str(BINARY), *map(str, arguments)], check=True, env=self.shop.client_environment())
                page = path.read_text()
                for word in (*words, "news-2026-03", "ana@example.org", "mailer", f'lang="{lang}"'):
                    self.assertIn(word, page)

    def test_an_erasure_leaves_hashes_and_the_proof_that_it_was_done(self):
        self.ana()
        self.looker(1, "bob@example.org")
        wait_until(lambda: len(self.inbox.taken()) == 2, "Bob too")
        self.jumelle("erase", "email:ana@example.org", "--yes")
        wait_until(lambda: "profile.erased" in self.inbox.types(), "the tool is told")
        proof = self.jumelle("ledger", "proof", "email:ana@example.org")
        self.assertEqual(([], 1), (proof["choices"], len(proof["erasures"])))
        gone = [entry for entry in proof["entries"] if entry["text"] is None]
        self.assertEqual(proof["erasures"][0]["entries"], len(gone))
        self.assertGreaterEqual(len(gone), 3, "a choice, a release, an outcome")
        done = self.check_outside(proof)
        self.assertEqual(0, done.returncode, done.stderr)
        verified = self.jumelle("ledger", "verify", "--key", self.public_key())
        self.assertEqual((len(gone), 0), (verified["erased"], verified["problem_count"]))
        wait_until(lambda: len([e for e in entries(self.shop.data) if e and e["kind"] == "outcome"]) == 2, "Bob's and the erasure's")
        self.shop.stop()
        for path in (self.shop.data / "ledger").iterdir():
            self.assertNotIn(b"ana@example.org", path.read_bytes(), path.name)
        self.assertIn("bob@example.org", [e["address"][1] for e in entries(self.shop.data) if e and e["kind"] == "release" and e["address"]])


class Changed(Ledgers):
    def test_whoever_changes_a_byte_is_found(self):
        self.ana()
        self.jumelle("ledger", "verify")
        exported = self.folder / "exported"
        self.jumelle("ledger", "export", "--to", exported)
        self.shop.stop()
        verified = self.jumelle("ledger", "verify", "--data", self.shop.data)
        self.assertEqual(0, verified["problem_count"])
        roots = ("--roots", exported / "roots.jsonl", "--key", self.public_key())
        self.assertEqual(1, self.jumelle("ledger", "verify", "--data", self.shop.data, *roots)["exported"])
        (text,) = (self.shop.data / "ledger").glob("*.text")
        whole = text.read_bytes()
        text.write_bytes(whole.replace(b"checkbox", b"checkbax"))
        self.assertIn("entry 1: the text is not the one that was hashed", self.jumelle("ledger", "verify", "--data", self.shop.data, code=7))
        text.write_bytes(whole)
        shutil.rmtree(self.shop.data / "ledger")
        self.assertIn("there is no ledger", self.jumelle("ledger", "verify", "--data", self.shop.data, code=7))
        # A fresh one in its place is consistent; the exported roots know better.
        self.shop.start()
        self.shop.stop()
        self.jumelle("ledger", "verify", "--data", self.shop.data)
        self.jumelle("ledger", "verify", "--data", self.shop.data, *roots, code=7)

    def test_a_rebuild_leaves_it_as_it_was(self):
        self.ana()
        self.shop.stop()
        before = {path.name: path.read_bytes() for path in (self.shop.data / "ledger").iterdir()}
        self.assertTrue(self.shop.offline("rebuild")["identical"])
        self.assertEqual(before, {path.name: path.read_bytes() for path in (self.shop.data / "ledger").iterdir()})


class BackedUp(Ledgers):
    def test_a_backup_has_it_and_a_restored_server_goes_on_with_it(self):
        self.ana()
        backup, older, data = self.folder / "backup", self.folder / "older", self.folder / "restored"
        self.jumelle("backup", backup)
        shutil.copytree(backup, older)
        whole = [entry for entry in entries(backup)]
        self.assertEqual(["choice", "outcome", "release"], sorted(entry["kind"] for entry in whole if entry["kind"] != "begin"))
        self.looker(1, "bob@example.org")
        wait_until(lambda: len(self.inbox.taken()) == 2, "Bob too")
        self.jumelle("erase", "email:ana@example.org", "--yes")
        self.jumelle("backup", backup)
        self.assertEqual([], self.jumelle("backup", backup, "--verify")["damages"])
        self.shop.stop()
        for path in (path for path in backup.rglob("*") if path.is_file()):
            if path.parent.name == "ledger":
                self.assertNotIn(b"ana@example.org", path.read_bytes(), path.name)
        self.jumelle("restore", older, "--data", data, "--erasures", backup)
        verified = self.jumelle("ledger", "verify", "--data", data)
        self.assertEqual((3, 0), (verified["erased"], verified["problem_count"]))
        self.assertTrue(self.jumelle("rebuild", "--data", data)["identical"])

        shutil.rmtree(self.shop.data)
        self.jumelle("restore", backup, "--data", self.shop.data)
        before = len(list(entries(self.shop.data)))
        self.shop.start()
        self.shop.consent({"email": "bob@example.org"}, "denied", channel="email")
        wait_until(lambda: "consent.withdrawn" in self.inbox.types(), "withdrawn")
        self.assertEqual(0, self.jumelle("ledger", "verify")["problem_count"])
        proof = self.jumelle("ledger", "proof", "email:bob@example.org")
        self.assertEqual(["granted", "denied"], [choice["state"] for choice in proof["choices"]])
        self.assertEqual(["segment.entered", "consent.withdrawn"], [sent["type"] for sent in proof["sent"]])
        self.assertEqual(0, self.check_outside(proof).returncode)
        self.assertGreater(len(list(entries(self.shop.data))), before)


class Killed(Ledgers):
    PEOPLE = 400

    def test_what_the_tool_has_received_is_in_it_after_a_kill(self):
        killed = 0
        for at in (20, 150):
            before = len(self.inbox.taken())
            for number in range(killed * self.PEOPLE, (killed + 1) * self.PEOPLE):
                person = f"b{number}"
                agreed = {"context": {"consents": [{"purpose": "marketing", "channel": "email", "state": "granted"}]}}
                self.shop.send({**identified(person, email=f"p{number}@example.org"), **agreed}, viewed(person), viewed(person))
                if len(self.inbox.taken()) >= before + at:
                    break
            wait_until(lambda: len(self.inbox.taken()) >= before + at, "sending")
            self.shop.kill()
            killed += 1
            received = {message["id"] for message in self.inbox.taken()}
            noted = {entry["delivery"] for entry in entries(self.shop.data) if entry and entry["kind"] == "release"}
            self.assertEqual(set(), received - noted, "received and not in the ledger")
            verified = self.jumelle("ledger", "verify", "--data", self.shop.data)
            self.assertEqual(0, verified["problem_count"])
            self.shop.start()
        wait_until(self.shop.folded, "folded")
        wait_until(lambda: self.shop.get("/v1/deliveries?state=queued")["items"] == [], "all sent", 60)
        self.assertEqual(0, self.jumelle("ledger", "verify")["problem_count"])
        self.shop.stop()
        kinds = [entry["kind"] for entry in entries(self.shop.data) if entry]
        people = len({message["profile"] for message in self.inbox.taken()})
        self.assertEqual(people, kinds.count("choice"), "each choice once, also after two kills")
        self.assertEqual(people, kinds.count("outcome"), "each outcome once")
        print(f" {people} people, {len(kinds)} entries … ", end="", flush=True)


if __name__ == "__main__":
    unittest.main()

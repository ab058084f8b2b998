"""What whoever watches over consent sees (issue 6, points 12 and 16): counts against a small population whose truth is known, the
PDF of a proof with the JSON in it, versions of the policy, and that the role `privacy` sees this and no marketing."""

import collections
import io
import json
import unittest

import pypdf

from jumelle_server import wait_until
from ledger import Ledgers
from shop import Inbox, Shop, identified, now, viewed, workspace

TOOLS = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true}
  printer: {connector: webhook, url: "URL", allow_private: true, removal: {none: "a paper list", contact: print@example.org}}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""
# Name, state of marketing by e-mail, days since the choice, source.
PEOPLE = [
    ("ana", "granted", 1, "site"),
    ("bea", "granted", 70, "site"),
    ("cem", "granted", 400, "till"),
    ("dag", "denied", 3, "site"),
    ("eva", "denied", 2, "till"),
    ("fay", None, 0, "site"),
    ("gil", "granted", 5, "site"),
]
EXPIRES_D, SOON_D, OLD_D = 90, 30, 365


class Counts(unittest.TestCase):
    def setUp(self):
        self.inbox = self.enterContext(Inbox(lambda message: 204))
        text = workspace(TOOLS.replace("URL", self.inbox.url))
        text = text.replace("marketing: {basis: consent}", f"marketing: {{basis: consent, expires_after: {EXPIRES_D}d}}")
        self.text = text
        self.shop = self.enterContext(Shop(text))

    def choice(self, name, state, source, **ago):
        consent = {"purpose": "marketing", "channel": "email", "state": state, "at": now(**ago)}
        event = identified(f"browser-{name}", email=f"{name}@example.org")
        event["context"] = {**event.get("context", {}), "consents": [consent]}
        self.shop.send(event, write_key=f"wk_{source}")

    def census(self):
        return self.shop.call("GET", "/v1/privacy/consents?fresh=true").json()

    def row(self, census, name="reach", **where):
        (row,) = [row for row in census["census"][name] if all(row[key] == value for key, value in where.items())]
        return row

    def test_the_counts_are_those_of_the_population(self):
        for name, state, days, source in PEOPLE:
            if state:
                self.choice(name, state, source, days=days)
            else:
                self.shop.send(identified(f"browser-{name}", email=f"{name}@example.org"))
        # A visitor without a name.
        self.shop.send(viewed("browser-nobody"))
        # Somebody changes her mind twice: a yes, a no, a yes. She has two addresses, and refuses for the other.
        self.choice("gil", "denied", "site", days=4)
        self.choice("gil", "granted", "site", days=3)
        other = {"purpose": "marketing", "channel": "email", "state": "denied", "for": {"email": "gil@work.example"}}
        event = identified("browser-gil", email="gil@work.example")
        event["context"] = {**event.get("context", {}), "consents": [other]}
        self.shop.send(event)
        wait_until(lambda: self.shop.folded(), "all is folded")

        granted = [days for _, state, days, _ in PEOPLE if state == "granted"]
        truth = {
            "granted": len(granted),
            "denied": sum(state == "denied" for _, state, *_ in PEOPLE),
            "unknown": sum(state is None for _, state, *_ in PEOPLE) + 1,
            "reachable": sum(days < EXPIRES_D for days in granted),
            "expired": sum(days >= EXPIRES_D for days in granted),
            "expiring": sum(EXPIRES_D - SOON_D <= days < EXPIRES_D for days in granted),
            "old": sum(days > OLD_D for days in granted),
            "weak": 0,
            "old_text": 0,
        }
        people = len(PEOPLE) + 1
        # Who came within the last second may not be in the tables yet.
        counted = wait_until(lambda: (found := self.census())["census"]["people"] == people and found, "everybody is counted", 40)
        row = self.row(counted, purpose="marketing", channel="email")
        self.assertEqual(truth, {key: row[key] for key in truth})
        self.assertEqual(people, row["granted"] + row["denied"] + row["unknown"])
        for source in ("site", "till"):
            found = self.row(counted, "states", purpose="marketing", channel="email", source=source)
            for state in ("granted", "denied"):
                self.assertEqual(sum(one[1] == state and one[3] == source for one in PEOPLE), found[state], (source, state))

        # How it stood today is kept for the trend.
        wait_until(lambda: self.census()["stocks"], "kept")
        (stock,) = self.census()["stocks"]
        (kept,) = [row for row in stock["reach"] if (row["purpose"], row["channel"]) == ("marketing", "email")]
        self.assertEqual((people, truth), (stock["people"], {key: kept[key] for key in truth}))
        for age, names in (("expired", {"cem"}), ("expiring", {"bea"}), ("old", {"cem"}), ("weak", set()), ("old_text", set())):
            found, cursor = [], ""
            while cursor is not None:
                page = self.shop.get(f"/v1/privacy/consents/people?purpose=marketing&channel=email&age={age}&limit=1{cursor}")
                self.assertLessEqual(len(page["items"]), 1)
                found += page["items"]
                cursor = page["next"] and f"&cursor={page['next']}"
            self.assertEqual({f"email:{name}@example.org" for name in names}, {item["identifier"] for item in found}, age)
            self.assertEqual(row[age], len(found), "as many as were counted")

        turns = collections.Counter()
        for day in counted["days"]:
            for turn in day["turns"]:
                turns.update({key: turn[key] for key in ("granted", "denied", "withdrawn")})
        # Each first choice, and gil's no and yes again; her other address is a no from nothing.
        self.assertEqual({"granted": truth["granted"] + 1, "denied": truth["denied"] + 1, "withdrawn": 1}, dict(turns))

    def test_an_erased_person_is_counted_no_more_and_a_restart_counts_the_same(self):
        self.choice("ana", "granted", "site", days=1)
        self.choice("bea", "denied", "site", days=1)
        find = lambda: self.row(self.census(), purpose="marketing", channel="email")
        wait_until(lambda: (find()["granted"], find()["denied"]) == (1, 1), "both are counted", 40)
        before = self.census()["days"]
        self.shop.kill()
        self.shop.start()
        self.assertEqual(before, self.census()["days"])
        self.shop.call("POST", "/v1/privacy/erase", {"identifier": "email:ana@example.org"})
        wait_until(lambda: (find()["granted"], find()["denied"]) == (0, 1), "one is left", 40)
        self.shop.stop()
        report = self.shop.offline("rebuild")
        self.assertTrue(report["identical"], report["differences"])

    def test_a_withdrawal_is_seen_until_the_tool_confirms_it_and_a_mute_tool_is_a_risk(self):
        self.shop.send(viewed("browser-ana"), viewed("browser-ana"))
        self.choice("ana", "granted", "site", seconds=5)
        wait_until(lambda: self.inbox.types() == ["segment.entered"], "she is in the tool")
        self.choice("ana", "denied", "site", seconds=0)
        wait_until(lambda: "consent.withdrawn" in self.inbox.types(), "the tool is told")

        def mailer():
            items = self.shop.call("GET", "/v1/privacy/tools").json()["items"]
            return next(item for item in items if item["destination"] == "mailer")

        wait_until(lambda: mailer()["confirmed"] == 1, "it confirmed")
        self.assertEqual({"waiting": 0, "overdue": 0, "oldest_at": None}, mailer()["removals"])
        self.assertEqual(86_400, mailer()["confirm_within_s"], "a day, if nothing is said")
        items = self.shop.call("GET", "/v1/privacy/tools").json()["items"]
        risks = {item["destination"]: item["cannot_be_told"] for item in items if item["cannot_be_told"]}
        self.assertEqual({"printer": {"reason": "a paper list", "contact": "print@example.org"}}, risks)

    def test_how_it_stood_outlives_a_restart_and_is_counted_without_anybody_looking(self):
        self.choice("ana", "granted", "site", days=1)
        wait_until(lambda: self.shop.folded(), "folded")
        path = self.shop.data / "stocks.jsonl"
        wait_until(path.exists, "counted by itself", 40)
        line = {"day": "2020-01-01", "at": "2020-01-01T22:00:00Z", "people": 7, "reach": []}
        path.write_text(json.dumps(line) + "\n" + path.read_text() + '{"day": "cut o')
        self.shop.kill()
        self.shop.start()
        stocks = wait_until(lambda: (found := self.census()["stocks"]) and len(found) == 2 and found, "both days")
        self.assertEqual(line, stocks[0])
        wait_until(lambda: len(path.read_text().splitlines()) == 2, "what was cut off is gone")

    def test_whom_to_look_at_is_asked_in_words_that_are_known(self):
        for query, field in (("purpose=nothing&age=weak", "purpose"), ("purpose=marketing&channel=pigeon&age=weak", "channel"), ("purpose=marketing&age=young", "age"), ("purpose=marketing&age=weak&cursor=x", "cursor")):
            answer = self.shop.call("GET", f"/v1/privacy/consents/people?{query}")
            self.assertEqual((400, field), (answer.status, answer.json().get("field")), answer)

    def test_a_number_of_days_has_bounds(self):
        for path in ("consents", "tools"):
            for days in (0, 367):
                answer = self.shop.call("GET", f"/v1/privacy/{path}?days={days}")
                self.assertEqual((400, "days"), (answer.status, answer.json()["field"]))

    def test_each_version_of_the_policy_says_who_when_and_what(self):
        changed = self.text.replace(f"expires_after: {EXPIRES_D}d", "expires_after: 60d")
        self.shop.apply(changed)
        first, second = self.shop.call("GET", "/v1/privacy/policies").json()["items"]
        self.assertEqual("workspace.yaml", second["by"])
        self.assertTrue(second["first"])
        (change,) = first["changes"]
        self.assertEqual(("purposes", "marketing", "changed"), (change["collection"], change["key"], change["kind"]))
        self.assertEqual([{"path": "expires_after", "before": "90d", "after": "60d"}], change["values"])
        self.assertFalse(first["first"])
        self.assertTrue(first["by"])
        page = self.shop.call("GET", "/v1/privacy/policies?limit=1").json()
        self.assertEqual(1, len(page["items"]))
        rest = self.shop.call("GET", f"/v1/privacy/policies?limit=1&cursor={page['next']}").json()
        self.assertEqual(([second], None), (rest["items"], rest["next"]))

    def test_the_role_privacy_sees_this_and_no_marketing(self):
        token = self.shop.call("POST", "/v1/tokens", {"name": "dpo", "role": "privacy"}).json()["token"]
        headers = {"authorization": f"Bearer {token}"}
        for path in ("consents", "consents/people?purpose=marketing&age=weak", "tools", "policies", "requests"):
            self.assertEqual(200, self.shop.call("GET", f"/v1/privacy/{path}", headers=headers).status, path)
        for path in ("/v1/segments", "/v1/segments/lookers", "/v1/traits", "/v1/overview", "/v1/segments/lookers/members"):
            self.assertEqual(403, self.shop.call("GET", path, headers=headers).status, path)
        whole = self.shop.call("GET", "/v1/workspace", headers=headers).json()
        self.assertNotIn("segments", whole)
        self.assertIn("purposes", whole)
        marketer = self.shop.call("POST", "/v1/tokens", {"name": "m", "role": "marketer"}).json()["token"]
        for path in ("consents", "consents/people?purpose=marketing&age=weak", "tools", "policies"):
            answer = self.shop.call("GET", f"/v1/privacy/{path}", headers={"authorization": f"Bearer {marketer}"})
            self.assertEqual(403, answer.status, path)


class Papers(Ledgers):
    """The PDF of a proof."""

    def pdf(self, lang):
        answer = self.shop.call("GET", f"/v1/privacy/proof?identifier=email:ana@example.org&format=pdf&lang={lang}")
        self.assertEqual((200, "application/pdf"), (answer.status, answer.headers["content-type"]))
        return pypdf.PdfReader(io.BytesIO(answer.body))

    def test_the_pdf_says_it_in_both_languages_and_carries_what_checks_it(self):
        self.ana()
        words = {
            "fr": ("Preuve des choix et des envois", "accordé", "Ce qui a été envoyé", "E-mail"),
            "en": ("Proof of choices and messages", "granted", "What was sent", "E-mail"),
        }
        for lang, expected in words.items():
            with self.subTest(lang=lang):
                reader = self.pdf(lang)
                # A line may be broken anywhere between words.
                text = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
                for phrase in (*expected, "news-2026-03", "ana@example.org"):
                    self.assertIn("".join(phrase.split()), "".join(text.split()))
                self.assertEqual(lang, reader.trailer["/Root"]["/Lang"])
                fonts = {font["/BaseFont"] for page in reader.pages for font in (f.get_object() for f in page["/Resources"]["/Font"].values())}
                self.assertTrue(fonts and all("DejaVuSans" in font for font in fonts), fonts)
                proof = json.loads(reader.attachments["proof.json"][0])
                done = self.check_outside(proof)
                self.assertEqual(0, done.returncode, done.stderr)
                forged = json.loads(json.dumps(proof))
                entry = next(entry for entry in forged["entries"] if '"granted"' in entry["text"])
                entry["text"] = entry["text"].replace("2026-03", "2026-04")
                self.assertNotEqual(0, self.check_outside(forged).returncode)

    def test_the_command_line_writes_it_too(self):
        self.ana()
        path = self.folder / "proof.pdf"
        self.shop.command("ledger", "proof", "email:ana@example.org", "--pdf", path, "--lang", "fr")
        text = "".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
        for phrase in ("Preuve des choix et des envois", "UTC", "ajout au groupe", "envoyé"):
            self.assertIn("".join(phrase.split()), "".join(text.split()))

    def test_another_form_is_refused_by_name(self):
        self.ana()
        answer = self.shop.call("GET", "/v1/privacy/proof?identifier=email:ana@example.org&format=docx")
        self.assertEqual((400, "format"), (answer.status, answer.json()["field"]))


del Ledgers

if __name__ == "__main__":
    unittest.main()

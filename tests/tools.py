"""Tools and the people in them: what leaves is carried to every tool, what tools hold is compared, what they report closes the gate."""

import base64
import csv
import hashlib
import hmac
import io
import json
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jumelle_server import BINARY, wait_until
from shop import Inbox, Shop, identified, instant, viewed, workspace

TOOLS = """\
destinations:
  mailer: {connector: webhook, url: "MAILER", allow_private: true, country: FR, EXTRA}
  ads: {connector: webhook, url: "ADS", allow_private: true, country: FR, MORE}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email, size: traits.size}}
  audience: {segment: lookers, destination: ads, purpose: marketing, channel: email, map: {em: sha256.identifiers.email}}
"""
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TWILIO_TOKEN = "12345678901234567890123456789012"


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Tools(unittest.TestCase):
    def start(self, mailer=lambda message: 204, ads=lambda message: 204, extra="concurrency: 8", more="concurrency: 8", environment=None):
        self.mailer = self.enterContext(Inbox(mailer))
        self.ads = self.enterContext(Inbox(ads))
        self.text = workspace(
            TOOLS.replace("MAILER", self.mailer.url).replace("ADS", self.ads.url).replace("EXTRA", extra).replace("MORE", more)
        )
        self.shop = self.enterContext(Shop(self.text, environment=environment))

    def member(self, name, email=None):
        email = email or f"{name}@example.org"
        self.shop.consent({"email": email}, "granted", channel="email")
        self.shop.send(identified(name, email=email), viewed(name, seconds=2), viewed(name, seconds=1))

    def waiting(self, who):
        return [item for item in self.shop.deliveries(who) if item["state"] in ("queued", "failed")]

    def withdraw(self, email):
        self.shop.consent({"email": email}, "denied", channel="email")

    def states(self, who):
        return {item["destination"]: item["state"] for item in self.shop.get(f"/v1/profiles/{who}/tools")["items"]}

    def until_states(self, who, expected, seconds_max=20):
        try:
            wait_until(lambda: self.states(who) == expected, "", seconds_max)
        except AssertionError:
            self.assertEqual(expected, self.states(who))

    def jumelle(self, *arguments):
        return self.shop.command(*arguments, "--json")

    def test_a_withdrawal_is_carried_to_every_tool_and_a_new_address_takes_the_old_one_out(self):
        self.start()
        self.member("ana")
        self.until_states("email:ana@example.org", {"mailer": "in", "ads": "in"})
        self.shop.consent({"email": "ana@new.example"}, "granted", channel="email")
        self.shop.send(identified("ana", email="ana@new.example", size="42"))
        wait_until(lambda: len(self.mailer.taken()) == 3, "the old name out, the new one in")
        self.assertEqual(["segment.entered", "segment.exited", "segment.entered"], self.mailer.types())
        self.assertEqual({"email": "ana@example.org"}, self.mailer.taken()[1]["data"], "as it was sent, and no more")
        wait_until(lambda: len(self.ads.taken()) == 3, "hashed, too")
        self.assertEqual([sha256(email) for email in ("ana@example.org", "ana@example.org", "ana@new.example")], [m["data"]["em"] for m in self.ads.taken()])
        self.until_states("email:ana@new.example", {"mailer": "in", "ads": "in"})
        self.shop.send(identified("ana", size="43"))
        wait_until(lambda: self.mailer.types()[3:] == ["profile.updated"], "what is no name is an update")
        # The other way round she might be brought in by the old one in between.
        self.withdraw("ana@example.org")
        self.withdraw("ana@new.example")
        self.until_states("email:ana@new.example", {"mailer": "confirmed", "ads": "confirmed"})
        self.assertEqual({"email": "ana@new.example", "size": "43"}, self.mailer.taken()[-1]["data"])
        tool = self.shop.get("/v1/profiles/email:ana@new.example/tools")["items"][1]
        self.assertEqual(("mailer", "mail", "consent.withdrawn", None), tuple(tool[key] for key in ("destination", "activation", "because", "sent")))

    def test_two_people_who_are_one_leave_a_tool_under_both_names(self):
        self.start()
        self.member("ana")
        self.member("bia")
        wait_until(lambda: len(self.mailer.taken()) == 2, "both in")
        first = {m["data"]["email"]: m["profile"] for m in self.mailer.taken()}
        self.shop.send({"type": "identify", "anonymousId": "ana", "traits": {"email": "bia@example.org"}})
        wait_until(lambda: self.shop.profile("email:ana@example.org")["id"] == self.shop.profile("email:bia@example.org")["id"], "one")
        for email in first:
            self.withdraw(email)
        wait_until(lambda: {m["data"]["email"] for m in self.mailer.taken() if m["type"] != "segment.entered"} == set(first), "both out")
        for message in self.mailer.taken()[2:]:
            if message["type"] == "segment.exited":
                self.assertEqual(first[message["data"]["email"]], message["profile"], "under the id that the tool knows")

    def test_who_left_at_a_join_while_her_addition_waited_does_not_stay_in_the_tool(self):
        listens = []
        self.mailer = self.enterContext(Inbox(lambda message: 204 if listens else 503))
        newcomers = "{all: [{did: Product Viewed}, {not: {did: Order Completed}}]}"
        text = workspace(TOOLS.replace("MAILER", self.mailer.url).replace("ADS", self.mailer.url).replace("EXTRA", "").replace("MORE", ""))
        self.shop = self.enterContext(Shop(text.replace("{did: Product Viewed, count: {gte: 2}, within: 30d}", newcomers)))
        self.shop.send({"type": "track", "event": "Order Completed", "userId": "ana", "properties": {"order_id": "o-1", "total": 59.9}})
        self.member("browser", email="ana@example.org")
        wait_until(lambda: self.mailer.messages, "it was tried, and the tool is away")
        # She logs in, and turns out to be a customer: her exit is queued under the older id, and goes after what waits under the other.
        self.shop.send(identified("browser", "ana"))
        wait_until(lambda: len(self.waiting("email:ana@example.org")) == 4, "in and out, at both")
        listens.append(True)
        wait_until(lambda: len(self.mailer.taken()) == 4, "in both tools, and out again", 40)
        for activation in ("mail", "audience"):
            told = [message["type"] for message in self.mailer.taken() if message["activation"] == activation]
            self.assertEqual(["segment.entered", "segment.exited"], told)
        self.until_states("email:ana@example.org", {"mailer": "confirmed", "ads": "confirmed"})

    def test_what_leaves_after_a_join_does_not_overtake_what_waits_under_the_other_id(self):
        listens = []

        def slow(message):
            if message["type"] == "profile.updated" and listens:
                time.sleep(2)
            return 204 if listens else 503

        self.mailer = self.enterContext(Inbox(slow))
        newcomers = "{all: [{did: Product Viewed}, {not: {did: Order Completed}}]}"
        text = workspace(TOOLS.replace("MAILER", self.mailer.url).replace("ADS", self.mailer.url).replace("EXTRA", "").replace("MORE", ""))
        text = text.replace("{did: Product Viewed, count: {gte: 2}, within: 30d}", newcomers)
        self.shop = self.enterContext(Shop("\n".join(line for line in text.split("\n") if "audience:" not in line)))
        self.shop.send({"type": "track", "event": "Order Completed", "userId": "ana", "properties": {"order_id": "o-1", "total": 59.9}})
        self.member("browser", email="ana@example.org")
        wait_until(lambda: self.mailer.messages, "it was tried, and the tool is away")
        self.shop.send(identified("browser", email="ana@example.org", size="38"))
        self.shop.send(identified("browser", "ana"))
        wait_until(lambda: len(self.shop.deliveries("email:ana@example.org")) == 3, "in, another size, out")
        listens.append(True)
        wait_until(lambda: len(self.mailer.taken()) == 3, "all three", 40)
        self.assertEqual(["segment.entered", "profile.updated", "segment.exited"], self.mailer.types())
        self.until_states("email:ana@example.org", {"mailer": "confirmed"})

    def test_the_other_name_of_two_who_are_one_goes_after_what_waits_under_it(self):
        away = []

        def slow(message):
            if away:
                return 503
            if message["type"] == "profile.updated":
                time.sleep(2)
            return 204

        self.start(mailer=slow)
        self.member("ana")
        self.member("bia")
        wait_until(lambda: len(self.mailer.taken()) == 2, "both in")
        bia = self.shop.profile("email:bia@example.org")["id"]
        away.append(True)
        self.shop.send(identified("bia", email="bia@example.org", size="40"))
        wait_until(lambda: len(self.waiting("email:bia@example.org")) == 1, "her size waits")
        self.shop.send({"type": "identify", "anonymousId": "ana", "traits": {"email": "bia@example.org"}})
        wait_until(lambda: self.shop.profile("email:ana@example.org")["id"] == self.shop.profile("email:bia@example.org")["id"] != bia, "one")
        wait_until(lambda: [item for item in self.waiting("email:ana@example.org") if item["type"] == "segment.exited"], "her other name leaves")
        away.clear()
        self.shop.call("POST", "/v1/destinations/mailer/retry")

        def told():
            return [message["type"] for message in self.mailer.taken() if message["profile"] == bia]

        wait_until(lambda: len(told()) == 3, "all of hers", 30)
        self.assertEqual(["segment.entered", "profile.updated", "segment.exited"], told())

    def test_who_came_in_again_after_a_join_while_her_removal_waited_is_in_the_tool(self):
        refuses = []
        self.mailer = self.enterContext(Inbox(lambda message: 503 if refuses and message["type"] == "segment.exited" else 204))
        rule = "{all: [{did: Product Viewed}, {not: {did: Order Completed, within: 4s}}]}"
        text = workspace(TOOLS.replace("MAILER", self.mailer.url).replace("ADS", self.mailer.url).replace("EXTRA", "").replace("MORE", ""))
        text = text.replace("{did: Product Viewed, count: {gte: 2}, within: 30d}", rule)
        self.shop = self.enterContext(Shop("\n".join(line for line in text.split("\n") if "audience:" not in line)))
        self.shop.send({"type": "identify", "userId": "ana"})
        self.member("browser", email="ana@example.org")
        wait_until(lambda: self.mailer.types() == ["segment.entered"], "in")
        refuses.append(True)
        self.shop.send({"type": "track", "event": "Order Completed", "anonymousId": "browser", "properties": {"order_id": "o-1", "total": 59.9}})
        wait_until(lambda: len(self.mailer.messages) > 1, "the removal is tried, and not taken")
        # She logs in: the removal waits under the id that she had.
        self.shop.send(identified("browser", "ana"))
        wait_until(lambda: len(self.waiting("email:ana@example.org")) == 2, "the order is long ago: she is to come in again", 30)
        self.assertEqual(["segment.entered"], self.mailer.types(), "after the removal")
        refuses.clear()
        wait_until(lambda: self.mailer.types() == ["segment.entered", "segment.exited", "segment.entered"], "out, and in again", 40)
        known_as = [message["profile"] for message in self.mailer.taken()]
        self.assertEqual((known_as[0], False), (known_as[1], known_as[1] == known_as[2]), "out under the id that the tool knows")
        self.until_states("email:ana@example.org", {"mailer": "in"})
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])

    def test_a_removal_waits_for_no_addition_and_is_tried_until_it_is_confirmed(self):
        listens = []
        self.start(
            mailer=lambda message: 204 if message["type"] != "segment.entered" else 400,
            ads=lambda message: 204 if message["type"] == "segment.entered" or listens else 400,
            more="confirm_within: 3s",
        )
        self.member("ana")
        wait_until(lambda: len([m for m in self.mailer.messages if m["type"] == "segment.entered"]) >= 4, "refused four times: the next try is 4 to 8 s away")
        self.until_states("email:ana@example.org", {"ads": "in"})
        self.withdraw("ana@example.org")
        withdrawn = time.monotonic()
        wait_until(lambda: self.mailer.types() == ["consent.withdrawn"], "the removal does not wait for the addition's retry")
        self.assertLess(self.mailer.taken()[0]["arrived"] - withdrawn, 2)
        # Refused more often than any other message: not given up.
        self.until_states("email:ana@example.org", {"mailer": "confirmed", "ads": "overdue"})
        self.assertEqual((1, 1), (self.shop.metric("jumelle_removals_waiting", destination="ads"), self.shop.metric("jumelle_removals_overdue", destination="ads")))
        outbox = {item["destination"]: item for item in self.shop.get("/v1/health/details")["outboxes"]}
        self.assertEqual(1, outbox["ads"]["removals"]["overdue"])
        wait_until(lambda: len([m for m in self.ads.messages if m["type"] == "consent.withdrawn"]) >= 5, "tried again and again", 60)
        self.assertEqual(0, self.shop.get("/v1/destinations/ads")["dead"])
        listens.append(True)
        self.shop.call("POST", "/v1/destinations/ads/retry")
        self.until_states("email:ana@example.org", {"mailer": "confirmed", "ads": "confirmed"}, 60)
        self.assertEqual(0, self.shop.metric("jumelle_removals_waiting", destination="ads"))

    def test_the_operator_is_told_once_reminded_and_told_that_it_is_mended(self):
        heard, deaf, listens = [], [True], []

        class Ear(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                heard.append((dict(self.headers.items()), body))
                self.send_response(500 if deaf else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        ear = ThreadingHTTPServer(("127.0.0.1", 0), Ear)
        self.addCleanup(ear.server_close)
        self.addCleanup(ear.shutdown)
        threading.Thread(target=ear.serve_forever, daemon=True).start()
        environment = {"JUMELLE_ALARM_URL": f"http://127.0.0.1:{ear.server_port}/alarms", "JUMELLE_ALARM_SECRET": SECRET, "JUMELLE_ALARM_EVERY": "6s"}
        self.start(ads=lambda message: 204 if message["type"] == "segment.entered" or listens else 400, more="confirm_within: 2s", environment=environment)
        self.member("ana")
        self.until_states("email:ana@example.org", {"mailer": "in", "ads": "in"})
        self.withdraw("ana@example.org")
        wait_until(lambda: heard, "the alarm")
        # Not taken: told again until it is.
        wait_until(lambda: len(heard) >= 2, "again")
        deaf.clear()
        told = lambda: [json.loads(standardwebhooks.Webhook(SECRET).verify(body, headers) and body) for headers, body in heard]  # noqa: E731
        wait_until(lambda: not deaf and self.shop.metric("jumelle_alarms_total", outcome="told", way="webhook") == 1, "taken")
        first = told()[-1]
        self.assertEqual(("removals.overdue", "ads", 1, 1, 2, False), tuple(first[key] for key in ("type", "destination", "overdue", "waiting", "confirm_within_s", "reminder")))
        self.assertNotIn("ana", str(heard[-1][1]), "counts, and nobody's name")
        # A restart remembers that it was told.
        self.shop.kill()
        self.shop.start()
        wait_until(lambda: told()[-1]["reminder"], "a reminder")
        self.assertEqual([True], [one["reminder"] for one in told()[-1:]])
        taken = [one for one in told() if one["at"] >= first["at"]]
        self.assertEqual([("removals.overdue", False), ("removals.overdue", True)], [(one["type"], one["reminder"]) for one in taken])
        self.assertGreaterEqual(instant(taken[1]["at"]) - instant(taken[0]["at"]), timedelta(seconds=6))
        listens.append(True)
        self.shop.call("POST", "/v1/destinations/ads/retry")
        wait_until(lambda: told()[-1]["type"] == "removals.mended", "mended", 60)
        self.assertEqual(0, told()[-1]["overdue"])

    def test_a_crash_between_a_withdrawal_and_its_propagation_forgets_nothing(self):
        up = []
        self.start(mailer=lambda message: 204 if up or message["type"] == "segment.entered" else 503)
        names = [f"p{n}" for n in range(12)]
        for name in names:
            self.member(name)
        wait_until(lambda: len(self.mailer.taken()) == len(self.ads.taken()) == len(names), "all in both", 60)
        for name in names:
            self.withdraw(f"{name}@example.org")
            # At the acknowledgement: the tables are not written, the queue is in memory, one tool is down.
            self.shop.kill()
            self.shop.start()
        up.append(True)
        self.shop.call("POST", "/v1/destinations/mailer/retry")
        for name in names:
            self.until_states(f"email:{name}@example.org", {"mailer": "confirmed", "ads": "confirmed"}, 60)
        for inbox, field, of in ((self.mailer, "email", str), (self.ads, "em", sha256)):
            left = {m["data"][field] for m in inbox.taken() if m["type"] == "consent.withdrawn"}
            self.assertEqual({of(f"{name}@example.org") for name in names}, left)

    def test_a_tool_that_cannot_be_told_is_a_risk_that_is_said(self):
        self.start(more='removal: {none: "letters are printed weekly", contact: "print shop, 01 23"}')
        said = self.shop.call("PUT", "/v1/workspace?dry_run=true", self.text).json()
        self.assertEqual([{"destination": "ads", "reason": "letters are printed weekly", "contact": "print shop, 01 23"}], said["risks"])
        self.assertIn("cannot be told", said["text"])
        self.member("ana")
        self.until_states("email:ana@example.org", {"mailer": "in", "ads": "in"})
        self.withdraw("ana@example.org")
        self.until_states("email:ana@example.org", {"mailer": "confirmed", "ads": "cannot_be_told"})
        tool = self.shop.get("/v1/profiles/email:ana@example.org/tools")["items"][0]
        self.assertEqual(("print shop, 01 23", "letters are printed weekly"), (tool["contact"], tool["why"]))
        self.assertEqual(["segment.entered"], self.ads.types())
        blocked = [item for item in self.shop.deliveries("email:ana@example.org") if item["destination"] == "ads" and item["state"] == "blocked"]
        self.assertEqual(["cannot_be_told"], [item["gate"]["code"] for item in blocked])

    def test_a_destination_with_people_in_it_is_not_simply_deleted(self):
        self.start()
        for name in ("ana", "bia"):
            self.member(name)
        wait_until(lambda: len(self.ads.taken()) == 2, "in")
        without = "\n".join(line for line in self.text.splitlines() if not line.startswith(("  ads:", "  audience:"))) + "\n"
        wait_until(lambda: self.shop.get("/v1/destinations/ads/people")["count"] == 2, "counted")
        dry = self.shop.call("PUT", "/v1/workspace?dry_run=true", without).json()
        self.assertEqual([{"destination": "ads", "people": 2}], dry["left_behind"])
        refused = self.shop.apply(without)
        self.assertEqual((409, 2), (refused.status, refused.json()["people"]))
        retiring = self.text.replace("  ads: {", "  ads: {retire: true, ")
        self.assertEqual(200, self.shop.apply(retiring).status)
        wait_until(lambda: self.ads.types().count("segment.exited") == 2, "taken out")
        self.member("cleo")
        wait_until(lambda: len(self.mailer.taken()) == 3, "in the other")
        wait_until(lambda: self.shop.get("/v1/destinations/ads/people")["count"] == 0, "nobody left")
        self.assertEqual(4, len(self.ads.taken()), "nobody new entered")
        self.assertEqual(200, self.shop.apply(without).status)
        # Of an activation alone: its people are taken out by itself.
        self.assertEqual(200, self.shop.call("DELETE", "/v1/activations/mail").status)
        wait_until(lambda: self.mailer.types().count("segment.exited") == 3, "taken out")

    def test_another_tool_asks_and_keeps_a_permit(self):
        key = self.key()
        self.start(environment={"JUMELLE_LEDGER_KEY": str(key)})
        self.member("ana")
        wait_until(lambda: self.mailer.taken(), "in")
        asked = "/v1/allowed?destination=mailer&purpose=marketing&channel=email&permit=true&id=email:"
        yes = self.shop.get(asked + "Ana@Example.org")
        self.assertEqual((True, "granted", True), (yes["allowed"], yes["code"], yes["known"]))
        public_key = self.shop.get("/v1/ledger/roots")["items"][0]["public_key"]
        # An outsider's check: three parts, one signature.
        head, claims, signature = yes["permit"].split(".")
        decode = lambda part: base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))  # noqa: E731
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(decode(signature), f"{head}.{claims}".encode())
        claims = json.loads(decode(claims))
        self.assertEqual((sha256("email:ana@example.org"), "mailer", "granted"), (claims["sub_sha256"], claims["destination"], claims["decision"]))
        self.assertEqual(300, claims["exp"] - claims["iat"])
        self.assertEqual(yes["receipt"], claims["receipt"])
        verified = json.loads(self.jumelle("consent", "permit", "verify", yes["permit"], "--public-key", public_key))
        self.assertEqual(claims, verified)
        forged = subprocess.run(
            [str(BINARY), "consent", "permit", "verify", yes["permit"][:-4] + "AAAA", "--public-key", public_key],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(1, forged.returncode, forged.stderr)
        self.withdraw("ana@example.org")
        no = self.shop.get(asked + "ana@example.org")
        self.assertEqual((False, "denied", None), (no["allowed"], no["code"], no["permit"]))
        self.assertIn("refusé depuis", no["fr"])
        many = self.shop.call("POST", "/v1/allowed", {
            "destination": "mailer", "purpose": "marketing", "channel": "email", "ids": ["email:ana@example.org", "email:nobody@example.org"],
        }).json()["items"]  # fmt: skip
        self.assertEqual([("denied", True), ("unknown", False)], [(item["code"], item["known"]) for item in many])
        for wrong in ("destination=nobody&purpose=marketing&channel=email&id=email:a@b.fr", "destination=mailer&purpose=x&channel=email&id=email:a@b.fr", "destination=mailer&purpose=marketing&channel=pigeon&id=email:a@b.fr", "destination=mailer&purpose=marketing&channel=email&id=ana"):
            self.assertEqual(400, self.shop.call("GET", f"/v1/allowed?{wrong}").status, wrong)

    def key(self):
        path = self.enterContext(tempfile.NamedTemporaryFile(suffix=".pem"))
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path.name], check=True, capture_output=True)
        return path.name

    def test_a_tool_that_lost_half_of_the_withdrawals_and_one_that_does_nothing(self):
        held, asked_for = set(), []

        def loses_half(message):
            email = message["data"]["email"]
            if message["type"] == "segment.entered":
                held.add(email)
            elif not email.startswith("p") or int(email[1:].split("@")[0]) % 2 == 0 or asked_for:
                held.discard(email)
            return 204

        self.start(mailer=loses_half)
        for n in range(10):
            self.member(f"p{n}")
        wait_until(lambda: len(held) == 10 and len(self.ads.taken()) == 10, "all in", 60)
        for n in range(6):
            self.withdraw(f"p{n}@example.org")
            self.until_states(f"email:p{n}@example.org", {"mailer": "confirmed", "ads": "confirmed"})
        self.assertEqual(7, len(held), "it said yes to six and did three")
        held.add("stranger@example.org")
        export = self.files("mailer.csv", "name;email\n" + "".join(f"x;{email.upper()}\n" for email in sorted(held)))
        wait_until(lambda: self.shop.get("/v1/destinations/mailer/people")["count"] == 4, "in the tables")
        found = json.loads(self.jumelle("consent", "reconcile", "mailer", "--export", export))
        self.assertEqual((8, 4, 4, 3, 0, 1), tuple(found[key] for key in ("held", "expected", "matched", "too_many", "too_few", "unknown")))
        self.assertEqual({"denied"}, {person["code"] for person in found["people"]})
        self.assertEqual(["stranger@example.org"], found["unknown_names"])
        asked_for.append(True)
        mended = json.loads(self.jumelle("consent", "reconcile", "mailer", "--export", export, "--mend"))
        self.assertEqual(3, mended["mended"])
        wait_until(lambda: len(held) == 5, "taken out at last")
        # The other says yes and holds nobody at all.
        empty = self.files("ads.csv", "sha256\n")
        found = json.loads(self.jumelle("consent", "reconcile", "ads", "--export", empty, "--mend"))
        self.assertEqual((0, 4, 0, 4, 4), tuple(found[key] for key in ("held", "expected", "too_many", "too_few", "mended")))
        wait_until(lambda: self.ads.types().count("segment.entered") == 14, "sent again, through the gate")
        kept = self.shop.get("/v1/destinations/mailer/reconciliations")["items"]
        self.assertEqual([3, 0], [item["mended"] for item in kept])
        self.assertNotIn("example.org", json.dumps(kept), "counts, nobody's name")
        self.assertEqual(3, self.shop.metric("jumelle_reconciliation_drift", destination="mailer", kind="too_many"))

    def files(self, name, text):
        path = self.shop.data.parent / name
        path.write_text(text)
        return str(path)

    def test_a_list_that_a_tool_answers_is_compared_on_schedule(self):
        listed = self.enterContext(Inbox())
        handler = listed.server.RequestHandlerClass
        url = listed.url.replace("/hook", "/list")
        handler.do_GET = _answers(b'{"items":["gone@example.org"]}')
        self.start(extra=f'list: {{url: "{url}", every: 1m}}')
        wait_until(lambda: self.shop.get("/v1/destinations/mailer/reconciliations")["items"], "compared", 60)
        kept = self.shop.get("/v1/destinations/mailer/reconciliations")["items"][0]
        self.assertEqual(("schedule", 1, 1, 0), tuple(kept[key] for key in ("from", "held", "unknown", "mended")))

    def test_what_a_schedule_finds_is_mended_where_that_is_said(self):
        listed = self.enterContext(Inbox())
        listed.server.RequestHandlerClass.do_GET = _answers(b'{"items":["ana@example.org"]}')
        url = listed.url.replace("/hook", "/list")
        self.start(extra=f'list: {{url: "{url}", every: 1m, mend: true}}')
        self.member("ana")
        self.until_states("email:ana@example.org", {"mailer": "in", "ads": "in"})
        self.shop.consent({"email": "ana@example.org"}, "denied", channel="email")
        # The tool says that it let her go, and did not.
        wait_until(lambda: self.mailer.types().count("consent.withdrawn") == 1, "told once")
        wait_until(lambda: self.mailer.types().count("consent.withdrawn") == 2, "and again, by the list", 60)
        kept = self.shop.get("/v1/destinations/mailer/reconciliations")["items"][0]
        self.assertEqual(("schedule", 1, 1), tuple(kept[key] for key in ("from", "too_many", "mended")))
        (replay,) = [one for one in self.shop.deliveries("email:ana@example.org") if one["destination"] == "mailer" and one["type"] == "consent.withdrawn"]
        self.assertEqual("sent", replay["state"])

    def inbound(self, path, body, headers):
        return self.shop.call("POST", f"/v1/inbound/{path}", body, headers={"content-type": "application/octet-stream", **headers}, admin=False)

    def test_what_a_tool_reports_is_an_event_and_closes_the_channel_everywhere(self):
        self.start(extra=f'inbound: {{format: standard, secret: "{SECRET}"}}', more="inbound: {format: brevo, secret: a-token-of-brevo-1234}")
        self.member("ana")
        self.member("bia")
        self.until_states("email:ana@example.org", {"mailer": "in", "ads": "in"})
        self.until_states("email:bia@example.org", {"mailer": "in", "ads": "in"})
        body = json.dumps({"type": "complained", "address": {"email": "Ana@example.org"}})
        at = datetime.now(timezone.utc)
        signature = standardwebhooks.Webhook(SECRET).sign("msg_1", at, body)
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
        for wrong in (body + " ", body.replace("Ana", "Bia")):
            self.assertEqual(401, self.inbound("mailer", wrong, headers).status)
        old = {**headers, "webhook-timestamp": str(int(at.timestamp()) - 3600)}
        self.assertEqual(401, self.inbound("mailer", body, old).status)
        self.assertEqual(401, self.inbound("nobody", body, headers).status)
        self.assertEqual({"recorded": 1, "reduced": 0, "known": 0, "ignored": 0, "unusable": 0, "unknown": 0}, self.inbound("mailer", body, headers).json())
        self.until_states("email:ana@example.org", {"mailer": "confirmed", "ads": "confirmed"})
        signals = self.shop.get("/v1/profiles/email:ana@example.org/consents")["signals"]
        self.assertEqual(1, len(signals))
        bounce = json.dumps({"event": "hard_bounce", "email": "bia@example.org", "id": 7, "ts_event": int(time.time())})
        self.assertEqual(401, self.inbound("ads", bounce, {"authorization": "Bearer wrong-token-of-brevo"}).status)
        self.assertEqual(1, self.inbound("ads", bounce, {"authorization": "Bearer a-token-of-brevo-1234"}).json()["recorded"])
        self.until_states("email:bia@example.org", {"mailer": "confirmed", "ads": "confirmed"})
        self.assertEqual(1, self.shop.metric("jumelle_inbound_total", destination="ads"))
        deferred = json.dumps({"event": "deferred", "email": "bia@example.org"})
        answer = self.inbound("ads", deferred, {"authorization": "Bearer a-token-of-brevo-1234"}).json()
        self.assertEqual((0, 1), (answer["recorded"], answer["ignored"]))

    def test_stop_by_text_message_and_abuse_reports_by_mail(self):
        self.start(extra=f"inbound: {{format: twilio, secret: {TWILIO_TOKEN!r}}}", more="inbound: {format: arf, secret: a-mailbox-password-1}")
        number = "+33612345678"
        allowed = "/v1/allowed?destination=mailer&purpose=marketing&channel=sms&id=phone:%2B33612345678"
        self.shop.consent({"phone": number}, "granted", channel="sms")
        self.assertTrue(self.shop.get(allowed)["allowed"])

        def stop(sid, **more):
            fields = {"From": number, "To": "+33700000000", "Body": "STOP", "MessageSid": sid, **more}
            signed = f"http://127.0.0.1:{self.shop.port}/v1/inbound/mailer" + "".join(key + value for key, value in sorted(fields.items()))
            signature = base64.b64encode(hmac.new(TWILIO_TOKEN.encode(), signed.encode(), hashlib.sha1).digest()).decode()
            form = urllib.parse.urlencode(fields)
            self.assertEqual(401, self.inbound("mailer", form + "&x=1", {"x-twilio-signature": signature}).status)
            return self.inbound("mailer", form, {"x-twilio-signature": signature})

        self.assertEqual(1, stop("SM1", OptOutType="STOP").json()["recorded"])
        self.assertEqual("objected", self.shop.get(allowed)["code"])
        self.shop.consent({"phone": number}, "granted", channel="sms")
        self.assertTrue(self.shop.get(allowed)["allowed"], "a later grant opens it")
        self.assertEqual(1, stop("SM1", OptOutType="STOP").json()["known"])
        self.assertTrue(self.shop.get(allowed)["allowed"], "the same message delivered again is the same event")
        stop("SM2")
        self.assertFalse(self.shop.get(allowed)["allowed"], "another STOP is not")
        self.shop.consent({"phone": number}, "granted", channel="sms")
        stop("SM3", MessageStatus="failed", ErrorCode="21610", To=number)
        self.assertFalse(self.shop.get(allowed)["allowed"], "21610: it had sent STOP")

        self.member("ana")
        self.until_states("email:ana@example.org", {"mailer": "in", "ads": "in"})
        report = "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nOriginal-Rcpt-To: <ana@example.org>\r\n\r\n--b--\r\n"
        basic = base64.b64encode(b"mailbox:a-mailbox-password-1").decode()
        self.assertEqual(1, self.inbound("ads", report, {"authorization": f"Basic {basic}"}).json()["recorded"])
        self.until_states("email:ana@example.org", {"mailer": "confirmed", "ads": "confirmed"})

    def test_opposition_lists_in_and_out(self):
        self.start()
        numbers = ["+33612345670", "+33612345671", "+33612345672"]
        for number in numbers[:2]:
            self.shop.consent({"phone": number}, "granted", channel="phone")
        wait_until(lambda: len(self.shop.call("GET", "/v1/export/profiles").body.splitlines()) == 2, "in the tables")
        plain = self.files("list.txt", "06 12 34 56 70\nnot a number\n")
        done = json.loads(self.jumelle("consent", "suppress", plain, "--channel", "phone", "--channel", "call_center", "--list", "callers"))
        self.assertEqual((1, 1), (done["recorded"], done["unusable"]))
        hashed = self.files("hashed.csv", "hashed_phone\n" + "".join(sha256(number) + "\n" for number in numbers[1:]))
        done = json.loads(self.jumelle("consent", "suppress", hashed, "--channel", "phone", "--sha256"))
        self.assertEqual((1, 1), (done["recorded"], done["unmatched"]))
        for number in numbers[:2]:
            answer = self.shop.get(f"/v1/allowed?destination=mailer&purpose=marketing&channel=phone&id=phone:{number.replace('+', '%2B')}")
            self.assertEqual("objected", answer["code"], number)
        proof = self.shop.get("/v1/profiles/phone:%2B33612345670/events")["items"][0]["context"]["consents"][0]["proof"]
        self.assertEqual({"method": "opposition_list", "list": "callers", "hashed": False}, proof)
        wait_until(lambda: self.shop.get("/v1/oppositions/manifest")["rows"] >= 3, "in the tables")
        to = self.shop.data.parent / "oppositions.jsonl"
        self.jumelle("export", "oppositions", "--to", str(to))
        rows = [json.loads(line) for line in to.read_text().splitlines()]
        self.assertEqual({(sha256(number), None, "phone", "objected") for number in numbers[:2]}, {(row["sha256"], row["value"], row["channel"], row["code"]) for row in rows if row["channel"] == "phone"})
        manifest = json.loads((to.parent / "oppositions.jsonl.manifest.json").read_text())
        self.assertEqual((len(rows), hashlib.sha256(to.read_bytes()).hexdigest()), (manifest["rows"], manifest["sha256"]))
        table = self.shop.call("GET", "/v1/oppositions?format=csv&plain=true&channel=phone").body.decode()
        self.assertEqual(set(numbers[:2]), {row["value"] for row in csv.DictReader(io.StringIO(table))})

    def test_global_privacy_control_is_said_and_only_1_counts(self):
        self.start()
        said = json.loads(self.shop.call("GET", "/.well-known/gpc.json", admin=False).body)
        self.assertEqual((True, 10), (said["gpc"], len(said["lastUpdate"])))
        for value, denied in (("0", False), ("true", False), ("1", True)):
            name = f"gpc-{value}"
            self.shop.call("POST", "/v1/track", {"event": "Product Viewed", "anonymousId": name, "writeKey": "wk_site"}, headers={"sec-gpc": value}, admin=False)
            wait_until(lambda name=name: self.shop.profile(f"anonymous_id:{name}"), "known")
            consents = self.shop.get(f"/v1/profiles/anonymous_id:{name}/consents")["items"]
            self.assertEqual(denied, any(item["state"] == "denied" for item in consents), value)


def _answers(body):
    def get(handler):
        handler.send_response(200)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return get


if __name__ == "__main__":
    unittest.main()

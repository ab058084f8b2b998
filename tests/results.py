"""What came of messages: providers' reports over the real binary, tied to the message, counted once, usable in rules, and erased with
the person. Signatures are made here with other libraries (cryptography, PyJWT, hmac) than the server's."""

import base64
import email
import email.policy
import hashlib
import hmac
import json
import pathlib
import tempfile
import time
import unittest
import urllib.parse

import jwt
import standardwebhooks
from aiosmtpd.controller import Controller
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from datetime import datetime, timezone

from jumelle_server import free_port, wait_until
from shop import Inbox, Shop, identified, viewed, workspace

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOKEN = "a-shared-secret-of-a-tool-0001"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(
    EC_KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()
TOOLS = """\
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true, country: FR, inbound: {format: FORMAT, secret: "SECRET", opens: opens}}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""
SEGMENTS = """\
  openers:
    label: {en: Openers, fr: Ouvrent}
    rule: {did: Email Opened, where: {activation: mail}, within: 90d}
  silent:
    label: {en: Silent, fr: Silencieux}
    rule: {all: [{did: Email Delivered}, {not: {did: Email Opened, within: 90d}}]}
"""
ANA = "email:ana@example.org"


def bearer(body, **_):
    return {"authorization": f"Bearer {TOKEN}"}


def standard(body, id="msg_1", ago_s=0, **_):
    at = datetime.fromtimestamp(time.time() - ago_s, timezone.utc)
    signature = standardwebhooks.Webhook(SECRET).sign(id, at, body)
    return {"webhook-id": id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def sendgrid(body, ago_s=0, **_):
    at = str(int(time.time()) - ago_s)
    signature = EC_KEY.sign(at.encode() + body.encode(), ec.ECDSA(hashes.SHA256()))
    return {
        "x-twilio-email-event-webhook-timestamp": at,
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
    }


def form_signature(url, body):
    fields = "".join(name + value for name, value in sorted(urllib.parse.parse_qsl(body, keep_blank_values=True)))
    return base64.b64encode(hmac.new(TOKEN.encode(), (url + fields).encode(), hashlib.sha1).digest()).decode()


def twilio(body, url="", **_):
    return {"x-twilio-signature": form_signature(url, body)}


def mandrill(body, url="", **_):
    return {"x-mandrill-signature": form_signature(url, body)}


def customer_io(body, ago_s=0, **_):
    at = str(int(time.time()) - ago_s)
    return {
        "x-cio-timestamp": at,
        "x-cio-signature": hmac.new(TOKEN.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256).hexdigest(),
    }


def vonage(body, ago_s=0, **_):
    claims = {"iat": int(time.time()) - ago_s, "iss": "Vonage", "payload_hash": hashlib.sha256(body.encode()).hexdigest()}
    return {"authorization": "Bearer " + jwt.encode(claims, TOKEN, algorithm="HS256")}


# Format: secret, what signs, a body about an address, and whether what is signed has a time.
FORMATS = {
    "standard": (SECRET, standard, lambda: json.dumps({"type": "opened", "address": {"email": "ana@example.org"}}), True),
    "brevo": (TOKEN, bearer, lambda: json.dumps({"event": "opened", "email": "ana@example.org", "message-id": "<1@b>", "ts_event": int(time.time())}), False),
    "mailjet": (TOKEN, bearer, lambda: json.dumps([{"event": "open", "email": "ana@example.org", "MessageID": 1, "time": int(time.time()), "agent": "Thunderbird"}]), False),
    "sendgrid": (PUBLIC, sendgrid, lambda: json.dumps([{"event": "open", "email": "ana@example.org", "sg_event_id": "e1", "timestamp": int(time.time())}]), True),
    "mandrill": (TOKEN, mandrill, lambda: urllib.parse.urlencode({"mandrill_events": json.dumps([{"event": "open", "ts": int(time.time()), "_id": "m1", "msg": {"email": "ana@example.org", "_id": "m1"}}])}), False),
    "customer_io": (TOKEN, customer_io, lambda: json.dumps({"event_id": "01", "object_type": "email", "metric": "opened", "timestamp": int(time.time()), "data": {"recipient": "ana@example.org"}}), True),
    "twilio": (TOKEN, twilio, lambda: urllib.parse.urlencode({"MessageSid": "SM1", "MessageStatus": "read", "To": "+33612345678", "From": "+33700000000"}), False),
    "vonage": (TOKEN, vonage, lambda: json.dumps({"message_uuid": "u1", "to": "33612345678", "from": "33700000000", "status": "read"}), True),
    "aircall": (TOKEN, lambda body, **_: {}, lambda: json.dumps({"event": "call.ended", "token": TOKEN, "data": {"id": 1, "direction": "outbound", "raw_digits": "+33612345678", "started_at": int(time.time()), "answered_at": int(time.time())}}), False),
}  # fmt: skip


PURPOSES = "marketing: {basis: consent}"


def shop(*more):
    """The shop's workspace, where opening a message may be agreed to."""
    return workspace(*more).replace(PURPOSES, PURPOSES + "\n  opens: {basis: consent, channels: [email, sms]}")


class Results(unittest.TestCase):
    def start(self, format="brevo", more=SEGMENTS, *arguments):
        secret = FORMATS[format][0]
        self.inbox = self.enterContext(Inbox(lambda message: 204))
        tools = TOOLS.replace("URL", self.inbox.url).replace("FORMAT", format).replace("SECRET", secret)
        # The segments of `more` go on where those of the shop end.
        text = shop().rstrip("\n") + "\n" + more + tools
        self.shop = self.enterContext(Shop(text, *arguments))

    def member(self, name="ana", opens=True, **more):
        email = f"{name}@example.org"
        self.shop.consent({"email": email}, "granted", channel="email")
        if opens:
            self.shop.consent({"email": email}, "granted", purpose="opens", channel="email")
        self.shop.send(identified(name, email=email, **more), viewed(name, seconds=2), viewed(name, seconds=1))
        wait_until(lambda: [one["state"] for one in self.shop.deliveries(f"email:{email}")] == ["sent"], f"{name} is in the tool")
        return self.shop.deliveries(f"email:{email}")[0]["id"]

    def report(self, body, headers=None, destination="mailer", query=""):
        body = body if isinstance(body, str) else json.dumps(body)
        headers = bearer(body) if headers is None else headers
        answer = self.shop.call(
            "POST", f"/v1/inbound/{destination}{query}", body, headers={"content-type": "application/octet-stream", **headers}, admin=False
        )
        return answer

    def took(self, body, **more):
        answer = self.report(body, **more)
        self.assertEqual(200, answer.status, answer)
        return answer.json()

    def counts(self, body, **more):
        answer = self.took(body, **more)
        return answer["recorded"], answer["known"]

    def brevo(self, event, who="ana@example.org", at=None, **more):
        at = int(time.time()) if at is None else at
        return self.took({"event": event, "email": who, "message-id": "<m1@brevo>", "ts_event": at, **more})

    def funnel(self, activation="mail", **query):
        found = self.shop.get("/v1/results?" + urllib.parse.urlencode({"destination": "mailer", **query}))
        return next((item for item in found["items"] if item["activation"] == activation), None)

    def outcomes(self, activation="mail"):
        item = self.funnel(activation)
        return {name: (tally["people"], tally["total"]) for name, tally in item["outcomes"].items() if tally["total"]} if item else {}

    def until_outcomes(self, expected, activation="mail"):
        try:
            wait_until(lambda: self.outcomes(activation) == expected, "", 20)
        except AssertionError:
            self.assertEqual(expected, self.outcomes(activation))

    def event(self, who=ANA, name=None):
        items = self.shop.get(f"/v1/profiles/{who}/events")["items"]
        return next((item for item in items if item.get("event") == name), None) if name else items[0]

    def test_a_report_is_an_event_of_the_person_and_of_the_message(self):
        self.start()
        delivery = self.member()
        self.assertEqual(1, self.brevo("delivered")["recorded"])
        self.assertEqual(1, self.brevo("opened", **{"X-Mailin-custom": f"jumelle:{delivery}"})["recorded"])
        self.brevo("click", link="https://shop.example/shoes?email=ana@example.org")
        self.until_outcomes({"delivered": (1, 1), "opened": (1, 1), "clicked": (1, 1)})
        opened = self.event(name="Email Opened")["properties"]
        self.assertEqual(("mailer", "mail", delivery, "delivery", "opened"), tuple(opened[key] for key in ("destination", "activation", "delivery", "joined_by", "outcome")))
        clicked = self.event(name="Email Link Clicked")["properties"]
        self.assertEqual(("address", delivery, "https://shop.example/shoes"), tuple(clicked[key] for key in ("joined_by", "delivery", "link_url")))
        reported = self.shop.deliveries(ANA)[0]["reported"]
        self.assertEqual([("delivered", 1), ("opened", 1), ("clicked", 1)], [(one["outcome"], one["count"]) for one in reported])
        wait_until(lambda: "openers" in self.shop.segments(ANA), "usable in rules, with the activation")
        self.assertEqual(1, self.shop.metric("jumelle_results_total", destination="mailer", outcome="clicked"))

    def test_a_machine_that_opens_is_not_she(self):
        self.start()
        self.member()
        self.brevo("delivered")
        self.brevo("unique_proxy_open")
        self.until_outcomes({"delivered": (1, 1), "opened_by_machine": (1, 1)})
        self.assertEqual({"silent", "lookers"}, set(self.shop.segments(ANA)))

    def test_openings_are_hers_only_where_she_agreed_to_that(self):
        self.start()
        self.member(opens=False)
        self.brevo("delivered")
        answer = self.brevo("opened", **{"message-id": "<secret-of-hers@brevo>"})
        self.assertEqual((1, 1), (answer["recorded"], answer["reduced"]))
        self.assertEqual(1, self.brevo("opened", **{"message-id": "<secret-of-hers@brevo>"})["known"])
        self.until_outcomes({"delivered": (1, 1)})
        self.assertIsNone(self.event(name="Email Opened"))
        self.assertEqual([], self.shop.traces(b"secret-of-hers"))
        day = self.shop.get("/v1/privacy/reductions")
        self.assertIn("Email Opened", json.dumps(day), "counted, without her")
        self.shop.consent({"email": "ana@example.org"}, "granted", purpose="opens", channel="email")
        self.brevo("opened", at=int(time.time()) - 1)
        self.until_outcomes({"delivered": (1, 1), "opened": (1, 1)})

    def test_without_a_purpose_for_it_openings_are_passed_over(self):
        text = shop().rstrip("\n") + "\n" + TOOLS.replace("URL", "http://127.0.0.1:9/").replace("FORMAT", "brevo").replace("SECRET", TOKEN)
        wrong = text.replace("opens: opens}", "opens: nothing}")
        with Shop(text.replace(", opens: opens}", "}")) as self.shop:
            self.shop.send(identified("ana", email="ana@example.org"))
            wait_until(lambda: self.shop.profile(ANA), "known")
            answer = self.brevo("opened")
            self.assertEqual((0, 1), (answer["recorded"], answer["ignored"]))
            self.assertEqual(1, self.brevo("click")["recorded"])
            answer = self.shop.apply(wrong)
            self.assertEqual(422, answer.status)
            self.assertIn("destinations.mailer.inbound.opens", answer.body.decode())

    def test_the_same_report_counts_once_whatever_call_brings_it(self):
        self.start()
        self.member()
        at = int(time.time())
        opened = {"event": "opened", "email": "ana@example.org", "message-id": "<m1@brevo>", "ts_event": at}
        self.assertEqual((1, 0), self.counts(opened))
        self.until_outcomes({"opened": (1, 1)})
        self.assertEqual((0, 1), self.counts([opened]), "in another body")
        first = {**opened, "event": "unique_opened"}
        both = self.took([first, {**opened, "ts_event": at - 60}])
        self.assertEqual((1, 1), (both["recorded"], both["known"]), "the first opening said twice, and an earlier one that came late")
        self.until_outcomes({"opened": (1, 2)})
        self.shop.kill()
        self.shop.start()
        self.assertEqual(1, self.took(opened)["known"], "after a crash too")
        self.until_outcomes({"opened": (1, 2)})

    def test_reports_of_nobody_are_put_aside_without_the_address(self):
        self.start()
        self.member()
        answer = self.brevo("click", who="stranger@example.org")
        self.assertEqual((0, 1), (answer["recorded"], answer["unknown"]))
        item = wait_until(lambda: self.shop.get("/v1/quarantine?rule=reported_of_nobody")["items"], "folded")[0]
        self.assertNotIn("stranger", json.dumps(item))
        self.assertEqual("Email Link Clicked", json.loads(item["body"])["event"])
        self.assertEqual([], self.shop.traces(b"stranger@example.org"))
        self.assertEqual(1, self.shop.metric("jumelle_inbound_unknown_total", destination="mailer"))
        # What closes an address counts all the same: she may come later.
        self.assertEqual(1, self.brevo("spam", who="later@example.org")["recorded"])
        # Somebody we know and never wrote to: hers, and of no activation.
        self.shop.send(identified("bia", email="bia@example.org"))
        self.shop.consent({"email": "bia@example.org"}, "granted", purpose="opens", channel="email")
        wait_until(lambda: self.shop.profile("email:bia@example.org"), "known")
        self.assertEqual(1, self.brevo("opened", who="bia@example.org")["recorded"])
        self.until_outcomes({"opened": (0, 1), "complained": (0, 1)}, activation=None)

    def test_every_step_is_counted_by_activation_and_day(self):
        self.start()
        self.member()
        self.shop.send(identified("bia", email="bia@example.org"), viewed("bia", seconds=2), viewed("bia", seconds=1))
        wait_until(lambda: (self.funnel() or {}).get("blocked") == 1, "who has not agreed is held back")
        item = self.funnel()
        self.assertEqual((1, 1, 0, {"unknown": 1}, 1.0), tuple(item[key] for key in ("queued", "sent", "refused", "reasons", "match_rate")))
        self.brevo("hard_bounce")
        self.until_outcomes({"bounced": (1, 1)})
        self.assertTrue(self.event(name="Email Bounced")["properties"]["permanent"])
        day = self.shop.get("/v1/results?activation=mail")["days"][-1]
        self.assertEqual((1, 1, 1), (day["queued"], day["blocked"], day["outcomes"]["bounced"]["people"]))
        self.assertEqual([], self.shop.get("/v1/results?activation=other")["items"])
        self.assertEqual([], self.shop.get("/v1/results?from=2020-01-01&to=2020-02-01")["items"])
        for wrong, field in (("from=yesterday", "from"), ("to=2020-13-01", "to"), ("from=2026-02-01&to=2026-01-01", "from")):
            answer = self.shop.call("GET", f"/v1/results?{wrong}")
            self.assertEqual((400, field), (answer.status, answer.json()["field"]), wrong)

    def test_signatures_of_every_format(self):
        for format, (_, sign, body, has_time) in FORMATS.items():
            with self.subTest(format), self.enterContextOf(format):
                self.shop.send(identified("ana", email="ana@example.org", phone="+33612345678"))
                self.shop.consent({"email": "ana@example.org"}, "granted", purpose="opens", channel="email")
                self.shop.consent({"phone": "+33612345678"}, "granted", purpose="opens", channel="sms")
                wait_until(lambda: self.shop.profile("email:ana@example.org"), "known")
                text = body()
                url = f"{self.shop.url}/v1/inbound/mailer"
                good = sign(text, url=url)
                tampered = text.replace("ana@", "bia@").replace("ana%40", "bia%40").replace("612345678", "612345679")
                if format in ("brevo", "mailjet"):
                    self.assertEqual(401, self.report(text, {"authorization": f"Bearer {TOKEN}x"}).status)
                elif format == "aircall":
                    self.assertEqual(401, self.report(text.replace(TOKEN, TOKEN + "x"), {}).status)
                else:
                    self.assertEqual(401, self.report(tampered, good).status, "tampered with")
                self.assertEqual(401, self.report(json.dumps({}), {}).status, "without a signature")
                if has_time:
                    self.assertEqual(401, self.report(text, sign(text, url=url, ago_s=2 * 86_400)).status, "an old one")
                if format in ("twilio", "mandrill"):
                    self.assertEqual(401, self.report(text, good, query="?delivery=dlv_1").status, "to another address")
                self.assertEqual(1, self.took(text, headers=good)["recorded"])
                self.assertEqual((0, 1), self.counts(text, headers=good), "replayed")

    def enterContextOf(self, format):
        case = self

        class Started:
            def __enter__(self):
                secret = FORMATS[format][0]
                text = shop(TOOLS.replace("URL", "http://127.0.0.1:9/").replace("FORMAT", format).replace("SECRET", secret))
                case.shop = Shop(text).__enter__()

            def __exit__(self, *arguments):
                case.shop.__exit__(*arguments)

        return Started()

    def test_a_rebuild_gives_the_same_and_a_crash_loses_nothing_acknowledged(self):
        self.start()
        deliveries = [self.member(name) for name in ("ana", "bia", "cleo")]
        for n, name in enumerate(("ana", "bia", "cleo")):
            self.brevo("delivered", who=f"{name}@example.org")
            self.brevo("opened", who=f"{name}@example.org", tags=["spring", deliveries[n]])
        self.shop.kill()
        self.shop.start()
        self.until_outcomes({"delivered": (3, 3), "opened": (3, 3)})
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])
        self.shop.start()
        self.until_outcomes({"delivered": (3, 3), "opened": (3, 3)})

    def test_an_erasure_takes_her_results_along_and_leaves_the_counts(self):
        self.start()
        self.member()
        self.member("bia")
        for name in ("ana", "bia"):
            self.brevo("opened", who=f"{name}@example.org", campaign=f"for-{name}")
        self.until_outcomes({"opened": (2, 2)})
        self.shop.call("POST", "/v1/privacy/erase", {"identifier": ANA})
        wait_until(lambda: self.shop.profile(ANA) is None, "erased")
        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])
        self.shop.start()
        self.until_outcomes({"opened": (2, 2)})
        wait_until(lambda: not self.shop.traces(b"ana@example.org"), "nothing of her is left", 60)
        self.assertEqual(1, self.brevo("opened", at=int(time.time()) - 5)["unknown"], "what comes late is of nobody")
        self.assertEqual([], self.shop.traces(b"ana@example.org"))


    def test_a_list_of_calls_is_read_once_and_again_tomorrow_with_what_is_new(self):
        self.start()
        self.shop.send(identified("ana", email="ana@example.org", phone="+33612345678"), identified("bia", phone="+33612345679"))
        wait_until(lambda: self.shop.profile("phone:%2B33612345679"), "known")
        folder = self.enterContext(tempfile.TemporaryDirectory())
        path = pathlib.Path(folder) / "calls.csv"
        path.write_text("Numéro;Issue;Date\n06 12 34 56 78;Décroché;28/11/2026 10:05\n06 12 34 56 79;Ne plus appeler;28/11/2026 10:09\n06 12 34 56 70;Décroché;28/11/2026 10:12\n06;Occupé;\n")
        command = [
            "results", "mailer", path, "--column", "phone=Numéro", "--column", "type=Issue", "--column", "at=Date", "--word", "Décroché=answered",
            "--word", "Ne plus appeler=call_refused", "--time", "%d/%m/%Y %H:%M", "--timezone", "Europe/Paris", "--json",
        ]  # fmt: skip

        def counts():
            answer = json.loads(self.shop.command(*command))
            return tuple(answer[key] for key in ("rows", "recorded", "known", "unknown", "passed_over"))

        self.assertEqual((4, 2, 0, 1, 1), counts())
        self.assertEqual("2026-11-28T09:05:00.000000Z", self.event("phone:%2B33612345678", "Call Answered")["timestamp"])
        self.assertEqual("objected", self.shop.get("/v1/allowed?destination=mailer&purpose=marketing&channel=phone&id=phone:%2B33612345679")["code"])
        with path.open("a") as file:
            file.write("06 12 34 56 78;Décroché;28/11/2026 11:00\n")
        self.assertEqual((5, 1, 2, 1, 1), counts())
        self.until_outcomes({"answered": (0, 2), "unsubscribed": (0, 1)}, activation=None)
        answer = self.shop.call("POST", "/v1/destinations/mailer/results", {"type": "answered"})
        self.assertEqual((400, "events[0].address"), (answer.status, answer.json()["field"]))
        self.assertEqual(404, self.shop.call("POST", "/v1/destinations/nobody/results", {"type": "answered"}).status)
        self.assertEqual(401, self.shop.call("POST", "/v1/destinations/mailer/results", {"type": "answered"}, admin=False).status)


class Ear(Inbox):
    """Hears what the operator is told; `deaf`: answers 500."""

    def __init__(self):
        self.deaf, self.told = False, []
        super().__init__(lambda message: 500 if self.deaf else 200)

    def heard(self, headers, body):
        if not self.deaf:
            self.told.append(json.loads(body))


class Mailbox:
    """A mail server within a network of one's own: no login, no TLS."""

    def __init__(self):
        self.letters, self.port = [], free_port()

    def __enter__(self):
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()
        return self

    def __exit__(self, *_):
        self.controller.stop(no_assert=True)

    async def handle_DATA(self, server, session, envelope):
        self.letters.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.SMTP)))
        return "250 2.0.0 taken"


class Alarms(unittest.TestCase):
    def start(self, answer, every="1h", **environment):
        self.tool = self.enterContext(Inbox(answer))
        self.slack, self.teams = self.enterContext(Ear()), self.enterContext(Ear())
        self.mail = self.enterContext(Mailbox())
        environment = {
            "JUMELLE_ALARM_SLACK": self.slack.url, "JUMELLE_ALARM_TEAMS": self.teams.url, "JUMELLE_ALARM_EVERY": every,
            "JUMELLE_ALARM_MAIL_SERVER": f"smtp://127.0.0.1:{self.mail.port}", "JUMELLE_ALARM_MAIL_FROM": "jumelle@example.org",
            "JUMELLE_ALARM_MAIL_TO": "ops@example.org", **environment,
        }  # fmt: skip
        tools = TOOLS.replace("URL", self.tool.url).replace("FORMAT", "brevo").replace("SECRET", TOKEN)
        self.shop = self.enterContext(Shop(shop(tools), environment=environment))

    def members(self, *names):
        for name in names:
            self.shop.consent({"email": f"{name}@example.org"}, "granted", channel="email")
            self.shop.send(identified(name, email=f"{name}@example.org"), viewed(name, seconds=2), viewed(name, seconds=1))

    def test_too_few_get_through_is_told_by_every_way_once_and_when_it_is_mended(self):
        listens = []
        self.start(lambda message: 204 if listens else 422, JUMELLE_ALARM_DELIVERED_BELOW="0.9,other=off")
        self.slack.deaf = True
        self.members(*[f"refused{n}" for n in range(20)])
        wait_until(lambda: self.teams.told and self.mail.letters, "Teams and e-mail", 90)
        card = self.teams.told[0]["attachments"][0]
        self.assertEqual("application/vnd.microsoft.card.adaptive", card["contentType"])
        said = json.dumps(self.teams.told[0], ensure_ascii=False)
        self.assertIn("mailer: 0 % of 20 messages were taken in 30 min; 90 % are asked for.", said)
        self.assertIn("de 20 messages ont été pris en 30\u00a0min", said)
        recipients, letter = self.mail.letters[0]
        self.assertEqual((["ops@example.org"], "auto-generated"), (recipients, letter["Auto-Submitted"]))
        self.assertIn("mailer", letter["Subject"])
        self.slack.deaf = False
        wait_until(lambda: self.slack.told, "Slack, once it hears", 40)
        self.assertIn("90 %", self.slack.told[0]["text"])
        for told in (str(self.slack.told), said, str(letter)):
            self.assertNotIn("refused", told, "nobody is in it")
            self.assertNotIn("p_", told)
        self.shop.kill()
        self.shop.start()
        listens.append(True)
        self.members(*[f"taken{n}" for n in range(20)])
        wait_until(lambda: len(self.teams.told) == 2 and len(self.slack.told) == 2 and len(self.mail.letters) == 2, "mended, after a restart too", 40)
        self.assertIn("messages get through again", self.slack.told[1]["text"])
        time.sleep(7)
        self.assertEqual((2, 2, 2), (len(self.slack.told), len(self.teams.told), len(self.mail.letters)), "once each")

    def test_messages_wait_and_nothing_leaves(self):
        listens = []
        self.start(lambda message: 204 if listens else 503, every="8s", JUMELLE_ALARM_SILENT_AFTER="4s")
        self.members("ana")
        wait_until(lambda: self.slack.told, "the alarm", 40)
        self.assertIn("nothing was sent", self.slack.told[0]["text"])
        wait_until(lambda: len(self.slack.told) >= 2, "a reminder", 40)
        self.assertIn("⟳", self.slack.told[1]["text"])
        listens.append(True)
        self.shop.call("POST", "/v1/destinations/mailer/retry")
        wait_until(lambda: "messages leave again" in self.slack.told[-1]["text"], "mended", 40)

    def test_settings_that_cannot_work_are_refused_and_named(self):
        for environment, named in (
            ({"JUMELLE_ALARM_SILENT_AFTER": "15m"}, "alarm_url"),
            ({"JUMELLE_ALARM_SLACK": "http://127.0.0.1:9", "JUMELLE_ALARM_DELIVERED_BELOW": "90"}, "alarm_delivered_below"),
            ({"JUMELLE_ALARM_SLACK": "http://127.0.0.1:9", "JUMELLE_ALARM_DELIVERED_OVER": "2h"}, "alarm_delivered_over"),
            ({"JUMELLE_ALARM_MAIL_SERVER": "smtp://127.0.0.1:9"}, "alarm_mail_from"),
            ({"JUMELLE_ALARM_MAIL_SERVER": "smtp://127.0.0.1:9", "JUMELLE_ALARM_MAIL_FROM": "a@example.org"}, "alarm_mail_to"),
        ):
            with self.subTest(named), self.assertRaises(AssertionError) as refused:
                with Shop(environment=environment):
                    pass
            self.assertIn(named, str(refused.exception))


if __name__ == "__main__":
    unittest.main()

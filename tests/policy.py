"""The policy over the real binary: validity, signals, hours, frequency, fields, and what `apply` says of who can be reached."""

import hashlib
import unittest
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from jumelle_server import wait_until
from shop import Inbox, Shop, basic, identified, viewed, workspace

TOOLS = """\
policy: POLICY
destinations:
  mailer: {connector: webhook, url: "URL", allow_private: true, country: FR}
activations:
  mail: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}
"""
WHO = "email:ana@example.org"
ANA = {"email": "ana@example.org"}


def shop_text(policy="{}", marketing="{basis: consent}", more=""):
    text = workspace(TOOLS.replace("POLICY", policy) + more)
    return text.replace("marketing: {basis: consent}", f"marketing: {marketing}")


class Policy(unittest.TestCase):
    def start(self, **text):
        self.inbox = self.enterContext(Inbox(lambda message: 204))
        self.text = shop_text(**text).replace("URL", self.inbox.url)
        self.shop = self.enterContext(Shop(self.text))
        self.shop.send(identified("ana", email="ana@example.org"), viewed("ana", seconds=2), viewed("ana", seconds=1))
        wait_until(lambda: self.shop.segments(WHO) == ["lookers"], "a member")

    def states(self):
        return [(item["activation"], item["type"], item["state"]) for item in reversed(self.shop.deliveries(WHO))]

    def until(self, *expected):
        try:
            wait_until(lambda: self.states() == list(expected), "", 20)
        except AssertionError:
            self.assertEqual(list(expected), self.states())

    def signal(self, name, state="on", **entry):
        self.shop.request("POST", "/v1/consents", {"identifiers": ANA, "consents": [{"signal": name, "state": state, **entry}]})

    def gate(self):
        return self.shop.get(f"/v1/profiles/{WHO}/explain")["gate"][0]

    def test_a_grant_that_grows_too_old_closes_by_itself(self):
        self.start(marketing="{basis: consent, expires_after: 4s, ask_again_after: 2s}")
        self.shop.consent(ANA, "granted", channel="email")
        consent = self.shop.profile(WHO)["consents"][0]
        gate = self.gate()
        self.assertEqual((True, True, True), (gate["open"], gate["en"].startswith("granted on "), gate["fr"].startswith("accordé le ")))
        given, expires, again = (datetime.fromisoformat(consent[key]) for key in ("since", "expires_at", "ask_again_at"))
        self.assertEqual((timedelta(seconds=4), timedelta(seconds=2)), (expires - given, again - given))
        blocked, entered = ("mail", "segment.entered", "blocked"), ("mail", "segment.entered", "sent")
        self.until(blocked, entered, ("mail", "consent.withdrawn", "sent"))
        withdrawn = self.shop.deliveries(WHO)[0]
        self.assertGreaterEqual(datetime.fromisoformat(withdrawn["caused_at"]), expires)
        # A moment is allowed to a busy machine; without a timer it would wait for an event that never comes.
        self.assertLess(datetime.fromisoformat(withdrawn["caused_at"]) - expires, timedelta(seconds=1))
        self.assertEqual("expired", self.gate()["gate"]["code"])

    def test_a_new_text_that_asks_anew_takes_the_person_back_when_it_is_applied(self):
        texts = '{basis: consent, texts: [{version: "1", en: Yes}]}'
        self.start(marketing=texts)
        self.shop.consent(ANA, "granted", channel="email", proof={"text_version": "1"})
        blocked, entered = ("mail", "segment.entered", "blocked"), ("mail", "segment.entered", "sent")
        self.until(blocked, entered)
        anew = self.text.replace('[{version: "1", en: Yes}]', '[{version: "1", en: Yes}, {version: "2", en: Yes, ask_anew: true}]')

        def planned():
            return self.shop.call("PUT", "/v1/workspace?dry_run=true", anew, headers={"content-type": "application/yaml"}).json()

        # People are found in the tables, which are written behind once a second.
        wait_until(lambda: planned()["reach"]["looked_at"] == 1, "in the tables")
        plan = planned()
        self.assertEqual([{"purpose": "marketing", "channel": "email", "reachable": 0, "unreachable": 1}], plan["reach"]["changes"])
        self.assertIn("marketing/email: 0 people become reachable, 1 unreachable", plan["text"])
        self.assertFalse(plan["reach"]["sampled"])
        self.assertEqual(200, self.shop.apply(anew).status)
        withdrawn = ("mail", "consent.withdrawn", "sent")
        self.until(blocked, entered, withdrawn)
        self.assertEqual(("old_text", "1", "2"), tuple(self.gate()["gate"][key] for key in ("code", "version", "needed")))
        self.shop.consent(ANA, "granted", channel="email", proof={"text_version": "2"})
        self.until(blocked, entered, withdrawn, entered)

    def test_signals_close_and_are_lifted(self):
        self.start()
        self.shop.consent(ANA, "granted", channel="email")
        history = [("mail", "segment.entered", "blocked"), ("mail", "segment.entered", "sent")]
        self.until(*history)
        for signal, code, entry in [
            ("bounce", "bounced", {"channel": "email", "for": ANA}),
            ("complaint", "objected", {"channel": "email", "for": ANA}),
            ("objection", "objected", {}),
            ("restriction", "restricted", {"for": ANA}),
        ]:
            with self.subTest(signal):
                self.signal(signal, **entry)
                history.append(("mail", "consent.withdrawn", "sent"))
                self.until(*history)
                gate = self.gate()
                self.assertEqual((False, code), (gate["open"], gate["gate"]["code"]))
                self.assertIn("depuis le", gate["gate"]["fr"])
                self.assertIn("since", gate["gate"]["en"])
                listed = {item["signal"]: item["state"] for item in self.shop.get(f"/v1/profiles/{WHO}/consents")["signals"]}
                self.assertEqual("on", listed[signal])
                self.signal(signal, "lifted", **entry)
                history.append(("mail", "segment.entered", "sent"))
                self.until(*history)
        self.assertEqual(["marketing"], [consent["purpose"] for consent in self.shop.profile(WHO)["consents"]])

    def test_a_signal_that_is_none_goes_to_quarantine(self):
        self.start()
        answer = self.shop.call("POST", "/v1/consents", {"identifiers": ANA, "consents": [{"signal": "boredom"}]})
        self.assertEqual((400, "unknown_signal"), (answer.status, answer.json()["rule"]))

    def test_outside_the_hours_what_is_new_waits_and_nobody_is_taken_back(self):
        hour = datetime.now(ZoneInfo("Europe/Paris")).hour
        # An hour that is neither this one nor the next.
        opens = (hour + 6) % 23
        closed = f'{{rules: [{{for: {{channels: [email]}}, hours: {{between: ["{opens:02}:00-{opens + 1:02}:00"]}}}}]}}'
        self.start(policy=closed)
        self.shop.consent(ANA, "granted", channel="email")
        wait_until(lambda: self.gate()["gate"]["code"] == "hours", "closed for the hour")
        gate = self.gate()
        self.assertEqual(gate["gate"]["opens_at"], gate["changes_at"])
        self.assertEqual(opens, datetime.fromisoformat(gate["changes_at"]).astimezone(ZoneInfo("Europe/Paris")).hour)
        self.assertEqual([("mail", "segment.entered", "blocked")], self.states())
        self.assertEqual(200, self.shop.apply(self.text.replace(closed, "{}")).status)
        blocked, entered = ("mail", "segment.entered", "blocked"), ("mail", "segment.entered", "sent")
        self.until(blocked, entered)
        self.assertEqual(200, self.shop.apply(self.text).status)
        wait_until(lambda: self.gate()["gate"] is not None, "closed again")
        self.shop.send(viewed("ana"))
        wait_until(self.shop.folded, "folded")
        self.until(blocked, entered)

    def test_as_often_as_allowed_across_activations_and_later_the_rest(self):
        other = "  again: {segment: lookers, destination: mailer, purpose: marketing, channel: email, map: {email: identifiers.email}}\n"
        self.start(policy="{rules: [{for: {marketing: true}, frequency: {max: 1, within: 5s}}]}", more=other)
        self.until(("mail", "segment.entered", "blocked"), ("again", "segment.entered", "blocked"))
        self.shop.consent(ANA, "granted", channel="email")
        wait_until(lambda: len(self.inbox.taken()) == 2, "both in the end", 20)
        first, second = sorted(item["caused_at"] for item in self.shop.deliveries(WHO) if item["state"] == "sent")
        self.assertGreaterEqual(datetime.fromisoformat(second) - datetime.fromisoformat(first), timedelta(seconds=5))

    def test_a_purpose_sends_the_hash_and_not_the_address(self):
        hashed = "  ads: {segment: lookers, destination: mailer, purpose: ads, channel: email, initial: send, map: {who: sha256.identifiers.email}}\n"
        self.start(marketing="{basis: consent}\n  ads: {basis: consent, fields: [sha256.identifiers.email]}", more=hashed)
        self.shop.consent(ANA, "granted", purpose="ads", channel="email")
        wait_until(lambda: self.inbox.taken(), "a message")
        expected = hashlib.sha256(b"ana@example.org").hexdigest()
        self.assertEqual({"who": expected}, self.inbox.taken()[0]["data"])
        answer = self.shop.apply(self.text.replace("map: {who: sha256.identifiers.email}", "map: {who: identifiers.email}"))
        self.assertEqual(422, answer.status)
        self.assertIn("the purpose ads may not send identifiers.email", answer.body.decode())

    def test_a_channel_that_the_purpose_does_not_declare_is_refused_with_its_place(self):
        self.start()
        answer = self.shop.apply(self.text.replace("marketing: {basis: consent}", "marketing: {basis: consent, channels: [sms]}"))
        self.assertEqual(422, answer.status)
        line = next(n for n, text in enumerate(self.text.splitlines(), 1) if text.startswith("  mail:"))
        self.assertIn(f"{line}:", answer.body.decode())
        self.assertIn("does not use the channel email; it declares sms", answer.body.decode())


FRANCE = """\
policy: {extends: [france], person: {business: traits.professional, timezone: traits.timezone}}
destinations:
  caller: {connector: webhook, url: "http://127.0.0.1:9/x", allow_private: true, country: FR}
"""
FRENCH_PURPOSES = """\
offers: {basis: soft_opt_in, customer: {has: computed.orders, informed: traits.told_of_offers}}
  prospection: {basis: legitimate_interest}
  trade: {basis: legitimate_interest, professional: true}
  brand_a: {basis: consent}
  brand_b: {basis: consent}
"""


OWN = """{
  channels: {whatsapp: {like: sms, label: {fr: Messages WhatsApp, en: WhatsApp messages}}, counter: {like: postal}},
  rules: [{for: {channels: [sms]}, frequency: {max: 1, within: 7d}}]}"""
BY_WHATSAPP = """
  whatsapp: {segment: lookers, destination: mailer, purpose: marketing, channel: whatsapp, map: {phone: identifiers.phone}}
"""


class OwnChannels(unittest.TestCase):
    """Channels that a workspace declares: like another one in address and rules, with choices of their own."""

    PHONE = "phone:+33612345678"

    def setUp(self):
        self.inbox = self.enterContext(Inbox())
        self.text = shop_text(policy=OWN).replace("URL", self.inbox.url).rstrip() + BY_WHATSAPP
        self.shop = self.enterContext(Shop(self.text))

    def enter(self, who, number):
        self.shop.send(identified(who, phone=number, email=f"{who}@example.org"), viewed(who, seconds=2), viewed(who, seconds=1))
        wait_until(lambda: self.shop.segments(f"email:{who}@example.org") == ["lookers"], "a member")

    def gate(self, channel, number="+33612345678"):
        question = {"destination": "mailer", "purpose": "marketing", "channel": channel, "ids": [f"phone:{number}"]}
        answer = self.shop.call("POST", "/v1/allowed", question)
        self.assertEqual(200, answer.status, answer)
        (item,) = answer.json()["items"]
        return "open" if item["allowed"] else item["gate"]["code"]

    def test_a_choice_for_one_channel_is_none_for_another_that_is_like_it(self):
        self.enter("ana", "+33612345678")
        self.shop.consent({"phone": "+33612345678"}, "granted", channel="sms")
        self.assertEqual(("open", "unknown"), (self.gate("sms"), self.gate("whatsapp")))
        self.shop.consent({"phone": "+33612345678"}, "granted", channel="whatsapp")
        message = wait_until(lambda: self.inbox.taken() and self.inbox.taken()[0], "it is sent")
        self.assertEqual(("whatsapp", "+33612345678"), (message["activation"], message["data"]["phone"]))
        # One message a week by text message: one that is like it counts.
        wait_until(lambda: (self.gate("sms"), self.gate("whatsapp")) == ("frequency", "frequency"), "it was sent")
        self.shop.consent({"phone": "+33612345678"}, "denied", channel="whatsapp")
        self.assertEqual("denied", self.gate("whatsapp"))
        self.assertEqual("frequency", self.gate("sms"), "and not denied")
        shown = {(item["purpose"], item["channel"]): item["state"] for item in self.shop.profile(self.PHONE)["consents"]}
        self.assertEqual({("marketing", "sms"): "granted", ("marketing", "whatsapp"): "denied"}, shown)

        self.shop.stop()
        self.assertTrue(self.shop.offline("rebuild")["identical"])
        self.shop.start()
        self.assertEqual("denied", self.gate("whatsapp"))

    def test_the_purpose_as_a_whole_opens_and_closes_it(self):
        self.enter("bea", "+33612345679")
        self.shop.consent({"phone": "+33612345679"}, "granted")
        self.assertEqual("open", self.gate("counter", "+33612345679"))
        self.shop.consent({"phone": "+33612345679"}, "denied")
        self.assertEqual(["denied"] * 2, [self.gate(channel, "+33612345679") for channel in ("whatsapp", "counter")])

    def test_a_definition_that_changes_forgets_no_refusal(self):
        self.enter("cleo", "+33612345670")
        self.shop.consent({"phone": "+33612345670"}, "granted")
        self.shop.consent({"phone": "+33612345670"}, "denied", channel="whatsapp")
        self.assertEqual("denied", self.gate("whatsapp", "+33612345670"))
        changed = self.text.replace("like: sms", "like: phone")
        self.assertEqual(200, self.shop.call("PUT", "/v1/workspace", changed.encode()).status)
        self.assertEqual("denied", self.gate("whatsapp", "+33612345670"))

    def test_what_is_not_declared_is_said_with_what_is(self):
        entry = {"purpose": "marketing", "state": "granted", "channel": "telegram"}
        event = {"type": "track", "event": "Consent Recorded", "userId": "dora", "context": {"consents": [entry]}}
        answer = self.shop.call("POST", "/v1/track", event, headers=basic("wk_till"), admin=False)
        self.assertEqual(400, answer.status, answer)
        self.assertIn("partner_sharing, whatsapp, counter", answer.body.decode())
        for path, body in (
            ("/v1/allowed", {"destination": "mailer", "purpose": "marketing", "channel": "telegram", "ids": ["phone:1"]}),
            ("/v1/links", {"identifier": "email:d@example.org", "scope": "unsubscribe", "purpose": "marketing", "channel": "telegram"}),
        ):
            with self.subTest(path):
                answer = self.shop.call("POST", path, body)
                self.assertEqual((400, "channel"), (answer.status, answer.json().get("field")), answer)
        refused = self.shop.call("PUT", "/v1/workspace", self.text.replace("whatsapp: {like: sms", "signal: {like: sms").encode())
        self.assertEqual(422, refused.status, "an activation names a channel that is gone")
        self.assertIn("whatsapp", refused.body.decode())

    def test_she_chooses_for_it_on_her_page(self):
        self.enter("emma", "+33612345671")
        self.shop.consent({"phone": "+33612345671"}, "granted", channel="whatsapp")
        link = self.shop.call("POST", "/v1/links", {"identifier": "phone:+33612345671", "scope": "preferences"}).json()
        for language, label in (("fr", "Messages WhatsApp"), ("en", "WhatsApp messages")):
            page = self.shop.call("GET", f"{link['path']}?lang={language}", admin=False).body.decode()
            self.assertIn(label, page)


class France(unittest.TestCase):
    """Statements 7 and 17 to 20 of ours on French law, asked of the gate from outside; the clock is that of the events."""

    def setUp(self):
        text = workspace(FRANCE).replace("marketing: {basis: consent}", FRENCH_PURPOSES.rstrip())
        self.shop = self.enterContext(Shop(text, "--clock", "events"))
        self.number = 0

    def at(self, when, who="nobody", **event):
        """Something happens at an instant, and with it the clock goes there."""
        self.number += 1
        event = event or {"type": "track", "event": "Clock Moved"}
        self.shop.send({**event, "userId": who, "timestamp": when, "messageId": f"m{self.number}"})
        wait_until(self.shop.folded, "folded")

    def known(self, who, when, **traits):
        self.at(when, who, type="identify", traits={"email": f"{who}@example.org", "phone": self.phone(who), **traits})

    def phone(self, who):
        return {"customer": "+33612345601", "told": "+33612345602", "prospect": "+33612345603", "pro": "+33612345604"}[who]

    def ordered(self, who, when):
        self.at(when, who, type="track", event="Order Completed", properties={"order_id": f"o-{who}", "total": 10, "currency": "EUR"})

    def chose(self, who, when, **entry):
        self.at(when, who, type="track", event="Consent Recorded", context={"consents": [{"at": when, **entry}]})

    def gate(self, who, purpose, channel):
        value = f"phone:{self.phone(who)}" if channel in ("phone", "sms") else f"email:{who}@example.org"
        answer = self.shop.call("POST", "/v1/allowed", {"destination": "caller", "purpose": purpose, "channel": channel, "ids": [value]})
        self.assertEqual(200, answer.status, answer)
        (item,) = answer.json()["items"]
        return "open" if item["allowed"] else item["gate"]["code"]

    def test_18_soft_opt_in_and_17_an_objection_beats_it_and_interest_and_leaves_service(self):
        for who, traits in [("customer", {"told_of_offers": True}), ("told", {"told_of_offers": True}), ("prospect", {})]:
            self.known(who, "2026-11-02T10:00:00Z", **traits)
        self.ordered("customer", "2026-11-03T10:00:00Z")
        self.ordered("prospect", "2026-11-03T11:00:00Z")
        self.at("2026-11-04T10:30:00Z")
        self.assertEqual("open", self.gate("customer", "offers", "email"))
        self.assertEqual("not_a_customer", self.gate("told", "offers", "email"), "told, and bought nothing")
        self.assertEqual("not_a_customer", self.gate("prospect", "offers", "email"), "bought, and was not told")
        self.assertEqual("unknown", self.gate("customer", "offers", "phone"), "the telephone asks for her consent")
        self.assertEqual("open", self.gate("customer", "service", "email"))
        self.chose("customer", "2026-11-05T10:00:00Z", signal="objection")
        self.assertEqual(["objected"] * 3, [self.gate("customer", *asked) for asked in (("offers", "email"), ("prospection", "email"), ("prospection", "phone"))])
        self.assertEqual(["open"] * 2, [self.gate("customer", "service", channel) for channel in ("email", "phone")])

    def test_19_calls(self):
        self.known("prospect", "2026-08-07T08:00:00Z")
        self.at("2026-08-10T09:00:00Z")
        self.assertEqual("open", self.gate("prospect", "prospection", "phone"), "Monday 10 August: the old law")
        self.at("2026-08-11T09:00:00Z")
        self.assertEqual("unknown", self.gate("prospect", "prospection", "phone"), "Tuesday 11 August: consent")
        self.assertEqual("open", self.gate("prospect", "service", "phone"), "a running contract")
        phone = {"for": {"phone": self.phone("prospect")}}
        self.chose("prospect", "2026-11-05T09:00:00Z", purpose="prospection", state="granted", **phone)
        self.assertEqual(("unknown", "open"), tuple(self.gate("prospect", "prospection", channel) for channel in ("phone", "sms")), "calls ask for their own")
        self.chose("prospect", "2026-11-06T09:00:00Z", purpose="prospection", channel="phone", state="granted", **phone)
        for when, expected, why in [
            ("2026-11-09T08:59:00Z", "hours", "before ten in Paris"),
            ("2026-11-09T09:00:00Z", "open", "Monday at ten"),
            ("2026-11-09T12:30:00Z", "hours", "at noon"),
            ("2026-11-09T19:00:00Z", "hours", "at eight in the evening"),
            ("2026-11-11T10:00:00Z", "hours", "the eleventh of November is a holiday"),
            ("2026-11-14T10:00:00Z", "hours", "a Saturday"),
        ]:
            self.at(when)
            self.assertEqual(expected, self.gate("prospect", "prospection", "phone"), why)
        self.at("2026-11-16T09:30:00Z", "prospect", type="identify", traits={"timezone": "Indian/Reunion"})
        self.assertEqual("hours", self.gate("prospect", "prospection", "phone"), "half past one in her time zone")
        self.at("2026-11-16T10:30:00Z")
        self.assertEqual("open", self.gate("prospect", "prospection", "phone"), "half past two in her time zone")
        refused = "2026-11-17T10:00:00Z"
        self.chose("prospect", refused, purpose="prospection", channel="phone", state="denied")
        self.assertEqual("denied", self.gate("prospect", "prospection", "phone"))
        (denial,) = [c for c in self.shop.profile("user_id:prospect")["consents"] if c["state"] == "denied"]
        self.assertEqual(timedelta(days=60), datetime.fromisoformat(denial["ask_again_at"]) - datetime.fromisoformat(denial["since"]), "60 days of peace")

    def test_19_four_calls_in_thirty_days(self):
        text = workspace(FRANCE.replace("http://127.0.0.1:9/x", self.enterContext(Inbox(lambda message: 204)).url) + "".join(
            f"  call_{n}: {{segment: seen_{n}, destination: caller, purpose: prospection, channel: phone, initial: send, map: {{phone: identifiers.phone}}}}\n" for n in range(4)
        ).join(["activations:\n", ""]))
        segments = "".join(f"  seen_{n}: {{rule: {{did: Seen {n}}}}}\n" for n in range(4))
        text = text.replace("marketing: {basis: consent}", FRENCH_PURPOSES.rstrip()).replace("  lookers:\n", segments + "  lookers:\n")
        self.assertEqual(200, self.shop.apply(text).status)
        self.known("prospect", "2026-11-02T10:00:00Z")
        self.chose("prospect", "2026-11-02T10:01:00Z", purpose="prospection", channel="phone", state="granted")
        for n in range(4):
            self.assertEqual("open", self.gate("prospect", "prospection", "phone"), n)
            self.at(f"2026-11-0{n + 3}T10:00:00Z", "prospect", type="track", event=f"Seen {n}")
        self.assertEqual("frequency", self.gate("prospect", "prospection", "phone"), "a fifth")

    def test_20_a_professional_is_told_apart_by_e_mail_only(self):
        self.known("prospect", "2026-11-02T10:00:00Z")
        self.known("pro", "2026-11-02T10:00:00Z", professional=True)
        self.at("2026-11-03T10:00:00Z")
        self.assertEqual(("not_a_customer", "open"), tuple(self.gate(who, "trade", "email") for who in ("prospect", "pro")))
        self.assertEqual("not_a_customer", self.gate("pro", "prospection", "email"), "what is not about the job")
        self.assertEqual("not_a_customer", self.gate("pro", "trade", "sms"))
        for channel in ("push", "display", "onsite"):
            self.assertEqual({"unknown"}, {self.gate(who, "trade", channel) for who in ("prospect", "pro")}, channel)
        self.assertEqual("unknown", self.gate("pro", "brand_a", "email"), "what rests on consent still does")

    def test_7_a_consent_for_one_brand_opens_no_other(self):
        self.known("prospect", "2026-11-02T10:00:00Z")
        self.chose("prospect", "2026-11-03T10:00:00Z", purpose="brand_a", channel="email", state="granted")
        self.assertEqual(("open", "unknown"), tuple(self.gate("prospect", brand, "email") for brand in ("brand_a", "brand_b")))
        self.chose("prospect", "2026-11-04T10:00:00Z", purpose="brand_b", channel="email", state="granted")
        self.chose("prospect", "2026-11-05T10:00:00Z", purpose="brand_a", channel="email", state="denied")
        self.assertEqual(("denied", "open"), tuple(self.gate("prospect", brand, "email") for brand in ("brand_a", "brand_b")))
        # A browser of site B has not chosen by what was chosen in a browser of site A.
        self.at("2026-11-06T10:00:00Z", "prospect", type="track", event="Consent Recorded", anonymousId="browser-a",
            context={"consents": [{"purpose": "brand_b", "channel": "onsite", "state": "granted", "for": {"anonymous_id": "browser-a"}}]})  # fmt: skip
        self.at("2026-11-06T10:01:00Z", "prospect", type="track", event="Product Viewed", anonymousId="browser-b")
        asked = {"destination": "caller", "purpose": "brand_b", "channel": "onsite", "ids": ["anonymous_id:browser-a", "anonymous_id:browser-b"]}
        self.assertEqual([True, False], [item["allowed"] for item in self.shop.call("POST", "/v1/allowed", asked).json()["items"]])


if __name__ == "__main__":
    unittest.main()

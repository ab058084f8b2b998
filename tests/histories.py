"""Random histories of choices × purposes × channels × destinations, against a model of the policy that shares nothing with it.

Statement 12: what the recorders have received, minus what the model allows, is nobody (no leak); what the model allows, minus what
they have, is nobody (no wrong block). The model reads `docs/guide/consent.md` and `consent-policy.md`, and is a page long.
JUMELLE_HISTORIES_SEED plays another draw, JUMELLE_HISTORIES_PEOPLE another number of people.
"""

import collections
import itertools
import json
import os
import random
import unittest
from datetime import datetime, timedelta, timezone

from jumelle_server import wait_until
from shop import Inbox, Shop, identified, viewed, workspace

SEED = int(os.environ.get("JUMELLE_HISTORIES_SEED", "12"))
PEOPLE = int(os.environ.get("JUMELLE_HISTORIES_PEOPLE", "60"))
ROUNDS = 4
# Purpose: basis, and whether it is marketing.
PURPOSES = {"offers": ("consent", True), "club": ("legitimate_interest", True), "orders": ("contract", False)}
# Channel: the identifier that its messages use.
CHANNELS = {"email": "email", "sms": "phone", "display": "anonymous_id", "postal": None}
DESTINATIONS = ("mailer", "ads", "print")
# Choices are made in the last month: at instants so few that some are equal.
INSTANTS = 12


def activation(purpose, channel, destination):
    return f"{purpose}_{channel}_{destination}"


COMBINATIONS = [(activation(*one), *one) for one in itertools.product(PURPOSES, CHANNELS, DESTINATIONS)]


def definitions(urls):
    text = workspace().replace("  marketing: {basis: consent}\n  service: {basis: contract}\n", "".join(f"  {key}: {{basis: {basis}}}\n" for key, (basis, _) in PURPOSES.items()))
    text += "destinations:\n" + "".join(f'  {key}: {{connector: webhook, url: "{urls[key]}", allow_private: true, concurrency: 8}}\n' for key in DESTINATIONS)
    text += "activations:\n"
    for key, purpose, channel, destination in COMBINATIONS:
        field = CHANNELS[channel]
        fields = f"who: identifiers.{field}" if field else "city: traits.city"
        text += f"  {key}: {{segment: lookers, destination: {destination}, purpose: {purpose}, channel: {channel}, map: {{{fields}, user: identifiers.user_id}}}}\n"
    return text


class Model:
    """What one person chose, and what may be sent to her. A list, read anew for each question."""

    def __init__(self, addresses):
        self.addresses, self.said = addresses, []

    def add(self, **said):
        """`what` is ("purpose", key) or ("signal", name); `yes` a grant, or a signal that is lifted."""
        self.said.append(said)

    def last(self, what, channel, address):
        """(yes, at) of what counts for an address, or None: a dated choice before a weak one, the later one, at one instant the no."""

        def concerns(said):
            of_channel = said["channel"] in (None, channel)
            # What the person says is of all that she has; here she has it all from the start. Without an address it is hers alone.
            whose = said["of"] is None or said["of"] == address and address is not None
            return said["what"] == what and of_channel and whose

        found = [said for said in self.said if concerns(said)]
        return max(found, key=lambda said: (not said["weak"], said["at"], not said["yes"]), default=None)

    def may(self, purpose, channel):
        basis, marketing = PURPOSES[purpose]
        namespace = CHANNELS[channel]
        address = self.addresses[namespace] if namespace else None
        choice = self.last(("purpose", purpose), channel, address)
        grant = choice["at"] if choice and choice["yes"] and not choice["weak"] else None
        closed_for_all = ["restriction", *(["bounce"] if address else [])]
        for signal in closed_for_all:
            found = self.last(("signal", signal), channel, address)
            if found and not found["yes"]:
                return False
        for signal in ("complaint", "opposition", "objection") if marketing else ():
            found = self.last(("signal", signal), channel, address)
            if found and not found["yes"] and not (grant and grant > found["at"]):
                return False
        if choice is None:
            return basis != "consent"
        return choice["yes"]


class Histories(unittest.TestCase):
    def setUp(self):
        self.inboxes = {key: self.enterContext(Inbox()) for key in DESTINATIONS}
        self.shop = self.enterContext(Shop(definitions({key: inbox.url for key, inbox in self.inboxes.items()})))
        self.dice = random.Random(SEED)
        self.people = {f"u{n}": Model({"email": f"u{n}@example.org", "phone": f"+3361{n:07}", "anonymous_id": f"browser-{n}"}) for n in range(PEOPLE)}
        self.start = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=30)

    def settled(self):
        """Nothing waits anywhere."""
        states = ("queued", "failed")
        return self.shop.folded() and not any(self.shop.get(f"/v1/deliveries?state={state}&limit=1")["items"] for state in states)

    def draw(self, user):
        """One choice or signal: as the API takes it, and as the model notes it."""
        dice, model = self.dice, self.people[user]
        at = self.start + timedelta(days=dice.randrange(INSTANTS))
        yes = dice.random() < 0.55
        channel = dice.choice([None, *CHANNELS])
        namespace = CHANNELS.get(channel)
        of = (namespace, model.addresses[namespace]) if namespace and dice.random() < 0.6 else None
        entry = {"at": at.isoformat(), **({"channel": channel} if channel else {}), **({"for": dict([of])} if of else {})}
        if dice.random() < 0.8:
            purpose = dice.choice(list(PURPOSES))
            weak = yes and dice.random() < 0.15
            entry |= {"purpose": purpose, "state": "granted" if yes else "denied", **({"undated": True} if weak else {})}
            what = ("purpose", purpose)
        else:
            name = dice.choice(["bounce", "complaint", "opposition", "objection", "restriction"])
            weak = False
            if name in ("bounce", "complaint", "opposition") and of is None:
                channel, of = "email", ("email", model.addresses["email"])
                entry |= {"channel": channel, "for": dict([of])}
            if name in ("objection", "restriction"):
                channel = of = None
                entry = {"at": entry["at"]}
            entry |= {"signal": name, "state": "lifted" if yes else "on"}
            what = ("signal", name)
        noted = {"what": what, "channel": channel, "of": of and of[1], "yes": yes, "weak": weak, "at": at}
        return entry, noted

    def inside(self):
        """(user, activation) of whoever is in a tool by what its recorder took."""
        there = set()
        for inbox in self.inboxes.values():
            for message in inbox.taken():
                of = (message["data"]["user"], message["activation"])
                if message["type"] == "segment.entered":
                    there.add(of)
                elif message["type"] in ("consent.withdrawn", "segment.exited"):
                    there.discard(of)
        return there

    def test_no_leak_and_no_wrong_block(self):
        events = []
        for n, (user, model) in enumerate(self.people.items()):
            events += [
                {**identified(f"browser-{n}", user, email=model.addresses["email"], phone=model.addresses["phone"], city="Lille")},
                viewed(f"browser-{n}", seconds=2), viewed(f"browser-{n}", seconds=1),
            ]  # fmt: skip
        for at in range(0, len(events), 90):
            self.shop.send(*events[at : at + 90])
        wait_until(self.settled, "everybody is known", 120)
        seen, checked, sent, leaks = 0, 0, 0, []
        for turn in range(ROUNDS):
            # What was open at some moment of this round: what was sent meanwhile is judged by that.
            open_once = {(user, key) for user in self.people for key, purpose, channel, _ in COMBINATIONS if self.people[user].may(purpose, channel)}
            for user in self.people:
                for _ in range(self.dice.randint(0, 4)):
                    entry, noted = self.draw(user)
                    for _ in range(self.dice.choice([1, 1, 1, 2])):
                        self.shop.request("POST", "/v1/consents", {"identifiers": {"user_id": user}, "consents": [entry]})
                    self.people[user].add(**noted)
                    open_once |= {(user, key) for key, purpose, channel, _ in COMBINATIONS if self.people[user].may(purpose, channel)}
            wait_until(self.settled, f"round {turn} is over", 240)
            expected = {(user, key) for user in self.people for key, purpose, channel, _ in COMBINATIONS if self.people[user].may(purpose, channel)}
            inside = self.inside()
            self.assertEqual([], self.told(inside - expected), f"leaks, seed {SEED}, round {turn}")
            self.assertEqual([], self.told(expected - inside), f"wrong blocks, seed {SEED}, round {turn}")
            taken = [message for inbox in self.inboxes.values() for message in inbox.taken()]
            taken.sort(key=lambda message: message["arrived"])
            fresh = [message for message in taken[seen:] if message["type"] in ("segment.entered", "profile.updated")]
            leaks += [message for message in fresh if (message["data"]["user"], message["activation"]) not in open_once]
            seen, sent, checked = len(taken), sent + len(fresh), checked + len(self.people) * len(COMBINATIONS)
            self.allowed_says_the_same(expected)
        self.assertEqual([], leaks, "nothing was sent that was closed all the time")
        print(f" {checked} combinations of {len(self.people)} people, {sent} messages that bring in: 0 leaks, 0 wrong blocks (seed {SEED}) … ", end="", flush=True)
        self.assertGreaterEqual(checked, 2_000)
        self.shop.stop()
        report = self.shop.offline("rebuild")
        self.assertTrue(report["identical"], report["differences"])

    def told(self, pairs):
        """Pairs with the history that explains them, a few."""
        return [(user, key, json.dumps(self.people[user].said, default=str)) for user, key in sorted(pairs)[:3]]

    def allowed_says_the_same(self, expected):
        """The gate as other tools ask it."""
        answers = collections.Counter()
        for key, purpose, channel, destination in COMBINATIONS:
            namespace = CHANNELS[channel]
            names = {f"{namespace or 'user_id'}:{model.addresses[namespace] if namespace else user}": user for user, model in self.people.items()}
            body = {"destination": destination, "purpose": purpose, "channel": channel, "ids": list(names)}
            items = self.shop.call("POST", "/v1/allowed", body).json()["items"]
            wrong = [(name, item) for name, item in zip(names, items) if item["allowed"] != ((names[name], key) in expected)]
            self.assertEqual([], wrong[:3], key)
            answers.update(item["allowed"] for item in items)
        self.assertTrue(answers[True] and answers[False])


if __name__ == "__main__":
    unittest.main()

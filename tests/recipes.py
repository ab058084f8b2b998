"""The recipes of examples/recipes on the simulated shop: whom each reaches, exactly, through the connectors that it names.

All recipes run at once on one server whose clock follows the events. Partners on the loopback interface stand in for the tools and
keep what a tool would hold; at two instants that is compared with `recipes_oracle.py`: who is in, with what, and nobody whose consent
for that purpose and channel does not stand. What the simulated shop does not produce (late parcels, sizes that are back, a yes to
partners) is fed beside it, by rules that stand here.

JUMELLE_RECIPES is another folder of recipes: altered ones must fail.
"""

import csv
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb
import yaml
from identity_oracle import Identity, evidence
from jumelle_server import BINARY, ROOT, wait_until
from partners import Partner
from recipes_oracle import DAY, HOUR, MEMBERS, Choices, Person
from shop import Shop
from truth import Sender, instant, written

RECIPES = pathlib.Path(os.environ.get("JUMELLE_RECIPES") or ROOT / "examples" / "recipes")
MAISON = ROOT / "examples" / "maison" / "workspace.yaml"
PAGE = ROOT / "docs" / "guide" / "recipes.md"
PEOPLE, FROM, TO = 1_500, "2025-12-01", "2026-03-01"
FIRST, LAST = instant("2026-02-09T09:00:00Z"), instant("2026-02-28T20:30:00Z")
SENT_S_MAX = 120
CAUGHT_UP_EVERY = 1_000  # events
CLOCK = "the-clock-of-the-test"
SECRETS = {
    name: f"{name.lower()}-of-the-test"
    for name in (
        "BREVO_KEY", "MAILJET_KEY", "MAILJET_SECRET", "CUSTOMER_IO_KEY", "OVH_APPLICATION_KEY", "OVH_APPLICATION_SECRET",
        "OVH_CONSUMER_KEY", "META_TOKEN", "GENESYS_SECRET", "SITE_SECRET", "HOOK_SECRET",
    )
}  # fmt: skip
# By which identifier a connector knows people, and so the recipe's tool holds them.
KNOWN_BY = {
    "brevo": "email", "mailjet": "email", "customer-io": "email", "ovh-sms": "phone", "genesys-cloud": "user_id",
    "meta-custom-audiences": "anonymous_id", "webhook": "anonymous_id", "file": "email",
}  # fmt: skip


def folders():
    return sorted(path.parent.name for path in RECIPES.glob("*/workspace.yaml"))


def fragment(name):
    return yaml.safe_load((RECIPES / name / "workspace.yaml").read_text())


def with_recipes(campaigns=True):
    """The shop's workspace, without its own activations, and all recipes in it. `campaigns`: those that are sent when applied."""
    whole = yaml.safe_load(MAISON.read_text())
    whole["destinations"], whole["activations"] = {}, {}
    for name in folders():
        for section, definitions in fragment(name).items():
            if twice := whole[section].keys() & definitions.keys():
                raise AssertionError(f"{name}: {section}.{', '.join(twice)} is defined twice")
            whole[section].update(definitions)
    if not campaigns:
        whole["activations"] = {key: one for key, one in whole["activations"].items() if one.get("initial") != "send"}
    return whole


class Tool:
    """What a tool holds: who is in it by its own name for her, with what. Answers as the tool would."""

    def __init__(self, connector):
        self.connector, self.holds, self.strange = connector, {}, []

    def answer(self, request, nth):
        path, query = unquote(urlsplit(request["path"]).path), parse_qs(urlsplit(request["path"]).query)
        call = getattr(self, self.connector.replace("-", "_"))
        body = call(request["method"], path, query, request["json"])
        if body is None:
            self.strange.append(f"{request['method']} {request['path']} {request['text'][:300]}")
            return 404, {}, {}
        return 200, {}, body

    def put(self, who, fields):
        self.holds[who] = fields
        return {}

    def drop(self, *names):
        for who in names:
            self.holds.pop(who, None)
        return {}

    def brevo(self, method, path, query, body):
        if (method, path) == ("POST", "/v3/contacts/import"):
            for one in body["jsonBody"]:
                self.put(one["email"], {key.lower(): value for key, value in one["attributes"].items()})
            return {"processId": 1}
        if method == "POST" and path.endswith("/contacts/remove"):
            return self.drop(*body["emails"])
        if method == "PUT":
            return self.drop(path.rsplit("/", 1)[1])

    def mailjet(self, method, path, query, body):
        for one in body["Contacts"]:
            if body["Action"] == "addnoforce":
                self.put(one["Email"], one["Properties"])
            else:
                self.drop(one["Email"])
        return {"Count": 1}

    def customer_io(self, method, path, query, body):
        for one in body["batch"]:
            who, attributes = one["identifiers"]["email"], one["attributes"]
            ((_, member),) = [(key, value) for key, value in attributes.items() if key.startswith("in_")]
            self.put(who, attributes) if member else self.drop(who)
        return {}

    def ovh_sms(self, method, path, query, body):
        for who in body["receivers"]:
            # A message cannot be taken back, nor sent twice.
            if who in self.holds or body["noStopClause"]:
                return None
            self.put(who, {"message": body["message"]})
        return {"invalidReceivers": []}

    def genesys_cloud(self, method, path, query, body):
        if path == "/oauth/token":
            return {"access_token": "a-token", "expires_in": 86_400}
        if path.endswith("/phonenumbers"):
            return {}
        if method == "DELETE":
            return self.drop(*query["contactIds"][0].split(","))
        for one in body:
            self.put(one["id"], one["data"])
        return {}

    def meta_custom_audiences(self, method, path, query, body):
        for row in body["payload"]["data"]:
            self.put(row[0], {}) if method == "POST" else self.drop(row[0])
        return {"num_received": len(body["payload"]["data"])}

    def webhook(self, method, path, query, body):
        who = body["data"]["device"]
        self.drop(who) if body["type"] in ("segment.exited", "consent.withdrawn") else self.put(who, body["data"])
        return {}


class Recipes(unittest.TestCase):
    maxDiff = 2_000

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="jumelle-recipes-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.events = pathlib.Path(cls.folder.name) / "events.jsonl"
        subprocess.run(
            [str(BINARY), "demo", "--people", str(PEOPLE), "--from", FROM, "--to", TO,
             "--to-file", str(cls.events), "--truth", cls.folder.name],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip
        database = duckdb.connect()
        database.execute("SET TimeZone = 'UTC'")
        read = lambda table, what: database.execute(f"SELECT {what} FROM '{cls.folder.name}/{table}.parquet'").fetchall()  # noqa: E731
        cls.good = {message_id for (message_id,) in read("events", "message_id")}
        columns = "purpose, channel, namespace, value, person, state, epoch_ms(happened_at), epoch_ms(received_at)"
        cls.chosen = sorted(read("consents", columns), key=lambda row: row[7])

    def test_each_reaches_whom_it_should_and_nobody_else(self):
        whole = with_recipes()
        self.tools = {key: Tool(one["connector"]) for key, one in whole["destinations"].items() if one["connector"] != "file"}
        self.partners = {key: self.enterContext(Partner(tool.answer)) for key, tool in self.tools.items()}
        self.whole = whole
        # Campaigns are sent at the end; until then everything else is in step.
        self.server = self.enterContext(
            Shop(self.pointed_here(False), "--clock", "events", "--connectors", str(self.hasty_connectors()), environment=SECRETS)
        )
        self.sender = Sender(self.server)
        self.addCleanup(self.sender.connection.close)
        self.identity, self.choices = Identity(), Choices()
        self.noted, self.facts, self.traits, self.seen = set(), [], [], 0
        self.chosen_so_far = 0

        began = time.monotonic()
        with self.events.open() as lines:
            lines = [self.put_right(json.loads(line)) for line in lines]
        lines = [event for event in lines if event["receivedAt"] <= written(LAST)]
        early = [event for event in lines if event["receivedAt"] <= written(FIRST)]
        self.play(early)
        self.say_to_partners(FIRST)
        self.compare(FIRST, campaigns=False)
        self.play(lines[len(early) :])
        self.feed(LAST)
        answer = self.server.apply(self.pointed_here(True))
        self.assertEqual(200, answer.status, answer)
        self.compare(LAST, campaigns=True)
        self.every_condition_decides()
        print(f"{len(lines)} events, {len(self.tools)} tools, {time.monotonic() - began:.1f} s", flush=True)

    def hasty_connectors(self):
        """The connectors as they are, except that they neither gather nor spare the tool: three months pass in seconds here."""
        own = pathlib.Path(self.folder.name) / "connectors"
        for name in {one["connector"] for one in self.whole["destinations"].values()} - {"webhook", "file"}:
            shutil.copytree(ROOT / "connectors" / name, own / name)
            manifest = own / name / "connector.yaml"
            text = re.sub(r", linger: \d+s", "", manifest.read_text())
            manifest.write_text(re.sub(r"limit: \d+/(s|min)", "limit: 1000/s", text))
        return own

    def pointed_here(self, campaigns):
        """The workspace with each tool's address on this machine."""
        whole = with_recipes(campaigns)
        for key, one in whole["destinations"].items():
            if one["connector"] == "file":
                for name in ("user", "secret", "host_key"):
                    one.pop(name, None)
                one["to"] = f"folder:{key}"
            else:
                one["url" if one["connector"] == "webhook" else "base_url"] = self.partners[key].url
                one["allow_private"] = True
        return json.dumps(whole, default=str)

    @staticmethod
    def put_right(event):
        """A device with a wrong clock says the right time here; that clocks are corrected is for `truth.py` to see."""
        if "sentAt" in event:
            off = instant(event.pop("sentAt")) - instant(event["receivedAt"])
            event["timestamp"] = written(instant(event["timestamp"]) - off)
        return event

    def play(self, events):
        for nth, event in enumerate(events, 1):
            self.sender.add(event["writeKey"], json.dumps(event), lambda event=event: self.note(event))
            if nth % CAUGHT_UP_EVERY == 0:
                self.catch_up()
        self.sender.flush()
        self.sender.settle()

    def catch_up(self):
        """The tools of devices get what is due: at a join of two people who both wait for months of messages, more than one order of
        them is possible, and in a shop tools are seconds behind."""
        for key in ("retargeting_meta", "welcome_site"):
            wait_until(lambda: not self.server.get(f"/v1/deliveries?state=queued&destination={key}&limit=1")["items"], key, SENT_S_MAX)

    def note(self, event):
        """Follows what was sent, in the order of sending."""
        message_id = event.get("messageId")
        if message_id in self.noted or not (message_id in self.good or event.get("fed")):
            return
        self.noted.add(message_id)
        self.seen += 1
        identifiers = evidence(event)
        self.identity.see(identifiers)
        for choice in event["context"].get("consents", []):
            for namespace, value in choice.get("for", {}).items():
                self.identity.see([(namespace, value)])
        at = instant(event["timestamp"])
        if event.get("event"):
            self.facts.append((identifiers[0], (at, self.seen, event["event"], event.get("properties") or {})))
        traits = {**(event.get("traits") or {}), **(event["context"].get("traits") or {})}
        if traits:
            self.traits.append((at, self.seen, identifiers[0], traits))

    def fed(self, user, name, at, properties=None, consents=None):
        """An event beside the simulator's, of somebody with an account."""
        place = f"{name}-{user}-{written(at)}-{json.dumps(properties or consents)}"
        return {
            "type": "track", "event": name, "messageId": "fed-" + hashlib.sha256(place.encode()).hexdigest()[:24], "fed": True,
            "userId": user, "timestamp": written(at), "receivedAt": written(at), "writeKey": "wk_crm",
            "properties": properties or {}, "context": {"consents": consents} if consents else {},
        }  # fmt: skip

    def first_visit(self, user, device, at):
        """A customer who comes to the site on a new device, and allows it everything."""
        self.choices.add("personalisation", "personalization", ("anonymous_id", device), at, "granted")
        choice = {"purpose": "personalisation", "channel": "personalization", "state": "granted", "for": {"anonymous_id": device}}
        look = {"product_id": "SNE-1", "name": "Baskets", "category": "sneakers", "price": 90.0, "url": "https://shop.example/SNE-1"}
        yield {**self.fed(user, "Consent Updated", at, consents=[choice]), "anonymousId": device}
        yield {**self.fed(user, "Product Viewed", at, look), "anonymousId": device}

    def chosen_by(self, user, at, purpose, channel, state):
        self.choices.add(purpose, channel, ("user_id", user), at, state)
        return self.fed(user, "Consent Given", at, consents=[{"purpose": purpose, "channel": channel, "state": state}])

    def users(self):
        return sorted(value for namespace, value in self.identity.parent if namespace == "user_id")

    def say_to_partners(self, at):
        """The box of the account about partners: half of the people tick it, and some take that back later."""
        yes = [user for nth, user in enumerate(self.users()) if nth % 2 == 0]
        self.play([self.chosen_by(user, at - DAY, "advertising", "partner_sharing", "granted") for user in yes])
        self.take_back = yes[::5]

    def feed(self, at):
        """What the stock, the carrier, the ERP and the call centre report at the end."""
        self.play([self.chosen_by(user, at - DAY, "advertising", "partner_sharing", "denied") for user in self.take_back])
        people = self.people(at)
        back, orders = [], []
        for nth, user in enumerate(self.users()):
            person = people[self.identity.find(("user_id", user))]
            looks = person.did("Product Viewed", 30 * DAY)
            if looks and (nth % 2 == 0 or person.orders(3 * DAY)):
                when = at - (5 * DAY if nth % 6 == 0 else 2 * DAY)
                back.append(self.fed(user, "Size Back In Stock", when, {key: looks[-1][key] for key in ("product_id", "name", "size", "url")}))
            orders += [(user, order["order_id"]) for order in person.orders(15 * DAY)]
        self.play(back)
        # Orders of long ago that the ERP had not told yet, and calls.
        old = instant("2025-11-15T10:00:00Z")
        receipts = [
            self.fed(user, "Order Completed", old, {"order_id": f"OLD-{user}", "channel": "web", "total": 40.0}) for user in self.users()[::6]
        ]
        jeans = {"channel": "web", "total": 40.0, "products": [{"category": "jeans", "name": "Jean Jura gris"}]}
        receipts += [self.fed(user, "Order Completed", old, {"order_id": f"OLD-J-{user}", **jeans}) for user in self.users()[3::6]]
        calls = [
            self.fed(user, "Call Ended", at - 2 * DAY, {"reason": "advice", "outcome": "solved" if nth % 2 else "called back"})
            for nth, user in enumerate(self.users()[::7])
        ]
        complaints = [self.fed(user, "Complaint Filed", at - 4 * DAY, {"about": "quality"}) for user in self.users()[1::9]]
        self.play(receipts + calls + complaints)
        self.play([visit for nth, user in enumerate(self.users()[::6]) for visit in self.first_visit(user, f"first-visit-{nth}", at - 3 * HOUR)])
        refused = sorted({user for user, _ in orders})[::5]
        self.play([self.chosen_by(user, at - HOUR, "service", "sms", "denied") for user in refused])
        # The carrier has delivered some of those that the ERP's list of the night calls late.
        delivered = [self.fed(user, "Order Delivered", at - 2 * HOUR, {"order_id": order}) for user, order in orders[2::3]]
        self.play(delivered)
        late = [(user, order, at - (3 * DAY if nth % 4 == 0 else HOUR)) for nth, (user, order) in enumerate(orders) if nth % 3]
        self.play([self.fed(user, "Order Delayed", when, {"order_id": order}) for user, order, when in late])

    def people(self, at):
        """Everybody as she stands at an instant, by component."""
        while self.chosen_so_far < len(self.chosen) and self.chosen[self.chosen_so_far][7] <= at.timestamp() * 1_000:
            purpose, channel, namespace, value, person, state, happened, _ = self.chosen[self.chosen_so_far]
            owner = ("user_id", f"u-{person + 100_000}") if namespace is None else (namespace, value)
            self.choices.add(purpose, channel, owner, instant("1970-01-01T00:00:00Z") + DAY * (happened / 86_400_000), state)
            self.chosen_so_far += 1
        identifiers, facts, traits = {}, {}, {}
        for identifier in self.identity.parent:
            identifiers.setdefault(self.identity.find(identifier), []).append(identifier)
        for identifier, fact in self.facts:
            facts.setdefault(self.identity.find(identifier), []).append(fact)
        for _, _, identifier, values in sorted(self.traits, key=lambda one: one[:2]):
            traits.setdefault(self.identity.find(identifier), {}).update(values)
        return {
            root: Person(names, facts.get(root, []), traits.get(root, {}), self.choices, at) for root, names in identifiers.items()
        }  # fmt: skip

    def compare(self, at, campaigns):
        tick = self.fed("", "Clock Moved", at, consents=[{"purpose": "analytics", "channel": "onsite", "state": "granted"}])
        tick.pop("userId")
        self.sender.post("wk_site", [json.dumps({**tick, "anonymousId": CLOCK})])
        self.sender.settle()
        self.in_step()
        people = self.people(at)
        reached = {}
        for key, activation in with_recipes(campaigns)["activations"].items():
            connector = self.whole["destinations"][activation["destination"]]["connector"]
            held = self.in_file(activation["destination"]) if connector == "file" else self.tools[activation["destination"]].holds
            with self.subTest(key, at=at):
                reached[key] = self.compare_one(key, activation, KNOWN_BY[connector], held, people)
        if campaigns:
            with self.subTest("nobody is reached twice"):
                self.alone()
        for key, tool in self.tools.items():
            self.assertEqual([], tool.strange, f"{key} was asked what it does not know")
        print(f"{at:%Y-%m-%d}: " + ", ".join(f"{key} {number}" for key, number in sorted(reached.items())), flush=True)

    def compare_one(self, key, activation, namespace, held, people):
        """Who is in the tool is who should be, and each may be there under that very name."""
        purpose, channel = activation["purpose"], activation["channel"]
        expected = {}
        for root, person in people.items():
            fields = MEMBERS[key](person)
            allowed = not person.refused(purpose, channel) if purpose == "service" else person.open(purpose, channel)
            if fields is not None and allowed and person.of(namespace):
                expected[root] = fields
        found = {}
        hashes = {hashlib.sha256(value.encode()).hexdigest(): value for space, value in self.identity.parent if space == "email"}
        for who, fields in held.items():
            value = hashes.get(who, who)
            root = self.identity.find((namespace, value))
            self.assertIsNotNone(root, f"{who} is nobody")
            self.assertNotIn(root, found, f"{key} has {who} twice")
            found[root] = fields
            if namespace in ("email", "phone", "anonymous_id") and purpose != "service" and channel != "partner_sharing":
                self.assertTrue(people[root].open(purpose, channel, value), f"{key} reached {who} without a yes to {purpose}/{channel}")
        missing, more = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        known = "".join(self.known_of(root, activation["destination"]) for root in (missing + more)[:2])
        self.assertEqual(
            ([], []), (missing[:5], more[:5]), f"missing {len(missing)}, too many {len(more)}, of {len(expected)}{known}"
        )
        for root, fields in expected.items():
            for field, value in fields.items():
                given = found[root].get(field)
                if isinstance(value, str):
                    self.assertEqual(value, given, f"{key}: {field} of {root}")
                else:
                    self.assertAlmostEqual(value, given, 2, f"{key}: {field} of {root}")
        return len(expected)

    def known_of(self, root, destination):
        """What the server says of somebody, for the message of a failure."""
        identifier = ":".join(root)
        names = [":".join(name) for name in self.identity.parent if self.identity.find(name) == self.identity.find(root)]
        told = [one for one in self.server.deliveries(identifier) if one["destination"] == destination]
        person = self.server.get(f"/v1/profiles/{identifier}")
        lines = [f"{names}", json.dumps(person), *(json.dumps(one) for one in told)]
        return "\n  " + "\n  ".join(lines)

    def alone(self):
        """Who is held back is not written to, and who is invited is invited once."""

        def reached(key, namespace):
            return [self.identity.find((namespace, who)) for who in self.tools[key].holds]

        invited = reached("invitation_mail", "email") + reached("invitation_text", "phone") + reached("invitation_call", "user_id")
        self.assertEqual(len(set(invited)), len(invited))
        held_out = {self.identity.find(("email", who)) for who in self.in_file("win_back_notes")}
        self.assertEqual(set(), held_out & set(reached("win_back_mail", "email")))

    def in_step(self):
        """Until nothing waits: what is due has been sent, and files are of this moment."""
        wait_until(self.server.folded, "everything is folded", 60)
        for key, one in self.whole["destinations"].items():
            if one["connector"] == "file":
                self.server.request("POST", f"/v1/destinations/{key}/retry")
        waiting = lambda: self.server.get("/v1/deliveries?state=queued&limit=3")["items"]  # noqa: E731
        try:
            wait_until(lambda: not waiting(), "everything is sent", SENT_S_MAX)
        except AssertionError:
            self.fail(f"not sent within {SENT_S_MAX} s: {waiting()}; {[tool.strange for tool in self.tools.values() if tool.strange]}")

    def in_file(self, key):
        """Who stands in the newest file."""
        newest = max((self.server.data / "files" / key).glob("*.csv"), key=lambda path: path.stat().st_mtime_ns)
        with newest.open(newline="") as file:
            return {row["email"]: row for row in csv.DictReader(file)}

    def every_condition_decides(self):
        """A recipe without one of its conditions would be another on this shop: so the comparison sees each of them."""
        for name in folders():
            for key, segment in fragment(name)["segments"].items():
                conditions = segment["rule"].get("all", [])
                if len(conditions) < 2:
                    continue
                count = self.count(segment["rule"])
                for nth in range(len(conditions)):
                    with self.subTest(segment=key, without=str(conditions[nth])):
                        self.assertNotEqual(count, self.count({"all": conditions[:nth] + conditions[nth + 1 :]}))

    def count(self, rule):
        return json.loads(self.server.request("POST", "/v1/segments/preview", {"rule": rule}))["count"]


class Pages(unittest.TestCase):
    """What people read of the recipes is what they are."""

    def test_the_guide_lists_each_with_its_purpose_channel_and_tool(self):
        rows = re.findall(r"(?m)^\| \[[^\]]+\]\(\S+/recipes/(\w+)/README\.md\) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text())
        expected = []
        for name in folders():
            recipe = fragment(name)
            activations = recipe["activations"].values()
            ways = dict.fromkeys(f"{one['purpose']} × {one['channel']}" for one in activations)
            tools = dict.fromkeys(recipe["destinations"][one["destination"]]["connector"] for one in activations)
            expected.append((name, ", ".join(ways), ", ".join(tools)))
        self.assertEqual(expected, sorted(rows))

    def test_each_page_says_what_must_be_known_before_it_is_used(self):
        for name in folders():
            with self.subTest(name):
                page = (RECIPES / name / "README.md").read_text()
                self.assertEqual(
                    ["What it does", "Whom it reaches", "The message", "To change", "Measured", "En français"],
                    re.findall(r"(?m)^## (.+)$", page),
                )  # fmt: skip
                for one in fragment(name)["activations"].values():
                    self.assertIn(f"`{one['purpose']}` × `{one['channel']}`", page)


if __name__ == "__main__":
    unittest.main()

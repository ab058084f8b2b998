"""Whom each recipe should reach, and with what, from the events themselves: plain Python, written from the recipes' pages.

It shares no code with Jumelle: a person is a component of `identity_oracle.Identity`, her facts are the events of that component, and
what she allowed is the simulator's list of choices.
"""

import collections
import datetime

DAY, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)
# The identifier that a channel reaches her by; the others ask for the person's own yes.
ADDRESS = {
    "email": "email", "sms": "phone", "phone": "phone", "call_center": "phone",
    "retargeting": "anonymous_id", "display": "anonymous_id", "personalization": "anonymous_id", "onsite": "anonymous_id",
}  # fmt: skip


class Choices:
    """Every choice, by whose it is: an address or device, or the person as a whole."""

    def __init__(self):
        self.made = collections.defaultdict(list)

    def add(self, purpose, channel, owner, at, state):
        """`channel`: None for all of the purpose. `owner`: (namespace, value); a user id stands for the person."""
        self.made[purpose, owner].append((at, state == "denied", channel))

    def latest(self, purpose, channel, owner, denials_only=False):
        """The newest choice about a channel as (time, denied); at the same time the denial."""
        about = [(at, denied) for at, denied, of in self.made.get((purpose, owner), ()) if of in (None, channel)]
        return max((one for one in about if one[1] or not denials_only), default=None)


class Person:
    """What is known of somebody at an instant."""

    def __init__(self, identifiers, facts, traits, choices, at):
        self.identifiers, self.choices, self.at, self.traits = identifiers, choices, at, traits
        self.facts = sorted((fact for fact in facts if fact[0] <= at), key=lambda fact: fact[:2])
        newest, self.refunds = {}, collections.defaultdict(list)
        for time, nth, name, properties in self.facts:
            if name == "Order Completed":
                # The facts are in order, so the last one of an order is its newest version.
                newest[properties["order_id"]] = (time, properties)
            elif name == "Order Refunded":
                self.refunds[properties["order_id"]].append(properties.get("total"))
        self.bought = sorted(newest.values(), key=lambda order: order[0])

    def did(self, name, within=None):
        """The properties of her events of a name, the oldest first."""
        return [fact[3] for fact in self.facts if fact[2] == name and (within is None or fact[0] > self.at - within)]

    def orders(self, within=None):
        """Her orders, each once."""
        return [properties for time, properties in self.bought if within is None or time > self.at - within]

    def spent(self, within):
        """In cents, what was given back taken off."""
        total = 0
        for order in self.orders(within):
            cents = round(order["total"] * 100)
            for refund in self.refunds.get(order["order_id"], ()):
                cents = 0 if refund is None else max(0, cents - round(refund * 100))
            total += cents
        return total

    def of(self, namespace):
        return [value for space, value in self.identifiers if space == namespace]

    def open(self, purpose, channel, value=None):
        """Whether she allowed it, for one address or device or for any of hers."""
        refusals = [self.choices.latest(purpose, channel, ("user_id", user), denials_only=True) for user in self.of("user_id")]
        refused = max((one for one in refusals if one), default=None)
        own = self.of(ADDRESS[channel]) if channel in ADDRESS else []
        if value is not None:
            own = [one for one in own if one == value]
        if not own:
            grants = [self.choices.latest(purpose, channel, ("user_id", user)) for user in self.of("user_id")]
            best = max((one for one in grants if one), default=None)
            return best is not None and not best[1]
        for address in own:
            best = max((one for one in (self.choices.latest(purpose, channel, (ADDRESS[channel], address)), refused) if one), default=None)
            if best is not None and not best[1]:
                return True
        return False

    def refused(self, purpose, channel):
        """Whether she said no; silence is none."""
        owners = [*((ADDRESS[channel], value) for value in self.of(ADDRESS[channel])), *(("user_id", user) for user in self.of("user_id"))]
        said = max((one for one in (self.choices.latest(purpose, channel, owner) for owner in owners) if one), default=None)
        return said is not None and said[1]


def most_frequent(values):
    """The value seen most often; among equals the smaller. None without any."""
    counts = collections.Counter(value for value in values if value is not None)
    return min(counts, key=lambda value: (-counts[value], value), default=None)


def has(orders, category):
    return [item for order in orders for item in order.get("products", []) if item["category"] == category]


def hesitant_visitor(p):
    looks = p.did("Product Viewed")
    if len(p.did("Product Viewed", 7 * DAY)) >= 4 and not p.did("Product Added", 7 * DAY) and not p.orders(14 * DAY):
        return {"product": looks[-1]["name"], "url": looks[-1]["url"]}


def welcome_new_visitor(p):
    looks = p.did("Product Viewed")
    if 1 <= len(looks) <= 5 and p.did("Product Viewed", DAY) and not p.orders():
        return {"category": most_frequent(look["category"] for look in looks)}


def abandoned_basket(p):
    added = p.did("Product Added", 3 * DAY)
    if added and not p.did("Product Added", 2 * HOUR) and not p.orders(3 * DAY):
        return {"product": added[-1]["name"], "price": added[-1]["price"]}


def complementary_product(p):
    wanted = has(p.orders(45 * DAY), "sneakers") and not has(p.orders(7 * DAY), "sneakers") and not has(p.orders(365 * DAY), "jeans")
    if wanted and not p.did("Order Refunded", 45 * DAY):
        return {"bought": has(p.orders(), "sneakers")[-1]["name"]}


def favourite_store_lille(p):
    if most_frequent(order.get("store") for order in p.orders(365 * DAY) if order.get("channel") == "store") == "lille":
        return {}


def loyalty_silver(p):
    if 15_000 <= p.spent(365 * DAY) < 30_000:
        return {"spent": p.spent(365 * DAY) / 100}


def loyalty_gold(p):
    if p.spent(365 * DAY) >= 30_000:
        return {"spent": p.spent(365 * DAY) / 100}


def delayed_order(p):
    if p.did("Order Delayed", 2 * DAY) and not p.did("Order Delivered", 2 * DAY) and "phone" in p.traits:
        return {}


def review_after_purchase(p):
    unhappy = (
        p.did("Complaint Filed", 30 * DAY)
        or p.did("Order Refunded", 30 * DAY)
        or [one for one in p.did("Survey Answered", 30 * DAY) if one["kind"] == "nps" and one["score"] <= 6]
        or [call for call in p.did("Call Ended", 30 * DAY) if call["outcome"] != "solved"]
    )
    if p.orders(30 * DAY) and not p.orders(10 * DAY) and not unhappy:
        return {"order": p.orders()[-1]["order_id"]}


def worth_winning_back(p):
    return not p.orders(30 * DAY) and len(p.orders(365 * DAY)) >= 2 and p.spent(365 * DAY) >= 20_000


def is_held_out(p):
    return p.traits.get("phone", " ")[-1] in "05"


def win_back(p):
    if worth_winning_back(p) and not is_held_out(p):
        return {"orders": len(p.orders(365 * DAY)), "spent": p.spent(365 * DAY) / 100}


def win_back_held_out(p):
    if worth_winning_back(p) and is_held_out(p):
        return {}


def suppress_buyers(p):
    if len(p.did("Product Viewed", 14 * DAY)) >= 3 and not p.orders(14 * DAY):
        return {}


def lookalike_seed(p):
    if len(p.orders(365 * DAY)) >= 2 and p.spent(365 * DAY) >= 25_000 and not p.did("Order Refunded", 90 * DAY):
        return {}


def way_to_invite(p):
    """The one way in which she is invited, or none."""
    if not p.orders(60 * DAY):
        return None
    if p.open("marketing", "email") and p.did("Email Opened", 60 * DAY):
        return "email"
    return next((channel for channel in ("sms", "call_center") if p.open("marketing", channel)), None)


def size_back_in_stock(p):
    back = p.did("Size Back In Stock", 3 * DAY)
    if back and not p.orders(3 * DAY):
        return {"product": back[-1]["name"], "size": back[-1]["size"]}


def outbound_call(p):
    dear = [look for look in p.did("Product Viewed", 7 * DAY) if look["price"] >= 120]
    if len({look["product_id"] for look in dear}) >= 2 and not p.orders(14 * DAY) and not p.did("Call Ended", 14 * DAY):
        return {"category": most_frequent(look["category"] for look in dear)}


# Activation → what its message should hold for a person, or None if she is no member. The gate is asked beside it.
MEMBERS = {
    one.__name__: one
    for one in (
        hesitant_visitor, welcome_new_visitor, abandoned_basket, complementary_product, favourite_store_lille, loyalty_silver,
        loyalty_gold, delayed_order, review_after_purchase, win_back, win_back_held_out, suppress_buyers, lookalike_seed,
        size_back_in_stock, outbound_call,
    )
} | {
    "invited_by_email": lambda p: {} if way_to_invite(p) == "email" else None,
    "invited_by_sms": lambda p: {} if way_to_invite(p) == "sms" else None,
    "invited_by_call": lambda p: {} if way_to_invite(p) == "call_center" else None,
}  # fmt: skip

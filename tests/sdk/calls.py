"""The six calls that every sender makes in turn, for the SDKs in Python, and how a sender talks to the test.

Arguments of a sender: host, write key, number of calls. After half of them it prints `half` and waits for a line on standard input;
at the end it prints, as JSON, what it sent: a list of [call, type, message id, user id]. `context.call` is the call's number.
"""

import json
import sys


def make(client, call):
    """One call; gives its type and what the SDK answered: (queued, message)."""
    user, context = f"user-{call % 50}", {"call": call}
    match call % 6:
        case 0:
            return "track", client.track(user, "Product Viewed", {"product_id": f"p{call}", "price": 89.9}, context=context)
        case 1:
            return "identify", client.identify(user, {"email": f"user-{call % 50}@example.org", "city": "Lille"}, context=context)
        case 2:
            return "page", client.page(user, "shop", "Élan — chaussures 👟", {"path": f"/p/{call}"}, context=context)
        case 3:
            return "screen", client.screen(user, "shop", "Basket", {"items": call}, context=context)
        case 4:
            return "group", client.group(user, f"account-{call % 7}", {"plan": "pro"}, context=context)
        case _:
            return "alias", client.alias(f"before-{call}", user, context=context)


def run(make_client):
    """Makes all calls with a client of `make_client(write_key, host, on_error)`, waits until they are delivered, says so."""
    host, write_key, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    errors = []
    client = make_client(write_key, host, lambda error, _items: errors.append(repr(error)))
    sent = []
    for call in range(calls):
        if call == calls // 2:
            print("half", flush=True)
            sys.stdin.readline()
        kind, (queued, message) = make(client, call)
        if not queued:
            sys.exit(f"call {call} was not queued")
        sent.append([call, kind, message["messageId"], message["userId"]])
    client.flush()
    client.join()
    if errors:
        sys.exit(f"the SDK gave up: {errors[:3]}")
    print(json.dumps(sent), flush=True)

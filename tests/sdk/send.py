"""Sends mixed calls with the unmodified segment-analytics-python. Started by test_sdks.py.

Arguments: host, write key, number of calls. After half of them it prints `half` and waits for a line on standard input; at the
end it prints, as JSON, what it sent: a list of [call, type, message id].
"""

import json
import sys

from segment.analytics.client import Client

host, write_key, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
errors = []
client = Client(write_key, host=host, gzip=True, on_error=lambda error, _items: errors.append(repr(error)))


def send(call):
    """One of the six calls, in turn; `context.call` is its number."""
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


sent = []
for call in range(calls):
    if call == calls // 2:
        print("half", flush=True)
        sys.stdin.readline()
    kind, (queued, message) = send(call)
    assert queued, f"call {call} was not queued"
    sent.append([call, kind, message["messageId"]])
client.flush()
client.join()
if errors:
    sys.exit(f"the SDK gave up: {errors[:3]}")
print(json.dumps(sent), flush=True)

"""What The Trade Desk's own SDK (PyPI ttd-data, Apache-2.0) sends for people, against `jumelle connector preview` for the same people.

The SDK gets a recorder in the place of its HTTP client; nothing leaves this machine. It marks its requests as its own (`DataOrigins`,
`user-agent`) and says which answers it reads (`accept`); that is all that may differ.
"""

import json
import pathlib
import subprocess
import tempfile

import httpx
from ttd_data.sdk import BaseDataClient

from jumelle_server import BINARY, ROOT

SERVER = "https://euw-data.adsrvr.org"
SETTINGS = {"token": "t", "advertiser": "adv1", "segment": "vip"}
PEOPLE = [
    {"euid": "QYe4zvbK2h6QQi6cm2kM0JDTFVtyQAXg0n1rF2bYvZE="},
    {"uid2": "UJXh2u3xWmU1hG4tSMq1M8lqR2cXyWJm9m1hXKQ3x2Y="},
    {"tdid": "6d1f2a2e-9c0b-4a54-9d4b-0c7d9a6c1a11"},
    {"daid": "38400000-8cf0-11bd-b23e-10b96e40000d"},
]
TYPES = {"add": "segment.entered", "remove": "consent.withdrawn", "erase": "profile.erased"}


def theirs(operation, people):
    """Method, address, `TTD-Auth` and body of the SDK's request."""
    seen = []

    def record(request):
        seen.append(request)
        return httpx.Response(200, json={})

    client = BaseDataClient(ttd_auth="t", client=httpx.Client(transport=httpx.MockTransport(record)))
    if operation == "erase":
        client.deletion_opt_out.data_subject_request_advertiser_data(
            advertiser_id="adv1", items=people, request_type="Deletion", server_url=SERVER
        )
    else:
        data = [{"name": "vip", "ttl_in_minutes": 43_200 if operation == "add" else 0}]
        items = [{**person, "data": data} for person in people]
        client.advertiser.ingest_advertiser_data(advertiser_id="adv1", items=items, server_url=SERVER)
    (request,) = seen
    body = json.loads(request.content)
    if operation != "erase":
        # Who sends: the SDK writes its own name there, into every upload.
        (origin,) = body.pop("DataOrigins")
        assert origin == {"Type": "Integration", "Id": "ttd_data_sdk"}, origin
    return request.method, str(request.url), request.headers["ttd-auth"], body


def ours(operation, people):
    """The same of Jumelle's."""
    with tempfile.TemporaryDirectory(prefix="jumelle-trade-desk-") as folder:
        files = {"settings": SETTINGS, "messages": [{"type": TYPES[operation], "data": person} for person in people]}
        for name, content in files.items():
            pathlib.Path(folder, f"{name}.json").write_text(json.dumps(content))
        printed = subprocess.run(
            [
                BINARY, "connector", "preview", "trade-desk", "--connectors", ROOT / "connectors", "--json", "--show-secrets",
                "--settings", f"{folder}/settings.json", "--messages", f"{folder}/messages.json",
            ],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    (request,) = json.loads(printed.stdout)["requests"]
    headers = {name.lower(): value for name, value in request["headers"].items()}
    return request["method"], request["url"], headers["ttd-auth"], request["body"]

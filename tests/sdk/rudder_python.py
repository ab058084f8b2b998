"""Sends mixed calls with the unmodified rudder-sdk-python. Started by test_sdks.py; see calls.py."""

from rudderstack.analytics.client import Client

from calls import run

TIMEOUT_S = 2
BATCH = 20

if __name__ == "__main__":
    run(lambda key, host, on_error: Client(key, host=host, timeout=TIMEOUT_S, upload_size=BATCH, on_error=on_error))

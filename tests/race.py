"""Withdrawals raced against sends over slow tools: no request begins later than 100 ms after an acknowledged withdrawal.

The race itself is `jumelle-bench race`: people, tools and the recorder are outside of the server. Here it is short; `make soak` has
the long one.
"""

import json
import subprocess
import unittest

from jumelle_server import BINARY, ROOT, build

PEOPLE = 5_000
# What the people come to if nobody withdrew in time; about a thousand are sent.
SENDS_PER_S = 1_400
# Of the requests so many may fall into a while in which the recorder's thread was not run: more, and the machine has judged nothing.
UNDECIDED_SHARE_MAX = 0.01


def race(people, sends_per_s=SENDS_PER_S, seed=1, seconds_max=900):
    """What a race came to; the recorder's counts."""
    build()
    done = subprocess.run(
        [str(BINARY.with_name("jumelle-bench")), "--server", str(BINARY), "--directory", str(BINARY.parent), "--seed", str(seed),
         "race", "--race-people", str(people), "--sends-per-s", str(sends_per_s)],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds_max, check=False,
    )  # fmt: skip
    if not done.stdout.strip():
        raise AssertionError(f"the race ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def told(outcome):
    """The counts in a few words."""
    return (
        f"{outcome['withdrawals']} withdrawals against {outcome['sends']} sends at {outcome['sends_per_s']:.0f}/s: "
        f"{outcome['too_late']} too late, {outcome['within_the_bound']} within 100 ms (latest {outcome['latest_ms']:.1f} ms), "
        f"{outcome['undecided']} undecided, {outcome['stayed']} stayed, {outcome['taken_back']} of {outcome['received']} taken back"
    )


def check(test, outcome, people):
    """What must hold of any race."""
    test.assertEqual(people, outcome["withdrawals"], outcome)
    test.assertEqual(0, outcome["too_late"], outcome)
    test.assertEqual(outcome["received"], outcome["taken_back"], "whoever was received is taken back")
    test.assertGreater(outcome["stayed"], 0, "the gate closed in time for some")
    test.assertLessEqual(outcome["undecided"], outcome["sends"] * UNDECIDED_SHARE_MAX, "the machine let the recorder look")


class Race(unittest.TestCase):
    def test_no_request_begins_later_than_100_ms_after_a_withdrawal(self):
        outcome = race(PEOPLE)
        print(f" {told(outcome)} … ", end="", flush=True)
        check(self, outcome, PEOPLE)
        self.assertGreater(outcome["sends"], PEOPLE)

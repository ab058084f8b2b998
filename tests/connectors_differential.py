"""Connectors against Segment's own destinations (npm) and a partner's own SDK (PyPI): the same people through both, every difference
explained.

Without `npm ci --ignore-scripts` in tests/connectors (13 s, 102 MB) the comparison is skipped, and says so.
"""

import os
import pathlib
import subprocess
import sys
import unittest

from jumelle_server import BINARY

HERE = pathlib.Path(__file__).resolve().parent / "connectors"
sys.path.insert(0, str(HERE))
import trade_desk  # noqa: E402


class Differential(unittest.TestCase):
    def test_every_difference_is_explained(self):
        if not (HERE / "node_modules" / "@segment" / "action-destinations").is_dir():
            self.skipTest("npm ci --ignore-scripts in tests/connectors has not run")
        run = subprocess.run(
            ["node", str(HERE / "differential.mjs")],
            capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "JUMELLE_BINARY": str(BINARY)},
        )
        print(run.stdout, end="")
        self.assertEqual(0, run.returncode, run.stderr)

    def test_the_trade_desk_is_asked_as_its_own_sdk_asks(self):
        for operation in ("add", "remove", "erase"):
            with self.subTest(operation):
                self.assertEqual(trade_desk.theirs(operation, trade_desk.PEOPLE), trade_desk.ours(operation, trade_desk.PEOPLE))


if __name__ == "__main__":
    unittest.main()

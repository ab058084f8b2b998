"""Connectors against Segment's own destinations (npm): the same people through both, every difference explained as data.

Without `npm ci --ignore-scripts` in tests/connectors (13 s, 102 MB) the comparison is skipped, and says so.
"""

import os
import pathlib
import subprocess
import unittest

from jumelle_server import BINARY

HERE = pathlib.Path(__file__).resolve().parent / "connectors"


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


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env bash
# `make test`: installs what is missing, then runs all suites (tests/run.py). Names as arguments run only those suites.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh test
exec .venv/bin/python tests/run.py "$@"

#!/usr/bin/env bash
# `make run`: builds in the dev profile (own crates at opt-level 1, dependencies at 3: a fresh clone is up in minutes, and fast
# enough for a demo), then hands over to `jumelle demo`.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh run
scripts/web.sh
binary=${CARGO_TARGET_DIR:-target}/debug/jumelle
[ -x "$binary" ] || echo "Building Jumelle: some minutes the first time, seconds afterwards." >&2
cargo build --locked -p jumelle
# `exec`: Ctrl-C reaches the server itself, which finishes what is in flight and stops.
exec "$binary" demo "$@"

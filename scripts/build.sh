#!/usr/bin/env bash
# Builds what the suites run: the binary, the bench and the examples, with the features that the Rust tests have. Another choice of
# packages is another choice of their dependencies' features, and compiles half of the tree a second time.
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo build --locked --quiet --workspace --bins --examples --tests

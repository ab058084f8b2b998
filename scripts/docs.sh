#!/usr/bin/env bash
# `make docs`: generates docs/reference/{cli.md,openapi.json,roles.md} from the binary and builds the book.
# `--check` writes nothing: it fails where a generated page is stale or a link leads nowhere.
set -euo pipefail
cd "$(dirname "$0")/.."

MDBOOK_VERSION=0.5.4
binary=${CARGO_TARGET_DIR:-target}/debug/jumelle
[ -n "${JUMELLE_BINARY:-}" ] && binary=$JUMELLE_BINARY || cargo build --quiet --locked -p jumelle

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"$binary" cli-reference > "$fresh/cli.md"
"$binary" openapi > "$fresh/openapi.json"
"$binary" roles-reference > "$fresh/roles.md"
"$binary" connector reference > "$fresh/connectors.md"
"$binary" connector schema > "$fresh/connector.schema.json"

if [ "${1:-}" = --check ]; then
  stale=0
  for page in cli.md openapi.json roles.md; do
    if ! diff -u --label "docs/reference/$page (committed)" --label "docs/reference/$page (generated now)" \
      "docs/reference/$page" "$fresh/$page" | head -40; then
      stale=1
    fi
  done
  for page in connectors.md reference/connector.schema.json; do
    if ! diff -u --label "docs/$page (committed)" --label "docs/$page (generated now)" "docs/$page" "$fresh/$(basename "$page")" | head -40; then
      stale=1
    fi
  done
  [ $stale = 0 ] || { echo "docs: stale; run \`make docs\` and commit" >&2; exit 1; }
  exec python3 tests/docs_links.py
fi

cp "$fresh/cli.md" "$fresh/openapi.json" "$fresh/roles.md" "$fresh/connector.schema.json" docs/reference/
cp "$fresh/connectors.md" docs/
command -v mdbook >/dev/null 2>&1 || cargo install mdbook --locked --version "$MDBOOK_VERSION" --no-default-features --features search
mdbook build docs
echo "docs/book/index.html"

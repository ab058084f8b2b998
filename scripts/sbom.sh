#!/usr/bin/env bash
# `make release`: what the binary is made of, as CycloneDX JSON beside it. `--all-features` is not set: only what is linked.
set -euo pipefail
cd "$(dirname "$0")/.."

CYCLONEDX_VERSION=0.5.7
name=jumelle-sbom
out=${CARGO_TARGET_DIR:-target}/release/jumelle.cdx.json

cargo cyclonedx --version >/dev/null 2>&1 || cargo install cargo-cyclonedx --locked --version "$CYCLONEDX_VERSION"

# It writes a file beside the manifest of each crate of the workspace; the binary's one is wanted.
trap 'rm -f crates/*/"$name".json benches/"$name".json' EXIT
cargo cyclonedx --quiet --manifest-path crates/jumelle/Cargo.toml --format json --spec-version 1.5 --override-filename "$name"
mkdir -p "$(dirname "$out")"
# Crates of the workspace are named by where they stand; where somebody built is nobody's business.
sed -E 's#path\+file://[^"?\#]*/(crates|benches)/#path+file:///\1/#g; s#\?download_url=file:[^"\#]*##g' "crates/jumelle/$name.json" > "$out"

for part in hyper rustls fjall; do
  grep -q "\"name\": \"$part\"" "$out" || { echo "sbom: $part is not in it: the list is not whole" >&2; exit 1; }
done
echo "$out: $(grep -c '"purl"' "$out") parts"

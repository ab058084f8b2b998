#!/usr/bin/env bash
# Builds what the binary embeds: the browser tag (tag/dist) and the console (console/dist), each only when something of it is
# newer than what was built. `web.sh --test` also runs their own tests.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '· %s\n' "$*" >&2; }

# Packages of a folder, by the same stamp as the tests' packages: a second run looks at two files and goes on.
packages() {
  cmp -s "$1/package-lock.json" "$1/node_modules/.installed.json" && return
  say "installing the Node packages of $1"
  (cd "$1" && npm ci --silent --no-audit --no-fund)
  cp "$1/package-lock.json" "$1/node_modules/.installed.json"
}

# Whether anything of a folder is newer than its stamp.
stale() {
  local stamp=$1/dist/.built
  [ -e "$stamp" ] || return 0
  [ -n "$(find "$1" ${2:-} \( -name node_modules -o -name dist \) -prune -o -type f -newer "$stamp" ! -path "$1/src/api/schema.ts" -print -quit)" ]
}

for folder in tag console; do
  packages "$folder"
  # The console's types come from the API's description.
  inputs=""
  [ "$folder" = console ] && inputs=docs/reference/openapi.json
  if stale "$folder" "$inputs"; then
    say "building $folder"
    (cd "$folder" && npm run --silent build >&2)
    touch "$folder/dist/.built"
  fi
done

if [ "${1:-}" = --test ]; then
  for folder in tag console; do
    (cd "$folder" && npm run --silent check && npm run --silent --if-present test)
  done
fi

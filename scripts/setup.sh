#!/usr/bin/env bash
# Installs what is missing, and nothing else. `setup.sh run`: what building and running need.
# `setup.sh test`: that, and what the tests need; `setup.sh bench`: that, and what the bench measures beside. Asks
# for root only when a Debian package is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

NEXTEST_VERSION=0.9.143
purpose=${1:-run}

say() { printf '· %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

case $purpose in run | test | bench) ;; *) fail "unknown purpose \"$purpose\"; write run, test or bench" ;; esac

# Debian packages ---------------------------------------------------------------------------------------------------------
packages=()
# ring, zstd and mimalloc contain C, so a compiler and the C library's headers are needed.
has cc || packages+=(gcc)
[ -e /usr/include/stdio.h ] || packages+=(libc6-dev)
[ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
has curl || packages+=(curl)
if [ "$purpose" = bench ]; then
  has redis-server || packages+=(redis-server)
fi
if [ "$purpose" != run ]; then
  has python3 || packages+=(python3)
  # `venv` is there but of no use without `ensurepip`, which Debian ships apart.
  python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || packages+=(python3-venv)
  # Files are put onto a real SFTP server.
  [ -x /usr/sbin/sshd ] || packages+=(openssh-server)
  # Rows are written into a real database; only its programs are wanted, each test starts its own.
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || has initdb || packages+=(postgresql)
  # The browser tests take any Chromium that is there; CHROMIUM=PATH names another one.
  [ -n "${CHROMIUM:-}" ] || has chromium || has chromium-browser || has google-chrome || packages+=(chromium)
fi
if [ ${#packages[@]} -gt 0 ]; then
  has apt-get || fail "these are missing and this is no Debian: ${packages[*]}; install them, then try again"
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    has sudo || fail "these are missing: ${packages[*]}; as root: apt-get install ${packages[*]}"
    as_root=(sudo)
  fi
  say "installing ${packages[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
fi

# Rust --------------------------------------------------------------------------------------------------------------------
# The toolchain itself is pinned in rust-toolchain.toml; rustup fetches it at the first call of cargo.
has cargo || fail "Rust is missing: install rustup (https://rustup.rs), open a new shell, then try again"

has node && has npm || fail "Node is missing: install version 20 or newer (https://nodejs.org), which builds the console"
[ "$(node -p 'parseInt(process.versions.node)')" -ge 20 ] || fail "Node $(node -v) is too old: the console needs version 20 or newer"

[ "$purpose" != run ] || exit 0

if ! cargo nextest --version >/dev/null 2>&1; then
  say "installing cargo-nextest $NEXTEST_VERSION (built once, some minutes)"
  cargo install cargo-nextest --locked --version "$NEXTEST_VERSION"
fi

# Python and Node, each inside the clone ----------------------------------------------------------------------------------
# A stamp holds what was installed, so that a second run looks at two files and goes on.
requirements=tests/requirements.txt
if ! cmp -s "$requirements" .venv/installed.txt; then
  say "installing the tests' Python packages into .venv"
  python3 -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" .venv/installed.txt
fi

for folder in tests/sdk tests/strings tests/browser tests/connectors; do
  lock=$folder/package-lock.json
  if ! cmp -s "$lock" "$folder/node_modules/.installed.json"; then
    say "installing the tests' Node packages into $folder/node_modules"
    # No browser is downloaded and no package builds anything here.
    (cd "$folder" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent --no-audit --no-fund --ignore-scripts)
    cp "$lock" "$folder/node_modules/.installed.json"
  fi
done

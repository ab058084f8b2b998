# Jumelle. `make` alone lists the targets. Everything a target needs beside Rust and Node is installed by scripts/setup.sh,
# and only when it is missing.

.DEFAULT_GOAL := help
.PHONY: help run test screenshots soak bench steps lint docs docs-check release clean

# Lists the targets.
help:
	@awk '/^# /{text=substr($$0,3)} /^[a-z-]+:/{name=$$1; sub(/:.*/,"",name); printf "  make %-12s %s\n", name, text; text=""}' Makefile

# Builds Jumelle and opens the simulated shop on it; Ctrl-C stops. ARGS="--story" tells one person's story. ARGS="--listen 0.0.0.0:8080" goes to `jumelle demo`.
run:
	@scripts/run.sh $(ARGS)

# Runs every test and ends with how many passed; this is what CI runs. SUITES="rust sdk" runs only those.
test:
	@scripts/test.sh $(SUITES)

# Runs what takes long: crashes, power cuts, flipped bits, simulated seeds, fuzzing; PARTS="simulation" runs some. MINUTES=10 for more.
soak:
	@scripts/setup.sh test
	@scripts/build.sh
	@.venv/bin/python tests/soak.py $(PARTS)

# Takes the README's two screenshots anew (docs/images), from the demo's shop in a real browser; some minutes.
screenshots:
	@scripts/setup.sh test
	@scripts/web.sh
	cargo build --locked -p jumelle
	cd tests/browser && SCREENSHOTS=docs/images npx playwright test demo.spec.ts --grep screenshots

# Measures throughput and latency beside this machine's ceilings; prints one table.
bench:
	@scripts/setup.sh bench
	cargo build --release --locked -p jumelle
	cargo run --release --locked -p jumelle-bench -- --server $${CARGO_TARGET_DIR:-target}/release/jumelle $(ARGS)

# Measures the steps of an event one by one (decode, identify, fold, evaluate, gate …): time and allocations of each.
steps:
	@scripts/setup.sh run
	cargo bench --locked -p jumelle-bench --bench steps -- $(ARGS)

# Checks formatting and lints, without running anything.
lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

# Writes the generated reference pages, then builds the book into docs/book.
docs:
	@scripts/docs.sh

# Checks that the generated reference pages are current and that every link of the docs leads somewhere.
docs-check:
	@scripts/docs.sh --check

# Builds the optimised binary, target/release/jumelle, and its bill of materials, jumelle.cdx.json (CycloneDX), beside it.
release:
	@scripts/setup.sh run
	@scripts/web.sh
	cargo build --release --locked -p jumelle
	@scripts/sbom.sh

# Removes what was built and installed inside the clone. Data directories stay.
clean:
	cargo clean
	rm -rf .venv tests/sdk/node_modules tests/strings/node_modules tests/browser/node_modules docs/book

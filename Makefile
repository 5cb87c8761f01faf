# What a fresh clone on Debian 12 with a Rust toolchain needs is one word: `make test` or `make demo`.
# Targets install what they miss and are silent where nothing is.

# Seconds that each fuzz target runs.
T ?= 60
# Which drivers the end-to-end tests run under, in turn.
DRIVERS ?= uring epoll
# KEEP=1 leaves the demo running; QUICK=1 makes benches a smoke test.
KEEP ?=
QUICK ?=

.DEFAULT_GOAL := help
.PHONY: help setup lint test e2e demo bench fuzz

help:
	@echo "make setup           install what the other targets need"
	@echo "make test            lints, unit tests, end-to-end tests under: $(DRIVERS)"
	@echo "make lint            formatting, clippy, documentation; warnings are errors"
	@echo "make e2e             the end-to-end tests alone"
	@echo "make demo [KEEP=1]   a guided run against a real PostgreSQL; KEEP=1 leaves it up"
	@echo "make bench [QUICK=1] direct, PgBouncer and Narrows side by side; the path's stages"
	@echo "make fuzz [T=60]     each fuzz target for T seconds"

setup:
	@tests/support/setup.sh

lint:
	@tests/support/setup.sh build
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

# `cargo test` runs every suite, the end-to-end tests among them, under the first driver. A second
# driver changes nothing for the others, nor where a client goes straight to a server.
test: setup lint
	NARROWS_TEST_DRIVER=$(firstword $(DRIVERS)) cargo test
	@for driver in $(wordlist 2,9,$(DRIVERS)); do \
		echo "end-to-end under $$driver"; \
		NARROWS_TEST_DRIVER=$$driver cargo test --test e2e --test bypass -- --skip without_the_gateway || exit 1; \
	done

e2e: setup
	@for driver in $(DRIVERS); do \
		echo "end-to-end under $$driver"; \
		NARROWS_TEST_DRIVER=$$driver cargo test --test e2e --test bypass || exit 1; \
	done

demo:
	@tests/support/setup.sh build postgres
	cargo build
	@target/debug/narrows demo $(if $(KEEP),--keep)

bench:
	@tests/support/setup.sh build postgres bench
	cargo build --release
	@bench/relay/run $(if $(QUICK),--quick)
	@bench/scan/run $(if $(QUICK),3)
	@QUICK=$(QUICK) cargo bench --quiet --bench stages

fuzz:
	@tests/support/setup.sh build
	@fuzz/run $(T)

# Each goal does the set-up it needs. One build profile for all: `release`.
CARGO ?= cargo
GUESTS := --package hello --package heartbeat --package counter --package misbehave --package granted --package network --package effects

.PHONY: help build demo test soak fuzz bench lint setup

help:
	@echo "make demo    watch three hosts, a plugin, and three failovers (under a minute once built)"
	@echo "make test    every test, against ZooKeeper servers of their own"
	@echo "make soak    faults for SOLOIST_SOAK=30m, two at a time chosen by SOLOIST_SEED; shows what came of them"
	@echo "make fuzz    hostile input for FUZZ_TIME=10m, in turns of the loader, the configuration and the records"
	@echo "make bench   measure failover, start, memory, revocation, heartbeats and fairness"
	@echo "make lint    formatting, clippy, documentation, dependencies"
	@echo "make build   the program, at target/release/soloist"

setup:
	@tests/setup.sh

build: setup
	$(CARGO) build --release --bins

demo: setup
	@$(CARGO) run --release --bin demo

test: setup
	$(CARGO) test --release --no-fail-fast

soak: export SOLOIST_SOAK ?= 30m
soak: setup
	@$(CARGO) test --release --package soloist-tests --test faults

FUZZ_TIME ?= 10m
FUZZ_SECONDS = $(shell echo '$(FUZZ_TIME)' | sed 's/h$$/*3600/; s/m$$/*60/; s/s$$//')
FUZZ := target/release/fuzz
# What it finds is kept, for the next run to begin with.
FUZZ_KEPT := target/fuzz

fuzz: setup
	RUSTC_WORKSPACE_WRAPPER="$(CURDIR)/tests/fuzz/instrumented.sh" \
		$(CARGO) build --release --package soloist-fuzz --features libfuzzer --bin fuzz
	@for target in loader config records; do \
		mkdir -p $(FUZZ_KEPT)/seeds/$$target $(FUZZ_KEPT)/corpus/$$target && \
		echo "== $$target" && SOLOIST_FUZZ=$$target SOLOIST_FUZZ_SEEDS=$(FUZZ_KEPT)/seeds/$$target \
		$(FUZZ) -max_total_time=$$((($(FUZZ_SECONDS)) / 3)) -timeout=30 -rss_limit_mb=6000 -malloc_limit_mb=2000 \
			-max_len=65536 -print_final_stats=1 -artifact_prefix=$(FUZZ_KEPT)/$$target- \
			$(FUZZ_KEPT)/corpus/$$target $(FUZZ_KEPT)/seeds/$$target || exit 1; \
	done

bench: setup
	@$(CARGO) run --release --bin bench

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --all-targets -- --deny warnings
	$(CARGO) clippy --release --target wasm32-wasip2 $(GUESTS) -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --release --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; \
	else echo "cargo-deny is not installed: licences and advisories were not checked"; fi

# Each goal does the set-up it needs. One build profile for all, `release`, but for `make check`: it compiles more than it runs, and
# is quicker with `quick`.
CARGO ?= cargo
# Plugins and guests of the tests: each lies in a folder that has its name.
GUESTS := $(foreach manifest,$(wildcard plugins/*/Cargo.toml tests/guests/*/Cargo.toml),--package $(notdir $(patsubst %/,%,$(dir $(manifest)))))

.PHONY: help build check demo test test-embedded soak fuzz mutants bench lint package setup

help:
	@echo "make demo    watch three hosts, a plugin, and three failovers (under a minute once built)"
	@echo "make check   the crates that need neither wasmtime nor ZooKeeper: rules, model, configuration (under a minute)"
	@echo "make test    every test, against ZooKeeper servers of their own"
	@echo "make test-embedded  tests/cluster once more, with real servers only where a test needs one"
	@echo "make soak    faults for SOLOIST_SOAK=30m, two at a time chosen by SOLOIST_SEED; shows what came of them;"
	@echo "             before that, SOLOIST_WORLDS=20000 worlds of the model of election and lease"
	@echo "make fuzz    hostile input for FUZZ_TIME=10m, in turns of the loader, the configuration, the records and schedules"
	@echo "make mutants changes in the code of election and lease, one at a time, and what none of the tests notices"
	@echo "make bench   measure what MEASURED.md tells; topics: cargo run --release --bin bench -- TOPIC..."
	@echo "make lint    formatting, clippy, documentation, dependencies"
	@echo "make build   the program, at target/release/soloist"
	@echo "make package a package for Debian and a container image, below target/package; tries the image"

# Tests draw from a seed that is always the same; these draw anew each time.
FRESH := $(shell date +%s)
soak fuzz: export SOLOIST_SEED ?= $(FRESH)

setup:
	@tests/setup.sh

build:
	@tests/setup.sh build
	$(CARGO) build --release --bins

PACKAGES := target/package
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)

package:
	@tests/setup.sh package
	$(CARGO) build --release --bin soloist
	host/operation/deb/build.sh target/release/soloist $(PACKAGES)
	@# What runs in the image is linked statically. Our own crates are compiled once more for it.
	RUSTC_WORKSPACE_WRAPPER="$(CURDIR)/host/operation/container/static.sh" $(CARGO) build --release --bin soloist
	install target/release/soloist $(PACKAGES)/soloist-static
	$(CARGO) build --release --bin soloist
	host/operation/container/build.sh $(PACKAGES)/soloist-static localhost/soloist:$(VERSION) $(PACKAGES)/soloist.oci.tar
	$(CARGO) test --release --test package
	@ls -l $(PACKAGES)

check:
	$(CARGO) test --profile quick --package soloist-core --package soloist-config

demo:
	@tests/setup.sh demo
	@echo "Building the host, which has a compiler for WebAssembly in it: on a new machine, a few minutes"
	@$(CARGO) build --release --bin soloist --bin contender --bin demo
	@echo "Building the plugins"
	@$(CARGO) build --release --target wasm32-wasip2 $(GUESTS)
	@target/release/demo

# Most tests wait for something: a few at a time on a small machine, too.
test test-embedded: export RUST_TEST_THREADS ?= $(shell n=$$(nproc); echo $$((n > 4 ? n : 4)))

test: setup
	$(CARGO) test --release --no-fail-fast
	$(CARGO) test --release --package soloist-sdk --features log,tracing --lib

test-embedded: export SOLOIST_ENSEMBLE = embedded
test-embedded: setup
	$(CARGO) test --release --no-fail-fast --test cluster

soak: export SOLOIST_SOAK ?= 30m
soak: setup
	@SOLOIST_WORLDS=$${SOLOIST_WORLDS:-20000} $(CARGO) test --release --package soloist-core --test model -- \
		at_most_one_host --nocapture
	@$(CARGO) test --release --test faults

FUZZ_TIME ?= 10m
# The seconds of a turn, one of four, or nothing where that is not even one: libFuzzer takes 0 for no limit.
FUZZ_TURN = $(shell echo '$(FUZZ_TIME)' | awk '/^[0-9]+[hms]?$$/ { seconds = $$0 * (/h$$/ ? 3600 : /m$$/ ? 60 : 1); \
	if (seconds >= 4 && seconds <= 1e9) printf "%d", seconds / 4 }')
FUZZ := target/release/fuzz
# What it finds is kept, for the next run to begin with.
FUZZ_KEPT := target/fuzz

fuzz: setup
	@[ -n "$(FUZZ_TURN)" ] || \
		{ echo "FUZZ_TIME is a number with s, m or h, like 10m, and at least 4s: not '$(FUZZ_TIME)'" >&2; exit 2; }
	RUSTC_WORKSPACE_WRAPPER="$(CURDIR)/tests/fuzz/instrumented.sh" \
		$(CARGO) build --release --package soloist-fuzz --features libfuzzer --bin fuzz
	@echo "SOLOIST_SEED=$(SOLOIST_SEED)"
	@for target in loader config records schedules; do \
		mkdir -p $(FUZZ_KEPT)/seeds/$$target $(FUZZ_KEPT)/corpus/$$target && \
		echo "== $$target" && SOLOIST_FUZZ=$$target SOLOIST_FUZZ_SEEDS=$(FUZZ_KEPT)/seeds/$$target \
		$(FUZZ) -seed=$(SOLOIST_SEED) -max_total_time=$(FUZZ_TURN) -timeout=30 -rss_limit_mb=6000 -malloc_limit_mb=2000 \
			-max_len=65536 -print_final_stats=1 -artifact_prefix=$(FUZZ_KEPT)/$$target- \
			$(FUZZ_KEPT)/corpus/$$target $(FUZZ_KEPT)/seeds/$$target || \
		{ echo "mend it, and copy what was found into tests/fuzz/corpus/$$target" >&2; exit 1; }; \
	done

mutants:
	@CARGO="$(CARGO)" tests/mutants.sh

bench: setup
	@$(CARGO) run --release --bin bench

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --all-targets -- --deny warnings
	$(CARGO) clippy --release --target wasm32-wasip2 $(GUESTS) -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --release --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; \
	else echo "NOT CHECKED: licences of dependencies and advisories about them, for want of cargo-deny" >&2; fi

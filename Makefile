# Everything that is checked, as commands. `make test` is what CI runs.
#
# Two profiles are built. Tests, lints and examples use `dev`, where dependencies are optimised (the tests look at every
# pixel) and our own code builds fast. The README's first command is `cargo run --release`, so that one is built too: it
# is the first thing a newcomer sees, and it must work. It is the longest step, some eleven minutes on two cores from nothing;
# all of `make test` from nothing must stay under 40. Everything shares one target folder.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
export CARGO_TARGET_DIR := $(TARGET)

# `unit` is last, so that the last lines are the summary of the test runner.
STEPS := fetch fmt lint docs doctest deny readme examples

# With these, cargo chooses the same features of dependencies for every step, so that nothing is built twice.
ALL := --workspace --all-targets --locked

.PHONY: help test installed $(STEPS) build unit docs-generate golden bench faults

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

test: installed ## Everything that CI checks
	@for step in $(STEPS); do \
	  echo "== $$step"; began=$$(date +%s); \
	  $(MAKE) --no-print-directory $$step || exit 1; \
	  echo "== $$step took $$(( $$(date +%s) - began )) s"; \
	done
	@echo "== unit"
	@$(MAKE) --no-print-directory unit

installed: # Films and speech are tested with the real programs.
	@for program in ffmpeg espeak-ng; do \
	  command -v $$program >/dev/null || missing="$${missing:-} $$program"; \
	done; \
	if [ -n "$${missing:-}" ]; then \
	  echo "these are needed for the tests:$$missing; on Debian: apt-get install$$missing" >&2; exit 1; \
	fi

fetch: # The licence check looks at the dependencies of every platform, not only at what this one builds.
	cargo fetch --locked

fmt: ## Formatting
	cargo fmt --all --check

lint: ## Clippy, warnings denied
	cargo clippy $(ALL) -- -D warnings

docs: ## The API documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

doctest: ## The examples in the API documentation
	cargo test --workspace --doc --locked

build: ## Everything, in the `dev` profile
	cargo build $(ALL)

unit: build ## All tests
	@.ci/tests

deny: ## Licences, banned crates, layers and file names
	cargo test --workspace --locked --test suite -- house::
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check licenses bans sources; \
	else echo "cargo-deny is not installed: the tests above checked licences, bans and sources of deny.toml"; fi

readme: ## The commands of the README, the tutorial, the how-to pages, the patterns and the pages of constructs, in a copy of the repository
	docs/run-commands README.md docs/src/tutorial.md docs/src/how-to/*.md docs/src/patterns/*.md docs/src/reference/constructs/*.md

examples: build ## Every workflow in workflows/
	workflows/run-all "$(TARGET)/debug/darkroom"

faults: build ## A fleet under load while everything is killed, stopped and cut off, in the long forms; prints a table
	@.ci/faults

docs-generate: ## Write the generated pages of docs/ anew
	cargo run --quiet --locked -- docs docs/src/reference --openapi docs/openapi.json

golden: ## Write the golden files anew; look at the difference before committing it
	UPDATE_GOLDEN=1 cargo test --workspace --locked

bench: ## What this machine does
	cargo build --release --locked -p darkroom-cli
	"$(TARGET)/release/darkroom" bench pipelines --runs 2000 --steps 5
	"$(TARGET)/release/darkroom" bench latency --runs 200
	"$(TARGET)/release/darkroom" bench fanout --items 10000
	"$(TARGET)/release/darkroom" bench media --dir photos

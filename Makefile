# Every command of the project; what CI runs is `make test`, nothing else.
# Builds and tools are kept outside the checkout, in $DECKLOG_CACHE (default: decklog in the user's cache folder).

SHELL := /bin/bash
export DECKLOG_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/decklog
export CARGO_TARGET_DIR ?= $(DECKLOG_CACHE)/target
export CARGO_TERM_COLOR ?= never

.PHONY: help build demo demo-stop clean-demo test soak lint fmt bench conformance release

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

build: ## bin/decklog
	@scripts/ui build || [ $$? = 3 ]
	@cargo build --workspace --quiet --locked
	@mkdir -p bin && cp -u $(CARGO_TARGET_DIR)/debug/decklog bin/decklog
	@echo "built bin/decklog"

demo: build ## a running server with a recorded attack in it, and three questions to ask
	@scripts/demo start

demo-stop: ## ends the server of `make demo`
	@scripts/demo stop

clean-demo: ## ends it and removes its data
	@scripts/demo clean

test: ## everything: lint, unit, conformance, and the real binary beside a real cluster
	@scripts/suites

soak: ## the long forms: 1,000 kills, long outages, the full traffic
	@scripts/suites --soak

lint: ## format, clippy, licences, and the edges between our crates
	@scripts/lint

fmt: ## writes the format that `make lint` asks for
	@cargo fmt --all

bench: build ## ratios to peers and limits, measured in one run; writes docs/measured
	@scripts/bench

conformance: ## every vector file in VECTORS=DIR (or those in FILES="a.jsonl b.jsonl")
	@test -n "$(VECTORS)" || { echo "make conformance VECTORS=DIR"; exit 2; }
	@cargo build --workspace --quiet --locked --bins
	@$(CARGO_TARGET_DIR)/debug/conformance "$(VECTORS)" $(FILES)

release: ## image, Debian package and chart, built with PROFILE (default: release)
	@scripts/release $(PROFILE)

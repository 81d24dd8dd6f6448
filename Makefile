# The two commands of the README, and a few more. Everything is set up in .venv and web/node_modules.
#
#   make demo    set up from nothing, then three people's nodes and a relay play a group's story
#   make test    set up, then all tests
#   make check   lint, types, import rules, formatting; the generated files are fresh
#   make bench   measurements as JSON and plots, in under 30 minutes (make bench-quick: in under 3)
#   make docs    write the generated parts of docs/
#   make soak    long fuzzing and stress
#   make wheels  build the three wheels into dist/
#   make lock    resolve the pinned requirements anew

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PAGE := packages/demls/src/demls/node/page
WORKERS ?= auto

ENGINE_SOURCES := $(shell find packages/demls-engine/src packages/demls-engine/python -name '*.rs' -o -name '*.py' -o -name '*.pyi') \
	packages/demls-engine/Cargo.toml packages/demls-engine/Cargo.lock packages/demls-engine/pyproject.toml
PAGE_SOURCES := $(shell find web/src web/public -type f 2>/dev/null) web/index.html web/openapi.json web/package.json \
	web/package-lock.json web/vite.config.ts web/svelte.config.js web/tsconfig.json

.PHONY: help
help:
	@sed -n '3,10s/^# *//p' Makefile

# --- Set-up -----------------------------------------------------------------------------------------------------------

$(STAMPS)/tools: scripts/need.sh
	@scripts/need.sh "$(PYTHON)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/requirements: $(STAMPS)/tools requirements/dev.txt
	@echo "Installing the pinned requirements ..."
	@$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

$(STAMPS)/engine: $(STAMPS)/requirements $(ENGINE_SOURCES)
	@echo "Building the MLS engine (about two minutes the first time) ..."
	@cd packages/demls-engine && VIRTUAL_ENV=$(CURDIR)/$(VENV) $(CURDIR)/$(BIN)/maturin develop --release --locked --quiet
	@touch $@

$(STAMPS)/interop: $(STAMPS)/engine packages/demls-engine/interop/Cargo.lock packages/demls-engine/interop/src/main.rs
	@echo "Building the other MLS library that the engine is tested against ..."
	@cd packages/demls-engine/interop && cargo build --release --locked --quiet
	@touch $@

$(STAMPS)/packages: $(STAMPS)/requirements packages/demls/pyproject.toml packages/demls-consensus/pyproject.toml
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e packages/demls-consensus -e packages/demls
	@touch $@

$(STAMPS)/node: $(STAMPS)/tools requirements/node.txt scripts/npm.sh
	@scripts/npm.sh --prepare
	@touch $@

$(STAMPS)/npm: $(STAMPS)/node web/package-lock.json
	@echo "Installing what builds the page ..."
	@cd web && ../scripts/npm.sh ci --no-audit --no-fund --silent
	@touch $@

$(STAMPS)/page: $(STAMPS)/npm $(PAGE_SOURCES)
	@echo "Building the page ..."
	@cd web && ../scripts/npm.sh run --silent build
	@touch $@

.PHONY: setup
setup: $(STAMPS)/engine $(STAMPS)/packages $(STAMPS)/page

# --- Commands ---------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup
	@$(BIN)/demls demo

.PHONY: test
test: setup $(STAMPS)/interop
	@scripts/chromium.sh
	@scripts/engine_tests.sh
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal
	@cd web && ../scripts/npm.sh test --silent

.PHONY: check
check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy packages/demls/src packages/demls-consensus/src packages/demls-engine/python rogue
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate.py --check
	cd packages/demls-engine && cargo fmt --check && cargo clippy --release --locked --quiet -- -D warnings
	cd bench/reference && cargo fmt --check
	cd web && ../scripts/npm.sh run --silent check

.PHONY: fix
fix: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python scripts/generate.py

.PHONY: docs
docs: setup
	$(BIN)/python scripts/generate.py

.PHONY: bench
bench: setup
	@$(BIN)/python bench all

.PHONY: bench-quick
bench-quick: setup
	@$(BIN)/python bench all --quick

.PHONY: fuzz
fuzz: setup
	$(BIN)/python fuzz/run.py --seconds 60

.PHONY: soak
soak: setup
	$(BIN)/python fuzz/run.py --inputs 1000000
	DEMLS_STRESS_SEEDS=5000 $(BIN)/pytest -n $(WORKERS) packages/demls/tests/protocol
	$(BIN)/pytest soak

.PHONY: wheels
wheels: setup
	@rm -rf dist
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist packages/demls-consensus packages/demls packages/demls-engine
	@ls -1 dist

.PHONY: lock
lock: $(STAMPS)/requirements
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv lock --quiet $(if $(UPGRADE),--upgrade)
	@$(BIN)/uv export --quiet --frozen --all-packages --group dev --no-emit-workspace --no-header --no-annotate -o requirements/dev.txt
	@$(BIN)/uv export --quiet --frozen --only-group node --no-emit-workspace --no-header --no-annotate -o requirements/node.txt

.PHONY: clean
clean:
	rm -rf $(VENV) dist $(PAGE) web/node_modules packages/demls-engine/target .pytest_cache .mypy_cache .ruff_cache

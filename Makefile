# Needs GNU make and Python 3.11 or newer; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMPILED := .venv-compiled
CAN_COMPILE = $(shell $(PYTHON) tests/servers/compiler.py)
ON_COMPILED := $(addprefix tests/,$(addsuffix .py,compiled/test_build $(addprefix e2e/test_,adversary binding kills one_home pauses quotas storms) workers/test_worker))
PACKAGES := tandem kvgateway kvsp crawler kvctl
# Three processes keep two cores busy: many tests wait, for a server or until a silence is noticed.
PYTEST := $(BIN)/pytest --numprocesses 3 --dist loadfile
SEEDS ?= 1000
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup dev compiled run run-compiled example test tests on-sources check lint types format sim soak bench proto docs servers constraints clean

help:  ## Show this list.
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "%-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## Make .venv with the programs in it (.venv/bin/kvctl and the rest).

dev: $(VENV)/.installed-dev  ## The same, with the tools that tests and checks need.

compiled: $(COMPILED)/.installed  ## Make .venv-compiled: the same, its hot paths compiled (needs a C compiler; takes minutes).

run: setup  ## Run the whole store on this machine.
	$(BIN)/kvctl up

run-compiled: compiled  ## The same with compiled programs, which are quicker.
	$(COMPILED)/bin/kvctl up

example: setup  ## Run a small site on workerd with Tandem behind it (needs npm).
	examples/site/run

test:  ## Everything that must hold: the checks, then every test.
	$(MAKE) --no-print-directory --jobs servers check
	$(MAKE) --no-print-directory --jobs tests

# Asked anew whether C can be compiled, as `servers` may have brought what that takes. Meanwhile run the tests that do
# without.
tests: on-sources $(if $(CAN_COMPILE),compiled)
	$(if $(CAN_COMPILE),PROGRAMS_PYTHON=$(CURDIR)/$(COMPILED)/bin/python) $(PYTEST) $(ON_COMPILED)

on-sources: dev
	$(PYTEST) --no-loadscope-reorder $(addprefix --ignore=,$(ON_COMPILED))

check: lint types  ## Format, lint, types, import contracts, Dockerfile.

lint: dev
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

types: dev
	$(BIN)/mypy

format: dev  ## Rewrite the source as `check` wants it.
	$(BIN)/ruff check --fix --quiet
	$(BIN)/ruff format --quiet

sim: dev  ## Look for trouble in many simulated universes: make sim SEEDS=10000.
	$(BIN)/python -m tests.sim --seeds $(SEEDS)

soak: dev servers  ## The tests that take long (up to half an hour): storms of every kind, thousands of power cuts.
	$(BIN)/pytest -m soak

bench: dev  ## Measure; results go to the terminal and to bench/results.
	$(BIN)/python -m bench

proto: dev  ## Regenerate tandem/wire/v1 from proto/.
	$(BIN)/python tools/generate_proto.py

docs: dev  ## Write the tables of docs/configuration.md anew.
	PYTHONPATH=. $(BIN)/python tools/generate_docs.py

servers: | $(BIN)/python  ## Install what tests talk to: S3 servers, and Cloudflare's clients (apt as root, pip, npm).
	$(BIN)/python -m tests.servers.install

constraints: dev  ## Move every pinned version to the newest that pyproject.toml allows.
	$(BIN)/python -m pip install -qq --upgrade --upgrade-strategy eager -e '.[dev]'
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:  ## Remove what this file made; data/ stays.
	rm -rf .venv .venv-compiled .venv-ministack .venv-cloudflare-* .npm build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tandem needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3.x" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV)"
	@$(PIP_INSTALL) -e .
	@touch $@

# The hook of the build writes beside the sources, so it has a copy of them: what is compiled never hides a change.
# One warning of gcc's would take two thirds of the time, looking through 350,000 lines. Whatever else runs comes first.
$(COMPILED)/.installed: pyproject.toml constraints.txt $(shell find $(PACKAGES) -name '*.py') | $(BIN)/python
	@test -n "$(CAN_COMPILE)" || { echo "A C compiler and Python's headers are needed;" \
	  "on Debian and Ubuntu: apt-get install gcc libc6-dev python3-dev" >&2; exit 1; }
	@echo "Compiling into $(COMPILED)"
	@rm -rf build/compiled $(COMPILED) && mkdir -p build/compiled && touch build/compiled/.begun && cp -R pyproject.toml README.md $(PACKAGES) build/compiled
	@$(BIN)/python -m venv $(COMPILED)
	@CFLAGS=-Wno-misleading-indentation HATCH_BUILD_HOOK_ENABLE_MYPYC=true PIP_CONSTRAINT=$(CURDIR)/constraints.txt \
	  nice -n 19 $(COMPILED)/bin/python -m pip install -qq --disable-pip-version-check '$(CURDIR)/build/compiled[postgres]'
	@touch -r build/compiled/.begun $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV), with the development tools"
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $(VENV)/.installed $@

# smx: `make run` starts a live MTA in ./lab, `make test` passes the tests; both set up all they need.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
WORKERS ?= auto

.PHONY: run test lint format test-live campaign bench clean

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "smx needs Python 3.11 or newer: say make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[all]'
	touch $@

run: $(STAMP)           ## a live MTA below ./lab, on unprivileged ports
	$(BIN)/smx init lab --profile lab --if-missing
	$(BIN)/smx run --config lab/smx.conf

test: $(STAMP)          ## everything that CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(WORKERS) -m "not live and not campaign and not bench"

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test-live: $(STAMP)     ## real processes, kill -9, ten thousand messages
	$(BIN)/pytest -m live -s --timeout 3600 tests/live

campaign: $(STAMP)      ## the long search over crash images
	$(BIN)/pytest -m campaign -s --timeout 3600 tests

bench: $(STAMP)         ## measurements, printed
	$(BIN)/pytest -m bench -s --timeout 3600 tests/bench

clean:
	rm -rf $(VENV) lab build dist .mypy_cache .ruff_cache

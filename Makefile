# smx: `make run` starts a live MTA in ./lab, `make test` passes the tests; both set up all they need. `make help` lists what there is.
PYTHON   ?= python3
VENV     := .venv
BIN      := $(VENV)/bin
STAMP    := $(VENV)/.installed
WORKERS  ?= auto
CLIENTS  := tests/live/clients
PROGRAMS := swaks git-email libmailtools-perl bsd-mailx

.PHONY: help run test lint format clients tools docs notebooks test-live campaign storm images ablations conformance conformance-peers bench bench-peers bench-growth fast clean

help:
	@sed -n 's/^\([a-z-]*\):.*## *\(.*\)/  make \1 \2/p' Makefile | awk '{ printf "  make %-18s", $$2; $$1 = $$2 = ""; print }'

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "smx needs Python 3.11 or newer, this is %d.%d: say make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "setting up $(VENV), once; a minute or so"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[all]'
	@touch $@

run: $(STAMP)           ## a live MTA below ./lab, on unprivileged ports
	@test -e lab/smx.conf || $(BIN)/smx init lab --profile lab
	@$(BIN)/smx run --config lab/smx.conf

test: $(STAMP)          ## everything that CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(WORKERS) -m "not live and not campaign and not bench"

lint: $(STAMP)          ## format, lint and types only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)        ## let ruff change the files
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What cannot be installed here does not stop the tests: those that need it are skipped, and say so.
clients:                ## the mail programs of others that some tests speak to (apt as root, npm)
	@command -v swaks >/dev/null && command -v mail >/dev/null && test -e "$$(git --exec-path)/git-send-email" \
	  || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PROGRAMS); } >/dev/null \
	  || echo "not all of $(PROGRAMS) could be installed: as root, apt-get install $(PROGRAMS)"
	@npm ci --prefix $(CLIENTS) --no-audit --no-fund --loglevel=error >/dev/null || echo "nodemailer could not be installed: it needs node and npm"

docs: $(STAMP)          ## write docs/configuration.md and the figures of docs/conformance.md anew
	$(BIN)/smx config explain --all --markdown > docs/configuration.md
	$(BIN)/smx-conformance figures --matrix docs/conformance/matrix.json --into docs/conformance.md

notebooks: $(STAMP)     ## execute the notebooks in place
	$(BIN)/jupyter-execute --inplace notebooks/*.ipynb

tools:                  ## strace, for the tests that look at system calls (apt as root)
	@command -v strace >/dev/null || apt-get install -y -qq --no-install-recommends strace || echo "strace could not be installed: the tests that need it are skipped"

test-live: $(STAMP)     ## real processes, kill -9, ten thousand messages
	$(BIN)/pytest -m live -s --timeout 3600 tests/live

campaign: $(STAMP)      ## the long searches that are tests: crash images, storms
	$(BIN)/pytest -m campaign -s --timeout 3600 tests

storm: $(STAMP)         ## crash storms; SEEDS=A..B, resumed from where it was
	$(BIN)/smx-sim campaign crash_storm --seeds $(or $(SEEDS),1..100000) --jobs 0 --state storm.state

images: $(STAMP)        ## crash images; COUNT=N, resumed from where it was
	$(BIN)/smx-sim images --count $(or $(COUNT),10000000) --jobs 0 --state images.state

ablations: $(STAMP)     ## would the checkers notice? every mutation
	$(BIN)/smx-sim ablations --jobs 0

conformance: $(STAMP)   ## the conformance suite against smx
	$(BIN)/smx-conformance run --profile smx --strict --expected docs/conformance/expected-smx.toml

conformance-peers: $(STAMP) ## fetch the MTAs that the conformance suite knows to run (apt-get download, npm, pip)
	$(BIN)/python -m conformance.profiles.install

bench: $(STAMP)         ## measurements, printed
	$(BIN)/pytest -m bench -s --timeout 3600 --benchmark-columns=min,median,ops --benchmark-sort=name tests/bench

bench-peers: $(STAMP)   ## smx beside other mail servers (root, Debian); ARGS="--peers smx,postfix --rounds 5"
	$(BIN)/python -m tests.bench.peers $(ARGS)

bench-growth: $(STAMP)  ## what a message costs when there is more of something; QUEUE=N: the longest queue
	$(BIN)/python -m tests.bench.growth --queue-max $(or $(QUEUE),1000000)

fast: $(STAMP)          ## compiled step machines in build/fast
	$(BIN)/python tools/compile.py

clean:                  ## remove what make made, the lab with its mail as well
	rm -rf $(VENV) lab build dist .mypy_cache .ruff_cache $(CLIENTS)/node_modules

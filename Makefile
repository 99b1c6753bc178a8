# make build   the images, from nothing        make test       all tests (builds first, for the service's wheel)
# make lint    ruff, mypy, imports, clippy, fmt  make reproduce  two clones, other circumstances, the same digests
# make test-keyless  signing as an identity, on a Sigstore that is built and run for it, and cosign 3
# make torture 200 kills at random moments of a build, each followed by a run that must be right
# make lock    renew locks of Debian packages
SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.stamp-$(shell cksum < requirements/development.txt | cut -d' ' -f1)
ARGS ?=

.PHONY: dev venv bench-release train bench-service torture-service build test test-keyless wheel lint lock reproduce torture fuzz-core fuzz-rust bench-core bench-engine fuzz-engine clean

build: $(STAMP)
	$(PYTHON) pipelines/build.py $(ARGS)

# The service on this host, reloaded as its code changes, the core built anew as its own does; DATABASE_URL=postgresql starts one beside it
dev: $(STAMP)
	$(PYTHON) deploy/develop.py

venv: $(STAMP)

# The core that the pipeline built, into the virtual environment; the build knows what has changed since the last one.
wheel: $(STAMP)
	$(PYTHON) pipelines/build.py --engine embedded --no-run
	$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps --no-index --force-reinstall dist/wheels/*.whl

test: wheel
	$(PYTHON) pipelines/check_rust.py --engine embedded test
	$(PYTHON) -m pytest -n 2 $(ARGS)

# Fulcio, Rekor, a timestamp authority and cosign 3 are built once; make test runs these tests too from then on.
test-keyless: wheel
	PIPELINES_KEYLESS=1 $(PYTHON) -m pytest -n 1 tests/signing $(ARGS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) -m pytest -q -rs -n 0 tests/automation/test_lint.py
	$(PYTHON) pipelines/check_rust.py --engine embedded lint

# The core beside its reference, on random commands: COMMANDS=1000000
fuzz-core: wheel
	FUZZ_COMMANDS=$(or $(COMMANDS),1000000) $(PYTHON) -m pytest -n 2 tests/core $(ARGS)

# The core alone, by libFuzzer, which looks for new paths through it: SECONDS=60
fuzz-rust: $(STAMP)
	$(PYTHON) pipelines/fuzz_rust.py --seconds $(or $(SECONDS),60) $(ARGS)

# The core beside other matchers, on one order stream: orders a second and latencies
bench-core: wheel
	$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes --no-deps --only-binary :all: --upgrade \
	  --target $(VENV)/bench -r requirements/bench.txt
	PYTHONPATH=$(VENV)/bench $(PYTHON) benchmarks/core $(ARGS)

# An empty session and a step of `true`, beside `import dagger` alone and a Dagger engine where one is at hand
bench-engine: $(STAMP)
	$(PYTHON) benchmarks/engine $(ARGS)

# Readers of tars and queries on spoiled bytes: ARGS="--seconds 600"
fuzz-engine: $(STAMP)
	$(PYTHON) tests/engine/fuzz.py $(ARGS)

# What a release adds to a build in time, beside syft and cosign by hand: make build first
bench-release: $(STAMP)
	$(PYTHON) benchmarks/release $(ARGS)

# Of the architecture that images are built for; others: ARGS="--architecture arm64"
lock: $(STAMP)
	$(PYTHON) -m images.debian.update $(or $(ARGS),--architecture amd64)

# The service's forecast, trained anew in the image of its CPU variant: the same weights and the same card each time
train: $(STAMP)
	$(PYTHON) pipelines/build.py --variant ml-cpu --target distroless --no-run --no-scan
	$(PYTHON) pipelines/in_image.py --image dist-ml-cpu/distroless --output cift/models -- python3 -m training --out /out $(ARGS)

# The service under load: beside a bare FastAPI route, and with WebSocket clients that do not read
bench-service: wheel
	$(PYTHON) benchmarks/service $(ARGS)

torture-service: $(STAMP)
	$(PYTHON) tests/torture/service.py $(ARGS)
torture: $(STAMP)
	$(PYTHON) tests/torture/kills.py $(ARGS)

reproduce: $(STAMP)
	$(PYTHON) pipelines/reproduce.py $(if $(PLATFORM),--platform $(PLATFORM)) $(ARGS)

# --no-deps: the lock names everything, and pip would look for `name[extra]` beyond it, where a newer version has no hash.
$(STAMP):
	@found=; for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	  if command -v $$name >/dev/null && $$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then found=$$name; break; fi; done; \
	if [ -z "$$found" ]; then echo 'make: Python 3.11 or newer with its venv module is needed (Debian: python3 python3-venv)' >&2; exit 1; fi; \
	echo 'setting up $(VENV) from requirements/development.txt: a minute or two'; rm -rf $(VENV) && $$found -m venv $(VENV)
	@install='$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements/development.txt'; \
	$$install || { echo 'make: once more, for a connection may break once' >&2; sleep 5; $$install; }
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s/$(PYTHON)" -m cift "$$@"\n' '$(CURDIR)' '$(CURDIR)' > $(VENV)/bin/cift && chmod +x $(VENV)/bin/cift
	@touch $@

clean:
	rm -rf dist $(VENV)

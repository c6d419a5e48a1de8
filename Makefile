# On a bare Debian, `make demo` and `make test` do all the set-up themselves (see .ci/setup).
# Pass options along: make demo ARGS="--security-profile 2 --once", make test ARGS="-k reservation".

SHELL := /bin/sh
BIN := .venv/bin
PACKAGES := station hal device_model certs
CHECKED := $(PACKAGES) tests bench
SETUP := .ci/setup pyproject.toml requirements.lock
ARGS ?=
# Bytecode is kept, whatever the shell says: without it each run rewrites every assert anew, 25 s for each worker, and
# each agent that a test starts takes five times the CPU.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test system chaos powercut model fuzz lint style types format generate conformance generated check bench pyc bundle wheel deb deb-sums setup clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv/.set-up-run ## a whole station charging a simulated car, shown live
	$(BIN)/ocpp-station demo $(ARGS)

# Four workers on two cores: those with real processes and lines wait most of their time. CI runs what is marked as slow, too.
SLOW ?= $(CI)
test: .venv/.set-up-dev ## all tests, real parts included, but the slowest: those, too, by SLOW=1
	$(BIN)/pytest -n 4 --dist worksteal $(if $(SLOW),,-m "not slow") $(ARGS)

system: .venv/.set-up-dev ## only the tests with real processes, sockets and units
	$(BIN)/pytest -m system $(ARGS)

chaos: .venv/.set-up-dev ## 200 sessions over a bad line, with kill -9 (ARGS="--sessions 50 --seed 1")
	$(BIN)/python -m tests.chaos $(ARGS)

powercut: .venv/.set-up-dev ## power cut at every write of every scenario (make test takes a sample)
	$(BIN)/python -m tests.crash $(ARGS)

model: .venv/.set-up-dev ## the model-based test of transactions, at length: make model EXAMPLES=10000
	MODEL_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/pytest tests/properties/test_transaction_model.py $(ARGS)

fuzz: .venv/.set-up-dev ## every parser of bytes from outside, a minute each (ARGS="chain http --seconds 600")
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: style types ## ruff and mypy, strict

style: .venv/.set-up-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.set-up-dev
	$(BIN)/mypy $(CHECKED)
	$(BIN)/mypy packaging/build.py

format: .venv/.set-up-dev ## write the code in the agreed form
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

generate: .venv/.set-up-dev ## write every generated file anew
	$(BIN)/python -m station.ocpp.generate
	$(BIN)/python -m device_model.catalogue
	$(BIN)/python -m hal.template
	$(BIN)/python -m station.config.published
	$(BIN)/python -m tests.conformance

conformance: .venv/.set-up-dev ## write docs/conformance.md anew
	$(BIN)/python -m tests.conformance

generated: .venv/.set-up-dev ## fail when docs/conformance.md is stale (the others have a test)
	$(BIN)/python -m tests.conformance --check

check: lint generated test ## what CI runs

bench: .venv/.set-up-dev pyc ## CPU, memory, disk and bytes beside the peers' figures
	$(BIN)/python -m bench $(ARGS)

pyc: .venv/.set-up-run ## compile ahead: worth five times the CPU of a start
	$(BIN)/python -m compileall -q $(PACKAGES)

bundle: .venv/.set-up-run ## the agent as one file, for updates over the air (docs/update.md)
	rm -rf build/bundle
	$(BIN)/pip install -q --target build/bundle -r requirements.lock .
	$(BIN)/ocpp-station bundle make build/bundle build/ocpp-station.bundle $(ARGS)

wheel: .venv/.set-up-run ## the agent as a Python wheel, in dist/
	$(BIN)/python packaging/build.py wheel $(ARGS)

deb: .venv/.set-up-run ## Debian packages for amd64 and arm64, in dist/ (ARGS="--arch arm64 --revision 2")
	$(BIN)/python packaging/build.py deb $(ARGS)

deb-sums: .venv/.set-up-run ## after requirements.lock was changed: which wheels go into the packages
	$(BIN)/python packaging/build.py sums

setup: .venv/.set-up-dev ## only the set-up

clean: ## remove everything that can be made again
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(PACKAGES) tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.set-up-run: $(SETUP)
	.ci/setup run

.venv/.set-up-dev: $(SETUP) requirements-dev.lock requirements-keys.lock requirements-fuzz.lock .ci/apt-packages .ci/providers .ci/machine
	.ci/setup dev

# The two commands: `make demo` (the main job) and `make test` (everything). Each does its own set-up.
SHELL := /bin/bash
PY := .venv/bin/python
PIP := .venv/bin/pip install --quiet --disable-pip-version-check --no-input
STAMP := .venv/.stamp
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.NOTPARALLEL:
.PHONY: help setup peers browser wires demo check format test test-python chaos fuzz bench lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup: $(STAMP) ohif-extension/node_modules/.stamp gateway/viewer/dist/.stamp ## Python, Node modules and the viewer

$(STAMP): requirements.lock pyproject.toml
	@echo "setup: Python packages into .venv (1.4 GB, a minute)"
	@test -x $(PY) || python3.11 -m venv .venv || python3 -m venv .venv
	@$(PIP) --no-deps --require-hashes -r requirements.lock  # the lock names every package: nothing is resolved anew
	@$(PIP) --no-deps --editable .
	@touch $@

ohif-extension/node_modules/.stamp: ohif-extension/package-lock.json
	@echo "setup: Node modules of the viewer's extension"
	@cd ohif-extension && npm ci --silent --no-audit --no-fund
	@touch $@

gateway/viewer/dist/.stamp: ohif-extension/node_modules/.stamp ohif-extension/scripts/fetch_viewer.mjs $(shell find ohif-extension/src -type f 2>/dev/null)
	@echo "setup: the viewer, fetched by npm, pruned, and our extension built"
	@cd ohif-extension && npm run --silent viewer && npm run --silent build
	@touch $@

peers: ## dcmtk, Orthanc and Azurite for the tests, unpacked beside the venv
	@sh deploy/fetch_peers.sh
	@sh deploy/fetch_azurite.sh

browser: ## Chromium for the browser tests
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then echo "setup: Chromium from Debian's packages"; apt-get -qq update && apt-get -qq install -y chromium >/dev/null; \
	  else echo "Chromium is missing. Run once as root: apt-get install chromium" >&2; exit 1; fi; }

wires: ## iproute2 for the partition test; without root that test says why it does not run
	@command -v ip >/dev/null || { [ "$$(id -u)" != 0 ] || { echo "setup: iproute2 from Debian's packages"; \
	  apt-get -qq update && apt-get -qq install -y iproute2 >/dev/null || true; }; }

demo: setup ## The main job: the whole stack, a small world, and the browser shows the story
	@.venv/bin/readingroom demo

check: setup ## Format, lint, types, import contracts, the front end's own checks
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	$(PY) -m readingroom.codegen --check
	cd ohif-extension && npm run --silent check

format: ## Put every file into shape
	.venv/bin/ruff format . && .venv/bin/ruff check --fix .
	cd ohif-extension && npm run --silent format

test: setup peers browser wires check test-python ## Everything

test-python:
	.venv/bin/pytest -q

chaos: setup wires ## Ten minutes of kills, freezes and a partition, and 100,000 random nights of the model; CHAOS_SEED=N again
	CHAOS_SECONDS=600 CHAOS_NIGHTS=100000 .venv/bin/pytest -s tests/chaos -o timeout=5400

fuzz: setup ## What listens to strangers, a minute a part
	FUZZ_S=60 .venv/bin/pytest -q tests/dicom/test_fuzz.py tests/dicom/test_fuzz_web.py

bench: setup ## Every benchmark, as JSON
	@for b in $$(grep -l 'harness\.main(' benchmarks/*.py); do $(PY) $$b --json; done

lock: ## Pin the Python packages anew
	@rm -rf build/lock && python3.11 -m venv build/lock && build/lock/bin/pip -q install pip-tools
	@build/lock/bin/pip-compile --quiet --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras \
	  --generate-hashes --extra dev -o requirements.lock pyproject.toml

clean: ## Remove what was built
	rm -rf .venv ohif-extension/node_modules gateway/viewer/dist build .artifacts

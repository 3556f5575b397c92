# Everything needs Python 3.11 and pip only; the first run makes the virtual environment.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --requirement

.PHONY: help demo up test faults check format docs bench lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

demo: .venv/local ## Show a whole backup with simulated devices, in a stack of its own
	$(BIN)/python manage.py demo

up: .venv/local ## Run the whole stack on this machine until Ctrl-C
	$(BIN)/python manage.py up

test: .venv/dev ## Run all tests, in two processes
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

faults: .venv/dev ## Run the tests of faults alone: they kill, freeze and starve the processes of a stack
	$(BIN)/pytest tests/faults

check: .venv/dev ## Lint, types, import contracts, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy .
	$(BIN)/python -W ignore manage.py makemigrations --check --dry-run

format: .venv/dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/dev ## Make a site of the documents in var/site
	$(BIN)/mkdocs build --strict

bench: export NETRAVEN_LOG_LEVEL = WARNING
bench: .venv/dev ## Measure; docs/benchmarks.md explains the figures
	$(BIN)/python -m benchmarks.commit_cost
	$(BIN)/python -m benchmarks.redaction
	$(BIN)/python -m benchmarks.session_waits
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.history_page
	$(BIN)/python -m benchmarks.devices_per_second
	$(BIN)/python -m benchmarks.resolve
	$(BIN)/python -m benchmarks.dispatch
	$(BIN)/python -m benchmarks.run_growth
	$(BIN)/python -m benchmarks.waiting
	$(BIN)/python -m benchmarks.pages
	$(BIN)/python -m benchmarks.list_pages
	$(BIN)/python -m benchmarks.syslog_flood

lock: .venv/dev ## Write the lock files anew from pyproject.toml
	for name in : -local:local -dev:local,dev; do \
	  extras=$$(echo "$${name#*:}" | sed 's/[^,]*/--extra &/g; s/,/ /g; s/^--extra $$//'); \
	  CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --strip-extras \
	    --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	    --no-emit-options --allow-unsafe $$extras \
	    --output-file requirements$${name%%:*}.lock pyproject.toml || exit 1; \
	done
	rm -rf netraven.egg-info build

clean: ## Remove the virtual environment and caches; the data in var/ stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "NetRaven needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/local: .venv/pip requirements-local.lock
	@echo "Installing NetRaven's packages into .venv ..."
	@$(PIP_INSTALL) requirements-local.lock
	@touch $@

.venv/dev: .venv/local requirements-dev.lock
	@echo "Installing the packages for development into .venv ..."
	@$(PIP_INSTALL) requirements-dev.lock
	@touch $@

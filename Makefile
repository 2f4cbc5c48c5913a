# Every target sets up what it needs: a virtual environment in this folder, from the constraints in constraints/.
# AIRFLOW chooses the Airflow version (3.3 or 2.11), PYTHON the interpreter to begin with.
AIRFLOW ?= 3.3
PYTHON ?= python3

VENV := .venv-$(AIRFLOW)
BIN := $(VENV)/bin
CONSTRAINTS := constraints/airflow-$(AIRFLOW).txt
PYTEST := $(BIN)/python -m pytest
# Tests wait for sockets much of their time; those that start a whole Airflow run one after the other.
PROCESSES ?= 3
PARALLEL := --numprocesses $(PROCESSES) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo airflow test test-fast fuzz test-matrix test-distributed lint format docs constraints clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.ready ## Run the restore and nightly DAGs on a real Airflow against the sandbox, and show what happened
	@$(BIN)/python -m demo

airflow: $(VENV)/.ready ## Start Airflow's UI and the sandbox's pages, until interrupted; the next start goes on from there
	@$(BIN)/python -m demo --serve

test: test-fast ## Run all tests
	$(PYTEST) -m system

test-fast: $(VENV)/.ready ## Run the tests that start no Airflow of their own
	$(PYTEST) $(PARALLEL) -m "not system"

fuzz: $(VENV)/.ready ## Try 20,000 broken answers with a seed that is printed (FUZZ_COUNT, FUZZ_SEED)
	@seed=$${FUZZ_SEED:-$$(date +%s)}; echo "FUZZ_SEED=$$seed"; \
	FUZZ_SEED=$$seed FUZZ_COUNT=$${FUZZ_COUNT:-20000} $(PYTEST) tests/fuzz

test-matrix: ## Run all tests on the oldest and the newest supported Airflow
	$(MAKE) test AIRFLOW=2.11
	$(MAKE) test AIRFLOW=3.3

test-distributed: ## Kill and restart parts of an Airflow with Celery, PostgreSQL and Redis, from Debian's packages
	$(MAKE) .venv-3.3-distributed/.ready AIRFLOW=3.3-distributed
	.venv-3.3-distributed/bin/python -m pytest tests/distributed

lint: $(VENV)/.ready ## Check style, format, types, spelling and which part imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(VENV)/.ready ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.ready ## Build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

constraints: $(VENV)/.ready ## Resolve constraints/ anew
	for version in 2.11 3.3 3.3-distributed; do scripts/constraints $(VENV) $$version; done

clean: ## Remove everything that the targets made
	rm -rf .venv-* .demo docs/_build dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.ready: pyproject.toml $(CONSTRAINTS)
	scripts/venv $(VENV) $(CONSTRAINTS) "$(PYTHON)"
	@touch $@

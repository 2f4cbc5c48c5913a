# Every target sets up what it needs: a virtual environment in this folder, from the constraints in constraints/.
# AIRFLOW chooses another version (2.11, 3.0, 3.1 or 3.2), PYTHON another interpreter.
AIRFLOW ?= 3.3
comma := ,
PYTHON ?= >=3.11$(if $(filter 2.11 3.0,$(AIRFLOW)),$(comma)<3.13)

TOOLS := .venv-tools/bin
VENV := .venv-$(AIRFLOW)
BIN := $(VENV)/bin
# The tools that need no particular Airflow are with 3.3, and the newest versions of everything.
CONSTRAINTS := constraints/$(if $(filter 3.3,$(AIRFLOW)),newest,airflow-$(AIRFLOW)).txt
GROUP_3.3 := dev
GROUP_3.3-distributed := distributed
GROUP := $(or $(GROUP_$(AIRFLOW)),test)
PYTEST := $(BIN)/python -m pytest
# Tests wait for sockets much of their time; those that start a whole Airflow run two at a time.
PROCESSES ?= 3
QUICK := -m "not system" tests/unit tests/examples tests/contract/provider tests/contract/triggers
PARALLEL := --numprocesses $(PROCESSES) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo airflow test test-fast fuzz test-quick test-matrix test-distributed test-browser lint format docs dist constraints clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.ready ## Run the restore and nightly DAGs on a real Airflow against the sandbox, and show what happened
	@$(BIN)/python -m demo

airflow: $(VENV)/.ready ## Start Airflow's UI and the sandbox's pages, until interrupted; the next start goes on from there
	@$(BIN)/python -m demo --serve

test: test-fast ## Run all tests
	$(PYTEST) --numprocesses 2 --dist loadfile -m system

test-fast: $(VENV)/.ready ## Run the tests that start no Airflow of their own
	$(PYTEST) $(PARALLEL) -m "not system"

fuzz: $(VENV)/.ready ## Try 20,000 broken answers with a seed that is printed (FUZZ_COUNT, FUZZ_SEED)
	@seed=$${FUZZ_SEED:-$$(date +%s)}; echo "FUZZ_SEED=$$seed"; \
	FUZZ_SEED=$$seed FUZZ_COUNT=$${FUZZ_COUNT:-20000} $(PYTEST) tests/fuzz

test-quick: $(TOOLS)/nox ## Run the tests that differ most between Airflow versions, from the wheel (with AIRFLOW)
	$(TOOLS)/nox --session "test($(AIRFLOW)-python3.11)" -- $(QUICK)

test-matrix: $(TOOLS)/nox ## Run the tests on every supported Airflow, from the wheel, and with the lowest versions
	$(TOOLS)/nox

test-distributed: ## Kill and restart parts of an Airflow with Celery, PostgreSQL and Redis, from Debian's packages
	$(MAKE) .venv-3.3-distributed/.ready AIRFLOW=3.3-distributed
	.venv-3.3-distributed/bin/python -m pytest tests/distributed

test-browser: $(VENV)/.ready ## Try Airflow's UI and the sandbox's pages in Chromium, and take the pictures of docs/images
	@command -v chromium chromium-browser >/dev/null || { echo "Chromium is not installed: apt-get install chromium"; exit 1; }
	$(TOOLS)/uv pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) --group browser
	$(PYTEST) tests/browser

lint: $(VENV)/.ready ## Check style, format, types, spelling, which part imports which, and the workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/zizmor --offline --quiet --pedantic .github
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.readthedocs .readthedocs.yaml

format: $(VENV)/.ready ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.ready ## Build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

dist: $(TOOLS)/nox ## Build wheel, sdist and SBOM into dist/, check them, and try them where nothing else is (RELEASE=v0.1.0)
	$(TOOLS)/nox --session dist -- $(RELEASE)

constraints: $(TOOLS)/nox ## Resolve constraints/ anew
	$(TOOLS)/nox --session constraints

clean: ## Remove everything that the targets made
	rm -rf .venv-* .nox .demo docs/_build dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.ready: pyproject.toml $(CONSTRAINTS) | $(TOOLS)/nox
	$(TOOLS)/uv venv --quiet --clear --no-python-downloads --python "$(PYTHON)" $(VENV)
	$(TOOLS)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint $(CONSTRAINTS) --group $(GROUP) --editable ".[sandbox]"
	@touch $@

$(TOOLS)/nox:
	python3 -m venv --clear .venv-tools
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check "nox[uv]>=2026.4"

# What one does with Loom, a word each. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)

BASE := $(wildcard libs/*) $(wildcard services/*) migrations
DEV := dev
PACKAGES := $(addsuffix /pyproject.toml,$(BASE))

# Everything generated from the code: run plainly they write it, with --check they fail where it differs.
GENERATORS := loom_dev.schemas loom_dev.reference loom_dev.newest_schema

# Many images set it; without it, Python keeps what it compiles, and each later start is quick.
unexport PYTHONDONTWRITEBYTECODE

# Processes that test side by side and share their servers. Tests wait for a third of their time, so that two cores
# have work for three.
WORKERS ?= 3

# Microsoft's emulator of Azure Blob Storage, for `make azure`.
AZURITE ?= 3.35.0
BQEMULATOR ?= bqemulator==1.4.0 numpy==2.4.6 duckdb==1.5.5 duckdb-extensions==1.5.5 duckdb-extension-spatial==1.5.5

# Airflow for `make airflow`, with the constraints that its release names: AIRFLOW='apache-airflow==... --constraint FILE'.
AIRFLOW ?= 'apache-airflow>=3.1,<4'

# dbt for `make dbt`, with the DuckDB whose extension for SQLite is a package of Python.
DBT ?= 'dbt-core>=1.10,<1.12' dbt-duckdb dbt-postgres duckdb==1.5.5 duckdb-extension-sqlite-scanner==1.5.5

REPLICAS = EXTRACTORS=$(EXTRACTORS) TRANSFORMERS=$(TRANSFORMERS) EVALUATORS=$(EVALUATORS) LOADERS=$(LOADERS)

.PHONY: help
help: ## list what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environments: .venv with the packages of this tree, and exactly the locked versions of everything else ---

# $(call sync,LOCK,FOLDERS): uv, because it takes seconds where pip takes a minute. Everything is compiled at once:
# where PYTHONDONTWRITEBYTECODE is set, as many images set it, every later start would compile it again.
define sync
	@test -n "$(PYTHON)" || { echo "Loom needs Python 3.11 or newer. Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Installing into $(VENV) what $(1) names (a minute, the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --requirement $(1)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix --editable ./,$(2))
	@$(BIN)/python -m compileall -q $(addsuffix /src,$(2))
endef

# What was edited or pulled since. Where nothing was, this takes a fifth of a second.
.PHONY: compiled
compiled: $(VENV)/.base
	@$(BIN)/python -m compileall -q $(addsuffix /src,$(BASE) $(DEV))

$(VENV)/.base: requirements.lock $(PACKAGES)
	$(call sync,requirements.lock,$(BASE))
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(PACKAGES) dev/pyproject.toml
	$(call sync,requirements-dev.lock,$(BASE) $(DEV))
	@touch $(VENV)/.base $@

.PHONY: install dev extras lock lock-check
install: $(VENV)/.base ## what a user needs: .venv with `loom` in it
	@echo "Ready: $(BIN)/loom --help"

dev: $(VENV)/.dev ## what a developer needs besides

# The package that each extra belongs to, and what was asked for: `EXTRAS=arbiter,embeddings`.
HOME_OF_arbiter := services/evaluator
HOME_OF_embeddings := services/evaluator
HOME_OF_providers := libs/loom_ai
HOME_OF_objects := libs/loom_connectors
HOME_OF_aws := libs/loom_common
HOME_OF_mcp := libs/loom
HOME_OF_tracing := libs/loom_common
HOME_OF_oidc := services/api
HOME_OF_arrow := libs/loom_connectors
HOME_OF_duckdb := libs/loom_connectors
HOME_OF_onnx := services/transformer
HOME_OF_kafka := libs/loom_connectors
HOME_OF_mssql := libs/loom_connectors
HOME_OF_mysql := libs/loom_connectors
HOME_OF_snowflake := libs/loom_connectors
HOME_OF_bigquery := libs/loom_connectors
HOME_OF_excel := libs/loom_connectors
comma := ,
WANTED = $(subst $(comma), ,$(EXTRAS))
KNOWN_EXTRAS = $(sort $(patsubst HOME_OF_%,%,$(filter HOME_OF_%,$(.VARIABLES))))
UNKNOWN_EXTRAS = $(filter-out $(KNOWN_EXTRAS),$(WANTED))

extras: $(VENV)/.base ## what some evaluators, providers and connectors need besides (EXTRAS=arbiter,objects,arrow)
	@test -n "$(strip $(WANTED))" -a -z "$(strip $(UNKNOWN_EXTRAS))" || \
		{ echo "Name one or more of $(KNOWN_EXTRAS): make extras EXTRAS=arbiter,embeddings" >&2; exit 1; }
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-build-isolation \
		--constraint requirements.lock $(foreach each,$(WANTED),--editable './$(HOME_OF_$(each))[$(each)]')

lock: $(VENV)/.dev ## resolve the dependencies again (UPGRADE=1: to their newest versions)
	@$(call compile,requirements.lock,$(BASE))
	@$(call compile,requirements-dev.lock,$(BASE) $(DEV),--constraint requirements.lock)

lock-check: $(VENV)/.dev ## fail where the locks lack what a pyproject.toml names
	@$(BIN)/python -m loom_dev.requirements --check requirements.lock $(BASE)
	@$(BIN)/python -m loom_dev.requirements --check requirements-dev.lock $(BASE) $(DEV)

compile = $(BIN)/python -m loom_dev.requirements $(2) | $(BIN)/uv pip compile - $(3) --quiet --output-file $(1) \
	--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

# --- using it ---

.PHONY: demo wheels up down
demo: compiled ## run the example pipeline: no key, no server
	@$(BIN)/loom run examples/customer_sentiment/pipeline.yaml
	@echo "(loom is in $(BIN): source $(BIN)/activate)"

wheels: $(VENV)/.dev ## build what users install, dist/loom_pipelines-*.whl, twice, and check it; and the provider for Airflow
	@$(BIN)/python -m loom_dev.wheels dist
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist integrations/airflow

up: $(VENV)/.dev compiled ## start RabbitMQ, Postgres, Redis and the six services (TRANSFORMERS=3 for more of one)
	@$(REPLICAS) $(BIN)/python -m loom_dev.cluster up

down: ## end what `make up` started
	@test ! -x $(BIN)/python || $(BIN)/python -m loom_dev.cluster down

# --- working on it ---

.PHONY: test faults faults-short soak memory azure fuzz fuzz-api dagster prefect airflow dbt pre-commit notebooks lint types imports schemas docs docs-check site site-lock bench bench-peers bench-short stream-endurance stream-endurance-cluster screenshots editor-check clean
test: $(VENV)/.dev compiled ## every test, on servers of its own (ARGS='-k name' for some; WORKERS=2 for fewer side by side)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist load --ignore=tests/matrix $(ARGS)

faults: $(VENV)/.dev compiled ## break a cluster in every way, often, and check every promise (hours; ARGS='--times 2' for less)
	@LOOM_FAULTS=long $(BIN)/python -m pytest -rP --timeout 1200 tests/faults tests/e2e/test_memory.py tests/e2e/test_money.py tests/e2e/test_models.py
	@PYTHONPATH=tests $(BIN)/python -m matrix $(ARGS)

faults-short: $(VENV)/.dev compiled ## some faults of every kind, once each (minutes)
	@$(BIN)/python -m pytest tests/matrix $(ARGS)

soak: $(VENV)/.dev compiled ## half an hour of random faults while run follows run (ARGS='--minutes 5' for less)
	@PYTHONPATH=tests $(BIN)/python -m matrix.soak $(ARGS)

memory: $(VENV)/.dev compiled ## what runs and files of up to 1,000,000 rows take of memory (some 20 minutes; ARGS='-k million' for some)
	@LOOM_FAULTS=long $(BIN)/python -m pytest -rP --timeout 1800 tests/e2e/test_memory.py tests/e2e/test_million_rows.py tests/integration/test_file_memory.py $(ARGS)

azure: $(VENV)/.dev compiled ## read and write Azure's store at an emulator that npm installs into .azurite
	@test -x .azurite/node_modules/.bin/azurite-blob || npm install --silent --no-fund --no-audit --prefix .azurite azurite@$(AZURITE)
	@PATH="$(CURDIR)/.azurite/node_modules/.bin:$$PATH" LOOM_AZURE=1 $(BIN)/python -m pytest -k 'azure or az:' tests/conformance $(ARGS)

bigquery: $(VENV)/.dev compiled ## read and write BigQuery at an emulator that is installed into .bigquery, with versions of its own (a minute)
	@test -x .bigquery/bin/bqemulator || { $(BIN)/uv venv --quiet --clear .bigquery && \
		$(BIN)/uv pip install --quiet --python .bigquery/bin/python $(BQEMULATOR); }
	@LOOM_BIGQUERY=$(CURDIR)/.bigquery/bin/python $(BIN)/python -m pytest -q tests/integration/bigquery $(ARGS)

fuzz: $(VENV)/.dev compiled ## whatever a model endpoint may send, 2,000 examples for each protocol (some 20 minutes)
	@LOOM_FUZZ_EXAMPLES=2000 $(BIN)/python -m pytest -q tests/integration/test_fuzzed_provider.py $(ARGS)

fuzz-api: $(VENV)/.dev compiled ## whatever the REST API may be asked, 500 examples for each route (some minutes)
	@LOOM_API_FUZZ_EXAMPLES=500 $(BIN)/python -m pytest -q tests/integration/test_api_fuzzed.py $(ARGS)

dagster: $(VENV)/.dev ## try the recipe for Dagster, in an environment of its own in .integrations
	$(call recipe,dagster,dagster>=1.9$(comma)<2)

prefect: $(VENV)/.dev ## try the recipe for Prefect, likewise
	$(call recipe,prefect,prefect>=3$(comma)<4)

statistics: $(VENV)/.dev ## test the step package of packages/loom_statistics, in an environment of its own in .integrations (a minute)
	@test -x .integrations/statistics/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .integrations/statistics
	@$(BIN)/uv pip install --quiet --python .integrations/statistics/bin/python --reinstall-package loom-pipelines \
		--reinstall-package loom-statistics pytest . ./packages/loom_statistics
	@cd packages/loom_statistics && ../../.integrations/statistics/bin/python -m pytest -q -p no:cacheprovider $(ARGS)

prefect-engine: $(VENV)/.dev ## hold the engine of packages/loom_prefect to the suite of engines, on a server of Prefect (some minutes)
	@test -x .integrations/prefect-engine/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .integrations/prefect-engine
	@$(BIN)/uv pip install --quiet --python .integrations/prefect-engine/bin/python --reinstall-package loom-pipelines \
		--reinstall-package loom-prefect . ./packages/loom_prefect
	@cd packages/loom_prefect && LOOM_PREFECT=$(CURDIR)/.integrations/prefect-engine/bin PYTHONPATH=$(CURDIR)/tests \
		$(CURDIR)/$(BIN)/python -m pytest -q -p no:cacheprovider $(ARGS)

airflow: $(VENV)/.dev ## try the provider for Airflow on a real one: its services, a failed gate, killed workers (some minutes)
	@test -x .integrations/airflow/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .integrations/airflow
	@$(BIN)/uv pip install --quiet --python .integrations/airflow/bin/python --reinstall-package loom-pipelines \
		--reinstall-package loom-pipelines-airflow $(AIRFLOW) . './integrations/airflow[openlineage]'
	@LOOM_COMMAND=$(CURDIR)/$(BIN)/loom .integrations/airflow/bin/python integrations/try_airflow.py

dbt: $(VENV)/.dev ## try the package for dbt on DuckDB and on a Postgres of its own (some minutes)
	@test -x .integrations/dbt/bin/dbt || { $(BIN)/uv venv --quiet --clear --python $(BIN)/python .integrations/dbt && \
		$(BIN)/uv pip install --quiet --python .integrations/dbt/bin/python $(DBT); }
	@$(BIN)/python integrations/try_dbt.py

# $(call recipe,NAME,PACKAGE): Loom is installed from this checkout as from an index, not editable.
define recipe
	@test -x .integrations/$(1)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .integrations/$(1)
	@$(BIN)/uv pip install --quiet --python .integrations/$(1)/bin/python --reinstall-package loom-pipelines '$(2)' .
	@.integrations/$(1)/bin/python integrations/try_recipe.py $(1)
endef

pre-commit: $(VENV)/.dev compiled ## try the hooks of .pre-commit-hooks.yaml by pre-commit itself (some minutes the first time)
	@$(BIN)/python -m loom_dev.pre_commit

notebooks: $(VENV)/.dev compiled ## execute the notebooks of examples/notebooks from their first cell to their last
	@LOOM_NOTEBOOKS=all $(BIN)/python -m pytest -q tests/e2e/test_notebooks.py $(ARGS)

lint: $(VENV)/.dev ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy, strict
	@$(BIN)/mypy $(addsuffix /src,$(BASE) $(DEV) $(wildcard packages/*))

imports: $(VENV)/.dev ## who may import whom: layers, circles, modules side by side
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m loom_dev.structure --check

schemas: $(VENV)/.dev ## fail where docs/schemas differs from the messages
	@$(BIN)/python -m loom_dev.schemas --check

docs: $(VENV)/.dev ## write what is generated from the code
	@for module in $(GENERATORS); do $(BIN)/python -m $$module; done

docs-check: $(VENV)/.dev ## fail where what is generated differs from the code
	@for module in $(GENERATORS); do $(BIN)/python -m $$module --check; done

site: $(VENV)/.dev ## the documentation as a site in .site/html, its links checked, in an environment of its own
	@test -x .site/env/bin/mkdocs -a .site/env -nt dev/site/requirements.lock || { $(BIN)/uv venv --quiet --clear .site/env && \
		$(BIN)/uv pip install --quiet --python .site/env/bin/python --require-hashes --requirement dev/site/requirements.lock; }
	@$(BIN)/python -m loom_dev.site .site
	@NO_MKDOCS_2_WARNING=1 .site/env/bin/mkdocs build --strict --quiet --config-file .site/mkdocs.yml
	@echo "Ready: .site/html/index.html"

site-lock: $(VENV)/.dev ## resolve the site's dependencies again (UPGRADE=1: to their newest versions)
	@$(BIN)/uv pip compile dev/site/requirements.in --quiet --output-file dev/site/requirements.lock --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command 'make site-lock' $(if $(UPGRADE),--upgrade)

bench: export LOOM_BENCH_RESULTS ?= .bench
bench: $(VENV)/.dev compiled ## Loom beside bare loops, in turns, and what has no other side; a table, and JSON and a plot in .bench
	@$(BIN)/python -m bench --rounds 1
	@$(BIN)/python -m bench.model_bound --rounds 1 --cluster
	@$(BIN)/python -m bench.model_calls
	@$(BIN)/python -m bench.arbiter --rounds 1
	@$(BIN)/python -m bench.hostile --pairs 1
	@$(BIN)/python -m bench.coordinator --batches 1000 100000
	@$(BIN)/python -m bench.extractors --rounds 1
	@$(BIN)/python -m bench.transformers
	@$(BIN)/python -m bench.memory
	@$(BIN)/python -m bench.provider_batches --records 5000
	@$(BIN)/python -m bench.start_up
	@$(BIN)/python -m bench.api --seconds 20
	@$(BIN)/python -m bench.first_paint --runs 20000
	@$(BIN)/python -m bench.streams --waits 20ms 50ms 200ms --windows 60
	@$(BIN)/python -m bench.given_records
	@$(BIN)/python -m bench.given_records --keys
	@$(BIN)/python -m bench.urgent_tickets
	@$(BIN)/python -m bench.sequence
	@$(BIN)/python -m bench.steps
	@$(BIN)/python -m bench.figures

bench-peers: export LOOM_BENCH_RESULTS ?= .bench
bench-peers: $(VENV)/.dev compiled ## Loom beside dlt, Celery, Curator, DocETL and LOTUS on the same input (builds their environments in .bench-peers)
	@$(BIN)/python -m bench.peers $(ARGS)
	@$(BIN)/python -m bench.peers.model_bound
	@$(BIN)/python -m bench.figures

stream-endurance: $(VENV)/.dev compiled ## a stream of 10,000 windows, killed on the way (ARGS="--windows 1000 --seconds 300")
	@$(BIN)/python -m bench.stream_endurance $(ARGS)

stream-endurance-cluster: $(VENV)/.dev compiled ## the same on a cluster whose services are killed and whose servers are restarted
	@$(BIN)/python -m bench.cluster_endurance $(ARGS)

bench-short: $(VENV)/.dev compiled ## the same, short: fails where a ratio is far from what it was
	@$(BIN)/python -m bench --records 20000 --rounds 1 --batch 100 --least 0.2
	@$(BIN)/python -m bench.model_bound --records 2000 --rounds 1 --least 0.4
	@$(BIN)/python -m bench.model_calls --calls 600 --rounds 1 --most 8
	@$(BIN)/python -m bench.arbiter --records 600 --beside 40 --rounds 1 --least 10
	@$(BIN)/python -m bench.hostile --records 2000 --pairs 1 --least 0.5
	@$(BIN)/python -m bench.coordinator --batches 1000 20000 --most 6
	@$(BIN)/python -m bench.extractors --records 4000 --rounds 1 --least 1.3
	@$(BIN)/python -m bench.transformers --records 320 --least 0.6
	@$(BIN)/python -m bench.memory --records 5000 50000 --most 200
	@$(BIN)/python -m bench.start_up --rounds 2 --most 4
	@$(BIN)/python -m bench.streams --waits 50ms --seconds 5 --windows 0 --most 10
	@$(BIN)/python -m bench.stream_endurance --windows 90 --kills 1 --looks 9 --seconds 200 --most 3
	@$(BIN)/python -m bench.steps --records 1000 --rounds 2 --most 60
	@$(BIN)/python -m bench.api --seconds 10 --records 20000 --most 30000
	@$(BIN)/python -m bench.given_records --seconds 3 --least 50
	@$(BIN)/python -m bench.first_paint --runs 2000 --rounds 1 --most 10

screenshots: $(VENV)/.dev compiled ## every page of the console, wide and narrow, light and dark, into .screenshots (after make demo)
	@$(BIN)/python -m loom_dev.screenshots $(ARGS)

editor-check: $(VENV)/.dev compiled ## what an editor completes and marks in a project's files, by the YAML language server from npm
	@$(BIN)/python -m loom_dev.editor_check

clean: ## end the local cluster; remove its data, .venv and caches
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m loom_dev.cluster clean; fi
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .bench .bench-peers .integrations .pre-commit-home .screenshots .site
	@rm -rf .bigquery
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

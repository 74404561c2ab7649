# The front door. `make` alone lists what there is; every target makes its own environment first.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FRAMEWORKS ?= .venv-frameworks
PIP := -m pip --disable-pip-version-check install -qq
# What `--all-extras` would bring in (PyTorch, Keras) is tested in an environment of its own.
COMPILE := -m uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url
PYTHONPATHS := src tests benchmarks examples

# Pages of the docs whose programs need what only .venv-frameworks has.
FRAMEWORK_PAGES := $(patsubst %,'tests/docs/test_readme.py::test_every_block_of_the_page_runs_and_prints_what_is_shown[%]',\
  push-a-network import-from-mlflow)

# Arguments handed on: `make test ARGS="-k layers -x"`, `make bench ARGS="--quick"`.
ARGS ?=
# Processes that share the tests: `logical` is one per core, `0` runs them one by one, as plain `pytest` does.
WORKERS ?= logical

##@ Everyday

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: install
install: $(VENV)/.installed ## make .venv from requirements/dev.lock (every other target does it, too)

.PHONY: demo
demo: install ## train, pack and serve iris; prints a curl that answers (ONCE=1 ends after the check)
	@$(BIN)/fairway demo $(if $(ONCE),--once) $(ARGS)

.PHONY: fmt
fmt: install ## format the code and repair what ruff can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

.PHONY: lint
lint: install ## ruff, formatting, spelling
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell $$(git ls-files)

.PHONY: types
types: install ## mypy, strict
	@$(BIN)/mypy

.PHONY: test
test: install ## every test, on all cores (WORKERS=0: one by one); without its service one skips and says why
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-frameworks
test-frameworks: $(FRAMEWORKS)/.installed ## the tests of PyTorch, Keras and MLflow, in .venv-frameworks
	@$(FRAMEWORKS)/bin/pytest tests/frameworks $(FRAMEWORK_PAGES) $(ARGS)

.PHONY: check
check: lint types test ## lint + types + test: what a change has to pass

##@ Now and then

.PHONY: docs
docs: install ## write the generated pages of docs/reference
	@$(BIN)/python docs/generate.py

.PHONY: bench
bench: install ## measure fairway beside its rivals, 35 minutes (needs wrk, nginx); writes the tables in the docs
	@$(BIN)/python benchmarks/bench_serving.py $(ARGS)

.PHONY: trust
trust: install ## how many hostile model files are refused and legitimate ones pass, 20 seconds
	@$(BIN)/python benchmarks/bench_trust.py $(ARGS)

.PHONY: lock
lock: install ## resolve the newest versions into requirements/*.lock
	@$(BIN)/python $(PIP) 'uv>=0.9'
	@$(BIN)/python $(COMPILE) --upgrade --extra all --group dev --output-file requirements/dev.lock
	@$(BIN)/python $(COMPILE) --upgrade --extra sklearn --extra pandas --extra compile --group build \
	  --constraint requirements/dev.lock --output-file requirements/bench-fairway.lock
	@$(BIN)/python benchmarks/environments.py --lock

.PHONY: lock-frameworks
lock-frameworks: install ## resolve requirements/frameworks.lock (UV_FIND_LINKS: the folder of PyTorch's CPU wheel)
	@$(BIN)/python $(PIP) 'uv>=0.9'
	@$(BIN)/python $(COMPILE) --upgrade --extra sklearn --extra pandas --extra compile --extra mlflow --extra torch \
	  --extra keras --group frameworks --group build --constraint requirements/dev.lock \
	  --output-file requirements/frameworks.lock

.PHONY: clean
clean: ## remove the environments and everything that was built
	rm -rf $(VENV) .venv-bench $(FRAMEWORKS) .make build dist htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(PYTHONPATHS) -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# ---------------------------------------------------------------------------------------------------------------
# The locks hold the build backend too, so the editable install needs no isolated build that would fetch it unpinned.

define make_environment
@$(PYTHON) -c 'import sys; sys.exit("fairway needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
@echo "installing $< into $(@D)"
@$(@D)/bin/python $(PIP) --require-hashes -r $<
@$(@D)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
@touch $@
endef

$(VENV)/.installed: requirements/dev.lock pyproject.toml
	$(make_environment)

$(FRAMEWORKS)/.installed: requirements/frameworks.lock pyproject.toml
	$(make_environment)

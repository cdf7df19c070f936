# Everything here needs only Python's own venv and pip.
#
#   make demo PYTHON=python3.12      use another interpreter
#   make demo VENV=../env             put the environment elsewhere
#   make demo PIP_ARGS="..."         pass options to pip
#   make test JOBS=8                 so many processes, of 1 to 2 GB each
#
# On Linux pip gets the torch build for NVIDIA GPUs, several gigabytes, unless its own configuration shows it a CPU build,
# which satisfies the same pin. To point it there: PIP_ARGS="--extra-index-url <address>", with the address of the CPU
# wheels from pytorch.org's installation page. On macOS every build is a CPU build.
PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
JOBS ?= 2

BIN := $(VENV)/bin
# -qq: errors alone. --use-pep517: builds the one package without a wheel the same way under old and new pip.
PIP_INSTALL := $(BIN)/python -m pip install -qq --use-pep517 --disable-pip-version-check $(PIP_ARGS) -c constraints.txt
DEMO_SET := $(VENV)/.demo-set-installed
TEST_SET := $(VENV)/.test-set-installed
DOCS_SET := $(VENV)/.docs-set-installed
BENCH_SET := $(VENV)/.bench-set-installed

.PHONY: help demo test bench docs lint check install clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '%-8s %s\n' "$$name" "$$text"; done

demo: $(DEMO_SET) ## install, then train and score in stages on a few rows; CPU, no download of models or data
	$(BIN)/xtransfer fit --config configs/demo.yaml

test: $(TEST_SET) ## install, then run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

bench: $(BENCH_SET) ## measure speed and memory beside others: DATA=folder of data sets, QUICK=1 for a look
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=2 $(BIN)/python -m benchmarks $(if $(DATA),--data-dir $(DATA)) $(if $(QUICK),--quick)

docs: $(DOCS_SET) ## build the pages of docs/ as a site in site/, with a reference of the Python names
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lint: $(TEST_SET) ## install, then run the linter, the format check and the type check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test ## lint and test, what has to pass before a change goes in

install: $(TEST_SET) ## install all that the demo and the tests need

clean: ## remove the environment, caches and build files; runs stay
	@if [ -f "$(VENV)/pyvenv.cfg" ]; then rm -rf "$(VENV)"; fi
	rm -rf build dist site .cache .mypy_cache .pytest_cache .ruff_cache
	find xtransfer tests -name __pycache__ -type d -prune -exec rm -rf {} +

# pip, not python: it is missing where making the environment failed half-way, so the next make tries again.
$(BIN)/pip:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "There is no '$(PYTHON)' here; name a Python 3.10 to 3.13: make PYTHON=python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "xtransfer needs Python 3.10 or newer; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1)."; \
	  echo "Name another: make PYTHON=python3.12"; exit 1; }
	"$(PYTHON)" -m venv "$(VENV)"

# The stamps keep a second make from installing again; a changed dependency makes them old.
$(DEMO_SET): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing the demo's packages into $(VENV); once, a few minutes ..."
	@$(PIP_INSTALL) -e ".[offline,plots]"
	@touch "$@"

$(TEST_SET): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing the tests' packages into $(VENV); once, a few minutes ..."
	@$(PIP_INSTALL) -e ".[offline,plots,alignment,peft,slurm,ray,dev]"
	@touch "$(DEMO_SET)" "$@"

$(DOCS_SET): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing what builds the pages into $(VENV); once, a minute ..."
	@$(PIP_INSTALL) -e ".[docs]"
	@touch "$@"

$(BENCH_SET): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing the benchmarks' packages into $(VENV); once, a few minutes ..."
	@$(PIP_INSTALL) -e ".[offline,bench]"
	@touch "$@"

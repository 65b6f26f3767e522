# Every target works on a bare clone: what it needs is set up first, once.
# Another interpreter: make link PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PICTURE := flowgraphs/assets/hopper.png

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help link test hil lint bench clean

help:
	@echo "make link   send a picture and sense a target with three methods, and compare them"
	@echo "make test   run the tests"
	@echo "make hil    run the tests with a radio in the loop, by protocol, many seeds more"
	@echo "make lint   check style (ruff) and types (mypy)"
	@echo "make bench  measure speed against the reference scripts"
	@echo "make clean  remove everything that these targets made"

link: $(VENV)/.link-installed $(VENV)/.link-kernels-compiled
	@mkdir -p out
	$(BIN)/python flowgraphs/isac_link.py --compare --scenario impaired --file $(PICTURE) --out out/received.png --plot out/link.png

test: $(VENV)/.dev-installed $(VENV)/.kernels-compiled
	$(BIN)/python -m pytest

hil: $(VENV)/.dev-installed $(VENV)/.kernels-compiled
	ISAC_HIL_SEEDS=40 $(BIN)/python -m pytest -m hil -s

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.link-installed $(VENV)/.kernels-compiled
	$(BIN)/python benchmarks/link.py
	$(BIN)/python benchmarks/evaluate.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/neural.py
	$(BIN)/python benchmarks/radio.py

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each step of the set-up. A later step builds on the earlier ones, so that no target
# repeats what another has done.

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "error: $(PYTHON) is not Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@echo "Setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.link-installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing isac-blocks and what it needs"
	@$(PIP) setuptools
	@$(PIP) torch
	@$(PIP) --no-build-isolation --editable '.[plot,learn,sweep,radio]'
	@touch $@

$(VENV)/.dev-installed: $(VENV)/.link-installed
	@echo "Installing what tests and checks need"
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

$(VENV)/.link-kernels-compiled: $(VENV)/.link-installed $(wildcard isac_models/kernels/*.py)
	@echo "Compiling the kernels of the link (once)"
	@$(BIN)/python -m isac_models.kernels link
	@touch $@

$(VENV)/.kernels-compiled: $(VENV)/.link-kernels-compiled
	@echo "Compiling the kernels of training (once)"
	@$(BIN)/python -m isac_models.kernels
	@touch $@

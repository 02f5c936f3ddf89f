# make demo and make test do all the set-up: each makes .venv and installs the package into it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow test-hard test-kernels test-torch lint bench notebooks docs check-docs clean

demo: $(VENV)/.installed
	$(BIN)/bcd-implicit demo --output demo-output

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow -n 2

# Hard conditions: units, interruption, injected faults, damaged files, strange data.
test-hard: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m hard -n 2

# Under several kernels of OpenBLAS: last digits differ from processor to processor.
test-kernels: $(VENV)/.installed-dev
	$(BIN)/python tests/kernels.py

# Against PyTorch, which is optional: a CPU build is enough (TORCH says which), and comes as pip is told to find it.
TORCH ?= torch>=2.2
test-torch: $(VENV)/.installed-torch
	$(BIN)/python -m pytest -n 2 -m "not hard" tests/networks tests/training/test_optimizers.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/codespell

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/blocks.py --json benchmarks/results/blocks.json
	$(BIN)/python benchmarks/paths.py --json benchmarks/results/paths.json
	$(BIN)/python benchmarks/growth.py --exact --json benchmarks/results/growth.json --plot docs/growth.png

notebooks: $(VENV)/.installed-notebooks
	printf '%s\n' notebooks/*.ipynb notebooks/solutions/*.ipynb | xargs -n 1 -P 2 $(BIN)/jupyter execute --inplace

# What a failed build leaves behind would let the next one pass: Sphinx warns of a page once.
docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning -c docs . build/site || { rm -rf build/site docs/modules; exit 1; }
	@echo "The site is in build/site/index.html"

# Whether every page of the site fits a phone, a laptop and a wide screen. Needs Chromium; without it nothing is checked.
check-docs: docs
	$(BIN)/python docs/check_site.py build/site

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed, $(PYTHON) is older: try make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --disable-pip-version-check --quiet -e '.[test,lint]'
	touch $@

$(VENV)/.installed-torch: $(VENV)/.installed-dev
	$(BIN)/pip install --disable-pip-version-check --quiet '$(TORCH)'
	touch $@

$(VENV)/.installed-notebooks: $(VENV)/.installed
	$(BIN)/pip install --disable-pip-version-check --quiet -e '.[notebooks]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/pip install --disable-pip-version-check --quiet -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist docs/modules *.egg-info demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +

# Two commands do everything: `make demo` and `make test`. They need Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV ?= $(shell command -v uv 2>/dev/null)
OUT ?= out

ifneq ($(UV),)
CREATE = $(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python --constraint requirements.lock
else
CREATE = $(PYTHON) -m venv $(VENV)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock
endif

.PHONY: help demo test test-slow check format bench cost-page lock clean

help:
	@echo "make demo       train on MNIST, estimate the machine, reproduce the paper's tables; results in $(OUT)/"
	@echo "make test       the tests (some 25 minutes on two cores)"
	@echo "make check      ruff, ruff format, pyright, import-linter"
	@echo "make test-slow  the tests that take longer, too"
	@echo "make format     let ruff put the sources in order"
	@echo "make cost-page  the tables and pictures of docs/cost.md"
	@echo "make bench      speed, as ratios in one run"

$(VENV)/.core: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Caterpillar needs Python 3.11 or newer; $(PYTHON) is older: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(CREATE)
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.core
	$(INSTALL) --editable '.[study,test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(INSTALL) --editable '.[study,test,dev]'
	@touch $@

demo: $(VENV)/.core
	$(BIN)/caterpillar train --network 500-500-500-10 --rule cp --epochs 3
	$(BIN)/caterpillar estimate --network 500-500-500-10 --rule cp --machine paper-a
	$(BIN)/caterpillar reproduce --quick --out $(OUT)

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -n 2

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cost-page: $(VENV)/.core
	$(BIN)/caterpillar cost paper-a --sensitivity --out docs/cost
	$(BIN)/python -m caterpillar.report.cost_page docs/cost.md

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

# Pins every package the extras bring, from a fresh environment, so that everybody runs the same versions.
lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet '.[study,test,dev]'
	$(VENV)-lock/bin/python -m pip freeze --exclude caterpillar-cgra > requirements.lock
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) $(OUT) .pytest_cache .ruff_cache .hypothesis

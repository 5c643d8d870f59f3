# Everything runs in .venv, which is created if it is missing and kept while its inputs are unchanged.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
IN_PARALLEL := --numprocesses auto --dist loadgroup
# The tests of folders where nothing is trained, searched or drawn: the language, spaces, statistics,
# tasks, and what campaign.yaml may say.
QUICK := tests/architecture tests/spaces/test_*.py tests/statistics tests/tasks \
	tests/campaigns/spec tests/test_blocks.py tests/test_configuration.py tests/test_imports.py \
	tests/test_registry.py

.PHONY: quickstart test test-slow fast fix lint tests quick-tests docs install clean

quickstart: install  ## run a real search campaign; it ends with a verdict, a table and what to do next
	$(BIN)/nas run results/quickstart

test: lint tests  ## style, types, and all tests but the slow ones

test-slow: install  ## the slow ones: exhaustive counts, clusters of two nodes, the largest networks
	$(BIN)/python -m pytest $(IN_PARALLEL) -m slow

fast: install  ## under a minute: style, types, and the tests where nothing is trained
	$(MAKE) --no-print-directory --jobs 2 lint quick-tests

fix: install  ## repair style: what ruff can repair, and the format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: install  ## style, types and the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

tests: install
	$(BIN)/python -m pytest $(IN_PARALLEL) --durations 40 -m "not slow"

quick-tests: install
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "not slow" --quiet $(QUICK)

docs: install  ## the documentation as a site, in site/html; a warning is an error
	$(BIN)/python -m tests.docs.site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

install: $(INSTALLED)  ## create .venv with the pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:  ## remove the environment
	rm -rf $(VENV)

# Everything runs in .venv, which is created if it is missing and kept while its inputs are unchanged.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
IN_PARALLEL := --numprocesses auto --dist loadgroup

.PHONY: quickstart test test-slow lint install clean

quickstart: install  ## run a real search campaign and print its table
	$(BIN)/nas run results/quickstart
	$(BIN)/nas table results/quickstart

test: lint  ## check style and types, and run all tests except the slow ones
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "not slow"

test-slow: install  ## run the slow tests: exhaustive counts, clusters of two nodes, the largest networks
	$(BIN)/python -m pytest $(IN_PARALLEL) -m slow

lint: install  ## check style, types and the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

install: $(INSTALLED)  ## create .venv with the pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:  ## remove the environment
	rm -rf $(VENV)

# Everything runs in .venv, made when missing and left alone while the inputs are unchanged.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
IN_PARALLEL := --numprocesses auto --dist loadgroup

.PHONY: quickstart test test-slow lint install clean

quickstart: install  ## run a real search campaign and print its table beside the classics
	$(BIN)/nas run results/quickstart
	$(BIN)/nas table results/quickstart

test: lint  ## style, types, and all tests but the slow ones
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "not slow"

test-slow: install  ## the slow ones: exhaustive counts, clusters of two nodes, the largest networks
	$(BIN)/python -m pytest $(IN_PARALLEL) -m slow

lint: install  ## style, types and the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

install: $(INSTALLED)  ## make .venv with the pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:  ## remove the environment
	rm -rf $(VENV)

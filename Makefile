# Every target makes .venv first, from the exact versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: quickstart test lint check bench ui format clean
.DEFAULT_GOAL := quickstart

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

quickstart: $(INSTALLED)
	@# Exit codes 3 and 4 are verdicts, not failures of the quickstart.
	@$(BIN)/synthgen run configs/breast-cancer.yaml configs/mnist.yaml; code=$$?; test $$code -ne 1 -a $$code -ne 2

test: $(INSTALLED)
	$(BIN)/pytest

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

bench: $(INSTALLED)
	$(BIN)/python benchmarks/synthesizers.py configs/breast-cancer.yaml ctgan ctgan-library marginals copies --minutes 0.5
	$(BIN)/python benchmarks/synthesizers.py configs/mnist.yaml image-gan marginals copies --minutes 1

ui: $(INSTALLED)
	$(BIN)/synthgen ui

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv synthgen-workspace

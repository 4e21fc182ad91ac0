# Every target makes .venv first, from the exact versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: quickstart test lint check bench bench-tables ui format clean
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

# An hour or more: every table model on six datasets (SYNTHGEN_TEST_DATA or ../shared/data), then their utility.
bench-tables: $(INSTALLED)
	$(BIN)/python benchmarks/encoding.py
	$(BIN)/python benchmarks/ctgan_steps.py
	$(BIN)/python benchmarks/tabular.py run adult bank_marketing telco_churn hotel_bookings mammography support2 --minutes 2
	$(BIN)/python benchmarks/tabular.py table tabular.jsonl
	$(BIN)/python benchmarks/augmentation.py adult-2% mammography bank_marketing --minutes 1

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

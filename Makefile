# Every target makes .venv first, from the exact versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: quickstart test lint check test-power test-servers test-nightly bench bench-tables sbom audit-dependencies release-hashes ui format clean
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

# A thousand random tables, and files too large for memory.
test-nightly: $(INSTALLED)
	$(BIN)/pytest -m nightly

# Schedules that fire, queue and pause, on Prefect and MLflow servers; PostgreSQL behind both where it is installed.
test-servers: $(INSTALLED)
	$(BIN)/pytest -n 0 -m "flow and slow" tests/flows

# Every planted failure over 100 seeds; goes on where it stopped (build/power.jsonl).
test-power: $(INSTALLED)
	$(BIN)/pytest -m power tests/power; code=$$?; $(BIN)/python benchmarks/power.py table > docs/power.md; exit $$code

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

# The bill of materials (CycloneDX JSON) of every package in constraints.txt.
sbom: $(INSTALLED)
	@mkdir -p build
	$(BIN)/python tools/sbom.py > build/sbom.cdx.json

# Known vulnerabilities of the exact versions; pip-audit stands beside the environment, it is no part of it.
audit-dependencies:
	@$(PYTHON) -m venv build/audit-env && build/audit-env/bin/pip install --quiet --constraint constraints.txt pip-audit
	@build/audit-env/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip || \
	  { echo "a package is vulnerable, or pip-audit could not reach its database of vulnerabilities: it says which above"; exit 1; }

# Wheel and sdist in dist/, and SHA256SUMS beside them; `sha256sum --check SHA256SUMS` compares.
release-hashes:
	@$(PYTHON) -m venv build/release-env && build/release-env/bin/pip install --quiet build
	rm -rf dist && build/release-env/bin/python -m build --outdir dist .
	cd dist && sha256sum *.whl *.tar.gz > SHA256SUMS && cat SHA256SUMS

ui: $(INSTALLED)
	$(BIN)/synthgen ui

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv synthgen-workspace

"""Whole runs on tables: the choice among models, constraints, ids, privacy, and whether to augment at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen.augmentation import Outcome, run_augmentation
from synthgen.config_reading import parse_config
from synthgen.errors import ConfigError
from synthgen.files import read_json
from synthgen.workspace import Workspace


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    n = 900
    churn = rng.random(n) < 0.25
    months = rng.integers(1, 40, n)
    price = np.round(rng.gamma(3, 10, n) + 20 * churn, 2)
    internet = np.where(rng.random(n) < 0.3, "No", "Yes")
    backup = np.where(internet == "No", "No internet", np.where(rng.random(n) < 0.5, "Yes", "No"))
    frame = pd.DataFrame(
        {
            "customer": [f"C-{i:05d}" for i in rng.permutation(n)],
            "months": months,
            "price": price,
            "total": np.round(months * price, 2),
            "internet": internet,
            "backup": backup,
            "churn": np.where(churn, "yes", "no"),
        }
    )
    path = tmp_path_factory.mktemp("data") / "customers.parquet"
    frame.to_parquet(path)
    return path


CONSTRAINTS = [
    {"kind": "formula", "column": "total", "formula": "months * price"},
    {"kind": "implied", "when": {"internet": "No"}, "then": {"backup": "No internet"}},
]


def run(path: Path, space: Workspace, *, source: dict[str, Any] | None = None, **changes: Any) -> Outcome:
    table = {"kind": "table", "path": str(path), "label": "churn", "ids": ["customer"], **(source or {})}
    return run_augmentation(parse_config({"name": "customers", "source": table, **changes}), space, force=True)


def synthetic_rows(outcome: Outcome) -> pd.DataFrame:
    assert outcome.dataset_dir is not None
    return pd.read_parquet(Path(outcome.dataset_dir) / "synthetic.parquet")


def test_auto_compares_every_model_on_valid_and_shows_them(customers: Path, space: Workspace) -> None:
    outcome = run(customers, space, synthesizer={"kind": "auto", "budget_steps": 40})
    record = read_json(Path(outcome.run_dir) / "run.json")
    page = Path(outcome.report_html).read_text()
    assert record["model"] in {"autoregressive", "ctgan", "cart", "tvae"}
    assert "Models compared" in page
    for kind in ("autoregressive", "ctgan", "cart", "tvae"):
        assert f"{kind}, calibrated" in page
    assert (Path(outcome.run_dir) / "model" / "synthesizer.json").exists()
    again = run(customers, space, synthesizer={"kind": "auto", "budget_steps": 40})
    assert "fit" in again.reused_stages


def test_constraints_hold_in_every_emitted_row(customers: Path, space: Workspace) -> None:
    outcome = run(customers, space, source={"constraints": CONSTRAINTS}, synthesizer={"kind": "cart"})
    rows = synthetic_rows(outcome)
    assert np.allclose(rows["total"], np.round(rows["months"] * rows["price"], 2), atol=0.0051)
    assert (rows.loc[rows["internet"] == "No", "backup"] == "No internet").all()
    validity = next(item for item in read_json(Path(outcome.report_json))["findings"] if item["metric"] == "validity")
    assert validity["value"] == 1.0


def test_new_ids_have_the_format_of_the_old_and_none_comes_back(customers: Path, space: Workspace) -> None:
    outcome = run(customers, space, synthesizer={"kind": "cart"}, export={"ids": "regenerate"})
    ids, old = synthetic_rows(outcome)["customer"], set(pd.read_parquet(customers)["customer"])
    assert ids.str.fullmatch(r"C-\d{5}").all()
    assert ids.is_unique
    assert not set(ids) & old


def test_without_regeneration_synthetic_rows_have_no_id(customers: Path, space: Workspace) -> None:
    assert "customer" not in synthetic_rows(run(customers, space, synthesizer={"kind": "cart"}))


PRIVATE = {"kind": "ctgan", "budget_steps": 30, "dp": {"epsilon": 3, "delta": 1e-6}}


def test_a_private_run_states_its_promise_in_report_and_manifest(customers: Path, space: Workspace) -> None:
    plan = {"kind": "per_class", "per_class": {"yes": 150}}
    outcome = run(customers, space, synthesizer=PRIVATE, plan=plan)
    assert outcome.dataset_dir is not None
    promise = read_json(Path(outcome.dataset_dir) / "manifest.json")["differential_privacy"]
    assert (promise["epsilon"], promise["delta"]) == (3, 1e-6)
    assert promise["queries"]
    assert "epsilon 3" in Path(outcome.report_html).read_text()
    assert len(synthetic_rows(outcome)) == 150


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "dp takes plan.kind per_class"),
        (
            {"plan": {"kind": "per_class", "per_class": {"yes": 9}}, "source": {"constraints": CONSTRAINTS}},
            "dp takes no constraints",
        ),
    ],
)
def test_what_would_look_at_raw_rows_is_refused_under_privacy(
    customers: Path, space: Workspace, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(customers, space, synthesizer=PRIVATE, **changes)


def test_augmentation_that_does_not_help_is_refused(tmp_path: Path, space: Workspace) -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=1_200), "z": rng.normal(size=1_200)})
    frame["y"] = np.where(frame["x"] > 0, "right", "left")
    frame.to_parquet(tmp_path / "easy.parquet")
    source = {"kind": "table", "path": str(tmp_path / "easy.parquet"), "label": "y"}
    config = parse_config({"source": source, "synthesizer": {"kind": "marginals"}, "plan": {"kind": "auto"}})
    outcome = run_augmentation(config, space)
    judgements = {item["metric"]: item for item in read_json(Path(outcome.report_json))["judgements"]}
    assert (outcome.verdict, outcome.dataset_dir) == ("FAIL", None)
    assert judgements["augmentation_share"]["verdict"] == "FAIL"
    assert "no share helps" in judgements["augmentation_share"]["remark"]

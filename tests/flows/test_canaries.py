"""Whole runs in profile release: records are planted, leak or do not, and are nowhere else."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.preview import look
from synthgen import config as knobs
from synthgen import stages
from synthgen.augmentation import Outcome, run_augmentation
from synthgen.canaries import Canaries
from synthgen.config_reading import parse_config
from synthgen.datasets import Splits, Table, class_counts, load_data
from synthgen.files import read_json
from synthgen.gates import judge, rules_of
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.privacy.canaries import canary_epsilon
from synthgen.workspace import Workspace

CONSTRAINTS = [{"kind": "formula", "column": "total", "formula": "months * price"}]
ROWS = 2_400


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    churn = rng.random(ROWS) < 0.4
    months, price = rng.integers(1, 40, ROWS), np.round(rng.gamma(3, 10, ROWS) + 20 * churn, 2)
    frame = pd.DataFrame(
        {
            "customer": [f"C-{i:05d}" for i in rng.permutation(ROWS)],
            "months": months,
            "price": price,
            "total": np.round(months * price, 2),
            "calls": rng.poisson(3 + 2 * churn),
            "city": rng.choice(list("abcdef"), ROWS),
            "churn": np.where(churn, "yes", "no"),
        }
    )
    path = tmp_path_factory.mktemp("data") / "customers.parquet"
    frame.to_parquet(path)
    return path


@pytest.fixture(autouse=True)
def _short_release(monkeypatch: pytest.MonkeyPatch) -> None:
    # Twenty seeds and 100,000 rows would prove nothing more here.
    size = knobs.EVALUATION_SIZES["release"].model_copy(
        update={"max_rows": 200, "utility_seeds": 2, "bootstrap_rounds": 20}
    )
    monkeypatch.setattr(knobs, "EVALUATION_SIZES", {**knobs.EVALUATION_SIZES, "release": size})


def run(path: Path, space: Workspace, **changes: Any) -> Outcome:
    source = {
        "kind": "table",
        "path": str(path),
        "label": "churn",
        "ids": ["customer"],
        "constraints": CONSTRAINTS,
    }
    raw = {"name": "customers", "source": source, "evaluation": {"profile": "release"}, **changes}
    return run_augmentation(parse_config({"plan": {"kind": "ratio", "ratio": 1}, **raw}), space, force=True)


def item(outcome: Outcome, kind: str) -> dict[str, Any]:
    report = read_json(Path(outcome.report_json))
    return next(entry for entry in report[kind] if entry["metric"] == "canary_epsilon")


def artifact(outcome: Outcome, space: Workspace, stage: str) -> Path:
    built = read_json(Path(outcome.run_dir) / "run.json")["stages"]
    return space.root / "artifacts" / stage / built[stage]["key"]


def test_a_model_that_copies_is_refused_and_its_copies_are_not_emitted(customers: Path, space: Workspace) -> None:
    outcome = run(customers, space, purpose="share", synthesizer={"kind": "copies"})
    finding, judgement = item(outcome, "findings"), item(outcome, "judgements")
    assert (judgement["verdict"], judgement["required"]) == ("FAIL", True)
    assert finding["low"] > 0.5
    curated = artifact(outcome, space, "curate")
    canaries, emitted = Canaries.load(curated / "canaries"), load_data(curated / "synthetic")
    assert canaries.copied[canaries.planted].mean() > 0.3
    assert not canaries.copied[~canaries.planted].any()
    assert read_json(curated / "curation.json")["canary_copies"] >= canaries.copied.sum()
    assert not np.isin(emitted.row_keys(), canaries.rows.row_keys()).any()
    assert len(emitted) == len(load_data(artifact(outcome, space, "split") / "train"))


def test_a_model_that_learns_is_not_accused_and_canaries_are_nowhere_else(customers: Path, space: Workspace) -> None:
    outcome = run(customers, space, synthesizer={"kind": "cart"})
    assert item(outcome, "findings")["low"] == 0
    assert item(outcome, "judgements")["verdict"] != "FAIL"
    canaries = Canaries.load(artifact(outcome, space, "plant"))
    record = read_json(Path(outcome.run_dir) / "run.json")
    train_rows = record["split_rows"]["train"]
    assert len(canaries) == train_rows // 20
    assert sum(record["split_rows"].values()) == record["real_rows"] == ROWS
    assert outcome.dataset_dir is not None
    for name in ("train", "valid", "holdout", "synthetic"):
        frame = pd.read_parquet(Path(outcome.dataset_dir) / f"{name}.parquet")
        rows = Table(frame[canaries.rows.schema.modelled], canaries.rows.schema)
        assert not np.isin(rows.row_keys(), canaries.rows.row_keys()).any(), name
    page = Path(outcome.report_html).read_text()
    assert f"made-up records (canaries) are planted among {train_rows:,} training rows" in page
    assert "A stronger attack may prove more." in page


def test_a_declared_epsilon_is_not_contradicted(customers: Path, space: Workspace) -> None:
    private = {"kind": "ctgan", "budget_steps": 30, "dp": {"epsilon": 3, "delta": 1e-6}}
    source = {"kind": "table", "path": str(customers), "label": "churn", "ids": ["customer"]}
    raw = {"source": source, "synthesizer": private, "evaluation": {"profile": "release"}}
    config = parse_config({**raw, "plan": {"kind": "per_class", "per_class": {"yes": 400, "no": 400}}})
    splits = stages.split_data(config, space, stages.ingest(config, space))
    planted = stages.plant(config, space, splits)
    model = stages.fit(config, space, splits, planted)
    candidates = stages.sample(config, space, splits, model)
    curated = stages.curate_candidates(config, space, splits, model, candidates, planted)
    parts, canaries = Splits.load(splits.directory), Canaries.load(curated.directory / "canaries")
    rows = load_data(curated.directory / "synthetic")
    evaluation = Evaluation(parts.train, parts.holdout, rows, config.evaluation_size, canaries=canaries)
    finding = canary_epsilon(evaluation)
    rules = [rule for rule in rules_of(config) if rule.metric == "canary_epsilon"]
    (judgement,) = judge(rules, [finding], [])
    assert class_counts(rows) == {"no": 400, "yes": 400}
    assert finding.low <= 3
    assert finding.detail["delta"] == 1e-6
    assert (judgement.rule, judgement.verdict) == ("≤ 3", "PASS")


@pytest.mark.parametrize("evaluation", [{"profile": "full"}, {"profile": "release", "canaries": 0}])
def test_nothing_is_planted_where_nothing_would_be_measured(
    customers: Path, space: Workspace, evaluation: dict[str, Any]
) -> None:
    config = parse_config(
        {"source": {"kind": "table", "path": str(customers), "label": "churn"}, "evaluation": evaluation}
    )
    assert config.canaries == 0


def test_check_says_what_planting_does_to_the_training_rows(customers: Path) -> None:
    source = {"kind": "table", "path": str(customers), "label": "churn", "ids": ["customer"]}
    notes = {}
    for profile in ("quick", "release"):
        config = parse_config({"source": source, "evaluation": {"profile": profile}})
        notes[profile] = [problem.message for problem in look(config).problems if problem.kind == "canaries"]
    assert notes["quick"] == []
    assert re.search(r"\d+ made-up records .* of what the model learns is not real", *notes["release"])

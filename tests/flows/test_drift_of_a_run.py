"""A run with other data than the last one of its name says in its report, in JSON and in MLflow what changed."""

from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.augmentation import run_augmentation
from synthgen.changes import earlier_model
from synthgen.config_reading import parse_config
from synthgen.files import read_json
from synthgen.runs import Run, find_run
from synthgen.stages import describe_model, fit, ingest, split_data
from synthgen.workspace import Workspace


def write_people(path: Path, n: int, seed: int, *, older: int = 0) -> None:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, n) + older
    ill = np.where(rng.random(n) < (age - older) / 100, "yes", "no")
    pd.DataFrame({"age": age, "town": rng.choice(["Oslo", "Rome"], n), "ill": ill}).to_csv(path, index=False)


def test_what_changed_since_the_last_run_is_in_report_and_mlflow(tmp_path: Path, space: Workspace) -> None:
    data = tmp_path / "people.csv"
    source = {"kind": "table", "path": str(data), "label": "ill"}
    config = parse_config({"name": "people", "source": source, "synthesizer": {"kind": "marginals"}})
    write_people(data, 250, 1)
    first = run_augmentation(config, space)
    assert read_json(Path(first.report_json))["drift"] is None
    write_people(data, 260, 2, older=25)
    second = run_augmentation(config, space)
    drift = read_json(Path(second.report_json))["drift"]
    assert (drift["since"], drift["rows_before"], drift["rows_now"]) == (first.run_id, 250, 260)
    assert [item["column"] for item in drift["movements"] if item["moved"]] == ["age"]
    page = Path(second.report_html).read_text()
    assert f"What changed since run {first.run_id}" in page
    assert "standard deviations higher" in page
    assert "What changed" not in Path(second.report_html).with_name("report-shareable.html").read_text()
    from mlflow import MlflowClient

    tracked = MlflowClient(f"sqlite:///{space.root}/mlflow.db").get_run(str(second.mlflow_run_id)).data
    assert (tracked.tags["drift.since"], tracked.tags["drift.moved"]) == (first.run_id, "age")
    assert tracked.metrics["drift.c2st_auc.low"] > 0.55
    assert tracked.metrics["drift.columns_moved"] == 1
    assert "drift" in find_run(space, second.run_id).record()["stages"]


def test_a_warm_start_begins_with_the_last_run_that_passed_and_says_so(tmp_path: Path) -> None:
    data, space = tmp_path / "people.csv", Workspace(tmp_path / "space")
    settings = {"kind": "ctgan", "budget_steps": 4, "warm_start": True}
    raw = {"source": {"kind": "table", "path": str(data), "label": "ill"}, "synthesizer": settings}
    config = parse_config({**raw, "name": "people"})
    write_people(data, 120, 1)
    keys = []
    for number, verdict in enumerate(("FAIL", "PASS", "PASS")):
        run = Run.create(space, config, str(number))
        splits = split_data(config, space, ingest(config, space))
        start = earlier_model(config, space, run)
        model = fit(config, space, splits, start=start)
        describe_model(run, model)
        run.adopt(model.directory / "model", "model")
        run.update(
            state="finished", verdict=verdict, stages={"fit": {"key": model.key}}, started=f"2024-01-0{number + 1}"
        )
        keys.append((model.key, run.id, run.record()))
    first, second, third = (record for _, _, record in keys)
    assert first["start"] == second["start"] == "cold: no earlier run of this name passed"
    assert (third["started_from"], third["start"]) == (keys[1][1], "warm")
    assert keys[0][0] == keys[1][0] != keys[2][0]

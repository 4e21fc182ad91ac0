"""Work in parts: the same rows and the same numbers, however the parts are spread."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.runners import Runner, spreading
from synthgen import shards
from synthgen.config_reading import parse_config
from synthgen.datasets import Splits, Table, load_data
from synthgen.errors import ModelError
from synthgen.metrics import METRICS, together
from synthgen.shards import Compared, Wanted, drawn, in_turn, measured_apart
from synthgen.stages import curate_candidates, fit, ingest, sample, split_data
from synthgen.stats import named_rng
from synthgen.synthesizers import create
from synthgen.workspace import Workspace


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("space"))


CONFIG = parse_config({"source": {"kind": "builtin", "name": "wine"}, "synthesizer": {"kind": "marginals"}})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GAN over mixed columns."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=300),
            "b": rng.integers(0, 9, 300),
            "c": rng.choice(["x", "y", None], 300),
            "label": rng.choice(["no", "yes"], 300, p=[0.7, 0.3]),
        }
    )
    folder = tmp_path_factory.mktemp("model")
    source = {"kind": "table", "path": str(folder / "t.parquet"), "label": "label"}
    frame.to_parquet(folder / "t.parquet")
    synthesizer = {"kind": "ctgan", "budget_steps": 5, "batch_size": 60, "width": 16}
    config = parse_config({"source": source, "synthesizer": synthesizer})
    workspace = Workspace(folder / "space")
    parts = Splits.load(split_data(config, workspace, ingest(config, workspace)).directory)
    create(config.synthesizer, parts.train).fit(parts.train, parts.valid, named_rng(0, "fit")).save(folder / "model")
    return folder / "model"


def rows(model: Path, wanted: Wanted, scratch: Path, spread: shards.Spread = in_turn) -> pd.DataFrame:
    data = drawn(model, wanted, named_rng(7, "draw"), scratch=scratch, spread=spread)
    assert isinstance(data, Table)
    return data.frame


LABELS = np.repeat(np.array(["yes", "no", "yes"]), [40, 25, 36])


@pytest.mark.parametrize("wanted", [Wanted(101, LABELS), Wanted(101), Wanted(101, LABELS, {"c": "x"})])
def test_blocks_drawn_anywhere_in_any_order_make_the_same_rows(
    model: Path, wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BLOCK_ROWS", 16)
    alone = rows(model, wanted, tmp_path / "alone")
    with spreading(Runner("threads", 3)) as spread:
        pd.testing.assert_frame_equal(rows(model, wanted, tmp_path / "threads", spread), alone)
    assert len(alone) == 101
    if wanted.labels is not None:
        assert alone["label"].tolist() == wanted.labels.tolist()
    # No block is another's twin.
    assert not alone["a"].iloc[:16].reset_index(drop=True).equals(alone["a"].iloc[16:32].reset_index(drop=True))


def test_a_small_draw_is_one_draw(model: Path, tmp_path: Path) -> None:
    from synthgen.synthesizers import load_synthesizer

    whole = load_synthesizer(model).sample(len(LABELS), LABELS, named_rng(7, "draw"))
    assert isinstance(whole, Table)
    pd.testing.assert_frame_equal(rows(model, Wanted(len(LABELS), LABELS), tmp_path), whole.frame)


def test_finished_blocks_are_not_drawn_again(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BLOCK_ROWS", 50)
    first = rows(model, Wanted(101), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    (tmp_path / f"{next(tmp_path.iterdir()).name}.partial").mkdir()
    pd.testing.assert_frame_equal(rows(model, Wanted(101), tmp_path), first)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}


def test_rows_that_must_differ_are_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BLOCK_ROWS", 10)
    frame = pd.DataFrame({"a": np.arange(200.0), "b": np.arange(200) % 5, "label": ["u", "v"] * 100})
    frame.to_parquet(tmp_path / "t.parquet")
    constraint = {"kind": "unique", "columns": ["a"]}
    source = {"kind": "table", "path": str(tmp_path / "t.parquet"), "label": "label", "constraints": [constraint]}
    config = parse_config({"source": source, "synthesizer": {"kind": "marginals"}})
    workspace = Workspace(tmp_path / "space")
    parts = Splits.load(split_data(config, workspace, ingest(config, workspace)).directory)
    create(config.synthesizer, parts.train).fit(parts.train, parts.valid, named_rng(0, "fit")).save(tmp_path / "model")
    assert not rows(tmp_path / "model", Wanted(60), tmp_path / "scratch")["a"].duplicated().any()
    assert not (tmp_path / "scratch").exists()


def test_an_error_in_a_block_is_the_error_of_the_draw(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BLOCK_ROWS", 16)
    with spreading(Runner("threads", 2)) as spread, pytest.raises(ModelError, match="maybe"):
        rows(model, Wanted(40, np.repeat(np.array(["maybe"]), 40)), tmp_path, spread)


@pytest.mark.parametrize("modality", ["table", "images"])
def test_every_metric_is_measured_in_exactly_one_part(modality: shards.Modality) -> None:
    names = list(METRICS[modality])
    parts = together(modality, names)
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert together(modality, ["kid", "validity"])[-1] == ("validity",)


def _compared(space: Workspace) -> Compared:
    splits = split_data(CONFIG, space, ingest(CONFIG, space))
    model = fit(CONFIG, space, splits)
    synthetic = curate_candidates(CONFIG, space, splits, model, sample(CONFIG, space, splits, model))
    assert len(load_data(synthetic.directory / "synthetic"))
    return Compared(splits.path, synthetic.path, "quick", 0)


def test_metrics_measured_apart_are_those_measured_together(space: Workspace) -> None:
    compared = _compared(space)
    with spreading(Runner("threads", 2)) as spread:
        assert measured_apart(compared, "table", spread=spread) == measured_apart(compared, "table")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_processes_and_dask_workers_make_the_same_rows_and_numbers(
    kind: str, model: Path, space: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BLOCK_ROWS", 16)
    wanted, compared = Wanted(101, LABELS), _compared(space)
    with spreading(Runner.of(kind, workers=2, address=None)) as spread:
        frame = rows(model, wanted, tmp_path / "spread", spread)
        found = measured_apart(compared, "table", spread=spread)
    pd.testing.assert_frame_equal(frame, rows(model, wanted, tmp_path / "alone"))
    assert found == measured_apart(compared, "table")

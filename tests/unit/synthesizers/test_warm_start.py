"""Training that begins with an earlier model: what is taken over, when it is not, and that nothing else changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from synthgen.config import CtganConfig, DpConfig
from synthgen.datasets import Schema, Table
from synthgen.files import read_json
from synthgen.synthesizers import create, load_synthesizer
from synthgen.synthesizers.ctgan.model import Ctgan
from synthgen.synthesizers.table_model import TableModel

KINDS = {"size": "numeric", "town": "categorical", "ill": "categorical"}


def patients(n: int, seed: int, towns: tuple[str, ...] = ("Oslo", "Rome")) -> Table:
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.4
    frame = pd.DataFrame(
        {
            "size": np.round(rng.normal(size=n) + ill, 2),
            "town": rng.choice(list(towns), n),
            "ill": np.where(ill, "yes", "no"),
        }
    )
    return Table(frame, Schema(KINDS, "ill"))  # type: ignore[arg-type]


def config(**changes: Any) -> CtganConfig:
    return CtganConfig(kind="ctgan", **{"budget_steps": 6, "batch_size": 40, "width": 16, "latent": 4, **changes})


def fitted(rows: Table, folder: Path, *, start: Path | None = None, **changes: Any) -> str:
    """How training began; the model is in `folder`."""
    model = create(config(**changes), rows, start=start)
    model.fit(rows, patients(60, 9), np.random.default_rng(0)).save(folder)
    return str(read_json(folder / "synthesizer.json").get("start", ""))


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("earlier")
    assert fitted(patients(300, 1), folder) == ""
    return folder


def test_the_same_start_gives_the_same_model_and_another_than_a_cold_one(earlier: Path, tmp_path: Path) -> None:
    rows = patients(360, 2)
    for name in ("one", "two"):
        assert fitted(rows, tmp_path / name, start=earlier) == "warm"
    fitted(rows, tmp_path / "cold")
    files = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two", "cold")}
    assert files["one"] == files["two"] != files["cold"]
    drawn = load_synthesizer(tmp_path / "one").sample(20, None, np.random.default_rng(0))
    assert len(drawn) == 20


def test_a_new_category_is_learnt_and_the_others_keep_their_weights(earlier: Path, tmp_path: Path) -> None:
    rows = patients(360, 2, ("Bern", "Oslo", "Rome"))
    model = create(config(), rows, start=earlier)
    assert isinstance(model, TableModel)
    assert isinstance(model.codes, Ctgan)
    model.fit(rows, patients(60, 9), np.random.default_rng(0)).save(tmp_path / "model")
    assert read_json(tmp_path / "model" / "synthesizer.json")["start"] == "warm"
    start = model.codes._start
    assert start is not None
    assert [codes.tolist() for codes in start.codes][1] == [-1, 0, 1]
    network = model.codes._network
    assert network is not None
    start.give(network)
    assert network.head is not None
    assert start.earlier.head is not None
    begin, before = network.groups.starts[1], start.earlier.groups.starts[1]
    torch.testing.assert_close(
        network.head.embedding[begin + 1 : begin + 3], start.earlier.head.embedding[before : before + 2]
    )
    torch.testing.assert_close(network.head.outer[1, :, 1:3], start.earlier.head.outer[1, :, :2])
    torch.testing.assert_close(network.head.inner, start.earlier.head.inner)
    drawn = model.sample(400, None, np.random.default_rng(1))
    assert set(drawn.frame["town"]) == {"Bern", "Oslo", "Rome"}


def test_values_beyond_the_earlier_range_get_bins_of_their_own(earlier: Path, tmp_path: Path) -> None:
    rows = patients(360, 2)
    far = Table(rows.frame.assign(size=rows.frame["size"] + 30), rows.schema)
    assert fitted(far, tmp_path, start=earlier) == "warm"
    drawn = load_synthesizer(tmp_path).sample(100, None, np.random.default_rng(0))
    assert isinstance(drawn, Table)
    assert drawn.frame["size"].min() > 20


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 24}, "its settings are others: width"),
        ({"column": 1}, "other columns"),
        ({"label": 1}, "other classes"),
    ],
)
def test_what_does_not_fit_begins_cold_and_says_why(
    earlier: Path, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    rows = patients(360, 2)
    if "column" in change:
        rows = Table(rows.frame.assign(more=1.5), Schema({**KINDS, "more": "numeric"}, "ill"))  # type: ignore[arg-type]
    if "label" in change:
        rows = Table(rows.frame.assign(ill=rows.frame["ill"].replace("yes", "very")), rows.schema)
    settings = {"width": 24} if "width" in change else {}
    model = create(config(**settings), rows, start=earlier)
    model.fit(rows, rows, np.random.default_rng(0)).save(tmp_path)
    assert reason in read_json(tmp_path / "synthesizer.json")["start"]
    fresh = create(config(**settings), rows).fit(rows, rows, np.random.default_rng(0))
    fresh.save(tmp_path / "fresh")
    assert (tmp_path / "fresh" / "model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_a_checkpoint_of_a_cold_training_is_not_gone_on_with_warm(earlier: Path, tmp_path: Path) -> None:
    rows, saved = patients(360, 2), []
    for start in (None, earlier):
        model = create(config(), rows, start=start)
        model.fit(rows, patients(60, 9), np.random.default_rng(0), checkpoint=tmp_path / "training")
        model.save(tmp_path / str(start is None))
        saved.append((tmp_path / str(start is None) / "model.safetensors").read_bytes())
    fitted(rows, tmp_path / "plain", start=earlier)
    assert saved[1] == (tmp_path / "plain" / "model.safetensors").read_bytes() != saved[0]


def test_differential_privacy_takes_no_earlier_model() -> None:
    with pytest.raises(ValueError, match="dp allows no warm_start"):
        CtganConfig(kind="ctgan", dp=DpConfig(epsilon=1), warm_start=True)

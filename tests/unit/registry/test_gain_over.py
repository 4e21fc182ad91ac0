"""Two models compared by what a classifier learns from their rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthgen.config import BuiltinSource, CopiesConfig, SplitConfig
from synthgen.config_reading import parse_config
from synthgen.datasets import Data, ImageSet, Splits, Table
from synthgen.errors import ModelError
from synthgen.metrics import augmented_images
from synthgen.metrics.image_classifier import Recipe
from synthgen.registry.comparison import gain_over
from synthgen.sources import read
from synthgen.splitting import split
from synthgen.stats import named_rng
from synthgen.synthesizers import create

CONFIG = parse_config({"source": {"kind": "builtin", "name": "wine"}})


@pytest.fixture(scope="module")
def wine() -> Splits:
    return split(read(BuiltinSource(kind="builtin", name="wine"), seed=0), SplitConfig(), named_rng(0, "split"))


@pytest.fixture(scope="module")
def digits() -> Splits:
    data = read(BuiltinSource(kind="builtin", name="digits"), seed=0).data.take(np.arange(450))
    return Splits(*(data.take(np.arange(450) % 3 == part) for part in range(3)))


def copies_of(rows: Data, folder: Path) -> Path:
    """The folder of a model that draws these rows again."""
    create(CopiesConfig(kind="copies"), rows).fit(rows, rows, named_rng(0, "fit")).save(folder)
    return folder


def mixed_up(rows: Data) -> Data:
    """The same rows, each with the next class."""
    if isinstance(rows, ImageSet):
        return replace(rows, codes=(rows.codes + 1) % len(rows.classes))
    turned = {"class_0": "class_1", "class_1": "class_2", "class_2": "class_0"}
    return replace(rows, frame=rows.frame.assign(cultivar=rows.frame["cultivar"].map(turned)))


@pytest.mark.parametrize(
    ("data", "purpose"), [("wine", "augment"), ("wine", "share"), ("digits", "augment"), ("digits", "share")]
)
def test_a_model_that_mixes_up_classes_is_worse_than_one_of_copies(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: str, purpose: str
) -> None:
    monkeypatch.setattr(augmented_images, "RECIPE", Recipe(steps=15))
    splits: Splits = request.getfixturevalue(data)
    copies, mixed = copies_of(splits.train, tmp_path / "copies"), copies_of(mixed_up(splits.train), tmp_path / "mixed")
    config = CONFIG.model_copy(update={"purpose": purpose})
    labels = np.repeat(splits.train.labels, 2)
    found = gain_over(config, splits, labels, candidate=mixed, champion=copies)
    assert found["low"] <= found["value"] <= found["high"] < 0


@pytest.mark.parametrize("data", ["wine", "digits"])
def test_a_model_is_as_good_as_itself(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: str
) -> None:
    monkeypatch.setattr(augmented_images, "RECIPE", Recipe(steps=2))
    splits: Splits = request.getfixturevalue(data)
    copies = copies_of(splits.train, tmp_path)
    assert gain_over(CONFIG, splits, splits.train.labels, candidate=copies, champion=copies)["value"] == 0


@pytest.mark.parametrize("data", ["wine", "digits"])
def test_a_model_of_other_columns_or_sizes_cannot_be_compared(
    request: pytest.FixtureRequest, tmp_path: Path, data: str
) -> None:
    splits: Splits = request.getfixturevalue(data)
    model = copies_of(splits.train, tmp_path)
    with pytest.raises(ModelError, match="other columns or images of another size"):
        gain_over(
            CONFIG,
            replace(splits, train=_other(splits.train)),
            splits.train.labels[:5],
            candidate=model,
            champion=model,
        )


def _other(rows: Data) -> Data:
    if isinstance(rows, Table):
        kinds = {**rows.schema.kinds, rows.schema.features[0]: "id"}
        return replace(rows, schema=replace(rows.schema, kinds=kinds))
    return replace(rows, images=rows.images[..., 1:])

"""Real datasets that come with the dependencies."""

import numpy as np
import pytest

from synthgen.config import BuiltinSource
from synthgen.datasets import Data, ImageSet, Ingested, Table, class_counts
from synthgen.errors import ConfigError
from synthgen.sources import read


def ingest(name: str, *, seed: int = 0, thin: dict[str, int] | None = None) -> Ingested:
    source = BuiltinSource.model_validate({"kind": "builtin", "name": name, "thin": thin or {}})
    return read(source, seed=seed)


def part(ingested: Ingested, name: str) -> Data:
    assert ingested.parts is not None
    return ingested.data.take(np.flatnonzero(ingested.parts == name))


@pytest.mark.parametrize(
    ("name", "label", "features", "counts"),
    [
        ("breast-cancer", "diagnosis", 30, {"malignant": 212, "benign": 357}),
        ("wine", "cultivar", 13, {"class_0": 59, "class_1": 71, "class_2": 48}),
    ],
)
def test_tables_have_the_published_classes(name: str, label: str, features: int, counts: dict[str, int]) -> None:
    data = ingest(name).data
    assert isinstance(data, Table)
    assert (data.schema.label, len(data.schema.features), class_counts(data)) == (label, features, counts)


def test_digits_use_the_whole_range_of_a_byte() -> None:
    data = ingest("digits").data
    assert isinstance(data, ImageSet)
    assert (data.images.shape, data.images.dtype, data.classes) == ((1797, 1, 8, 8), np.uint8, tuple("0123456789"))
    assert (data.images.min(), data.images.max()) == (0, 255)
    # 8 of 16 grey steps.
    assert 128 in data.images


def test_mnist_has_five_hundred_of_each_digit() -> None:
    data = ingest("mnist-5k").data
    assert isinstance(data, ImageSet)
    assert data.images.shape == (5000, 1, 28, 28)
    assert set(class_counts(data).values()) == {500}
    # Ink is bright on dark ground, and a one has less of it than a zero.
    assert data.images[data.labels == "1"].mean() < data.images[data.labels == "0"].mean() < 60


def test_thinning_leaves_the_holdout_as_it_is() -> None:
    whole, thin = ingest("digits", thin={"9": 1000}), ingest("digits", thin={"9": 12, "8": 30})
    assert class_counts(part(thin, "holdout")) == class_counts(part(whole, "holdout"))
    assert [class_counts(part(thin, "train"))[name] for name in "89"] == [30, 12]
    assert class_counts(part(thin, "train"))["7"] == class_counts(part(whole, "train"))["7"]


def test_valid_is_thinned_in_the_proportion_of_train() -> None:
    whole, thin = ingest("digits", thin={"9": 1000}), ingest("digits", thin={"9": 27})
    before, after = class_counts(part(whole, "train"))["9"], class_counts(part(thin, "train"))["9"]
    valid = class_counts(part(whole, "valid"))["9"]
    assert class_counts(part(thin, "valid"))["9"] == pytest.approx(valid * after / before, abs=0.5)


def test_thinning_depends_on_the_seed_alone() -> None:
    thin = {"3": 20}
    assert ingest("digits", thin=thin).data.fingerprint() == ingest("digits", thin=thin).data.fingerprint()
    assert ingest("digits", thin=thin).data.fingerprint() != ingest("digits", seed=1, thin=thin).data.fingerprint()


def test_a_class_that_is_not_there_cannot_be_thinned() -> None:
    with pytest.raises(ConfigError, match=r"class 'malignantt' is not known .* did you mean 'malignant'"):
        ingest("breast-cancer", thin={"malignantt": 20})


def test_a_builtin_has_no_split_column() -> None:
    with pytest.raises(ConfigError, match="a builtin dataset has no such column"):
        read(BuiltinSource(kind="builtin", name="wine"), seed=0, split_column="split")

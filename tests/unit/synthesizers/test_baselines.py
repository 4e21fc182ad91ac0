import numpy as np
import pandas as pd
import pytest

from synthgen.config import CopiesConfig, MarginalsConfig
from synthgen.datasets import ImageSet, Schema, Table
from synthgen.errors import ModelError
from synthgen.synthesizers.copies import Copies
from synthgen.synthesizers.marginals import Marginals

RNG = np.random.default_rng(0)


def linked(n: int = 2_000) -> Table:
    y = np.where(RNG.random(n) < 0.25, "rare", "common")
    c = np.where(RNG.random(n) < np.where(y == "rare", 0.9, 0.2), "b", "a")
    x = RNG.normal(np.where(c == "b", 4.0, -4.0), 1.0)
    frame = pd.DataFrame({"x": x, "c": c, "y": y, "key": np.arange(n)})
    return Table(frame, Schema({"x": "numeric", "c": "categorical", "y": "categorical", "key": "id"}, label="y"))


def images(counts: tuple[int, ...]) -> ImageSet:
    """Class k is bright by 60 k; left and right half go together."""
    codes = np.repeat(np.arange(len(counts)), counts)
    level = (codes * 60 + RNG.integers(0, 50, len(codes)))[:, None, None, None]
    pixels = np.broadcast_to(level, (len(codes), 1, 4, 4)).astype(np.uint8)
    return ImageSet(pixels, codes, tuple("abc"[: len(counts)]))


def marginals(data: Table | ImageSet) -> Marginals:
    return Marginals(MarginalsConfig(kind="marginals")).fit(data, data, RNG)


def test_marginals_keep_each_column_in_its_class_and_nothing_between_columns() -> None:
    data = linked()
    frame = marginals(data).sample(8_000, None, np.random.default_rng(1)).frame
    for name in ("rare", "common"):
        real, drawn = (part[part["y"] == name] for part in (data.frame, frame))
        assert (drawn["c"] == "b").mean() == pytest.approx((real["c"] == "b").mean(), abs=0.04)
        assert drawn["x"].mean() == pytest.approx(real["x"].mean(), abs=0.35)
        assert ((real["x"] > 0) == (real["c"] == "b")).mean() > 0.99
        assert abs(np.corrcoef(drawn["x"], drawn["c"] == "b")[0, 1]) < 0.08


def test_pixel_marginals_keep_each_pixel_in_its_class_and_nothing_between_pixels() -> None:
    drawn = marginals(images((300, 300))).sample(400, np.repeat(["a", "b"], 200), np.random.default_rng(1))
    first, second = drawn.images[:200], drawn.images[200:]
    assert first.max() < 60 <= second.min()
    assert first.mean() == pytest.approx(24.5, abs=1.5)
    assert abs(np.corrcoef(first[:, 0, 0, 0], first[:, 0, 3, 3])[0, 1]) < 0.2


def test_a_class_of_few_rows_is_drawn_from_all_classes_together() -> None:
    # With its own marginals a class of one image would be that image.
    drawn = marginals(images((300, 1))).sample(50, np.repeat("b", 50), np.random.default_rng(1))
    assert drawn.images.min() < 50
    assert len({image.tobytes() for image in drawn.images}) == 50


def test_a_class_without_images_is_refused() -> None:
    data = images((30, 30, 0))
    for synthesizer in (marginals(data), Copies(CopiesConfig(kind="copies")).fit(data, data, RNG)):
        with pytest.raises(ModelError, match="class 'c'"):
            synthesizer.sample(1, np.asarray(["c"]), RNG)


def test_copies_are_training_rows_without_their_ids() -> None:
    data = linked(200)
    drawn = Copies(CopiesConfig(kind="copies")).fit(data, data, RNG).sample(500, None, np.random.default_rng(1))
    assert set(drawn.row_keys().tolist()) <= set(data.row_keys().tolist())
    assert drawn.frame.columns.tolist() == ["x", "c", "y"]

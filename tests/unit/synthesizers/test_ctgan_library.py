import logging
import time

import numpy as np
import pandas as pd
import pytest

from synthgen.config import CtganLibraryConfig
from synthgen.datasets import Schema, Table
from synthgen.errors import TrainingError
from synthgen.synthesizers.library.model import CtganLibrary
from synthgen.synthesizers.library.plain_frame import PlainFrame


def table(n: int = 400, rare: int = 80) -> Table:
    rng = np.random.default_rng(0)
    label = np.asarray(["rare"] * rare + ["common"] * (n - rare))
    amount = pd.Series(np.round(rng.normal(50, 9, n), 1)).mask(rng.random(n) < 0.2)
    frame = pd.DataFrame({"amount": amount, "paid": pd.array(rng.random(n) < 0.5, dtype="boolean"), "y": label})
    frame.loc[:30, "paid"] = pd.NA
    frame["day"] = pd.Timestamp("2021-03-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    return Table(frame, Schema({"amount": "numeric", "paid": "boolean", "y": "categorical", "day": "datetime"}, "y"))


def fit(data: Table, **changes: float) -> CtganLibrary:
    config = CtganLibraryConfig.model_validate({"kind": "ctgan-library", **changes})
    return CtganLibrary(config).fit(data, data, np.random.default_rng(1))


def test_a_table_becomes_plain_and_back_without_loss() -> None:
    data = table()
    plain = PlainFrame.fit(data)
    frame = plain.plain(data)
    assert not frame.isna().any().any()
    assert set(map(str, frame.dtypes)) == {"float64", "object"}
    # The package can condition on its first text column only.
    assert frame.columns[0] == "y"
    back = PlainFrame.restore(plain.state()).table(frame)
    pd.testing.assert_frame_equal(back.frame, data.frame)


def test_training_ends_after_the_epoch_that_uses_up_the_minutes() -> None:
    started = time.monotonic()
    history = fit(table(), epochs=10_000, budget_minutes=0.02).history
    assert time.monotonic() - started < 30
    assert len(history) < 10_000
    assert [tick["seconds"] >= 1.2 for tick in history] == [False] * (len(history) - 1) + [True]


@pytest.mark.parametrize(("changes", "epochs"), [({"epochs": 3}, 3), ({"epochs": 9, "budget_steps": 4}, 4)])
def test_training_ends_after_the_epochs_or_the_steps(changes: dict[str, float], epochs: int) -> None:
    assert len(fit(table(), **changes).history) == epochs


def test_a_quota_that_the_package_does_not_reach_names_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit(table(rare=1), epochs=1)
    monkeypatch.setattr("synthgen.synthesizers.library.model._MAX_ROUNDS", 1)
    with pytest.raises(TrainingError, match=r"of 100000 rows of class 'rare' in 1 rounds"):
        model.sample(100_000, np.repeat("rare", 100_000), np.random.default_rng(0))


def test_progress_is_reported_once_per_epoch(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "synthgen.progress"):
        fit(table(), epochs=2)
    ticks = [record.tick for record in caplog.records if hasattr(record, "tick")]
    assert [(tick.stage, tick.unit, tick.done, tick.share) for tick in ticks] == [
        ("fit", "step", 1, 0.5), ("fit", "step", 2, 1.0),
    ]  # fmt: skip

"""Fingerprints: equal for equal tables, another for any change."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import Schema, Table

KINDS = {"real": "numeric", "whole": "integer", "town": "categorical", "ok": "boolean", "day": "datetime"}


def frame() -> pd.DataFrame:
    return pd.DataFrame({
        "real": [0.5, np.nan, -1.0, 2.0],
        "whole": pd.array([1, None, 3, 4], dtype="Int64"),
        "town": ["Ulm", None, "Köln", ""],
        "ok": pd.array([True, None, False, False], dtype="boolean"),
        "day": pd.date_range("2024-01-01", periods=4, tz="Europe/Berlin"),
    })  # fmt: skip


def fingerprint(data: pd.DataFrame, label: str = "town") -> str:
    return Table(data, Schema(KINDS, label)).fingerprint()


def changed(column: str, row: int, value: object) -> pd.DataFrame:
    data = frame()
    data.loc[row, column] = value
    return data


def test_equal_tables_have_one_fingerprint() -> None:
    assert fingerprint(frame()) == fingerprint(frame().copy())


@pytest.mark.parametrize(
    "change",
    [
        lambda: changed("real", 3, 2.0000000000000004),
        lambda: changed("real", 1, 0.0),
        lambda: changed("real", 0, np.nan),
        lambda: changed("whole", 1, 1),
        lambda: changed("whole", 0, 2),
        lambda: changed("town", 1, ""),
        lambda: changed("town", 1, "None"),
        lambda: changed("town", 1, "nan"),
        lambda: changed("town", 0, "ulm"),
        lambda: changed("ok", 1, False),
        lambda: changed("ok", 0, False),
        lambda: changed("day", 0, pd.Timestamp("2024-01-01 00:00:01", tz="Europe/Berlin")),
        lambda: changed("day", 0, pd.NaT),
        lambda: frame().iloc[[1, 0, 2, 3]].reset_index(drop=True),
        lambda: frame().head(3),
        lambda: frame().astype({"whole": "Float64"}),
        lambda: frame().assign(day=frame()["day"].dt.tz_convert("UTC")),
        lambda: frame()[["whole", "real", "town", "ok", "day"]],
        lambda: frame().rename(columns={"real": "unreal"}),
    ],
)
def test_any_change_gives_another_fingerprint(change: Callable[[], pd.DataFrame]) -> None:
    assert fingerprint(change()) != fingerprint(frame())


def test_the_schema_belongs_to_the_fingerprint() -> None:
    assert fingerprint(frame(), "ok") != fingerprint(frame())

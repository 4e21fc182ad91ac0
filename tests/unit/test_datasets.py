"""Fingerprints: equal for equal tables, another for any change."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgen.attributes import Attributes
from synthgen.datasets import ImageSet, Schema, Table

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


def data_sha256(data: pd.DataFrame, **roles: object) -> str:
    kinds = {name: KINDS.get(name, "numeric") for name in data.columns}
    return Table(data, Schema(kinds, **{"label": "town", **roles})).data_sha256()


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
    assert data_sha256(change()) != data_sha256(frame())


def test_the_schema_belongs_to_the_fingerprint() -> None:
    assert fingerprint(frame(), "ok") != fingerprint(frame())


def test_roles_of_columns_move_no_identity_of_the_data_and_kinds_do() -> None:
    roles = {"label": "ok", "group": "town", "protected": ("real",), "secrets": ("whole",)}
    assert data_sha256(frame(), **roles) == data_sha256(frame(), label=None) == data_sha256(frame())
    other = Table(frame(), Schema({**KINDS, "whole": "categorical"}, "town"))
    assert other.data_sha256() != data_sha256(frame())


def test_protected_attributes_of_images_move_no_identity_of_the_data_and_their_levels_do() -> None:
    def images(*, protected: tuple[str, ...] = (), site: str = "x") -> ImageSet:
        attributes = replace(Attributes.of({"site": [site, "y"]}, {"site": ["x", "y", "z"]}), protected=protected)
        return ImageSet(np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 1]), ("a", "b"), attributes=attributes)

    assert images(protected=("site",)).data_sha256() == images().data_sha256()
    assert images(protected=("site",)).fingerprint() != images().fingerprint()
    assert images(site="z").data_sha256() != images().data_sha256()

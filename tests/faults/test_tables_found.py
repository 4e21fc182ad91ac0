"""Cases 71-76 and 79: random tables found 71, 72 and 79, tables with every extreme 73-75, changed bytes 76."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import Schema, Splits, Table
from synthgen.errors import IntegrityError
from synthgen.exporters import emit_dataset, load_dataset
from synthgen.files import read_json, write_json
from synthgen.metrics.classifiers import Examples, Trees, class_probabilities
from synthgen.metrics.formulas import dependent_pairs
from synthgen.metrics.table_features import Encoded
from synthgen.synthesizers.encoding.grid import Grid

Refused = Callable[..., list[dict[str, Any]]]


def test_71_a_column_with_the_name_of_our_mark_is_refused_before_training(
    refused: Refused, config: Callable[..., Path], tmp_path: Path
) -> None:
    data = pd.DataFrame({"size": np.arange(60) / 7, "synthetic": ["x", "y", "z"] * 20, "class": ["a", "b"] * 30})
    data.to_csv(tmp_path / "table.csv", index=False)
    problems = refused("check", config(tmp_path / "table.csv"))
    assert "already has a column 'synthetic'" in problems[0]["problem"]


def test_72_numbers_beyond_32_bits_are_told_apart_by_a_classifier() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 200)
    rows = np.column_stack([np.where(target == 1, 1e149, -1e149) * rng.uniform(1, 2, 200), rng.normal(size=200)])
    rows[::9, 0] = np.nan
    found = class_probabilities(Examples(rows, target, ["q", "q"]), rows, classes=2, trees=Trees(20, 2, 0.3), seed=0)
    assert ((found[:, 1] > 0.5) == target)[~np.isnan(rows[:, 0])].all()


def test_73_dates_more_than_146_years_apart_keep_their_days() -> None:
    days = pd.Series(pd.to_datetime(["1700-01-01", "1969-07-20", "2024-02-29", "2261-12-31"]))
    grid = Grid.fit("day", days)
    pd.testing.assert_series_equal(grid.values(grid.ticks(days), days.dtype), days)
    assert grid.ticks(days)[0] == 0


def test_74_whole_numbers_over_the_whole_of_uint64_keep_a_raster() -> None:
    numbers = pd.Series([0, 2**40, 2**64 - 2**40], dtype="uint64")
    grid = Grid.fit("number", numbers)
    pd.testing.assert_series_equal(grid.values(grid.ticks(numbers), numbers.dtype), numbers)


def test_75_a_numeric_column_without_any_value_is_in_no_pair() -> None:
    x = np.arange(30.0)
    numeric = np.column_stack([x, np.full(30, np.nan), x**2])
    assert dependent_pairs(Encoded(numeric, np.empty((30, 0), dtype=np.int64), ("a", "b", "c"), (), ())) == [(0, 2)]


def test_76_a_manifest_whose_dtypes_are_no_dtypes_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(8.0), "class": ["a", "b"] * 4})
    rows = Table(frame, Schema({"x": "numeric", "class": "categorical"}, "class"))
    facts = {"run_id": "r", "name": "demo", "verdict": "PASS", "passed": True, "data_sha256": "0", "created": "now"}
    emit_dataset(tmp_path / "data", Splits(rows, rows, rows), rows, purpose="augment", formats=["csv"], facts=facts)
    manifest = read_json(tmp_path / "data" / "manifest.json")
    manifest["dtypes"]["valid"]["x"] = {}
    write_json(tmp_path / "data" / "manifest.json", manifest)
    with pytest.raises(IntegrityError, match="does not describe the files beside it"):
        load_dataset(tmp_path / "data", split="valid")


def test_79_columns_that_span_too_much_are_all_named_before_training(
    refused: Refused, config: Callable[..., Path], tmp_path: Path
) -> None:
    days = pd.Series(
        pd.to_datetime(["1700-01-01", "1969-12-31T23:59:59.999999999", "2200-01-01"] * 20, format="ISO8601")
    )
    data = pd.DataFrame(
        {"size": np.arange(60) / 7, "far": days, "farther": days[::-1].to_numpy(), "class": ["a", "b"] * 30}
    )
    data.to_parquet(tmp_path / "table.parquet")
    problems = refused("check", config(tmp_path / "table.parquet"))
    assert [item["where"] for item in problems] == ["far", "farther"]
    assert all("spans more than 2^62" in item["problem"] for item in problems)

"""Cases 7-21, 27 and 42 of tables: what stands in the cells, and what comes back from a model."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen import stages
from synthgen.config_reading import parse_config
from synthgen.datasets import Splits, Table, load_data
from synthgen.exporters.parts import Part
from synthgen.exporters.tables import read_csv, write_csv, write_parquet
from synthgen.workspace import Workspace

N = 300
SECRET = "Zanzibar-4711"
FORMULAS = ["=cmd|' /C calc'!A0", "@sum", "+1+1", "-x", "\tx", "'quoted"]
NA_TEXTS = ["NA", "null", "None", "nan", ""]
CONSTANTS = {"constant": 7, "constant text": "Ulm"}
MISSING = {"gaps": 0.3, "town": 0.25, "whole": 0.2, "truth": 0.2, "string": 0.2, "nothing": 1.0, "no text": 1.0}
Refused = Callable[..., list[dict[str, Any]]]


def frame(rows: int = N) -> pd.DataFrame:
    """A table with everything that is unusual and allowed."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({
        **CONSTANTS,
        "nothing": np.full(rows, np.nan),
        "no text": pd.Series([None] * rows, dtype=object),
        "gaps": rng.normal(size=rows).round(3),
        "town": rng.choice(["Ulm", "Bonn"], rows),
        "beyond": 2**53 + 1 + 2 * rng.integers(0, 50, rows),
        "far beyond": rng.integers(2**62, 2**63 - 1, rows),
        "unsigned": rng.integers(2**63 + 2**62 + 1, 2**64 - 1, rows, dtype=np.uint64),
        "code": rng.choice(["001", "002", "010"], rows),
        "na": rng.choice(NA_TEXTS, rows),
        "day": pd.date_range("2024-01-01", periods=rows),
        "centuries": pd.to_datetime(rng.integers(-99_000, 88_000, rows), unit="D"),
        "zoned": pd.date_range("2024-01-01", periods=rows, tz="Europe/Berlin", freq="h"),
        "flag": rng.choice([True, False], rows),
        "whole": pd.array(rng.integers(0, 9, rows), dtype="Int64"),
        "truth": pd.array(rng.choice([True, False], rows), dtype="boolean"),
        "string": pd.array(rng.choice(["a", "b"], rows), dtype="string"),
        "formula": rng.choice(FORMULAS, rows),
        "=name": rng.normal(size=rows),
        "two\nlines": rng.normal(size=rows),
        "class": rng.choice(["yes", "no"], rows),
    })  # fmt: skip
    for name, share in MISSING.items():
        data.loc[rng.random(rows) < share, name] = None
    return data


def made(path: Path, kind: str, folder: Path, **source: object) -> tuple[Table, Table]:
    """Training rows and the synthetic rows of a model, through the stages of a run."""
    whole = {"kind": "table", "path": str(path), "label": "class", **source}
    config = parse_config(
        {"name": "x", "source": whole, "synthesizer": {"kind": kind}, "plan": {"kind": "ratio", "ratio": 1}}
    )
    space = Workspace(folder)
    splits = stages.split_data(config, space, stages.ingest(config, space))
    model = stages.fit(config, space, splits)
    candidates = stages.sample(config, space, splits, model)
    curated = stages.curate_candidates(config, space, splits, model, candidates)
    train, rows = Splits.load(splits.directory).train, load_data(curated.directory / "synthetic")
    assert isinstance(train, Table)
    assert isinstance(rows, Table)
    return train, rows


@pytest.fixture(scope="module", params=["marginals", "cart"])
def rows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, Table]:
    folder = tmp_path_factory.mktemp("values")
    frame().to_parquet(folder / "table.parquet")
    return made(folder / "table.parquet", request.param, folder / "space")


@pytest.mark.parametrize("name", CONSTANTS, ids=lambda name: f"07-{name}")
def test_07_a_constant_column_comes_back_exactly(name: str, rows: tuple[Table, Table]) -> None:
    assert set(rows[1].frame[name]) == {CONSTANTS[name]}


@pytest.mark.parametrize("name", MISSING, ids=lambda name: f"{'08' if MISSING[name] == 1 else '09-10'}-{name}")
def test_08_10_missing_values_come_back_in_their_share(name: str, rows: tuple[Table, Table]) -> None:
    real, synthetic = (float(table.frame[name].isna().mean()) for table in rows)
    assert synthetic == pytest.approx(real, abs=0.12 if MISSING[name] < 1 else 0)


@pytest.mark.parametrize("name", ["beyond", "far beyond", "unsigned"], ids=lambda name: f"14-{name}")
def test_14_whole_numbers_beyond_float64_stay_exact(name: str, rows: tuple[Table, Table]) -> None:
    real, synthetic = (table.frame[name] for table in rows)
    assert synthetic.dtype == real.dtype == frame()[name].dtype
    if name == "beyond":
        # All are odd, which float64 cannot even say there.
        assert set(synthetic % 2) == {1}
    assert real.min() <= synthetic.min() <= synthetic.max() <= real.max()


@pytest.mark.parametrize(
    "name", ["code", "na", "day", "centuries", "zoned", "flag", "whole", "truth", "string", "formula", "two\nlines"],
    ids=["17-code", "18-na", "19-day", "19-centuries", "19-zoned", "20-flag", "21-whole", "21-truth", "21-string",
         "42-formula", "34-line-break"],
)  # fmt: skip
def test_17_21_a_column_keeps_its_dtype_and_its_values(name: str, rows: tuple[Table, Table]) -> None:
    given = frame()[name]
    real, synthetic = (table.frame[name] for table in rows)
    assert synthetic.dtype == real.dtype == given.dtype
    if name in ("code", "na", "flag", "whole", "truth", "string", "formula"):
        assert set(synthetic.dropna()) <= set(given.dropna())
    if name in ("day", "centuries"):
        assert (synthetic.dropna() == synthetic.dropna().dt.normalize()).all()


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_42_formula_cells_are_escaped_in_csv_and_untouched_in_parquet(
    kind: str, rows: tuple[Table, Table], tmp_path: Path
) -> None:
    part = Part("synthetic", rows[1], np.ones(len(rows[1]), dtype=bool), "run")
    if kind == "parquet":
        write_parquet([part], tmp_path)
        assert set(pd.read_parquet(tmp_path / "synthetic.parquet")["formula"]) == set(rows[1].frame["formula"])
        return
    write_csv([part], tmp_path)
    with (tmp_path / "synthetic.csv").open(newline="", encoding="utf-8") as file:
        records = list(csv.reader(file))
    position = records[0].index("formula")
    assert "'=name" in records[0]
    assert {record[position] for record in records[1:]} == {f"'{text}" for text in rows[1].frame["formula"]}
    assert not [cell for record in records for cell in record if cell[:1] in tuple("=@+\t\r")]
    dtypes = {str(name): str(column.dtype) for name, column in rows[1].frame.items()}
    pd.testing.assert_frame_equal(read_csv(tmp_path / "synthetic.csv", dtypes), rows[1].frame, check_freq=False)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_07_20_a_text_file_comes_back_as_its_natural_types(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table.{suffix}"
    frame(120).drop(columns=["na", "unsigned", "far beyond", "formula"]).to_csv(path, index=False)
    train, synthetic = made(path, "marginals", tmp_path / "space")
    dtypes = {name: str(synthetic.frame[name].dtype) for name in ("constant", "code", "beyond", "flag", "truth", "day")}
    assert dtypes == {
        "constant": "int64", "code": "object", "beyond": "int64", "flag": "bool", "truth": "boolean",
        "day": "datetime64[ns]",
    }  # fmt: skip
    assert str(synthetic.frame["zoned"].dtype) == "datetime64[ns, UTC]"
    assert set(synthetic.frame["code"]) <= {"001", "002", "010"}
    assert set(synthetic.frame["constant"]) == {7}
    assert synthetic.frame["nothing"].isna().all()
    assert list(synthetic.frame.columns) == train.schema.modelled


def test_04_fewer_rows_than_a_batch_are_learnt(tmp_path: Path) -> None:
    data = frame(23)[["gaps", "town", "class"]]
    data.to_parquet(tmp_path / "table.parquet")
    whole = {"kind": "table", "path": str(tmp_path / "table.parquet"), "label": "class"}
    ctgan = {"kind": "ctgan", "budget_steps": 2}
    config = parse_config({"name": "x", "source": whole, "synthesizer": ctgan, "plan": {"kind": "rows", "rows": 37}})
    space = Workspace(tmp_path / "space")
    splits = stages.split_data(config, space, stages.ingest(config, space))
    model = stages.fit(config, space, splits)
    candidates = stages.sample(config, space, splits, model)
    assert len(load_data(candidates.directory / "synthetic")) >= 37


def test_27_a_category_in_nearly_all_rows_is_learnt(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"a": "common", "b": rng.normal(size=20_000), "class": rng.choice(["x", "y"], 20_000)})
    data.loc[[3, 4], "a"] = "rare"
    data.to_parquet(tmp_path / "table.parquet")
    _, synthetic = made(tmp_path / "table.parquet", "marginals", tmp_path / "space")
    assert (synthetic.frame["a"] == "common").mean() > 0.99
    assert set(synthetic.frame["a"]) <= {"common", "rare"}


def _with(**columns: object) -> pd.DataFrame:
    return frame(60)[["gaps", "town", "class"]].assign(**columns)


REFUSED = {
    "12-infinity": (_with(pay=[np.inf, -np.inf, *range(58)]), "pay", "2 infinite values (the first in row 1)"),
    "12-minus-infinity-later": (_with(pay=[*range(59), -np.inf]), "pay", "1 infinite values (the first in row 60)"),
    "13-1e308": (_with(pay=[0.0, 1e308, *range(58)]), "pay", "1 values above 1e+150 (the first in row 2)"),
    "14-whole-numbers-too-far-apart": (_with(pay=[-(9 * 10**17), *range(58), 2**62]), "pay", "more than 2^62 apart"),
    "15-text-among-numbers": (
        _with(pay=[*map(str, range(50)), *[SECRET] * 10]), "pay", "10 of 60 values are text (the first in row 51)",
    ),
    "16-decimal-comma": (_with(pay=[f"{row % 9},5" for row in range(60)]), "pay", "numbers with a comma as text"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize(("data", "column", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_column_that_cannot_be_learnt_is_refused(
    data: pd.DataFrame, column: str, sentence: str, suffix: str,
    refused: Refused, config: Callable[..., Path], tmp_path: Path,
) -> None:  # fmt: skip
    if "2^62" in sentence and suffix != "parquet":
        sentence = "has 60 different values in 60 rows"  # in a text file numbers of 19 digits are texts
    path = tmp_path / f"table.{suffix}"
    data.to_parquet(path) if suffix == "parquet" else data.to_csv(path, index=False)
    problems = refused("check", config(path))
    assert [sentence in problem["problem"] for problem in problems] == [True], problems
    assert repr(column) in problems[0]["problem"]
    assert repr(path.name) in problems[0]["problem"]
    assert problems[0]["hint"]

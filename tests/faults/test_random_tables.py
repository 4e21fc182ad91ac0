"""Tables that nobody thought of: a run over them succeeds, or ends with a clear error of ours."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from pipelines.cli import _answer
from synthgen import stages
from synthgen.config_reading import load_config
from synthgen.datasets import Splits, load_data
from synthgen.errors import DataError
from synthgen.exporters.parts import parts_to_emit
from synthgen.exporters.tables import write_csv, write_parquet
from synthgen.workspace import Workspace

SECRET = "Zanzibar-4711"
WORDS = ["a", "NA", "", " ", "1", "1.0", "-1", "001", "1,5", "1e400", "inf", "nan", "true", "2024-01-01", "\u00e9",
         "e\u0301", "=cmd|x", "two\nlines", 'quo"te', "\U0001f600", "\u05e2", "\x1b[31m", "<script>",
         "x" * 300, SECRET]  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(["age", "patient_id", "synthetic", "split", "index", "two\nlines", "=x", "0", "{x}", "%s",
                     "\u05e2\u05d9\u05e8", "a,b", "null", "__index_level_0__", "<b>", "[red]", "column 1", "\u00e9",
                     "e\u0301"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
)  # fmt: skip
NUMBERS = [0.0, -0.0, 1.0, 0.1, 1 / 3, -5.0, 1e-300, 1e149, 1e200, 2.0**53, np.inf, -np.inf, np.nan]
INTEGERS = [0, 1, -1, 7, 2**31, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)]
DAYS = ["1700-01-01", "1969-12-31T23:59:59.999999999", "2024-03-31T02:30", "2024-10-27T02:30", "2200-01-01"]


def _floats(cells: list[int], few: bool) -> pd.Series:
    pool = NUMBERS[: 3 if few else None]
    return pd.Series([pool[cell % len(pool)] if few or cell % 3 else cell / 7 for cell in cells], dtype="float64")


def _pick(pool: list[Any], dtype: str) -> Callable[[list[int], bool], pd.Series]:
    return lambda cells, few: pd.Series([pool[cell % (3 if few else len(pool))] for cell in cells], dtype=dtype)


def _days(zone: str | None) -> Callable[[list[int], bool], pd.Series]:
    def column(cells: list[int], few: bool) -> pd.Series:
        texts = [DAYS[cell % (2 if few else len(DAYS))] for cell in cells]
        days = pd.Series(pd.to_datetime(texts, format="ISO8601"))
        return days if zone is None else days.dt.tz_localize("UTC").dt.tz_convert(zone)

    return column


COLUMNS: dict[str, Callable[[list[int], bool], pd.Series]] = {
    "float64": _floats,
    "float32": lambda cells, few: _floats(cells, few).clip(-1e30, 1e30).astype("float32"),
    "int64": _pick(INTEGERS, "int64"),
    "int8": lambda cells, few: pd.Series([cell % (2 if few else 100) for cell in cells], dtype="int8"),
    "uint64": _pick([0, 1, 2, 2**63, 2**64 - 1], "uint64"),
    "Int64": _pick(INTEGERS, "Int64"),
    "bool": lambda cells, few: pd.Series([cell % 2 == 0 for cell in cells], dtype="bool"),
    "boolean": lambda cells, few: pd.Series([cell % 2 == 0 for cell in cells], dtype="boolean"),
    "object": _pick(WORDS, "object"),
    "string": _pick(WORDS, "string"),
    "category": _pick(WORDS, "category"),
    "mixed": _pick(["a", 1, 2.5, True, b"bytes", None], "object"),
    "own text": lambda cells, few: pd.Series([f"{SECRET} {row}" for row in range(len(cells))], dtype="object"),
    "date": _days(None),
    "zoned": _days("Europe/Berlin"),
    "timedelta": lambda cells, few: pd.Series(pd.to_timedelta(cells, unit="s")),
    "constant": lambda cells, few: pd.Series([7] * len(cells), dtype="int64"),
}


REFUSED = ("mixed", "own text", "timedelta", "uint64", "Int64", "int64")


@st.composite
def columns(draw: st.DrawFn, rows: int, wild: bool) -> pd.Series:
    """One column of any dtype, with few or many values, and missing ones in some pattern."""
    cells = draw(st.lists(st.integers(0, 1_000), min_size=rows, max_size=rows))
    kinds = [kind for kind in sorted(COLUMNS) if wild or kind not in REFUSED]
    few = draw(st.booleans()) or not wild
    column = COLUMNS[draw(st.sampled_from(kinds))](cells, few)
    if not wild and column.dtype == np.float64 and draw(st.booleans()):
        column = column * draw(st.sampled_from([1e-300, 1e-5, 1 / 3, 1e149])) + np.asarray(cells) % draw(
            st.integers(1, 99)
        )
    missing = draw(st.sampled_from(["none", "none", "some", "first", "all but one", "all"]))
    gone = {"none": [], "some": [row for row in range(rows) if cells[row] % 4 == 0], "first": [0],
            "all but one": range(1, rows), "all": range(rows)}[missing]  # fmt: skip
    if rows == 0 or missing == "none":
        return column
    mask = np.isin(np.arange(rows), list(gone))
    return column.where(~mask, None) if column.dtype == object else column.mask(mask)


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, str, str, dict[str, Any]]:
    """A table, how it is saved, the synthesizer, and what the config says of the columns."""
    wild = draw(st.integers(0, 3)) == 0
    rows = draw(st.integers(0, 15) if wild else st.sampled_from([*range(10, 40), 50, 51, 80, 120, 200]))
    names = draw(st.lists(NAMES if wild else NAMES.filter(str.strip), min_size=1, max_size=5, unique=not wild))
    data = pd.DataFrame({position: draw(columns(rows, wild)) for position in range(len(names))}, index=range(rows))
    if not wild and draw(st.integers(0, 3)):
        # Equal rows go to one side of a split: where all columns have few values, little is left for the others.
        names.append("of its own")
        data[len(names) - 1] = np.random.default_rng(rows).permutation(rows) / 7
    names = [*names, "class"]
    kind = draw(st.sampled_from(["two", "three", "any"] if wild else ["two", "three"]))
    cells = draw(st.lists(st.integers(0, 99), min_size=rows, max_size=rows))
    if kind == "any":
        data[len(names) - 1] = draw(columns(rows, wild)).replace(SECRET, "c")
    else:
        data[len(names) - 1] = [
            ("b" if cell % 3 else "a") if kind == "two" else f"k{cell % 50 // 24}" for cell in cells
        ]
    source: dict[str, Any] = {}
    for role in draw(
        st.lists(st.sampled_from(["ids", "drop", "protected", "secrets"]), max_size=2 if wild else 1, unique=True)
    ):
        source[role] = [draw(st.sampled_from(names if wild else names[:-1]))]
    if draw(st.integers(0, 5)) == 0:
        source["group"] = draw(st.sampled_from(names if wild else names[:-1]))
    if wild and draw(st.integers(0, 2)) == 0:
        kinds = ["numeric", "integer", "categorical", "boolean", "datetime", "id", "text"]
        source["types"] = {draw(st.sampled_from(names)): draw(st.sampled_from(kinds))}
    suffix = draw(st.sampled_from(["csv", "csv.gz", "parquet"]))
    return data.set_axis(names, axis=1), suffix, draw(st.sampled_from(["marginals", "cart"])), source


def save(data: pd.DataFrame, suffix: str, folder: Path) -> Path:
    """The file; CSV where pandas cannot write the table as parquet."""
    path = folder / f"table.{suffix}"
    if suffix == "parquet":
        try:
            data.to_parquet(path)
            return path
        except (ValueError, TypeError, OverflowError):
            path = folder / "table.csv"
    data.to_csv(path, index=False, errors="surrogatepass")
    return path


def run_tiny(config_file: Path, folder: Path, *, measured: bool) -> None:
    """The stages of a run up to the files of a dataset."""
    config, space = load_config(config_file), Workspace(folder / "space")
    splits = stages.split_data(config, space, stages.ingest(config, space))
    model = stages.fit(config, space, splits)
    curated = stages.curate_candidates(config, space, splits, model, stages.sample(config, space, splits, model))
    rows = load_data(curated.directory / "synthetic")
    if measured:
        stages.evaluate(config, space, splits, curated)
    parts = parts_to_emit(Splits.load(splits.directory), rows, purpose="augment", run_id="run")
    write_parquet(parts, folder)
    write_csv(parts, folder)


def refusal(config_file: Path, folder: Path, *, measured: bool) -> str:
    """What `check` did not see and the run refused in a sentence; nothing when the run went through."""
    try:
        run_tiny(config_file, folder, measured=measured)
    except DataError as error:
        return f"{error.message} {error.hint} {error.where}"
    return ""


def survives(
    case: tuple[pd.DataFrame, str, str, dict[str, Any]], capsys: pytest.CaptureFixture[str], measured: bool
) -> None:
    """Assert that `check` and a run end well, or with an error of ours that shows no cell."""
    data, suffix, kind, roles = case
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = {"kind": "table", "path": str(save(data, suffix, folder)), "label": "class", **roles}
        config = folder / "config.yaml"
        raw = {"source": source, "synthesizer": {"kind": kind}, "plan": {"kind": "ratio", "ratio": 1}}
        config.write_text(yaml.safe_dump(raw), encoding="utf-8")
        capsys.readouterr()
        code = _answer(["check", str(config), "--json"])
        shown = capsys.readouterr()
        answer = json.loads(shown.out)
        assert code in (0, 2), answer
        assert SECRET not in shown.out + shown.err
        if code == 2:
            event("refused by check")
            assert all(problem["problem"] and "\n" not in problem["problem"] for problem in answer["problems"])
            return
        refused = refusal(config, folder, measured=measured)
        event("refused by the run" if refused else "went through")
        assert SECRET not in refused


QUIET = [
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.function_scoped_fixture,
    HealthCheck.large_base_example,
]


@settings(max_examples=40, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
          suppress_health_check=QUIET)  # fmt: skip
@given(case=tables())
def test_any_table_is_learnt_or_refused(
    case: tuple[pd.DataFrame, str, str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    survives(case, capsys, measured=False)


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
@settings(max_examples=1_000, deadline=None, suppress_health_check=QUIET, print_blob=True)
@given(case=tables())
def test_a_thousand_tables_are_learnt_and_measured_or_refused(
    case: tuple[pd.DataFrame, str, str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    survives(case, capsys, measured=True)

"""Tables as files: parquet and CSV, both read back as they were."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionDtype
from pandas.api.types import pandas_dtype
from pyarrow import csv

from synthgen.datasets import Table
from synthgen.exporters.parts import Part, made_by

# A spreadsheet runs a cell that begins so. The apostrophe itself is escaped too, so that reading back is exact.
_FORMULA = re.compile(r"[=@+\-\t\r']")
_TEXT_TYPES = ("object", "category", "string")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")


def write_parquet(parts: Sequence[Part], directory: Path) -> dict[str, int]:
    """Rows of each file: one parquet file per part, every cell and type untouched, `attrs` those of `made_by`."""
    for name, frame in _frames(parts):
        marked = frame.copy(deep=False)
        marked.attrs.update(made_by(parts))
        marked.to_parquet(directory / f"{name}.parquet", index=False)
    return {f"{part.name}.parquet": len(part.data) for part in parts}


def write_csv(parts: Sequence[Part], directory: Path) -> dict[str, int]:
    """Rows of each file: one UTF-8 CSV file per part; missing = nothing between the commas, empty text = ""."""
    for name, frame in _frames(parts):
        plain = frame.apply(lambda column: _escaped(column) if _is_text(column) else column)
        plain.columns = pd.Index([escape_formula(str(column)) for column in frame.columns])
        csv.write_csv(pa.Table.from_pandas(plain, preserve_index=False), directory / f"{name}.csv")
    return {f"{part.name}.csv": len(part.data) for part in parts}


def read_csv(path: Path, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """The frame that `write_csv` wrote, its column types given as pandas names them."""
    types = {escape_formula(name): _arrow_type(dtype) for name, dtype in dtypes.items()}
    # Missing is nothing between the commas, empty text is "": only unquoted nothing may become null.
    options = csv.ConvertOptions(
        column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
    )
    parsing = csv.ParseOptions(newlines_in_values=True)
    table = csv.read_csv(path, parse_options=parsing, convert_options=options).rename_columns(list(dtypes))
    return pd.DataFrame({name: _typed(table.column(name), dtype) for name, dtype in dtypes.items()})


def escape_formula(text: str) -> str:
    """The text with an apostrophe before it if a spreadsheet would take it for a formula."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unescape_formula(text: str) -> str:
    """The text that `escape_formula` was given."""
    return text[1:] if text.startswith("'") else text


def _frames(parts: Sequence[Part]) -> list[tuple[str, pd.DataFrame]]:
    return [(part.name, part.data.frame) for part in parts if isinstance(part.data, Table)]


def _is_text(column: pd.Series) -> bool:
    return column.dtype == object or isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype)


def _escaped(column: pd.Series) -> pd.Series:
    return column.astype(object).map(lambda cell: escape_formula(str(cell)), na_action="ignore")


def _arrow_type(dtype: str) -> pa.DataType:
    return pa.string() if dtype in _TEXT_TYPES else pa.array(pd.Series([], dtype=dtype)).type


def _typed(column: pa.ChunkedArray, dtype: str) -> pd.Series:
    if dtype in _TEXT_TYPES:
        text = pd.Series(column.to_pylist(), dtype=object)
        return text.map(unescape_formula, na_action="ignore").astype(pandas_dtype(dtype))
    target = pandas_dtype(dtype)
    # Straight into a nullable type: a float on the way would round integers beyond 2^53.
    mapper = (lambda _: target) if isinstance(target, ExtensionDtype) else None
    series: pd.Series = column.to_pandas(types_mapper=mapper)
    return series.astype(target)

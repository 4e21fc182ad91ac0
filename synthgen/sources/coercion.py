"""Another table brought to the schema of a first one, so that `audit` compares like with like."""

import numpy as np
import pandas as pd

from synthgen.datasets import Table, cell_texts
from synthgen.errors import DataError, name_list
from synthgen.sources.kinds import convert, infer_kind, plain_dtype


def coerce_like(frame: pd.DataFrame, like: Table, *, name: str = "the other table") -> Table:
    """The frame with the columns, order and dtypes of `like`; ids, text and group may be absent.

    Whole numbers with gaps become nullable where `like` has int64, fractions and larger numbers stay float64: that is
    for the validity metric to judge.

    Raises:
        DataError: modelled columns are missing, columns are left over, or values cannot be brought to the type.
    """
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1).reset_index(drop=True)
    missing = [column for column in like.schema.modelled if column not in frame]
    extra = [column for column in map(str, frame.columns) if column not in like.schema.kinds]
    if missing or extra:
        lacks = f"lacks column {name_list(missing)}" if missing else ""
        has = f"has further column {name_list(extra)}" if extra else ""
        message = f"{name} {' and '.join(filter(None, (lacks, has)))}, compared with the training table"
        raise DataError(message, where=name, hint="both files need the same columns, in any order")
    if frame.empty:
        raise DataError(f"{name} has no rows", where=name)
    columns = {column: _like_column(frame[column], like, name) for column in like.schema.kinds if column in frame}
    return Table(pd.DataFrame(columns), like.schema)


def _like_column(column: pd.Series, like: Table, name: str) -> pd.Series:
    model = like.frame[str(column.name)]
    column = plain_dtype(column, name)
    if column.dtype == model.dtype:
        return column
    match infer_kind(model):
        case "integer" | "numeric":
            return _as_numbers(convert(column, "numeric", name), model)
        case "boolean":
            truth = convert(column, "boolean", name)
            return truth if truth.isna().any() else truth.astype(model.dtype)
        case "datetime":
            return _in_zone(convert(column, "datetime", name), model)
        case _:
            return _as_texts(column).astype(model.dtype)


def _as_numbers(column: pd.Series, model: pd.Series) -> pd.Series:
    if not pd.api.types.is_integer_dtype(model.dtype):
        return column.astype(model.dtype)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    known = values[~np.isnan(values)]
    bounds = np.iinfo(getattr(model.dtype, "numpy_dtype", model.dtype))
    if not np.all((known == np.trunc(known)) & (known >= bounds.min) & (known < float(bounds.max) + 1)):
        return pd.Series(values, name=column.name)
    # int64 becomes Int64: float64 would round what lies beyond 2^53, and 1.0 would be another text than 1.
    nullable = model.iloc[:0].convert_dtypes().dtype
    return column.astype(nullable if len(known) < len(values) else model.dtype)


def _as_texts(column: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(column.dtype):
        return pd.Series(cell_texts(column), index=column.index, name=column.name, dtype=object)
    return column.astype("string").astype(object).where(column.notna(), None)


def _in_zone(column: pd.Series, model: pd.Series) -> pd.Series:
    zone = getattr(model.dtype, "tz", None)
    # A time without a zone counts as UTC.
    aware = column.dt.tz_localize("UTC") if column.dt.tz is None else column
    here: pd.Series = aware.dt.tz_convert(zone)
    return here.astype(model.dtype)

"""What the columns of a table are, as JSON, and back: dtypes, levels, schema."""

from collections.abc import Mapping
from typing import Any, TypeAlias, TypedDict

import numpy as np
import pandas as pd

from synthgen.datasets import Schema

DType = np.dtype[np.generic] | pd.api.extensions.ExtensionDtype
Json = str | int | float | bool
Cells: TypeAlias = "pd.Series[Any]"


class DTypeState(TypedDict):
    """A dtype in JSON. `categories` is None unless the dtype is categorical; `name` is then that of the categories."""

    name: str
    categories: list[Json] | None
    ordered: bool


def dtype_state(dtype: DType) -> DTypeState:
    """JSON from which `restored_dtype` makes the equal dtype."""
    if isinstance(dtype, pd.CategoricalDtype):
        inner = dtype_state(dtype.categories.dtype)["name"]
        return {
            "name": inner,
            "categories": [to_json(value) for value in dtype.categories],
            "ordered": bool(dtype.ordered),
        }
    # str() of a string dtype leaves out where the text is stored, and with it equality.
    name = f"string[{dtype.storage}]" if isinstance(dtype, pd.StringDtype) else str(dtype)
    return {"name": name, "categories": None, "ordered": False}


def restored_dtype(state: DTypeState) -> DType:
    """The dtype that `dtype_state` described."""
    plain: DType = pd.api.types.pandas_dtype(state["name"])
    if state["categories"] is None:
        return plain
    return pd.CategoricalDtype(pd.Index(typed_series(state["categories"], plain)), ordered=state["ordered"])


def to_json(value: object) -> Json:
    """A cell as JSON scalar; what JSON has no type for becomes its text, which pandas parses back."""
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, str | int | float | bool) else str(plain)


def typed_series(values: list[Json], dtype: DType) -> Cells:
    """The values as a column of this dtype."""
    return pd.Series(values, dtype=object).astype(dtype)


def is_measured(dtype: DType) -> bool:
    """Whether values of this dtype have an order and a distance: numbers and datetimes, not booleans."""
    types = pd.api.types
    is_number = types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype)
    return is_number or types.is_datetime64_any_dtype(dtype)


def schema_state(schema: Schema) -> dict[str, Any]:
    """JSON from which `restored_schema` makes the equal schema."""
    return {**schema.state(), "protected": list(schema.protected), "secrets": list(schema.secrets)}


def restored_schema(state: Mapping[str, Any]) -> Schema:
    """The schema that `schema_state` described."""
    return Schema.restore(state)

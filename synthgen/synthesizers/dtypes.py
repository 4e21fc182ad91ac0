"""A pandas dtype as JSON, and back to the equal dtype."""

from typing import Any, TypeAlias, TypedDict

import numpy as np
import pandas as pd

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

"""What an exporter is given: one named part of a dataset, each row marked real or synthetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen import __version__
from synthgen.config import ColumnKind, Purpose
from synthgen.datasets import Data, ImageSet, Splits, Table, concat
from synthgen.errors import DataError

SYNTHETIC_COLUMN = "synthetic"


@dataclass(frozen=True)
class Part:
    """Rows that are written together.

    Attributes:
        name: train, valid, holdout or synthetic.
        synthetic: bool [n], True where a row is made up.
        run_id: the run that made it up.
        model: the kind of its model, or name and version of a registered one; "" where nobody knows.
    """

    name: str
    data: Data
    synthetic: npt.NDArray[np.bool_]
    run_id: str
    model: str = ""


def made_by(parts: Sequence[Part]) -> dict[str, str]:
    """What made up the synthetic rows, as files state it that may leave their folder."""
    return {"synthgen_version": __version__, "run_id": parts[0].run_id, "model": parts[0].model}


def parts_to_emit(splits: Splits, synthetic: Data, *, purpose: Purpose, run_id: str, model: str = "") -> list[Part]:
    """The parts of an emitted dataset; for `share` the synthetic rows and nothing else.

    Raises:
        DataError: the real table has a column named `synthetic` already.
    """
    made_up = Part("synthetic", synthetic, np.ones(len(synthetic), dtype=bool), run_id, model)
    if purpose == "share":
        return [made_up]
    joined = _joined(splits.train, synthetic)
    is_synthetic = np.arange(len(joined)) >= len(splits.train)
    train = _marked(joined, is_synthetic) if isinstance(joined, Table) else joined
    held_back = (("valid", splits.valid), ("holdout", splits.holdout))
    real = [Part(name, data, np.zeros(len(data), dtype=bool), run_id, model) for name, data in held_back]
    return [Part("train", train, is_synthetic, run_id, model), *real, made_up]


def _joined(real: Data, synthetic: Data) -> Data:
    if isinstance(real, Table) and isinstance(synthetic, Table):
        columns = {name: _joined_column(real.frame[name], synthetic.frame) for name in real.frame.columns}
        return replace(real, frame=pd.DataFrame(columns))
    joined = concat([real, synthetic])
    if isinstance(joined, ImageSet) and isinstance(real, ImageSet) and real.groups is not None:
        return replace(joined, groups=np.concatenate([real.groups, np.full(len(synthetic), "", dtype=np.str_)]))
    return joined


def _joined_column(real: pd.Series, synthetic: pd.DataFrame) -> pd.Series:
    if real.name in synthetic.columns:
        return pd.concat([real, synthetic[real.name].astype(real.dtype)], ignore_index=True)
    # An id or a group, which nobody synthesises. Nullable types keep integers beyond 2^53 exact.
    kept = real.convert_dtypes(convert_string=False) if real.dtype.kind in "iub" else real
    missing = pd.Series([None] * len(synthetic), dtype=kept.dtype)
    return pd.concat([kept, missing], ignore_index=True)


def require_free_mark(data: Data) -> None:
    """Raise DataError when a column has the name of the mark that an emitted dataset gets."""
    if isinstance(data, Table) and SYNTHETIC_COLUMN in data.frame.columns:
        raise DataError(
            f"the data already has a column {SYNTHETIC_COLUMN!r}, which an emitted dataset needs for its own mark",
            where=SYNTHETIC_COLUMN,
            hint="rename the column, or name it in source.drop",
        )


def _marked(table: Table, synthetic: npt.NDArray[np.bool_]) -> Table:
    require_free_mark(table)
    kinds: Mapping[str, ColumnKind] = {**table.schema.kinds, SYNTHETIC_COLUMN: "boolean"}
    frame = table.frame.assign(**{SYNTHETIC_COLUMN: synthetic})
    return Table(frame, replace(table.schema, kinds=kinds))


def dtypes_of(parts: Sequence[Part]) -> dict[str, dict[str, str]]:
    """Column types of each part that is a table, as pandas names them."""
    tables = {part.name: part.data.frame for part in parts if isinstance(part.data, Table)}
    return {name: {str(key): str(dtype) for key, dtype in frame.dtypes.items()} for name, frame in tables.items()}

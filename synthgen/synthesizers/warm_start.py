"""Codes for new rows that mean what the codes of an earlier model mean, so that its weights can be gone on with."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from synthgen.config import CodeModelConfig
from synthgen.datasets import Index, Table
from synthgen.synthesizers.encoding.columns import BinnedColumn, Column
from synthgen.synthesizers.encoding.encoder import Encoder
from synthgen.synthesizers.encoding.levels import LevelColumn

# Of the values of a column, the share that may lie beyond the range of its earlier bins: they get the outermost.
_MOST_BEYOND = 0.01
# What may differ between the two configurations.
_FREE = {"budget_minutes", "budget_steps", "learning_rate", "batch_size", "critic_weight", "inside", "warm_start"}


def misfit(earlier: CodeModelConfig, config: CodeModelConfig, encoder: Encoder, train: Table) -> str:
    """Why an earlier model with this config and encoder cannot be gone on with for these rows; empty when it can."""
    before, now = earlier.model_dump(exclude=_FREE), config.model_dump(exclude=_FREE)
    if before != now:
        return "its settings are others: " + ", ".join(sorted(key for key in now if before.get(key) != now[key]))
    columns = [(name, train.schema.kinds[name]) for name in train.schema.modelled]
    if (columns, train.schema.label) != (
        [(column.name, encoder.schema.kinds[column.name]) for column in encoder.columns],
        encoder.schema.label,
    ):
        return "it has other columns"
    if train.classes != tuple(sorted(encoder.classes.tolist())):
        return "its label has other classes"
    return ""


def continued(earlier: Encoder, fresh: Encoder, train: Table) -> Encoder:
    """The fresh encoder of the rows with the bins of the earlier one wherever these still fit."""
    pairs = zip(earlier.columns, fresh.columns, strict=True)
    return replace(fresh, columns=tuple(old if _fits(old, new, train) else new for old, new in pairs))


def earlier_codes(earlier: Encoder, encoder: Encoder) -> list[Index]:
    """Of each feature column, int64 [size]: the code that each code was, -1 for one that is new."""
    label = encoder.label_position
    pairs = list(zip(earlier.columns, encoder.columns, strict=True))
    return [_codes(old, new) for position, (old, new) in enumerate(pairs) if position != label]


def _fits(old: Column, new: Column, train: Table) -> bool:
    if not isinstance(old, BinnedColumn) or old.dtype != new.dtype:
        return False
    cells = train.frame[old.name]
    if not old.knows(cells).all():
        return False
    ticks, missing = old.read(cells)
    low, high = old.limits
    beyond = (ticks[~missing] < low) | (ticks[~missing] > high)
    return not len(beyond) or float(beyond.mean()) <= _MOST_BEYOND


def _codes(old: Column, new: Column) -> Index:
    if old is new:
        return np.arange(new.size, dtype=np.int64)
    if not isinstance(old, LevelColumn) or not isinstance(new, LevelColumn):
        return np.full(new.size, -1, dtype=np.int64)
    before, names = _named(old), _named(new)
    return np.array([before.get(name, -1) for name in names], dtype=np.int64)


def _named(column: LevelColumn) -> Mapping[tuple[str, object], int]:
    """The code of each level, of the rare ones together, and of missing."""
    names: Sequence[tuple[str, object]] = [("level", value) for value in column.values]
    names = [*names, *([("rare", None)] if column.rare else []), *([("missing", None)] if column.has_missing else [])]
    return {name: code for code, name in enumerate(names)}

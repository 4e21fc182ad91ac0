"""Rows that pass by in batches, and a random choice of them when they are too many for memory."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from synthgen.stats import FloatArray

# Numbers the rows of the file from 0 while they are read; no column of a table may have a blank name.
ROW = ""
_BATCH_CELLS, _MAX_BATCH_ROWS = 200_000, 65_536


def batch_rows(columns: int) -> int:
    """Rows of a batch: a wide table has short ones."""
    return max(1, min(_BATCH_CELLS // max(columns, 1), _MAX_BATCH_ROWS))


def take_at_most(
    batches: Iterable[pa.RecordBatch], max_rows: int | None, rng: np.random.Generator
) -> tuple[list[pa.RecordBatch], int]:
    """A uniform random choice of `max_rows` rows in their old order, and how many rows there were; None takes all.

    Holds at most max_rows rows and two batches. Every row gets a random key, and the rows with the smallest keys stay
    (Efraimidis and Spirakis 2006, with equal weights).
    """
    kept: list[pa.RecordBatch] = []
    keys: list[FloatArray] = []
    seen = held = largest = 0
    bound = 1.0
    for batch in batches:
        seen, largest = seen + len(batch), max(largest, len(batch))
        kept.append(batch)
        keys.append(rng.random(len(batch)))
        _drop(kept, keys, len(kept) - 1, bound)
        held += len(kept[-1])
        if max_rows is not None and held > max_rows + largest:
            bound, held = _prune(kept, keys, max_rows), max_rows
    if max_rows is not None and held > max_rows:
        _prune(kept, keys, max_rows)
    return kept, seen


def _prune(kept: list[pa.RecordBatch], keys: list[FloatArray], rows: int) -> float:
    """Leave the rows with the smallest keys, and return the smallest key of those that went."""
    bound = float(np.partition(np.concatenate(keys), rows)[rows])
    for position in range(len(kept)):
        _drop(kept, keys, position, bound)
    return bound


def _drop(kept: list[pa.RecordBatch], keys: list[FloatArray], position: int, bound: float) -> None:
    """Replace one batch by its rows with a key below the bound: never two copies of all rows at once."""
    stays = keys[position] < bound
    if not stays.all():
        kept[position] = kept[position].filter(pa.array(stays))
        keys[position] = keys[position][stays]

"""Old data against new: what came in, what moved, and whether a classifier tells them apart."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from pandas.api.types import is_numeric_dtype

from synthgen.datasets import Data, ImageSet, Index, Keys, Table
from synthgen.findings import Drift, Movement, Separation
from synthgen.metrics.drift.columns import category_test, corrected, numeric_test, table_movements
from synthgen.metrics.fidelity.c2st import MIN_ROWS, Comparison, separation
from synthgen.metrics.image_classifier import pixels
from synthgen.metrics.image_features import RANDOM_PX, calibrated_network, standardised_features
from synthgen.metrics.table_features import Encoded, column_decimals, encode
from synthgen.stats import FloatArray, auc_interval, named_rng

# Rows that the classifier is shown of each side.
_MOST_ROWS = 5_000
# Rows so often different that equal ones are the same row, not two that happen to be equal.
_DISTINCT = 0.99
# Rows in a row that old and new data share, before that is taken for more than chance.
_LEAST_OVERLAP = 20


def compare(old: Data, new: Data, *, since: str, seed: int) -> Drift:
    """What changed between two data sets of the same kind.

    Where most old rows are still there, those that came in are compared with all old ones: a few hundred new rows
    would be lost among the rest. Of each group (patient, customer) one row counts.

    Args:
        since: the run that the old data are of.
    """
    fresh = arrived(*_row_keys(old, new))
    now = new if fresh is None else new.take(np.flatnonzero(fresh))
    came, kept = len(now), 0 if fresh is None else len(new) - len(now)
    nothing = Drift(since, len(old), len(new), kept, _schema_changes(old, new), [], None)
    if came < MIN_ROWS or len(old) < 2 * MIN_ROWS:
        return replace(nothing, note=f"{came} rows came in: too few to compare")
    rng = named_rng(seed, "drift")
    sides = (_one_of_each_group(old, rng), _one_of_each_group(now, rng))
    note = "" if fresh is None else f"the {came:,} rows that came in are compared with the {len(old):,} old ones"
    return replace(nothing, movements=_movements(*sides), separation=_told_apart(*sides, rng), note=note)


def _row_keys(old: Data, new: Data) -> tuple[Keys, Keys]:
    """Keys of the rows of both: equal numbers are equal, though a gap on one side alone makes its dtype another."""
    if isinstance(old, Table) and isinstance(new, Table):
        both = [name for name in old.frame if name in new.frame]
        numeric = [name for name in both if all(is_numeric_dtype(data.frame[name].dtype) for data in (old, new))]
        other = [name for name in numeric if old.frame[name].dtype != new.frame[name].dtype]
        old, new = (replace(data, frame=data.frame.astype(dict.fromkeys(other, "float64"))) for data in (old, new))
    return old.row_keys(), new.row_keys()


def arrived(old: Keys, new: Keys) -> npt.NDArray[np.bool_] | None:
    """bool [n]: which new rows came in since; None where the new data are not the old ones and more.

    Args:
        old, new: uint64, equal for equal rows.
    """
    if len(np.unique(old)) >= _DISTINCT * len(old):
        same = np.isin(new, old)
        return ~same if np.isin(old, new).mean() >= 0.5 else None
    # Equal rows may be different ones: only the order tells. A file that grows at its end, or moves on like a window.
    first = new[:_LEAST_OVERLAP]
    for start in np.flatnonzero(old[: len(old) // 2 + 1] == new[0]) if len(new) >= _LEAST_OVERLAP else []:
        if np.array_equal(old[start : start + len(first)], first) and np.array_equal(
            old[start:], new[: len(old) - start]
        ):
            return np.arange(len(new)) >= len(old) - start
    return None


def _one_of_each_group(data: Data, rng: np.random.Generator) -> Data:
    if isinstance(data, Table):
        groups = (
            None if data.schema.group is None else data.frame[data.schema.group].astype(str).to_numpy(dtype=np.str_)
        )
    else:
        groups = data.groups
    if groups is None:
        return data
    shuffled = rng.permutation(len(data))
    return data.take(np.sort(shuffled[np.unique(groups[shuffled], return_index=True)[1]]).astype(np.int64))


def _schema_changes(old: Data, new: Data) -> list[str]:
    if isinstance(old, Table) and isinstance(new, Table):
        before, now = old.schema.kinds, new.schema.kinds
        changes = [f"column {name!r} is new" for name in now if name not in before]
        changes += [f"column {name!r} is gone" for name in before if name not in now]
        both = [name for name in before if name in now and before[name] != now[name]]
        return changes + [f"column {name!r} was {before[name]} and is {now[name]}" for name in both]
    changes = [f"class {name!r} is new" for name in new.classes if name not in old.classes]
    changes += [f"class {name!r} is gone" for name in old.classes if name not in new.classes]
    if isinstance(old, ImageSet) and isinstance(new, ImageSet) and old.images.shape[1:] != new.images.shape[1:]:
        shapes = [" x ".join(map(str, data.images.shape[1:])) for data in (old, new)]
        changes.append(f"images had {shapes[0]} and have {shapes[1]} numbers")
    return changes


def _movements(old: Data, new: Data) -> list[Movement]:
    if isinstance(old, Table) and isinstance(new, Table):
        return table_movements(old, new)
    assert isinstance(old, ImageSet)
    assert isinstance(new, ImageSet)
    numbers = [_intensities(data) for data in (old, new)]
    tested = [numeric_test(name, numbers[0][name], numbers[1][name]) for name in numbers[0]]
    return corrected([*tested, category_test("class", old.labels.tolist(), new.labels.tolist())])


def _intensities(data: ImageSet) -> dict[str, FloatArray]:
    """Of each image: mean, deviation, and mean step from pixel to pixel, in shares of the largest value."""
    found: dict[str, list[float]] = {"brightness": [], "contrast": [], "sharpness": []}
    for image in data.images:
        values = image.astype(np.float64) / data.max_value
        found["brightness"].append(float(values.mean()))
        found["contrast"].append(float(values.std()))
        found["sharpness"].append(float(np.abs(np.diff(values, axis=-1)).mean()))
    return {name: np.array(numbers) for name, numbers in found.items()}


@dataclass(frozen=True)
class _Sample:
    """Equally many rows: of the old data, of the new ones, and of the old ones again."""

    old: Index
    new: Index
    rest: Index

    @classmethod
    def of(cls, old: int, new: int, rng: np.random.Generator) -> "_Sample":
        size = min(old // 2, new, _MOST_ROWS)
        shuffled = rng.permutation(old).astype(np.int64)
        return cls(shuffled[:size], rng.permutation(new)[:size].astype(np.int64), shuffled[size : 2 * size])


def _told_apart(old: Data, new: Data, rng: np.random.Generator) -> Separation | None:
    """As `c2st_auc`, with old rows in place of held-out ones; the reference tells two halves of the old rows apart."""
    drawn = _Sample.of(len(old), len(new), rng)
    if len(drawn.new) < MIN_ROWS:
        return None
    encoded = _encoded(old.take(drawn.old), new.take(drawn.new), old.take(drawn.rest))
    if encoded is None:
        return None
    first, second, rest = encoded
    decimals = column_decimals(first.numeric)
    keys = np.concatenate([rows.keys(decimals) for rows in encoded])
    how = Comparison(decimals, keys, (), seed=int(rng.integers(2**31)))
    auc, reference = separation(how, second, first), separation(how, rest, first)
    low, high = auc_interval(auc, len(second), len(first))
    return Separation(auc, low, high, reference, len(second))


def _encoded(*parts: Data) -> list[Encoded] | None:
    tables = [part for part in parts if isinstance(part, Table)]
    if tables:
        columns = [name for name in tables[0].schema.modelled if name in tables[1].schema.kinds]
        same = [name for name in columns if tables[0].schema.kinds[name] == tables[1].schema.kinds[name]]
        return encode(tables, same) if same else None
    images = [part for part in parts if isinstance(part, ImageSet)]
    if images[0].is_volumes or images[0].images.shape[1:] != images[1].images.shape[1:]:
        return None
    network = calibrated_network(images[0], torch.Generator().manual_seed(0))
    seen = standardised_features(network, [pixels(part, at_most_px=RANDOM_PX) for part in images])
    names = tuple(map(str, range(seen[0].shape[1])))
    return [Encoded(rows, np.empty((len(rows), 0), dtype=np.int64), names, (), ()) for rows in seen]

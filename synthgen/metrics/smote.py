"""SMOTE for any table: numbers, categories, missing values, tiny classes."""

from collections.abc import Mapping

import numpy as np
from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

from synthgen.datasets import Index
from synthgen.metrics.table_features import Encoded
from synthgen.stats import FloatArray

NEIGHBOURS = 5
# The neighbours of all 22,000 rows of a class of Adult cost 20 CPU seconds; a sample of donors fills the same space.
MAX_DONORS = 5_000


def interpolated(
    rows: Encoded, target: Index, added: Mapping[int, int], rng: np.random.Generator
) -> tuple[FloatArray, Index]:
    """As many new rows of each class as `added` says, float64 [m, d] as `Encoded.matrix`, and their classes, int64 [m].

    SMOTE, SMOTE-NC or SMOTEN, as there are numbers, both or categories. Missing numbers are the median and a missing
    category is a category here and nowhere else. Numbers are scaled first, so that units choose no neighbours. Small
    classes have fewer neighbours; a class of one row, which has none, is repeated. Source: Chawla 2002.
    """
    sizes = {code: int((target == code).sum()) for code in added}
    single = [np.repeat(np.flatnonzero(target == code), added[code]) for code in added if sizes[code] < 2]
    index = np.concatenate([np.empty(0, dtype=np.int64), *single])
    repeated, repeated_target = rows.take(index).matrix(), target[index]
    strategy = {code: min(sizes[code], MAX_DONORS) + count for code, count in added.items() if sizes[code] >= 2}
    if not strategy:
        return repeated, repeated_target
    neighbours = min(NEIGHBOURS, min(sizes[code] for code in strategy) - 1)
    donors = _donors(target, rng)
    points, centre, scale = _filled(rows.take(donors))
    sampler = _sampler(rows, strategy, neighbours, int(rng.integers(2**31)))
    found, found_target = sampler.fit_resample(points, target[donors])
    made = _unfilled(np.asarray(found[len(donors) :], dtype=np.float64), centre, scale)
    return (
        np.vstack([made, repeated]),
        np.concatenate([found_target[len(donors) :], repeated_target]).astype(np.int64),
    )


def _donors(target: Index, rng: np.random.Generator) -> Index:
    """Positions, in order, of at most `MAX_DONORS` rows of each class."""
    chosen = []
    for code in np.unique(target):
        rows = np.flatnonzero(target == code)
        chosen.append(rows if len(rows) <= MAX_DONORS else rng.choice(rows, MAX_DONORS, replace=False))
    return np.sort(np.concatenate(chosen))


def _sampler(rows: Encoded, strategy: dict[int, int], neighbours: int, seed: int) -> SMOTE | SMOTEN | SMOTENC:
    numbers, columns = len(rows.numeric_names), len(rows.names)
    if numbers == columns:
        return SMOTE(sampling_strategy=strategy, k_neighbors=neighbours, random_state=seed)
    if numbers == 0:
        return SMOTEN(sampling_strategy=strategy, k_neighbors=neighbours, random_state=seed)
    categories = list(range(numbers, columns))
    return SMOTENC(categories, sampling_strategy=strategy, k_neighbors=neighbours, random_state=seed)


def _filled(rows: Encoded) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rows without NaN, numbers scaled, float64 [n, d]; and centre and scale of the numbers, float64 [p]."""
    known = [column[np.isfinite(column)] for column in rows.numeric.T]
    centre = np.array([np.median(values) if len(values) else 0.0 for values in known])
    scale = np.array([values.std() if len(values) and values.std() > 0 else 1.0 for values in known])
    numeric = np.nan_to_num((rows.numeric - centre) / scale)
    return np.column_stack([numeric, rows.codes]).astype(np.float64), centre, scale


def _unfilled(points: FloatArray, centre: FloatArray, scale: FloatArray) -> FloatArray:
    numbers = len(centre)
    codes = points[:, numbers:]
    return np.column_stack([points[:, :numbers] * scale + centre, np.where(codes < 0, np.nan, codes)])

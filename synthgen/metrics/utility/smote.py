"""SMOTE for any table: numbers, categories, missing values, tiny classes."""

from collections.abc import Mapping

import numpy as np
from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

from synthgen.datasets import Index
from synthgen.metrics.table_features import Encoded
from synthgen.stats import FloatArray

NEIGHBOURS = 5


def interpolated(
    rows: Encoded, target: Index, added: Mapping[int, int], rng: np.random.Generator
) -> tuple[FloatArray, Index]:
    """As many new rows of each class as `added` says, float64 [m, d] as `Encoded.matrix`, and their classes, int64 [m].

    SMOTE, SMOTE-NC or SMOTEN, as there are numbers, both or categories. Missing numbers are the median and a missing
    category is a category here and nowhere else. Numbers are scaled first, so that units choose no neighbours. Small
    classes have fewer neighbours; a class of one row, which has none, is repeated. Source: Chawla 2002.
    """
    single = {code: count for code, count in added.items() if (target == code).sum() < 2}
    strategy = {code: int((target == code).sum()) + count for code, count in added.items() if code not in single}
    repeated = [np.repeat(np.flatnonzero(target == code), count) for code, count in single.items()]
    index = np.concatenate([np.empty(0, dtype=np.int64), *repeated])
    if not strategy:
        return rows.take(index).matrix(), target[index]
    points, centre, scale = _filled(rows)
    smallest = min(int((target == code).sum()) for code in strategy)
    sampler = _sampler(rows, strategy, min(NEIGHBOURS, smallest - 1), int(rng.integers(2**31)))
    found, found_target = sampler.fit_resample(points, target)
    made = _unfilled(np.asarray(found[len(target) :], dtype=np.float64), centre, scale)
    return (
        np.vstack([made, rows.take(index).matrix()]),
        np.concatenate([found_target[len(target) :], target[index]]).astype(np.int64),
    )


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

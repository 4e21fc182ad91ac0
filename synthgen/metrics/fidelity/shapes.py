"""Column shapes and pair trends: SDMetrics' numbers, computed at once for all columns and with an interval."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from synthgen.datasets import Index
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.table_features import Encoded, encode, matched_tables
from synthgen.stats import FloatArray, normal_interval

MIN_ROWS = 20
# SDMetrics rounds so before it compares values, and cuts a range of numbers into as many bins.
ROUND_DECIMALS = 14
BINS = 10
WORST_PAIRS = 20
# So many values on one side and none on the other are no chance: 1 in 4,500 pairs of real samples at worst (Poisson).
ENOUGH_VALUES = 10


@dataclass(frozen=True)
class Score:
    """A similarity in [0, 1] of real and synthetic rows, and how far each row moves it.

    Attributes:
        real_influence, synthetic_influence: float64 [n]; the sum of all squares is the variance of the value.
    """

    names: tuple[str, ...]
    value: float
    real_influence: FloatArray
    synthetic_influence: FloatArray


def column_shapes(evaluation: Evaluation) -> Finding:
    """Mean over columns of 1 - Kolmogorov-Smirnov distance (numbers, dates) or 1 - total variation, in [0, 1].

    Synthetic against train, the reference holdout against train, on equal numbers of rows of each class. Equal to
    SDMetrics' "Column Shapes" score, but for a column that has values on one side alone: it scores 0, there it is left
    out. Missing values are left out. The interval is that of a bootstrap over the rows of both sides, from each row's
    influence (infinitesimal jackknife, Jaeckel 1972).
    """
    train, holdout, synthetic = _encoded(evaluation)
    found, reference = Mean.of(shape_scores(train, synthetic)), Mean.of(shape_scores(train, holdout))
    return _finding("column_shapes", found, reference, {"columns": {names[0]: score for names, score in found.worst}})


def pair_trends(evaluation: Evaluation) -> Finding:
    """Mean over all pairs of columns of the similarity of their dependence, in [0, 1].

    Two numeric columns: 1 - |difference of Pearson correlations| / 2; else 1 - total variation of the joint
    frequencies, numbers cut into ten bins of the real range. Synthetic against train, the reference holdout against
    train, on equal numbers of rows of each class. Equal to the mean of SDMetrics' CorrelationSimilarity and
    ContingencySimilarity over all pairs; two numeric columns of which one has values on one side alone score 0, and
    a column that is constant on one side has the correlation 0 there. `quality_report` in the detail is what its report
    prints with both thresholds at 0 (the default drops weak pairs: 13 of 105 were left on Adult): each side has bins of
    its own range there, and one extreme value moves real against real from .98 to .96 on Adult. Interval as for
    `column_shapes`.
    """
    train, holdout, synthetic = _encoded(evaluation)
    found, reference = Mean.of(trend_scores(train, synthetic)), Mean.of(trend_scores(train, holdout))
    report = [Mean.of(trend_scores(train, rows, own_bins=True)).value for rows in (synthetic, holdout)]
    worst = [{"columns": list(names), "score": score} for names, score in found.worst[:WORST_PAIRS]]
    printed = {"value": report[0], "reference": report[1]}
    return _finding(
        "pair_trends", found, reference, {"pairs": len(found.worst), "worst": worst, "quality_report": printed}
    )


def _encoded(evaluation: Evaluation) -> list[Encoded]:
    parts = matched_tables(evaluation, at_least=MIN_ROWS)
    return encode(parts, parts[0].schema.modelled)


@dataclass(frozen=True)
class Mean:
    """Mean of scores, its standard error, the number of rows on each side, and the scores, worst first."""

    value: float
    error: float
    rows: int
    worst: list[tuple[tuple[str, ...], float]]

    @classmethod
    def of(cls, scores: Iterable[Score]) -> "Mean":
        """The mean; raises NotMeasurable without scores. Influences are summed as they come: pairs can be thousands."""
        named: list[tuple[tuple[str, ...], float]] = []
        real = synthetic = np.zeros(1)
        for score in scores:
            named.append((score.names, score.value))
            real, synthetic = real + score.real_influence, synthetic + score.synthetic_influence
        if not named:
            raise NotMeasurable("no column, or no pair of columns, varies on both sides")
        variance = (np.square(real).sum() + np.square(synthetic).sum()) / len(named) ** 2
        worst = sorted(named, key=lambda pair: pair[1])
        return cls(float(np.mean([value for _, value in named])), float(np.sqrt(variance)), len(synthetic), worst)


def _finding(metric: str, found: Mean, reference: Mean, detail: Mapping[str, object]) -> Finding:
    low, high = normal_interval(found.value, found.error, lowest=0.0, highest=1.0)
    return Finding(
        metric=metric, family="fidelity", value=found.value, low=low, high=high, reference=reference.value,
        higher_is_better=True, n=found.rows, detail=detail,
    )  # fmt: skip


def shape_scores(real: Encoded, synthetic: Encoded) -> Iterator[Score]:
    """The score of each column: 0 where one side alone has values; none where those are few, or neither has any."""
    for name, left, right in zip(real.numeric_names, real.numeric.T, synthetic.numeric.T, strict=True):
        if np.isfinite(left).any() and np.isfinite(right).any():
            yield _ks_complement(name, np.round(left, ROUND_DECIMALS), np.round(right, ROUND_DECIMALS))
        elif _is_on_one_side(np.isfinite(left), np.isfinite(right)):
            yield _zero((name,), real, synthetic)
    columns = zip(real.category_names, real.codes.T, synthetic.codes.T, real.levels, strict=True)
    for name, before, after, levels in columns:
        if (before >= 0).any() and (after >= 0).any():
            yield _tv_complement((name,), before, after, levels)
        elif _is_on_one_side(before >= 0, after >= 0):
            yield _zero((name,), real, synthetic)


def _is_on_one_side(*known: npt.NDArray[np.bool_]) -> bool:
    few, many = sorted(int(side.sum()) for side in known)
    return few == 0 and many >= ENOUGH_VALUES


def _zero(names: tuple[str, ...], real: Encoded, synthetic: Encoded) -> Score:
    return Score(names, 0.0, np.zeros(len(real)), np.zeros(len(synthetic)))


def trend_scores(real: Encoded, synthetic: Encoded, *, own_bins: bool = False) -> Iterator[Score]:
    """The score of each pair of columns; two numeric columns of which one is constant on both sides have none.

    Args:
        own_bins: cut the numbers of each side into bins of its own range, as SDMetrics' report does.
    """
    edges = [_edges(column, is_open=not own_bins) for column in real.numeric.T]
    other = [_edges(column, is_open=False) for column in synthetic.numeric.T] if own_bins else edges
    left, right = _discrete(real, edges), _discrete(synthetic, other)
    sides = enumerate(zip(real.numeric.T, synthetic.numeric.T, strict=True))
    one_sided = {a for a, columns in sides if _is_on_one_side(*map(np.isfinite, columns))}
    for a, b in combinations(range(len(real.names)), 2):
        names = (real.names[a], real.names[b])
        if b < len(real.numeric_names):
            if {a, b} & one_sided:
                yield _zero(names, real, synthetic)
            else:
                yield from _correlation_similarity(names, real.numeric[:, [a, b]], synthetic.numeric[:, [a, b]])
            continue
        levels = int(max(left[:, b].max(), right[:, b].max())) + 1
        before, after = left[:, a] * levels + left[:, b], right[:, a] * levels + right[:, b]
        yield _tv_complement(names, before, after, int(max(before.max(), after.max())) + 1)


def _edges(values: FloatArray, *, is_open: bool) -> FloatArray:
    """Edges of ten bins of the range, float64 [11]; open ones take in values beyond it."""
    edges = np.histogram_bin_edges(values[np.isfinite(values)], bins=BINS).astype(np.float64)
    if is_open:
        edges[0], edges[-1] = -np.inf, np.inf
    return edges


def _discrete(rows: Encoded, edges: Sequence[FloatArray]) -> Index:
    """int64 [n, p + q] >= 0: bins of the numbers, codes of the categories; missing is the last bin, or code 0."""
    binned = [np.digitize(column, cuts) for column, cuts in zip(rows.numeric.T, edges, strict=True)]
    return np.column_stack([*binned, rows.codes + 1]).astype(np.int64)


def _ks_complement(name: str, real: FloatArray, synthetic: FloatArray) -> Score:
    known = np.isfinite(real), np.isfinite(synthetic)
    left, right = np.sort(real[known[0]]), np.sort(synthetic[known[1]])
    points = np.concatenate([left, right])
    gaps = np.searchsorted(left, points, "right") / len(left) - np.searchsorted(right, points, "right") / len(right)
    at = int(np.abs(gaps).argmax())
    sign = float(np.sign(gaps[at]))
    return Score(
        (name,),
        1 - abs(float(gaps[at])),
        _centred(-sign * (real <= points[at]), known[0]),
        _centred(sign * (synthetic <= points[at]), known[1]),
    )


def _tv_complement(names: tuple[str, ...], real: Index, synthetic: Index, levels: int) -> Score:
    known = real >= 0, synthetic >= 0
    gaps = _frequencies(real[known[0]], levels) - _frequencies(synthetic[known[1]], levels)
    sign = np.sign(gaps)
    return Score(
        names,
        1 - float(np.abs(gaps).sum()) / 2,
        _centred(-sign[real] / 2, known[0]),
        _centred(sign[synthetic] / 2, known[1]),
    )


def _frequencies(codes: Index, levels: int) -> FloatArray:
    return np.asarray(np.bincount(codes, minlength=levels) / len(codes), dtype=np.float64)


def _centred(slopes: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Influence of each row on a mean of slopes over the known rows, float64 [n]."""
    return np.where(known, slopes - slopes[known].mean(), 0.0) / int(known.sum())


def _correlation_similarity(names: tuple[str, str], real: FloatArray, synthetic: FloatArray) -> Iterator[Score]:
    found = _pearson(*real.T), _pearson(*synthetic.T)
    if found == (None, None):
        return
    left, right = (side or (0.0, np.zeros(len(rows))) for side, rows in zip(found, (real, synthetic), strict=True))
    sign = float(np.sign(left[0] - right[0]))
    yield Score(names, 1 - abs(left[0] - right[0]) / 2, -sign / 2 * left[1], sign / 2 * right[1])


def _pearson(x: FloatArray, y: FloatArray) -> tuple[float, FloatArray] | None:
    """Correlation and each row's influence on it, float64 [n]; None where it is not defined."""
    known = np.isfinite(x) & np.isfinite(y)
    n = int(known.sum())
    if n < 2 or np.ptp(x[known]) == 0 or np.ptp(y[known]) == 0:
        return None
    u = np.where(known, (x - x[known].mean()) / x[known].std(), 0.0)
    v = np.where(known, (y - y[known].mean()) / y[known].std(), 0.0)
    correlation = float(u @ v) / n
    return correlation, (u * v - correlation * (u * u + v * v) / 2) / n

"""Planted records: the leak that one training proves."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize, special
from scipy import stats as scipy_stats

from synthgen.canaries import MIN_CANARIES, Canaries
from synthgen.datasets import Data, Table, concat
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.neighbours import embed, nearest_distances
from synthgen.metrics.table_features import encode, joined, tables
from synthgen.stats import FloatArray, clopper_pearson

THREAT_MODEL = (
    "An auditor makes up records and has a coin decide which are trained on; who knows all other training rows and "
    "sees the synthetic rows says which were, and may stay silent on those that are hard to tell."
)
# Numbers of guesses "was planted", fixed in advance; then a guess on every canary. 11 right guesses of 11 are the
# fewest that prove more than 0.5, and where little leaks only the surest guesses are right.
SURE_GUESSES = (12, 48)
CONFIDENCE = 0.95
# Accuracy .99995: guesses that were all right leave the upper end open.
MOST_EPSILON = 10.0
# Keeps the ratio finite where a canary is met exactly.
SMALLEST_DISTANCE = 1e-3


@dataclass(frozen=True)
class Guesses:
    """So many guesses, how many of them were right, and the epsilon that they prove."""

    made: int
    right: int
    proved: float


def canary_epsilon(evaluation: Evaluation) -> Finding:
    """Epsilon of the guesses which canaries were planted; the low end is the leak that is proved.

    Steinke, Nasr and Jagielski 2023, arXiv:2305.08846, theorem 5.2: see `p_value`. The low end is the largest epsilon
    that the guesses refute at 97.5 %; three numbers of guesses share that error (Bonferroni) and the one that proves
    most is shown. The value is log(a / (1 - a)) of the share a = (right + 1/2) / (made + 1); the high end is the same
    of Clopper and Pearson's upper end: what this attack could prove, not what a stronger one could.
    A canary is the likelier planted the larger its distance to the nearest held-out row is over that to the nearest
    synthetic row. Rows that equal a canary are never emitted, but here they count, at distance 0.
    Reference: half of the holdout in place of the synthetic rows.
    """
    canaries = _usable(evaluation)
    _, holdout, synthetic = tables(evaluation)
    found = _guessed(_scores(canaries, holdout, _with_probe(synthetic, evaluation.probe)), canaries)
    half = len(holdout) // 2
    blind = replace(canaries, copied=np.zeros(len(canaries), dtype=np.bool_))
    others, fresh = (holdout.take(index.astype(np.int64)) for index in np.split(np.arange(len(holdout)), [half]))
    reference = _guessed(_scores(blind, others, fresh), blind)
    low, value, high = _interval(found)
    return Finding(
        metric="canary_epsilon", family="privacy", value=value, low=low, high=high,
        reference=_interval(reference)[1], higher_is_better=False, n=len(canaries), threat_model=THREAT_MODEL,
        detail={
            "canaries": len(canaries), "planted": int(canaries.planted.sum()), "guesses": found.made,
            "right": found.right, "proved_epsilon": low, "delta": canaries.delta,
            "copied_planted": int(canaries.copied[canaries.planted].sum()),
            "copied_held_back": int(canaries.copied[~canaries.planted].sum()),
        },
    )  # fmt: skip


def _with_probe(synthetic: Table, probe: Data | None) -> Table:
    """All rows of the model that there are: a class that the plan left out is in the probe."""
    rows = synthetic if probe is None else concat([synthetic, probe])
    assert isinstance(rows, Table)
    return rows


def _usable(evaluation: Evaluation) -> Canaries:
    """The canaries of the classes that were synthesised."""
    canaries = evaluation.canaries
    if canaries is None:
        raise NotApplicable("no made-up records were planted before training; a run in profile release plants them")
    classes = {*evaluation.synthetic.classes, *(evaluation.probe.classes if evaluation.probe is not None else ())}
    canaries = canaries.take(np.flatnonzero(np.isin(canaries.rows.labels, sorted(classes))))
    if len(canaries) < MIN_CANARIES or len(evaluation.holdout) < MIN_CANARIES:
        raise NotMeasurable(
            f"{len(canaries)} made-up records of the synthesised classes and {len(evaluation.holdout)} held-out rows, "
            f"at least {MIN_CANARIES} of both are needed"
        )
    return canaries


def _scores(canaries: Canaries, holdout: Table, published: Table) -> FloatArray:
    """float64 [m]: the larger, the nearer the published rows come to the canary, for how remote it is."""
    columns = canaries.rows.schema.modelled
    made_up, real, shown = encode([canaries.rows, holdout, published], columns)
    reference = joined(made_up, real)
    points, strangers, rows = (embed(part, reference) for part in (made_up, real, shown))
    distance = np.where(canaries.copied, 0.0, nearest_distances(points, rows, 1))
    remoteness = nearest_distances(points, strangers, 1)
    return np.log(remoteness + SMALLEST_DISTANCE) - np.log(distance + SMALLEST_DISTANCE)


def _guessed(scores: FloatArray, canaries: Canaries) -> Guesses:
    """The number of guesses that proves most; a guess on every canary where none proves anything."""
    m = len(canaries)
    order = np.argsort(-scores, kind="stable")
    is_in = canaries.planted[order]
    every = int(is_in[: m // 2].sum() + (~is_in[m // 2 :]).sum())
    counts = [(m, every), *((made, int(is_in[:made].sum())) for made in SURE_GUESSES)]
    risk = (1 - CONFIDENCE) / 2 / len(counts)
    tried = [Guesses(*pair, proved_epsilon(m, *pair, delta=canaries.delta, risk=risk)) for pair in counts]
    return max(tried, key=lambda guesses: guesses.proved)


def _interval(guesses: Guesses) -> tuple[float, float, float]:
    value = _log_odds((guesses.right + 0.5) / (guesses.made + 1))
    high = _log_odds(clopper_pearson(guesses.right, guesses.made, confidence=CONFIDENCE)[1])
    return guesses.proved, max(guesses.proved, value), max(guesses.proved, value, high)


def _log_odds(accuracy: float) -> float:
    """The epsilon at which guesses are right that often; 0 where a coin does as well."""
    return float(np.clip(special.logit(accuracy), 0.0, MOST_EPSILON))


def proved_epsilon(m: int, made: int, right: int, *, delta: float = 0.0, risk: float = 0.05) -> float:
    """The largest epsilon under which so many right guesses have a probability of at most `risk`; 0 for none.

    At (1 - risk) confidence the training was not (epsilon, delta)-differentially private for any smaller epsilon.
    """
    if p_value(0.0, m, made, right, delta) >= risk:
        return 0.0
    if p_value(MOST_EPSILON, m, made, right, delta) <= risk:
        return MOST_EPSILON
    return float(optimize.brentq(lambda epsilon: p_value(epsilon, m, made, right, delta) - risk, 0.0, MOST_EPSILON))


def p_value(epsilon: float, m: int, made: int, right: int, delta: float = 0.0) -> float:
    """Bound on the probability that v = `right` of r = `made` guesses on m canaries are right, in [0, 1].

    P(B >= v) + 2 m delta max_{1 <= i <= v} P(v > B >= v - i) / i, with B ~ Binomial(r, e^epsilon / (1 + e^epsilon)),
    under (epsilon, delta)-differential privacy and a fair coin for each canary. Source: arXiv:2305.08846, theorem 5.2.
    """
    accuracy = 1 / (1 + np.exp(-epsilon))
    tail = float(scipy_stats.binom.sf(right - 1, made, accuracy))
    if delta == 0 or right == 0:
        return min(1.0, tail)
    i: npt.NDArray[np.int64] = np.arange(1, right + 1)
    between = np.cumsum(scipy_stats.binom.pmf(right - i, made, accuracy))
    return float(min(1.0, tail + 2 * m * delta * np.max(between / i)))

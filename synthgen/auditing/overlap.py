"""Rows that stand in train and in the holdout: what the generator has seen is no control."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats as scipy_stats

from synthgen.datasets import Data, ImageSet, Labels
from synthgen.findings import Problem
from synthgen.near_duplicates import nearly_equal
from synthgen.stats import FloatArray

# A holdout of which more than this share stands in train is none.
MOST_SHARED = 0.5
# Of warning about an honest holdout.
FALSE_ALARM = 1e-4
SEEN = "most of the holdout stands in train, so there is no control"
_HINT = (
    "hold back rows that the generator has not seen: on a holdout that it was trained on copies look like coincidence"
)


@dataclass(frozen=True)
class Overlap:
    """What a person should know about rows on both sides, and whether they are so many that nothing has a control."""

    problems: Sequence[Problem]
    is_no_control: bool


@dataclass(frozen=True)
class Shared:
    """Held-out rows that equal a training row.

    Attributes:
        share: of the holdout, those beyond coincidence, in [0, 1].
        p: probability of as many or more in an honest holdout.
    """

    rows: int
    share: float
    p: float


def overlap(train: Data, holdout: Data) -> Overlap:
    """Rows on both sides beyond coincidence; images on both sides, nearly equal ones too."""
    found = shared(train, holdout)
    is_seen = found.p < FALSE_ALARM
    if isinstance(train, ImageSet) and isinstance(holdout, ImageSet):
        message = _images_on_both_sides(train, holdout)
    else:
        message = _rows_on_both_sides(found, len(holdout)) if is_seen else ""
    if not (is_seen and found.share > MOST_SHARED):
        return Overlap(_warning(message), is_no_control=False)
    return Overlap(_warning(f"{message}: it is no control, and nothing is audited"), is_no_control=True)


def shared(train: Data, holdout: Data) -> Shared:
    """How many held-out rows equal a training row, and how many of them by more than coincidence.

    Rows that repeat by nature fall on either side as the sides are large: of two equal rows one is held out with
    probability 2 q (1 - q), q the held-out share of their class. Pairs on one side thus tell how many across are
    natural; p is that of a binomial, whose tail is no lighter (Hoeffding 1956).
    """
    held_out = np.repeat([False, True], [len(train), len(holdout)])
    keys = np.concatenate([train.row_keys(), holdout.row_keys()])
    _, first, row, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    in_holdout, is_pair = np.bincount(row, weights=held_out), counts == 2
    rows = int(in_holdout[in_holdout < counts].sum())
    across = is_pair & (in_holdout == 1)
    if not across.any():
        return Shared(rows, 0.0, 1.0)
    apart = _apart(np.concatenate([train.labels, holdout.labels]), held_out)[first]
    natural = (apart / (1 - apart))[is_pair & ~across].sum()
    beyond = max(0.0, float(across.sum() - natural)) / int((in_holdout == 1).sum())
    return Shared(rows, beyond, float(scipy_stats.binom.sf(across.sum() - 1, is_pair.sum(), apart[is_pair].mean())))


def _apart(labels: Labels, held_out: npt.NDArray[np.bool_]) -> FloatArray:
    """Probability that exactly one of two rows of the class of each row is held out, float64 [n]."""
    _, classes = np.unique(labels, return_inverse=True)
    q = np.bincount(classes, weights=held_out) / np.bincount(classes)
    return np.asarray((2 * q * (1 - q))[classes])


def _rows_on_both_sides(found: Shared, rows: int) -> str:
    more = min(found.rows, round(found.share * rows))
    return f"{found.rows:,} of {rows:,} rows of holdout stand in train, about {more:,} of them beyond coincidence"


def _images_on_both_sides(train: ImageSet, holdout: ImageSet) -> str:
    is_equal = np.isin(holdout.row_keys(), train.row_keys())
    equal, near = int(is_equal.sum()), int((nearly_equal(holdout, train) & ~is_equal).sum())
    if not equal and not near:
        return ""
    return f"{equal:,} of {len(holdout):,} images of holdout equal one of train, and {near:,} more nearly do"


def _warning(message: str) -> list[Problem]:
    return [Problem("rows_on_two_sides", message, "warning", hint=_HINT)] if message else []

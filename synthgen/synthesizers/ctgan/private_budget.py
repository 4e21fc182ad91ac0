"""How much noise differential privacy asks for, by the analytic Gaussian mechanism (Balle 2018, arXiv:1805.06530).

Neighbours are tables of which one has one row more. A run asks the training rows twice: once for histograms of single
columns, to lay the bins, and once for all moments. Both answers are noised; all else is made from them. A query of
sensitivity s with Gaussian noise of deviation sigma is (s / sigma)-GDP, and such queries compose, also when the second
depends on the answer to the first, by the root of the sum of squares (Dong 2022, corollary 2, arXiv:1905.02383). So
both together are as private as one Gaussian mechanism of sensitivity 1 with noise 1 / mu.
"""

import secrets
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from synthgen.config import DpConfig
from synthgen.stats import FloatArray
from synthgen.synthesizers.codes import Layout

# Of mu squared, for the histograms: they only lay the bins and count the classes.
_HISTOGRAM_SHARE = 0.1

_PUBLIC = (
    "names and types of columns; levels of categories, classes among them; of numbers and dates the smallest and the "
    "largest value, the raster (decimals) and whether they may be missing; constraints and all else that is configured"
)
_NOT_COVERED = (
    "the split, the numbers of the report and the decision to release, which are measured on real rows; "
    "attacks on the low bits of floating-point noise are met by rounding noised counts to whole numbers only"
)


@dataclass(frozen=True)
class Query:
    """One question to the training rows: how far one row moves the answer (L2), and the deviation of its noise."""

    sensitivity: float
    sigma: float

    def noised(self, counts: FloatArray, rng: np.random.Generator) -> FloatArray:
        """The counts with noise, as whole numbers that may be negative."""
        return np.rint(counts + rng.normal(0.0, self.sigma, counts.shape))


def secret_rng() -> np.random.Generator:
    """Randomness of the operating system: whoever knew the seed, which manifests state, could take the noise off."""
    return np.random.default_rng(secrets.randbits(128))


def gaussian_delta(epsilon: float, mu: float) -> float:
    """The smallest delta at this epsilon of Gaussian noise 1 / mu times the sensitivity. Balle and Wang, theorem 8."""
    shift = epsilon / mu
    return float(ndtr(mu / 2 - shift) - np.exp(epsilon + log_ndtr(-mu / 2 - shift)))


def gaussian_mu(epsilon: float, delta: float) -> float:
    """The largest sensitivity / sigma that is (epsilon, delta)-private."""
    # A wide bracket, in logarithms: delta grows with mu from 0 to 1.
    return float(np.exp(brentq(lambda log_mu: gaussian_delta(epsilon, np.exp(log_mu)) - delta, -25, 8, xtol=1e-12)))


def histogram_query(dp: DpConfig, measured: int) -> Query:
    """For the rows of each class and a histogram of each measured column: a row is in one cell of each."""
    return _query(dp, np.sqrt(1 + measured), _HISTOGRAM_SHARE)


def moment_query(dp: DpConfig, columns: int) -> Query:
    """For the co-occurrences of levels in each class, each pair once.

    A row adds 1, in its class alone, to the number of rows, to the level it has in each column, and to the pair of
    levels it has in each pair of columns: 1 + c + c (c - 1) / 2 numbers.
    """
    return _query(dp, np.sqrt(1 + columns + columns * (columns - 1) / 2), 1 - _HISTOGRAM_SHARE)


def _query(dp: DpConfig, sensitivity: float, share: float) -> Query:
    return Query(float(sensitivity), float(sensitivity / (np.sqrt(share) * gaussian_mu(dp.epsilon, dp.delta))))


def on_simplex(values: FloatArray, total: float) -> FloatArray:
    """The nearest array (L2) that is not negative and sums to `total`.

    Clipping alone would turn noise around zero into rows. Source: Duchi 2008, figure 1.
    """
    flat = np.sort(values, axis=None)[::-1]
    excess = (np.cumsum(flat) - total) / np.arange(1, flat.size + 1)
    last = int(np.flatnonzero(flat > excess)[-1])
    return np.asarray(np.maximum(values - excess[last], 0.0))


def accounting(dp: DpConfig, layout: Layout) -> dict[str, Any]:
    """What was promised and how it was kept, JSON-ready."""
    measured = sum(ranks is not None for ranks in layout.ranks)
    queries = {"histograms": histogram_query(dp, measured), "moments": moment_query(dp, len(layout.sizes))}
    return {
        "mechanism": "analytic Gaussian (Balle and Wang 2018), two queries composed as Gaussian DP (Dong 2022)",
        "neighbours": "one training row more or less",
        "epsilon": dp.epsilon,
        "delta": dp.delta,
        "mu": gaussian_mu(dp.epsilon, dp.delta),
        "queries": {name: asdict(query) for name, query in queries.items()},
        "randomness": "operating system, not the seed of the run",
        "public": _PUBLIC,
        "not_covered": _NOT_COVERED,
    }

"""Planted failures: what the audit must reject, and what it must not accuse. To add one: a line in EXPERIMENTS.

`power.py` runs them over many seeds, tests/power a few of them on every change, `audit.py` gives the same leaks to
other tools.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from synthgen.config import ColumnKind
from synthgen.datasets import Data, Schema, Table, concat
from synthgen.metrics import Modality

ROWS = 2_000
Population = Callable[[int, np.random.Generator], Table]


class Sides(NamedTuple):
    """What an audit is given."""

    train: Data
    holdout: Data
    synthetic: Data


Plant = Callable[[np.random.Generator], Sides]


class Outcome(Enum):
    """What the gate of a metric must say, or where its interval must lie."""

    FAIL = "FAIL"
    NO_FAIL = "no FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    BEYOND_CHANCE = "beyond chance"
    NEGATIVE = "below zero"


# Compared by identity, so that it can be a key.
@dataclass(frozen=True, eq=False)
class Experiment:
    """One planted failure, or one honest sample.

    Attributes:
        title: what was given, in words.
        expects: what each judged metric must say; a seed counts when all of them do.
        demanded: share of seeds that must count, in [0, 1].
    """

    title: str
    plant: Plant
    expects: Mapping[str, Outcome]
    demanded: float = 0.95
    modality: Modality = "table"


# Populations: independent rows, small tables as they occur.


PEOPLE: Mapping[str, ColumnKind] = {
    "name": "id", "height": "numeric", "weight": "numeric", "pulse": "integer", "city": "categorical",
    "region": "categorical", "smokes": "boolean", "ill": "categorical",
}  # fmt: skip


def people(n: int, rng: np.random.Generator) -> Table:
    """Names, measures with a few missing values, places, a secret; the label is yes in 1 of 6."""
    health, place = rng.normal(size=(2, n))
    height = 170 + 9 * health + 4 * rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "name": [f"O'Brien-{number}" for number in rng.integers(0, 10**12, n)],
            "height": np.round(height, 2),
            "weight": np.where(rng.random(n) < 0.05, np.nan, np.round(0.8 * height - 60 + 3 * rng.normal(size=n), 2)),
            "pulse": np.round(70 - 6 * health + 3 * rng.normal(size=n)).astype(int),
            "city": np.array(["a", "b", "c", "d"])[np.digitize(place, [-0.7, 0, 0.7])],
            "region": np.where(place > 0, "north", "south"),
            "smokes": health + rng.normal(size=n) < -0.5,
            "ill": np.where(0.8 * rng.normal(size=n) - 1.5 * health + place > 1.9, "yes", "no"),
        }
    )
    return Table(frame, Schema(PEOPLE, "ill", protected=("region",), secrets=("smokes",)))


def amounts(n: int, rng: np.random.Generator) -> Table:
    """Rows that say much about a person: eight amounts and two categories."""
    frame = pd.DataFrame({f"amount{i}": np.exp(rng.normal(size=n)) for i in range(8)})
    frame = frame.assign(city=rng.choice(list("abcde"), n), ill=rng.choice(["no", "yes"], n))
    kinds: dict[str, ColumnKind] = {str(name): "numeric" for name in frame.select_dtypes("number")}
    return Table(frame, Schema({**kinds, "city": "categorical", "ill": "categorical"}, "ill"))


def few_values(n: int, rng: np.random.Generator) -> Table:
    """Rows of which many repeat by nature."""
    frame = pd.DataFrame({"x": rng.poisson(9, n), "y": rng.poisson(9, n), "ill": rng.choice(["no", "yes"], n)})
    return Table(frame, Schema({"x": "integer", "y": "integer", "ill": "categorical"}, "ill"))


def priced(n: int, rng: np.random.Generator) -> Table:
    """Prices in words, which an audit takes for ids: nearly every row has one of its own, some recur by chance."""
    frame = pd.DataFrame({"price": [f"$ {price / 100:.2f}" for price in rng.integers(0, 100_000, n)]})
    schema = Schema({"price": "id", "x": "numeric"}, None, guessed_ids=("price",))
    return Table(frame.assign(x=rng.normal(size=n)), schema)


# Training rows that leak.


def emitted(table: Table) -> Table:
    """As a synthesizer emits it: without identifiers."""
    return replace(table, frame=table.modelled)


def marginals(table: Table, rng: np.random.Generator) -> Table:
    """Columns drawn alone."""
    return replace(table, frame=table.frame.apply(lambda column: column.to_numpy()[rng.permutation(len(column))]))


def exactly(train: Table, count: int, rng: np.random.Generator) -> Table:
    """So many training rows, as they are."""
    return train.take(rng.permutation(len(train))[:count])


def moved(train: Table, count: int, rng: np.random.Generator) -> Table:
    """So many training rows, each number moved by up to 2 %."""
    chosen = exactly(train, count, rng)
    numbers = chosen.frame[chosen.schema.of_kind("numeric")]
    return replace(chosen, frame=chosen.frame.assign(**(numbers * (1 + rng.uniform(-0.02, 0.02, numbers.shape)))))


def rarest(train: Table, count: int, rng: np.random.Generator) -> Table:
    """The training rows with the most distant fifth neighbour; numbers standardised, categories as 0 or 1."""
    known = pd.get_dummies(train.modelled.fillna(train.modelled.mean(numeric_only=True)), dtype=float)
    standard = ((known - known.mean()) / known.std()).to_numpy()
    isolation = cKDTree(standard).query(standard, k=6)[0][:, -1]
    return train.take(np.argsort(-isolation)[:count])


Leak = Callable[[Table, int, np.random.Generator], Table]


def leaking(fresh: Table, train: Table, share: float, leak: Leak, rng: np.random.Generator) -> Table:
    """The fresh rows, of which that share are replaced by what leaks of train."""
    leaked = leak(train, round(share * len(fresh)), rng)
    both = concat([leaked, fresh.take(np.arange(len(leaked), len(fresh)))])
    assert isinstance(both, Table)
    return both


# Experiments.


def honest(population: Population, *, rows: int = ROWS, holdout: int = ROWS) -> Plant:
    """Three independent samples."""
    return lambda rng: Sides(population(rows, rng), population(holdout, rng), emitted(population(rows, rng)))


def replayed(population: Population, share: float, leak: Leak = exactly, *, holdout: int = ROWS) -> Plant:
    """Independent samples, the synthetic one with that share of leaked rows."""

    def plant(rng: np.random.Generator) -> Sides:
        train, fresh = population(ROWS, rng), population(ROWS, rng)
        return Sides(train, population(holdout, rng), emitted(leaking(fresh, train, share, leak, rng)))

    return plant


def copied(rng: np.random.Generator) -> Sides:
    """The training rows, names and all."""
    train = people(ROWS, rng)
    return Sides(train, people(ROWS, rng), train)


def identified(population: Population, share: float) -> Plant:
    """Independent samples with their ids, that share of the synthetic ones those of training rows."""

    def plant(rng: np.random.Generator) -> Sides:
        train, fresh = population(ROWS, rng), population(ROWS, rng)
        return Sides(train, population(ROWS, rng), leaking(fresh, train, share, exactly, rng))

    return plant


def swapped(rng: np.random.Generator) -> Sides:
    """Synthetic rows that copy the holdout."""
    train = people(ROWS, rng)
    return Sides(people(ROWS, rng), train, emitted(train))


def columns_alone(rng: np.random.Generator) -> Sides:
    """Columns of train, drawn alone."""
    train = people(ROWS, rng)
    return Sides(train, people(ROWS, rng), emitted(marginals(train, rng)))


def three_names(rng: np.random.Generator) -> Sides:
    """Fresh rows, three of them with the name of a training row."""
    train, fresh = people(ROWS, rng), people(ROWS, rng)
    names = fresh.frame["name"].where(np.arange(ROWS) >= 3, train.frame["name"])
    return Sides(train, people(ROWS, rng), replace(fresh, frame=fresh.frame.assign(name=names)))


def repeated_rows(rng: np.random.Generator) -> Sides:
    """A population with natural duplicates, all equal rows on one side of the split, a holdout a third of train."""
    everyone, fresh = few_values(2 * ROWS, rng), few_values(ROWS, rng)
    side = rng.random(100_000)[everyone.row_keys() % np.uint64(100_000)]
    train, holdout = (everyone.take(np.flatnonzero(part)) for part in (side < 0.75, side >= 0.75))
    return Sides(train, holdout, fresh)


MEMBERSHIP = "membership_tpr_at_1pct_fpr"
ROW_ATTACKS = ("excess_copies", MEMBERSHIP, "membership_share_of_leak", "membership_rare", "attribute_inference")
PRIVACY = ("identifier_replay", *ROW_ATTACKS)
# What rows that know nothing of train reach: an interval above it sees the leak, even where the gate tolerates it.
CHANCE = {
    "identifier_replay": 0.0, "excess_copies": 0.0, MEMBERSHIP: 0.01, "membership_share_of_leak": 0.0,
    "membership_rare": 0.01, "attribute_inference": 0.0, "c2st_auc": 0.5,
}  # fmt: skip
ACCUSES_NOBODY = dict.fromkeys(PRIVACY, Outcome.NO_FAIL)
# Of 100 honest samples one may be accused.
HONEST = 0.99

EXPERIMENTS: Mapping[str, Experiment] = {
    "copy": Experiment("copy of train, with names", copied, dict.fromkeys(PRIVACY, Outcome.FAIL)),
    "independent": Experiment("independent real sample", honest(people), ACCUSES_NOBODY, HONEST),
    "independent-8000": Experiment(
        "the same, 8,000 rows of each", honest(people, rows=8_000, holdout=8_000), ACCUSES_NOBODY, HONEST
    ),
    "independent-amounts": Experiment("the same, eight amounts", honest(amounts), ACCUSES_NOBODY, HONEST),
    "small-holdout": Experiment(
        "fresh rows, holdout 3x smaller than train", honest(people, holdout=ROWS // 3), ACCUSES_NOBODY, HONEST
    ),
    "repeated-rows": Experiment("fresh rows, many equal, holdout 3x smaller", repeated_rows, ACCUSES_NOBODY, HONEST),
    "marginals": Experiment(
        "independent columns", columns_alone, {**ACCUSES_NOBODY, "c2st_auc": Outcome.FAIL}, HONEST
    ),
    "replay-0.5%": Experiment("0.5 % exact replay", replayed(people, 0.005), {"excess_copies": Outcome.FAIL}),
    "replay-1%": Experiment("1 % exact replay", replayed(people, 0.01), {"excess_copies": Outcome.FAIL}),
    "jitter-2%": Experiment(
        "2 % replay, numbers moved by up to 2 %", replayed(amounts, 0.02, moved), {MEMBERSHIP: Outcome.BEYOND_CHANCE}
    ),
    "rarest-5%": Experiment(
        "5 % replay of the rarest rows", replayed(people, 0.05, rarest), {"membership_rare": Outcome.FAIL}
    ),
    "names": Experiment("three names like O'Brien, copied", three_names, {"identifier_replay": Outcome.FAIL}),
    "names-fresh": Experiment(
        "independent real sample, with names", identified(people, 0.0), {"identifier_replay": Outcome.NO_FAIL}, HONEST
    ),
    "guessed": Experiment(
        "the same, prices that were taken for ids", identified(priced, 0.0), {"identifier_replay": Outcome.NO_FAIL},
        HONEST,
    ),
    "guessed-5%": Experiment(
        "5 % replay, prices that were taken for ids", identified(priced, 0.05), {"identifier_replay": Outcome.FAIL}
    ),
    "holdout-50": Experiment(
        "holdout of 50 rows, 1 % exact replay", replayed(people, 0.01, holdout=50),
        dict.fromkeys(ROW_ATTACKS, Outcome.INCONCLUSIVE),
    ),
    "swapped": Experiment(
        "copy of the holdout: train and holdout swapped", swapped,
        {"excess_copies": Outcome.NEGATIVE, MEMBERSHIP: Outcome.NO_FAIL},
    ),
}  # fmt: skip

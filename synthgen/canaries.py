"""Canaries: made-up records of which a coin plants half among the training rows, to see what is given away of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.constraints import rule_of, violations
from synthgen.datasets import Data, Index, Labels, Schema, Splits, Table, concat
from synthgen.findings import Problem

Mask = npt.NDArray[np.bool_]
Draw = Callable[[Labels, np.random.Generator], Data]

# With fewer, not even a generator of copies is told from an honest one.
MIN_CANARIES = 48
# About half of the canaries are planted, so that at most one in forty training rows is made up. Telco (4,225 rows, no
# constraints declared, cart): AUC .53 without, .59 with 2.4 % made up, .62 with 4.5 %; Adult with 0.7 %: .53 and .53.
_TRAIN_ROWS_PER_CANARY = 20
# Share of the values of a column that lie near one end of it.
_TAIL_SHARE = 0.05
# Where most drawn records are real or forbidden, it takes some attempts.
_ROUNDS = 10


@dataclass(frozen=True)
class Canaries:
    """Made-up records, and what became of them.

    Attributes:
        rows: modelled columns, each record different from the others and from every real row.
        planted: bool [m], independent fair coins: True for those that the model has learnt from.
        copied: bool [m], True where a row that the model drew equals the record; such rows are never emitted.
        train_rows: real rows among which they were planted.
        delta: of the differential privacy that the model claims; 0 where none is claimed.
    """

    rows: Table
    planted: Mask
    copied: Mask
    train_rows: int
    delta: float = 0.0

    def __len__(self) -> int:
        return len(self.rows)

    def save(self, directory: Path) -> None:
        """Write the rows and canaries.json."""
        self.rows.save(directory)
        masks = {"planted": self.planted.tolist(), "copied": self.copied.tolist()}
        rest = {**masks, "train_rows": self.train_rows, "delta": self.delta}
        (directory / "canaries.json").write_text(json.dumps(rest))

    @classmethod
    def load(cls, directory: Path) -> "Canaries":
        """What `save` wrote."""
        raw = json.loads((directory / "canaries.json").read_text())
        planted, copied = (np.asarray(raw[name], dtype=np.bool_) for name in ("planted", "copied"))
        return cls(Table.load(directory), planted, copied, raw["train_rows"], raw["delta"])

    def take(self, index: Index) -> "Canaries":
        """The canaries at these positions."""
        rows, planted, copied = self.rows.take(index), self.planted[index], self.copied[index]
        return replace(self, rows=rows, planted=planted, copied=copied)

    def note(self) -> Problem:
        """What planting does to the training data, in plain words."""
        count = int(self.planted.sum())
        if count == 0:
            message = f"no canaries were planted among {self.train_rows:,} training rows: too few could be made up"
            return Problem("canaries", message, "warning", hint="canary_epsilon cannot be measured")
        share = count / (self.train_rows + count)
        message = (
            f"{count:,} made-up records (canaries) are planted among {self.train_rows:,} training rows: {share:.1%} of"
            f" what the model learns is not real; {len(self) - count:,} others are held back, to compare"
        )
        hint = "none of them is emitted or counted as a real row; evaluation.canaries: 0 plants none"
        return Problem("canaries", message, "info", hint=hint)


def toss(splits: Splits, at_most: int, rng: np.random.Generator, *, delta: float = 0.0) -> Canaries:
    """Canaries for these training rows, one for twenty of them at most, and the coin of each.

    None at all where fewer than `MIN_CANARIES` can be made up.
    """
    train = splits.train
    assert isinstance(train, Table)
    rows = _made_up(splits, min(at_most, len(train) // _TRAIN_ROWS_PER_CANARY), rng)
    return Canaries(rows, rng.random(len(rows)) < 0.5, np.zeros(len(rows), dtype=np.bool_), len(train), delta)


def planted_among(train: Table, canaries: Canaries, rng: np.random.Generator) -> Table:
    """The rows that a model learns from: the modelled columns of train and of the planted canaries, shuffled."""
    if not canaries.planted.any():
        return train
    rows = concat([replace(train, frame=train.modelled), canaries.rows.take(np.flatnonzero(canaries.planted))])
    assert isinstance(rows, Table)
    return rows.take(rng.permutation(len(rows)))


class Watch:
    """Keeps drawn rows that equal a canary from being emitted, planted or not, and remembers which canary it was.

    Attributes:
        canaries: with those marked that have been met so far; None where there are none to look for.
        dropped: rows that were kept back.
    """

    def __init__(self, canaries: Canaries | None) -> None:
        self.canaries = canaries
        self.dropped = 0

    def without_copies(self, rows: Data) -> Data:
        """The rows that equal no canary."""
        if self.canaries is None:
            return rows
        known, keys = self.canaries.rows.row_keys(), rows.row_keys()
        equal = np.isin(keys, known)
        self.dropped += int(equal.sum())
        self.canaries = replace(self.canaries, copied=self.canaries.copied | np.isin(known, keys))
        return rows.take(np.flatnonzero(~equal))

    def over(self, draw: Draw) -> Draw:
        """The same draw without such rows, so that it may give fewer than it is asked for."""
        return lambda labels, rng: self.without_copies(draw(labels, rng))


def _made_up(splits: Splits, wanted: int, rng: np.random.Generator) -> Table:
    """`wanted` records that keep the constraints and equal no real row; none where there are too few such."""
    train = splits.train
    assert isinstance(train, Table)
    real = np.concatenate([part.row_keys() for _, part in splits.parts()])
    plain = replace(train, frame=train.modelled)
    found = plain.take(np.arange(0))
    for _ in range(_ROUNDS):
        if len(found) >= wanted:
            break
        drawn = concat([found, _drawn(plain, wanted, rng)])
        assert isinstance(drawn, Table)
        found = _lawful(_different(drawn, real), plain)
    return found.take(np.arange(wanted if len(found) >= wanted >= MIN_CANARIES else 0))


def _different(rows: Table, real: npt.NDArray[np.uint64]) -> Table:
    keys = rows.row_keys()
    _, first = np.unique(keys, return_index=True)
    return rows.take(np.sort(first[~np.isin(keys[first], real)]))


def _lawful(rows: Table, train: Table) -> Table:
    if not train.schema.constraints:
        return rows
    # Behind the training rows: what must be unique must not repeat one of theirs.
    everything = concat([train, rows])
    assert isinstance(everything, Table)
    broken = np.any(list(violations(everything, train).values()), axis=0)[len(train) :]
    return rows.take(np.flatnonzero(~broken))


def _drawn(train: Table, n: int, rng: np.random.Generator) -> Table:
    """n records whose columns, or columns that a constraint binds together, come each from a row of its own.

    Numbers come from near an end of their column, categories and classes as often as they are: every value is one that
    train has, and only the combination is rare.
    """
    blocks = [(block, _rows_for(train, block, n, rng)) for block in _blocks(train.schema)]
    cells = {name: train.frame[name].iloc[index].reset_index(drop=True) for block, index in blocks for name in block}
    return replace(train, frame=pd.DataFrame(cells)[train.schema.modelled])


def _blocks(schema: Schema) -> Sequence[Sequence[str]]:
    blocks = [[name] for name in schema.modelled]
    for constraint in schema.constraints:
        if constraint.kind == "unique":
            continue
        bound = [block for block in blocks if set(block) & set(rule_of(constraint).columns)]
        blocks = [[*chain.from_iterable(bound)], *(block for block in blocks if block not in bound)]
    return blocks


def _rows_for(train: Table, block: Sequence[str], n: int, rng: np.random.Generator) -> Index:
    """Rows to take the block from: near an end for a number that stands alone and is known, else any."""
    name, schema = block[0], train.schema
    known = train.frame[name].dropna()
    is_number = name != schema.label and schema.kinds[name] in ("numeric", "integer", "datetime")
    if len(block) > 1 or len(known) == 0 or not is_number:
        return rng.integers(0, len(train), n)
    ordered = known.sort_values(kind="stable").index.to_numpy(dtype=np.int64)
    place = rng.integers(0, int(np.ceil(_TAIL_SHARE * len(ordered))), n)
    return np.where(rng.random(n) < 0.5, ordered[place], ordered[-1 - place])

"""Choosing what is emitted: candidates without copies, calibrated, every quota filled by drawing again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.config import CurationConfig
from synthgen.constraints import violations
from synthgen.curation.calibrate import Real, calibrate
from synthgen.curation.groups import Groups, group_counts
from synthgen.curation.looks import Looks
from synthgen.datasets import Data, ImageSet, Keys, Labels, Splits, Table, class_counts, class_rows, concat
from synthgen.errors import TrainingError
from synthgen.metrics.privacy.near_copies import Bar
from synthgen.progress import within

Draw = Callable[[Labels, np.random.Generator], Data]
Mask = npt.NDArray[np.bool_]

# After so many rounds of drawing again what is still missing is not going to come.
MAX_ROUNDS = 8
# Candidates per emitted row when calibration chooses among them, and how many are enough. More help more: support2
# (5,463 rows), AUC .566 with four, .540 with twelve, with formulas .678 and .656, at the same membership.
_FEWEST_PER_ROW, _MOST_PER_ROW, _ENOUGH_CANDIDATES = 4, 12, 150_000

# Rows are pardoned by their key, the same ones in every round.
_PARDON_STEPS = 2**20


def candidates_per_row(rows: int) -> int:
    """How many candidates calibration chooses each of so many rows from."""
    return min(max(_ENOUGH_CANDIDATES // max(rows, 1), _FEWEST_PER_ROW), _MOST_PER_ROW)


@dataclass
class CurationRecord:
    """What curation did, for the report.

    Attributes:
        per_class: the same counts of each class, without those that are 0.
        unknown_classes: those with too few real images to say how one of them looks: labels and outliers unseen.
        drawn_per_group, dropped_per_group: images of each protected group; empty where train protects no attribute.
            Dropped are copies and odd images together.
    """

    drawn: int = 0
    exact_copies: int = 0
    near_copies: int = 0
    near_copy_threshold: float | None = None
    copies_kept: int = 0
    other_class: int = 0
    out_of_reach: int = 0
    odd_kept: int = 0
    canary_copies: int = 0
    rounds: int = 0
    per_class: dict[str, dict[str, int]] = field(default_factory=dict)
    unknown_classes: tuple[str, ...] = ()
    drawn_per_group: dict[str, int] = field(default_factory=dict)
    dropped_per_group: dict[str, int] = field(default_factory=dict)
    calibration: dict[str, float] = field(default_factory=dict)
    ratio: dict[str, Any] = field(default_factory=dict)

    def count(self, what: str, data: Data) -> None:
        """Add these rows to the field of that name, and to that of each class."""
        setattr(self, what, getattr(self, what) + len(data))
        for name, number in class_counts(data).items():
            if number:
                of_class = self.per_class.setdefault(name, {})
                of_class[what] = of_class.get(what, 0) + number


@dataclass(frozen=True)
class Screen:
    """What makes a candidate a copy, and of images what makes it odd.

    Attributes:
        train_keys: those that no candidate may have.
        bar: how close an image may come to a training image.
        looks: what an image of a class looks like.
    """

    train: Data
    valid: Data
    train_keys: Keys
    bar: Bar | None
    looks: Looks | None = None

    @classmethod
    def open(cls, parts: Splits) -> "Screen":
        """One that calls nothing a copy."""
        return cls(parts.train, parts.valid, np.empty(0, dtype=np.uint64), None)

    @classmethod
    def of(cls, train: Data, valid: Data, config: CurationConfig) -> "Screen":
        """The screen for these training rows; the bar comes from valid, never from the holdout."""
        bar = None
        if isinstance(train, ImageSet) and isinstance(valid, ImageSet) and config.near_copies == "drop":
            bar = Bar.of(valid, train)
        return cls(train, valid, np.unique(train.row_keys()), bar)

    def looking(self, config: CurationConfig, rng: np.random.Generator) -> "Screen":
        """The same, that drops odd images too; tables have none."""
        if not isinstance(self.train, ImageSet) or not isinstance(self.valid, ImageSet):
            return self
        return replace(self, looks=Looks.of(self.train, self.valid, config, rng))

    def after(self, candidates: Data) -> "Screen":
        """The screen that lets through as many copies as coincidence explains.

        Few columns with few values coincide by chance, with rows of valid as often as with those of train. Were all
        copies of train dropped, an absent common row would tell that it was there.
        """
        drawn = np.unique(candidates.row_keys())
        of_train, of_valid = (
            float(np.isin(np.unique(part.row_keys()), drawn).mean()) for part in (self.train, self.valid)
        )
        pardoned = of_valid / of_train if of_train else 0.0
        barred = self.train_keys % np.uint64(_PARDON_STEPS) >= np.uint64(min(1.0, pardoned) * _PARDON_STEPS)
        return replace(self, train_keys=self.train_keys[barred])

    def copies(self, candidates: Data, record: CurationRecord) -> Mask:
        """True for candidates that copy a training row; counts them in the record."""
        exact = np.isin(candidates.row_keys(), self.train_keys)
        record.count("exact_copies", _where(candidates, exact))
        near = np.zeros(len(candidates), dtype=bool)
        if self.bar is not None and isinstance(candidates, ImageSet):
            near = self.bar.flags(candidates) & ~exact
            record.count("near_copies", _where(candidates, near))
            record.near_copy_threshold = self.bar.height
        return np.asarray(exact | near)

    def odd(self, candidates: Data, record: CurationRecord) -> Mask:
        """True for images that do not look like their class; counts them in the record."""
        if self.looks is None or not isinstance(candidates, ImageSet):
            return np.zeros(len(candidates), dtype=bool)
        other, out = self.looks.of_another_class(candidates), self.looks.out_of_reach(candidates)
        record.count("other_class", _where(candidates, other))
        record.count("out_of_reach", _where(candidates, out))
        record.unknown_classes = self.looks.unknown
        return other | out

    def let_through(self, candidates: Data, quota: Mapping[str, int]) -> Data:
        """The candidates without copies; all of them when a class would have fewer than quota[class] left."""
        kept = _where(candidates, ~self.after(candidates).copies(candidates, CurationRecord()))
        return candidates if _missing(kept, quota) else kept


def curate(
    candidates: Data,
    quota: Mapping[str, int],
    draw: Draw,
    screen: Screen,
    config: CurationConfig,
    rng: np.random.Generator,
    groups: Groups | None = None,
) -> tuple[Data, CurationRecord]:
    """Exactly quota[class] rows of each class, and what was done to get them.

    Rows that break a constraint of the table are dropped like copies; a synthesizer sees that of each draw alone, here
    all draws and the training rows meet (two of them may repeat what must be unique).

    Copies of training rows beyond coincidence are dropped and drawn again, and so are images that do not look like
    their class. What cannot be replaced in `MAX_ROUNDS` is filled with odd images, or in tables with copies, and
    counted; images that copy a training image are never handed out.

    With `groups` each group keeps the share of its class that the candidates gave it: what is dropped is first drawn
    again for the same group, and only what that does not bring in `MAX_ROUNDS` for any group of the class.

    Raises:
        TrainingError: a class cannot be filled at all.
    """
    sifted = _Sifted.of(candidates, screen.after(candidates))
    if groups is not None:
        sifted.draw_for(groups, _first_of_each(candidates, quota), rng)
    for _ in range(MAX_ROUNDS):
        if not (missing := _missing(sifted.pool, quota)):
            break
        labels = _labels_for({name: count + count // 4 + 4 for name, count in missing.items()})
        sifted.add(partial(draw, labels, rng))
    pool, record = _filled(sifted, quota), sifted.record
    return _choose(pool, quota, screen, config, record, rng), record


@dataclass
class _Sifted:
    """All candidates so far: those that pass, odd images, and copies."""

    screen: Screen
    record: CurationRecord
    pool: Data
    odd: Data
    spare: Data

    @classmethod
    def of(cls, candidates: Data, screen: Screen) -> Self:
        record = CurationRecord()
        fresh, odd, spare = _screened(candidates, screen, record)
        return cls(screen, record, _lawful(fresh, screen), odd, spare)

    def add(self, draw: Callable[[], Data]) -> None:
        """A round more."""
        self.record.rounds += 1
        with within("curate", f"draw again, round {self.record.rounds}"):
            fresh, odd, spare = _screened(draw(), self.screen, self.record)
        self.pool = _lawful(concat([self.pool, fresh]), self.screen)
        self.odd, self.spare = concat([self.odd, odd]), concat([self.spare, spare])

    def draw_for(self, groups: Groups, wanted: Data, rng: np.random.Generator) -> None:
        """Draw until as many of each class and group pass as are wanted; what is beyond stands last in the pool."""
        for _ in range(MAX_ROUNDS):
            lacking = np.flatnonzero(groups.beyond(wanted, self.pool))
            if not len(lacking):
                break
            self.add(partial(groups.again, wanted.take(lacking), rng))
        self.pool = self.pool.take(np.argsort(groups.beyond(self.pool, wanted), kind="stable"))


def _filled(sifted: _Sifted, quota: Mapping[str, int]) -> Data:
    """What passed; where that is too few of a class, odd images as well, and of tables copies."""
    pool = sifted.pool
    if missing := _missing(pool, quota):
        odd = _first_of_each(sifted.odd, missing)
        sifted.record.count("odd_kept", odd)
        pool = concat([pool, odd])
    if (missing := _missing(pool, quota)) and isinstance(pool, Table):
        copies = _first_of_each(sifted.spare, missing)
        sifted.record.count("copies_kept", copies)
        pool = concat([pool, copies])
    _require_full(pool, quota, class_counts(sifted.spare))
    return pool


def _lawful(pool: Data, screen: Screen) -> Data:
    if not isinstance(pool, Table) or not isinstance(screen.train, Table) or not screen.train.schema.constraints:
        return pool
    # Behind the training rows, which keep every rule: what must be unique may not repeat one of theirs either.
    real = screen.train.frame[list(pool.frame)]
    emitted = Table(pd.concat([real, pool.frame], ignore_index=True), pool.schema)
    broken = np.any(list(violations(emitted, screen.train).values()), axis=0)[len(real) :]
    return pool.take(np.flatnonzero(~broken))


def _screened(candidates: Data, screen: Screen, record: CurationRecord) -> tuple[Data, Data, Data]:
    """Candidates that pass, odd images, and copies."""
    record.count("drawn", candidates)
    copies = screen.copies(candidates, record)
    odd = screen.odd(candidates, record) & ~copies
    dropped = _where(candidates, copies | odd)
    _add(group_counts(candidates, screen.train), record.drawn_per_group)
    _add(group_counts(dropped, screen.train), record.dropped_per_group)
    fresh, strange, same = (_where(candidates, mask) for mask in (~copies & ~odd, odd, copies))
    return fresh, strange, same


def _where(data: Data, chosen: Mask) -> Data:
    return data.take(np.flatnonzero(chosen))


def _add(counts: Mapping[str, int], totals: dict[str, int]) -> None:
    for name, count in counts.items():
        if count:
            totals[name] = totals.get(name, 0) + count


def _missing(pool: Data, quota: Mapping[str, int]) -> dict[str, int]:
    have = {name: len(class_rows(pool, name)) for name in quota}
    return {name: count - have[name] for name, count in quota.items() if have[name] < count}


def _labels_for(counts: Mapping[str, int]) -> Labels:
    return np.repeat(np.array(list(counts), dtype=np.str_), list(counts.values()))


def _first_of_each(data: Data, counts: Mapping[str, int]) -> Data:
    index = np.concatenate([class_rows(data, name)[:count] for name, count in counts.items()])
    return data.take(index.astype(np.int64))


def _require_full(pool: Data, quota: Mapping[str, int], copies: Mapping[str, int]) -> None:
    for name, count in _missing(pool, quota).items():
        copied = f"; {copies[name]} more copy training images" if copies.get(name) else ""
        lacking = f"{count} of {quota[name]} are missing after {MAX_ROUNDS} rounds{copied}"
        raise TrainingError(
            f"class {name!r} could not be filled: {lacking}",
            hint="train longer, or ask for fewer of this class in plan",
        )


def _choose(
    pool: Data,
    quota: Mapping[str, int],
    screen: Screen,
    config: CurationConfig,
    record: CurationRecord,
    rng: np.random.Generator,
) -> Data:
    train, valid = screen.train, screen.valid
    if config.calibrate and isinstance(pool, Table) and isinstance(train, Table) and isinstance(valid, Table):
        index, record.calibration = calibrate(pool, Real(train, valid), quota, rng)
        return pool.take(rng.permutation(index))
    return _first_of_each(pool, quota)

"""Large work in parts that may run anywhere: randomness belongs to the part, so the result is that of one process.

Parts are small descriptions with paths in them; rows stay in files.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from synthgen.canaries import Canaries
from synthgen.config import EVALUATION_SIZES, Profile
from synthgen.datasets import Data, Labels, Splits, concat, load_data
from synthgen.findings import Finding, NotMeasured
from synthgen.metrics import Evaluation, Modality, measure, measured, metrics_of, together
from synthgen.progress import Tick, report, within
from synthgen.synthesizers import (
    ConditionalSynthesizer,
    JudgingSynthesizer,
    Synthesizer,
    draws_as_a_whole,
    load_synthesizer,
)

A = TypeVar("A")
B = TypeVar("B")
# A draw of at most so many rows is one block; the plans of most runs are. Sixteen make a million.
BLOCK_ROWS = 65_536


class Spread(Protocol):
    """How parts are worked on: `in_turn`, or the `map` of an executor. Results come in the order of the items."""

    def __call__(self, function: Callable[[A], B], items: Sequence[A], /) -> Iterable[B]:
        """The result of each item."""
        ...


def in_turn(function: Callable[[A], B], items: Sequence[A], /) -> Iterable[B]:
    """One after the other, in this process."""
    return map(function, items)


@dataclass(frozen=True)
class Wanted:
    """Rows to draw; labels: str [rows], None draws classes as frequent as in train; where: values of every row."""

    rows: int
    labels: Labels | None = None
    where: Mapping[str, object] = field(default_factory=dict)

    def draw(self, model: Synthesizer, rng: np.random.Generator) -> Data:
        """The rows; raises ModelError for what the model does not reach."""
        if not self.where:
            return model.sample(self.rows, self.labels, rng)
        assert isinstance(model, ConditionalSynthesizer)
        return model.sample_where(self.rows, self.labels, self.where, rng)


@dataclass(frozen=True)
class Block:
    """A part of a draw.

    Attributes:
        model, target: folders; the target exists when the block is drawn.
        classes: label and number of rows, one after another; None for `rows` of any class.
    """

    model: str
    target: str
    rows: int
    classes: tuple[tuple[str, int], ...] | None
    where: Mapping[str, object]
    seed: int


def drawn(model: Path, wanted: Wanted, rng: np.random.Generator, *, scratch: Path, spread: Spread = in_turn) -> Data:
    """The rows, the same however they are spread.

    Args:
        model: folder of a saved synthesizer.
        scratch: folder for finished blocks, which a second call with the same arguments takes as they are.

    Raises:
        ModelError: the folder holds no model, or it does not reach what is wanted.
    """
    synthesizer = load_synthesizer(model)
    if wanted.rows <= BLOCK_ROWS or draws_as_a_whole(synthesizer):
        with within("sample", "draw"):
            return wanted.draw(synthesizer, rng)
    blocks = _blocks(model, wanted, rng, scratch)
    started, parts = time.monotonic(), []
    for folder in spread(draw_block, blocks):
        parts.append(load_data(Path(folder)))
        rows, share = sum(map(len, parts)), len(parts) / len(blocks)
        seconds = time.monotonic() - started
        left = seconds * (1 - share) / share
        report(Tick("sample", "row", rows, wanted.rows, share, rows / max(seconds, 1e-9), left))
    return concat(parts)


def _blocks(model: Path, wanted: Wanted, rng: np.random.Generator, scratch: Path) -> list[Block]:
    starts = range(0, wanted.rows, BLOCK_ROWS)
    scratch.mkdir(parents=True, exist_ok=True)
    blocks = []
    for start, seed in zip(starts, rng.integers(2**63, size=len(starts)).tolist(), strict=True):
        rows = min(BLOCK_ROWS, wanted.rows - start)
        classes = None if wanted.labels is None else _runs(wanted.labels[start : start + rows])
        name = hashlib.sha256(repr((start, rows, classes, wanted.where, seed)).encode()).hexdigest()[:16]
        blocks.append(Block(str(model), str(scratch / name), rows, classes, wanted.where, seed))
    return blocks


def _runs(labels: Labels) -> tuple[tuple[str, int], ...]:
    edges = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    return tuple((str(part[0]), len(part)) for part in np.split(labels, edges))


def draw_block(block: Block) -> str:
    """The folder with the rows of the block."""
    target = Path(block.target)
    if not target.exists():
        labels = None
        if block.classes is not None:
            names, counts = zip(*block.classes, strict=True)
            labels = np.repeat(np.array(names, dtype=np.str_), counts)
        wanted = Wanted(block.rows, labels, block.where)
        data = wanted.draw(load_synthesizer(Path(block.model)), np.random.default_rng(block.seed))
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        data.save(partial)
        partial.rename(target)
    return str(target)


@dataclass(frozen=True)
class Compared:
    """Where an evaluation is: folders of the splits, of the curated rows, and of the model if it is at hand."""

    splits: str
    synthetic: str
    profile: Profile
    seed: int
    model: str | None = None

    def evaluation(self) -> Evaluation:
        """The evaluation of these rows."""
        parts, synthetic = Splits.load(Path(self.splits)), Path(self.synthetic)
        probe, canaries = synthetic / "probe", synthetic / "canaries"
        model = load_synthesizer(Path(self.model)) if self.model else None
        return Evaluation(
            train=parts.train,
            holdout=parts.holdout,
            synthetic=load_data(synthetic / "synthetic"),
            size=EVALUATION_SIZES[self.profile],
            seed=self.seed,
            probe=load_data(probe) if probe.exists() else None,
            canaries=Canaries.load(canaries) if canaries.exists() else None,
            realism=model.realism if isinstance(model, JudgingSynthesizer) else None,
        )


def measured_apart(
    compared: Compared, modality: Modality, *, spread: Spread = in_turn
) -> tuple[list[Finding], list[NotMeasured]]:
    """Every metric of the profile, the same however they are spread; those that share much work stay together."""
    if spread is in_turn:
        return measure(compared.evaluation(), modality)
    order = list(metrics_of(modality, compared.profile))
    parts = [(compared, modality, names) for names in together(modality, order)]
    found = {item.metric: item for some in spread(measure_part, parts) for item in some}
    results = [found[name] for name in order]
    findings = [item for item in results if isinstance(item, Finding)]
    return findings, [item for item in results if isinstance(item, NotMeasured)]


def measure_part(part: tuple[Compared, Modality, tuple[str, ...]]) -> list[Finding | NotMeasured]:
    """The metrics of one part."""
    compared, modality, names = part
    return [measured(_evaluation(compared), modality, name) for name in names]


# A worker keeps what it has read and computed for the next part of the same evaluation.
@lru_cache(maxsize=1)
def _evaluation(compared: Compared) -> Evaluation:
    return compared.evaluation()

"""Which table model, and calibrated or not: chosen on `valid` by what tells its rows from real ones, and by leaks."""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthgen.config import (
    AutoConfig,
    AutoregressiveConfig,
    CartConfig,
    CtganConfig,
    EvaluationSize,
    RunConfig,
    SynthesizerConfig,
    TvaeConfig,
)
from synthgen.curation.calibrate import Real, calibrate
from synthgen.curation.selection import Screen, candidates_per_row
from synthgen.datasets import Labels, Table, class_counts, take_per_class
from synthgen.errors import DataError, ModelError, TrainingError
from synthgen.files import read_json, write_json
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.fidelity.c2st import c2st_auc
from synthgen.metrics.privacy.copies import excess_copies
from synthgen.metrics.privacy.membership import membership_tpr_at_1pct_fpr
from synthgen.stats import named_rng
from synthgen.synthesizers import Synthesizer, create, load_synthesizer

logger = logging.getLogger(__name__)

# Rows of valid that a model is judged on.
_JUDGED_ROWS = 5_000
# The gates on membership and copies, and on the excess over columns that cannot leak (EVALUATION.md); on valid an arm
# is out when its interval lies beyond them, as in the gates.
_MOST_MEMBERSHIP, _MOST_COPIES = 0.02, 0.001
# Standard errors between the middle and an end of a 95 % interval.
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Arm:
    """One model, calibrated or not, as `valid` sees it.

    Attributes:
        c2st, formula: AUC against valid; the second with differences, ratios and equalities of columns as well.
        error: standard error of the first.
        membership: share of members named at 1 % false accusations, with the strangers from valid; None: too few rows.
        share_of_leak: its excess over independent columns as a share of that of a 5 % leak.
        copies: share of copies of train beyond coincidence.
        effective_sample_size: of the calibration, as a share of the rows wanted; None when plain.
        reason: why it is out; empty for one that may be chosen.
    """

    kind: str
    calibrated: bool
    c2st: float | None
    formula: float | None
    membership: float | None
    share_of_leak: float | None
    copies: float | None
    effective_sample_size: float | None
    fit_seconds: float
    error: float = 0.0
    reason: str = ""
    chosen: bool = False

    @property
    def score(self) -> float:
        """What is made small: the larger of both AUCs; below chance is chance."""
        return max(self.c2st or 1.0, self.formula or 0.0, 0.5)


@dataclass(frozen=True)
class Choice:
    """What was chosen, and the arms it was chosen among."""

    kind: str
    calibrate: bool
    arms: Sequence[Arm]

    @classmethod
    def load(cls, path: Path) -> "Choice":
        """The choice that `fit_best` wrote."""
        raw = read_json(path)
        return cls(raw["kind"], raw["calibrate"], [Arm(**arm) for arm in raw["arms"]])


def candidates_of(config: SynthesizerConfig) -> list[SynthesizerConfig]:
    """The models to train for this config: `auto` stands for four of them, which share its budget."""
    if not isinstance(config, AutoConfig):
        return [config]
    minutes, steps = config.budget_minutes, config.budget_steps
    return [
        AutoregressiveConfig(kind="autoregressive", budget_minutes=0.35 * minutes, budget_steps=steps),
        CtganConfig(kind="ctgan", budget_minutes=0.4 * minutes, budget_steps=steps),
        CartConfig(kind="cart", budget_minutes=0.05 * minutes),
        TvaeConfig(kind="tvae", budget_minutes=0.2 * minutes, budget_steps=steps),
    ]


def fit_best(config: RunConfig, train: Table, valid: Table, out: Path, *, start: Path | None = None) -> None:
    """Train the candidates and keep the best: model/, history.json and choice.json in `out`.

    Every finished candidate waits in checkpoint/, so that a killed run does not train it twice.

    Args:
        start: folder of an earlier model to begin with where it fits.

    Raises:
        TrainingError: no candidate could be trained.
    """
    arms: list[Arm] = []
    failures: list[str] = []
    for candidate in candidates_of(config.synthesizer):
        folder = out / "checkpoint" / candidate.kind
        try:
            model, seconds = _fitted(candidate, config, train, valid, folder, start=start)
        except (TrainingError, DataError) as error:
            if not isinstance(config.synthesizer, AutoConfig):
                raise
            failures.append(f"{candidate.kind}: {error}")
            logger.warning("skip candidate kind=%s reason=%s", candidate.kind, error)
            continue
        arms += judged_arms(candidate.kind, seconds, model, config, train, valid)
    if not arms:
        raise TrainingError(f"no model could be trained: {'; '.join(failures)}", where="synthesizer.kind")
    best = choose(arms)
    shutil.copytree(out / "checkpoint" / best.kind / "model", out / "model", dirs_exist_ok=True)
    write_json(out / "history.json", list(load_synthesizer(out / "model").history))
    marked = [asdict(replace(arm, chosen=arm == best)) for arm in arms]
    write_json(out / "choice.json", {"kind": best.kind, "calibrate": best.calibrated, "arms": marked})


def choose(arms: Sequence[Arm]) -> Arm:
    """The arm that leaks least among those whose score is within one standard error of the smallest.

    Arms that are out take part only when all are: then the one that names the fewest members.
    """
    allowed = [arm for arm in arms if not arm.reason]
    if not allowed:
        return min(arms, key=lambda arm: (arm.membership or 0.0, arm.calibrated))
    best = min(allowed, key=lambda arm: arm.score)
    close = [arm for arm in allowed if arm.score <= best.score + best.error]
    return min(close, key=lambda arm: (arm.share_of_leak or 0.0, arm.score))


def _fitted(
    candidate: SynthesizerConfig, config: RunConfig, train: Table, valid: Table, folder: Path, *, start: Path | None
) -> tuple[Synthesizer, float]:
    done = folder / "seconds.json"
    if done.exists():
        return load_synthesizer(folder / "model"), float(read_json(done))
    step = f"train {candidate.kind}"
    logger.info("train candidate kind=%s", candidate.kind, extra={"stage": "fit", "state": "running", "step": step})
    started = time.monotonic()
    model = create(candidate, train, start=start)
    model.fit(train, valid, named_rng(config.seed, "fit"), checkpoint=folder / "training")
    model.save(folder / "model")
    seconds = round(time.monotonic() - started, 1)
    write_json(done, seconds)
    return load_synthesizer(folder / "model"), seconds


def judged_arms(
    kind: str, seconds: float, model: Synthesizer, config: RunConfig, train: Table, valid: Table
) -> list[Arm]:
    """The model's rows as they come, and calibrated if the config allows it and the candidates carry it."""
    step = f"judge {kind}"
    logger.info("judge candidate kind=%s", kind, extra={"stage": "fit", "state": "running", "step": step})
    rng = named_rng(config.seed, f"choice/{kind}")
    quota = _quota(train, valid, rng)
    labels = _labels(quota)
    try:
        drawn = model.sample(len(labels), labels, rng)
    except ModelError as error:
        return [Arm(kind, False, None, None, None, None, None, None, seconds, reason=str(error))]
    drawn = Screen.of(train, valid, config.curation).let_through(drawn, quota)
    plain = take_per_class(drawn, quota, rng)
    assert isinstance(drawn, Table)
    assert isinstance(plain, Table)
    arms = [_judged(Arm(kind, False, None, None, None, None, None, None, seconds), plain, train, valid, config)]
    if config.curation.calibrate:
        index, diagnostics = calibrate(drawn, Real(train, valid), quota, rng)
        effective = diagnostics["effective_sample_size"]
        arm = Arm(kind, True, None, None, None, None, None, effective, seconds)
        if diagnostics["applied"]:
            arms.append(_judged(arm, drawn.take(index), train, valid, config))
        else:
            arms.append(replace(arm, reason=f"the candidates carry {effective:.2f} of the rows wanted"))
    return arms


def _quota(train: Table, valid: Table, rng: np.random.Generator) -> dict[str, int]:
    share = min(1.0, _JUDGED_ROWS / max(1, len(valid)))
    known = class_counts(train)
    return {
        name: max(1, round(count * share)) for name, count in class_counts(valid).items() if count and known.get(name)
    }


def _labels(quota: Mapping[str, int]) -> Labels:
    times = candidates_per_row(sum(quota.values()))
    return np.repeat(np.array(list(quota), dtype=np.str_), [times * count for count in quota.values()])


def _judged(arm: Arm, rows: Table, train: Table, valid: Table, config: RunConfig) -> Arm:
    size = EvaluationSize(max_rows=_JUDGED_ROWS, utility_seeds=1, bootstrap_rounds=1)
    evaluation = Evaluation(train=train, holdout=valid, synthetic=rows, size=size, seed=config.seed)
    separation = _found(c2st_auc, evaluation)
    membership = _found(membership_tpr_at_1pct_fpr, evaluation)
    copies = _found(excess_copies, evaluation)
    reasons = []
    if membership is not None and membership.low > _MOST_MEMBERSHIP:
        reasons.append(f"names {membership.value:.1%} of the members")
    if copies is not None and copies.low > _MOST_COPIES:
        reasons.append(f"{copies.value:.1%} copies of training rows")
    return replace(
        arm,
        c2st=separation.value if separation else None,
        error=(separation.high - separation.low) / (2 * _NORMAL_95) if separation else 0.0,
        formula=separation.detail.get("formula_auc") if separation else None,
        membership=membership.value if membership else None,
        share_of_leak=membership.detail["share_of_leak"] if membership else None,
        copies=copies.value if copies else None,
        reason=" and ".join(reasons),
    )


def _found(metric: Any, evaluation: Evaluation) -> Finding | None:
    try:
        finding: Finding = metric(evaluation)
    except NotMeasurable:
        return None
    return finding

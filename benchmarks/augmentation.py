"""Does augmentation help, honestly? Imbalanced tables, the ratio chosen on valid, every control, paired over seeds.

    python benchmarks/augmentation.py adult-2% mammography bank_marketing --seeds 201 202 203 204 205

For each seed (a fresh split): the table model that `auto` chooses, its rows curated, the share of the balancing plan
that helps most on the valid rows (0 allowed), then balanced accuracy, ROC-AUC and average precision of the rarest class
on held-out rows, for real rows alone, each control, and real + synthetic. Prints Markdown: gains in points over real
rows alone, mean over seeds with the 95 % interval of the paired differences.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from tabular import config_of

from synthgen.config import EVALUATION_SIZES, AutoConfig, RunConfig
from synthgen.curation.choice import Choice, fit_best
from synthgen.curation.plan import planned_counts
from synthgen.curation.ratio import SHARES, choose_ratio
from synthgen.curation.selection import Screen, candidates_per_row, curate
from synthgen.datasets import Table, class_counts, take_per_class
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.utility.augmentation import augmentation_gain
from synthgen.sources import read
from synthgen.splitting import split
from synthgen.stats import named_rng, t_interval
from synthgen.synthesizers import load_synthesizer

# Training rows of each class that are kept: 2 % positives, as in TABULAR.md.
THINNED: Mapping[str, Mapping[str, int]] = {"adult-2%": {"<=50K": 5_880, ">50K": 120}}
SCORES = ("balanced accuracy", "ROC-AUC", "average precision")
ARMS = ("class weights", "random oversampling", "SMOTE", "synthetic, full plan", "synthetic, share from valid")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203, 204, 205])
    parser.add_argument("--minutes", type=float, default=2.0, help="the budget of auto")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SYNTHGEN_TEST_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, default=Path("augmentation.jsonl"))
    arguments = parser.parse_args()
    for name in arguments.names:
        lines = []
        for seed in arguments.seeds:
            line = {"data": name, "seed": seed, **measured(name, seed, arguments)}
            lines.append(line)
            print(f"{name} seed {seed}: {line['kind']}, share {line['share']}", flush=True)
            with arguments.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
        print_table(name, lines)


def measured(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Scores of every arm on the holdout of one split."""
    config = config_of(name.split("-")[0], seed, arguments)
    config = config.model_copy(update={"synthesizer": AutoConfig(budget_minutes=arguments.minutes)})
    splits = split(read(config.source, seed=seed), config.split, named_rng(seed, "split"))
    train, valid, holdout = splits.train, splits.valid, splits.holdout
    assert isinstance(train, Table)
    assert isinstance(valid, Table)
    if name in THINNED:
        rng, kept = named_rng(seed, "thin"), THINNED[name]
        train, valid = (_thin(part, kept, rng) for part in (train, valid))
    full, kind, calibrated = synthesised(config, train, valid)
    ratio = choose_ratio(train, valid, full, named_rng(seed, "ratio"))
    evaluation = Evaluation(train, holdout, full, size=EVALUATION_SIZES["quick"], seed=seed)
    all_of_it = augmentation_gain(evaluation).detail
    arms = {arm: scores(all_of_it, arm) for arm in ("real", "class weights", "random oversampling", "SMOTE")}
    arms["synthetic, full plan"] = scores(all_of_it, "synthetic")
    chosen = arms["real"]
    if ratio.share:
        chosen = scores(augmentation_gain(replace(evaluation, synthetic=ratio.kept)).detail, "synthetic")
    arms["synthetic, share from valid"] = chosen
    return {"kind": kind, "calibrated": calibrated, "share": ratio.share, "tried": SHARES, "arms": arms}


def _thin(part: Table, kept: Mapping[str, int], rng: np.random.Generator) -> Table:
    """The part with the class shares of `kept`, at most as many rows."""
    counts = class_counts(part)
    factor = min(1.0, *(counts[label] / count for label, count in kept.items()))
    smaller = take_per_class(part, {label: round(factor * count) for label, count in kept.items()}, rng)
    assert isinstance(smaller, Table)
    return smaller


def synthesised(config: RunConfig, train: Table, valid: Table) -> tuple[Table, str, bool]:
    """The curated rows of the full balancing plan, the model that was chosen, and whether it is calibrated."""
    rng = named_rng(config.seed, "benchmark")
    with tempfile.TemporaryDirectory() as scratch:
        fit_best(config, train, valid, Path(scratch))
        choice = Choice.load(Path(scratch) / "choice.json")
        model = load_synthesizer(Path(scratch) / "model")
        quota = planned_counts(config.plan, {name: count for name, count in class_counts(train).items() if count})
        times = candidates_per_row(sum(quota.values())) if choice.calibrate else 1
        labels = np.repeat(np.array(list(quota), dtype=np.str_), [times * count for count in quota.values()])
        curation = config.curation.model_copy(update={"calibrate": choice.calibrate})
        rows, _ = curate(
            model.sample(len(labels), labels, rng),
            quota,
            lambda labels, rng: model.sample(len(labels), labels, rng),
            Screen.of(train, valid, curation),
            curation,
            rng,
        )
    assert isinstance(rows, Table)
    return rows, choice.kind, choice.calibrate


def scores(detail: Mapping[str, Any], arm: str) -> list[float]:
    """The three scores of one arm."""
    return [detail["arms"][arm], detail["roc_auc"][arm], detail["average_precision"][arm]]


def print_table(name: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Gains over real rows alone, in points."""
    real = np.array([line["arms"]["real"] for line in lines])
    shares = ", ".join(f"{line['share']:g}" for line in lines)
    print(f"\n**{name}**, {len(lines)} splits, shares chosen on valid: {shares}\n")
    print(f"| trained on | {' | '.join(SCORES)} |\n|---|---|---|---|")
    print(f"| real rows alone | {' | '.join(f'{value:.3f}' for value in real.mean(axis=0))} |")
    for arm in ARMS:
        gains = np.array([line["arms"][arm] for line in lines]) - real
        print(f"| {arm} | {' | '.join(shown(gains[:, column]) for column in range(len(SCORES)))} |")


def shown(gains: np.ndarray) -> str:
    """The mean gain in points, with the interval over seeds."""
    if len(gains) < 2:
        return f"{100 * gains.mean():+.1f}"
    low, high = t_interval(gains)
    return f"{100 * gains.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


if __name__ == "__main__":
    main()

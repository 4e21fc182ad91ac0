"""Do synthetic images help a classifier, honestly? Few and imbalanced images, the share chosen on valid, every control.

    python benchmarks/image_utility.py run pneumoniamnist pneumoniamnist-300:30 wbc_tecom --out image_utility.jsonl
    python benchmarks/image_utility.py table image_utility.jsonl

For each case and split: `image-gan` with its defaults for so many CPU seconds, balanced classes (as many images again),
curated; the share of them that `plan: {kind: auto}` keeps on the valid images (0 allowed); then balanced accuracy on
held-out images for every arm of EVALUATION.md, five paired seeds of the classifier. `table` prints Markdown: gains in
points over real images alone with 95 % intervals. Data: ../shared/data or SYNTHGEN_TEST_DATA.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import images
import numpy as np
import torch

from synthgen.config import AutoPlan, CurationConfig
from synthgen.curation.plan import planned_counts, present_classes
from synthgen.curation.ratio import choose_ratio
from synthgen.curation.selection import Screen, curate
from synthgen.datasets import ImageSet, Splits, class_counts, take_per_class
from synthgen.metrics.augmented_images import training_sets
from synthgen.metrics.image_features import ImageSets
from synthgen.metrics.utility.controls import Gain
from synthgen.metrics.utility.images import arms_tested, paired_gain
from synthgen.stats import named_rng

# Dataset, edge length, training images kept of each class; valid is thinned by the same factor, the holdout never.
CASES: Mapping[str, tuple[str, int | None, Mapping[str, int] | int | None]] = {
    "pneumoniamnist": ("pneumoniamnist", None, None),
    "pneumoniamnist-300:30": ("pneumoniamnist", None, {"0": 30, "1": 300}),
    "wbc_tecom": ("wbc_tecom", 32, None),
    "sign_digits64-10": ("sign_digits64", 32, 10),
    "sign_digits64-50": ("sign_digits64", 32, 50),
    "adrenalmnist3d-16": ("adrenalmnist3d", 16, None),
    "adrenalmnist3d-28": ("adrenalmnist3d", 28, None),
}
SEEDS = range(5)
# The arms of the metric, and the curated images as the plan would keep them.
RAW, RAW_CLASSIC, CHOSEN = "raw synthetic", "raw synthetic+classic", "chosen+classic"
ARMS = (
    "class weights", "duplicated", RAW, "synthetic", "classic", "duplicated+classic", RAW_CLASSIC, "synthetic+classic",
    CHOSEN,
)  # fmt: skip


def main() -> None:
    """Run cases, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run")
    run_parser.add_argument("cases", nargs="+", choices=CASES)
    run_parser.add_argument("--seconds", type=float, default=120.0, help="CPU seconds of training")
    run_parser.add_argument("--splits", type=int, nargs="+", default=[0])
    run_parser.add_argument("--out", type=Path, default=Path("image_utility.jsonl"))
    table_parser = commands.add_parser("table")
    table_parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "table":
        table(images.read_lines(arguments.results))
        return
    torch.set_num_threads(1)
    for case in arguments.cases:
        for split in arguments.splits:
            wanted = {"case": case, "split": split, "seconds": arguments.seconds}
            if any(wanted.items() <= line.items() for line in images.read_lines(arguments.out)):
                continue
            line = {**wanted, **measure(case, split, arguments.seconds)}
            with arguments.out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)


def measure(case: str, seed: int, seconds: float) -> dict[str, Any]:
    """The gains of every arm on one split."""
    began = time.process_time()
    dataset, edge, kept = CASES[case]
    parts = thin(images.splits_of(dataset, edge, seed), kept, seed)
    train, valid, holdout = parts.train, parts.valid, parts.holdout
    assert isinstance(train, ImageSet)
    assert isinstance(valid, ImageSet)
    assert isinstance(holdout, ImageSet)
    raw, curated, dropped = synthesised(parts, seconds, seed)
    ratio = choose_ratio(train, valid, curated, named_rng(seed, "ratio"))
    sets = [ImageSets(train, holdout, synthetic) for synthetic in (curated, raw)]
    rng = named_rng(seed, "arms")
    arms, of_raw = training_sets(sets[0], rng), training_sets(sets[1], rng)
    arms |= {
        RAW: of_raw["synthetic"],
        RAW_CLASSIC: of_raw["synthetic+classic"],
        "duplicated+classic": replace(arms["duplicated"], augment=arms["classic"].augment),
        CHOSEN: arms["classic"],
    }
    if ratio.share:
        assert isinstance(ratio.kept, ImageSet)
        arms[CHOSEN] = training_sets(ImageSets(train, holdout, ratio.kept), rng)["synthetic+classic"]
    hits = arms_tested(holdout, arms, list(SEEDS))
    return {
        "train": class_counts(train),
        "holdout": len(holdout),
        "curation": dropped,
        "share": ratio.share,
        "valid_gains": {str(share): gain for share, gain in ratio.gains.items()},
        "real": float(np.mean([balanced(row, holdout) for row in hits["real"]])),
        "gains": {arm: paired_gain(hits[arm], hits["real"], holdout.codes) for arm in ARMS},
        "beside": paired_gain(hits[CHOSEN], hits["classic"], holdout.codes),
        "all_beside": paired_gain(hits["synthetic+classic"], hits["duplicated+classic"], holdout.codes),
        "cpu_s": time.process_time() - began,
    }


def thin(parts: Splits, kept: Mapping[str, int] | int | None, seed: int) -> Splits:
    """At most so many training images of each class, valid in proportion."""
    if kept is None:
        return parts
    have = class_counts(parts.train)
    wanted = kept if isinstance(kept, Mapping) else dict.fromkeys(have, kept)
    rng = named_rng(seed, "thin")
    share = {name: min(1.0, count / have[name]) for name, count in wanted.items()}
    train, valid = (
        take_per_class(part, {name: round(share[name] * count) for name, count in class_counts(part).items()}, rng)
        for part in (parts.train, parts.valid)
    )
    return replace(parts, train=train, valid=valid)


def synthesised(parts: Splits, seconds: float, seed: int) -> tuple[ImageSet, ImageSet, dict[str, int]]:
    """As many images again, of balanced classes: as drawn, curated, and what curation dropped."""
    draw, _ = images.train_ours("ours", parts, seconds, seed)
    rng = named_rng(seed, "sample")
    quota = planned_counts(AutoPlan(kind="auto"), present_classes(parts.train))
    # What is learned from one image copies it, and curation refuses to fill the class.
    quota = {name: count for name, count in quota.items() if class_counts(parts.train)[name] > 1}
    labels = np.repeat(np.array(list(quota), dtype=np.str_), list(quota.values()))
    raw, config = draw(labels, rng), CurationConfig()
    screen = Screen.of(parts.train, parts.valid, config).looking(config, named_rng(seed, "looks"))
    curated, record = curate(raw, quota, draw, screen, config, rng)
    assert isinstance(raw, ImageSet)
    assert isinstance(curated, ImageSet)
    counted = ("drawn", "near_copies", "other_class", "out_of_reach", "odd_kept")
    return raw, curated, {name: getattr(record, name) for name in counted}


def balanced(hits: np.ndarray, data: ImageSet) -> float:
    """Mean over classes of the share of hits."""
    return float(np.mean([hits[data.codes == code].mean() for code in np.unique(data.codes)]))


def table(lines: Sequence[Mapping[str, Any]]) -> None:
    """One row for each case and split."""
    print(f"| case | train images | real | {' | '.join(ARMS)} | share kept |")
    print("|" + "---|" * (len(ARMS) + 4))
    for line in lines:
        counts = ":".join(f"{count:,}" for count in sorted(set(line["train"].values()), reverse=True))
        gains = " | ".join(shown(line["gains"][arm]) for arm in ARMS)
        print(f"| {line['case']} | {counts} | {100 * line['real']:.1f} | {gains} | {line['share']:g} |")


def shown(gain: Gain) -> str:
    """Points, with the interval."""
    return f"{100 * gain['value']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"


if __name__ == "__main__":
    main()

"""A finished report on real data that come with scikit-learn, and the material of its page."""

import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from synthgen.config import RunConfig
from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet, Schema, Table
from synthgen.findings import Finding, Judgement, NotMeasured, Problem, Report, Verdict
from synthgen.reports import Material


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    """The functions of this file: pytest's import mode lets test files import no neighbour."""
    return sys.modules[__name__]


PROVENANCE: Mapping[str, object] = {
    "run_id": "2026-11-22-091400-k3f9",
    "name": "breast-cancer",
    "state": "running",
    "config_hash": "1c9f0e7d2ab44310a0b6c1d2",
    "started": "2026-11-22T09:14:00+00:00",
    "git_commit": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
    "versions": {"python": "3.11.9", "synthgen": "0.1.0", "torch": "2.13.0"},
    "cores": 2,
    "platform": "Linux",
    "data_sha256": "49540a92c1d7e3f5a6b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4",
    "real_rows": 569,
    "split_rows": {"train": 341, "valid": 114, "holdout": 114},
    "synthetic_rows": 87,
}


def table_config(**changes: object) -> RunConfig:
    """The configuration of the table run."""
    source = {"kind": "builtin", "name": "breast-cancer"}
    return parse_config({"name": "breast-cancer", "source": source, "synthesizer": {"kind": "ctgan"}, **changes})


def cancer_tables(rng: np.random.Generator) -> tuple[Table, Table, Table]:
    """Train, holdout, and jittered malignant training rows as the synthetic ones."""
    frame = load_breast_cancer(as_frame=True).data
    labels = np.where(load_breast_cancer().target == 0, "malignant", "benign")
    size = pd.cut(frame["mean radius"], [0, 11, 14, 18, 99], labels=["small", "medium", "large", "huge"])
    frame = frame.assign(size_class=size.astype(str), diagnosis=labels)
    kinds = {name: "categorical" if frame[name].dtype == object else "numeric" for name in frame.columns}
    table = Table(frame, Schema(kinds, "diagnosis", protected=("size_class",)))
    order = rng.permutation(len(table))
    train, holdout = table.take(order[:341]), table.take(order[455:])
    drawn = train.take(rng.choice(np.flatnonzero(train.labels == "malignant"), 87))
    jittered = drawn.frame.copy()
    numbers = drawn.schema.of_kind("numeric")
    jittered[numbers] *= 1 + 0.15 * rng.normal(size=(len(drawn), len(numbers)))
    jittered["size_class"] = rng.permutation(jittered["size_class"])
    return train, holdout, Table(jittered, drawn.schema)


def digit_images(rng: np.random.Generator) -> tuple[ImageSet, ImageSet, ImageSet]:
    """Train, holdout, and noisy training digits of three classes as the synthetic ones."""
    pixels, codes = load_digits(return_X_y=True)
    images = np.repeat(np.repeat((pixels * 15.9).astype(np.uint8).reshape(-1, 1, 8, 8), 3, axis=2), 3, axis=3)
    every = ImageSet(images, codes.astype(np.int64), tuple(str(digit) for digit in range(10)))
    order = rng.permutation(len(every))
    train, holdout = every.take(order[:1100]), every.take(order[1400:])
    drawn = train.take(rng.choice(np.flatnonzero(np.isin(train.codes, [3, 5, 8])), 150))
    noisy = np.clip(drawn.images + rng.normal(0, 25, drawn.images.shape), 0, 255).astype(np.uint8)
    return train, holdout, ImageSet(noisy, drawn.codes, drawn.classes)


def history(ticks: int, rng: np.random.Generator) -> list[dict[str, float]]:
    """Training numbers that look like training."""
    fade = np.exp(-np.arange(ticks) / 60)
    noise = rng.normal(0, 0.05, (2, ticks))
    return [
        {
            "step": 10.0 * tick,
            "seconds": 0.3 * tick,
            "generator_loss": 0.7 + fade[tick] + noise[0, tick],
            "discriminator_loss": 1.3 - 0.6 * fade[tick] + noise[1, tick],
            "moment_error": 0.4 * fade[tick] + 0.02,
        }
        for tick in range(ticks)
    ]


def _gains(values: Mapping[str, tuple[float, float, float]]) -> dict[str, object]:
    gains = {name: {"value": value, "low": low, "high": high} for name, (value, low, high) in values.items()}
    arms = {"real": 0.941, **{name: 0.941 + value for name, (value, _, _) in values.items()}}
    controls = {name: value for name, (value, _, _) in values.items() if not name.startswith("synthetic")}
    best = max(controls, key=lambda name: controls[name])
    return {"score": "balanced accuracy", "arms": arms, "gains": gains, "best_control": best, "seeds": 5}


TABLE_FINDINGS: Sequence[Finding] = (
    Finding("validity", "fidelity", 1.0, 1.0, 1.0, 1.0, True, 87),
    Finding("c2st_auc", "fidelity", 0.741, 0.664, 0.818, 0.502, False, 42,
            detail={"formula_auc": 0.79, "formula_reference": 0.51}),
    Finding("column_shapes", "fidelity", 0.871, 0.842, 0.9, 0.904, True, 42),
    Finding("pair_trends", "fidelity", 0.902, 0.871, 0.93, 0.951, True, 42),
    Finding("augmentation_gain", "utility", 0.011, 0.002, 0.02, 0.0, True, 114,
            detail=_gains({"class weights": (0.004, -0.003, 0.011), "random oversampling": (0.002, -0.005, 0.009),
                           "SMOTE": (0.006, -0.002, 0.014), "synthetic": (0.011, 0.002, 0.02)})),
    Finding("tstr_gap", "utility", -0.021, -0.04, -0.002, -0.004, True, 114),
    Finding("excess_copies", "privacy", 0.0, -0.011, 0.009, 0.0, False, 87, "An attacker reads the emitted rows.",
            {"equal_to_train": 0, "equal_to_holdout": 0, "distinct_train": 341, "distinct_holdout": 114}),
    Finding("membership_tpr_at_1pct_fpr", "privacy", 0.016, 0.002, 0.05, 0.012, False, 114,
            "An attacker holds a person's full record and all synthetic rows.",
            {"control_independent": 0.011, "control_leak": 0.058}),
)  # fmt: skip

TABLE_JUDGEMENTS: Sequence[Judgement] = (
    Judgement("validity", "≥ 1", Verdict.PASS, True),
    Judgement("c2st_auc", "≤ 0.9", Verdict.PASS, True),
    Judgement("augmentation_gain", "≥ -0.002", Verdict.PASS, True),
    Judgement("identifier_replay", "≤ 0", Verdict.INCONCLUSIVE, False, "not measured: there is no identifier column"),
    Judgement("excess_copies", "≤ 0.005", Verdict.INCONCLUSIVE, False, "about 310 rows would decide (now 87)"),
    Judgement("membership_tpr_at_1pct_fpr", "≤ 0.02", Verdict.INCONCLUSIVE, False,
              "about 8,240 examples like these would decide (now 114)"),
)  # fmt: skip

IMAGE_FINDINGS: Sequence[Finding] = (
    Finding("class_agreement", "fidelity", -0.006, -0.031, 0.014, 0.0, True, 50, detail={"worst_class": "8"}),
    Finding("intra_class_diversity", "fidelity", 0.93, 0.9, 0.96, 1.0, True, 50, detail={"worst_class": "5"}),
    Finding("coverage", "fidelity", 0.88, 0.84, 0.92, 0.95, True, 50),
    Finding("frechet_ratio", "fidelity", 1.84, 1.6, 2.2, 1.0, False, 50, detail={"worst_class": "8"}),
    Finding("near_copies", "privacy", 0.34, 0.27, 0.42, 0.01, False, 150, "An attacker looks at the images.",
            {"flagged": 51, "threshold": 0.97}),
    Finding("augmentation_gain", "utility", 0.021, 0.009, 0.033, 0.0, True, 397,
            detail=_gains({"classic": (0.024, 0.013, 0.035), "duplicated": (0.006, -0.002, 0.014),
                           "synthetic": (0.021, 0.009, 0.033), "synthetic+classic": (0.031, 0.019, 0.043)})),
)  # fmt: skip

IMAGE_JUDGEMENTS: Sequence[Judgement] = (
    Judgement(
        "class_agreement", "≥ -0.02", Verdict.INCONCLUSIVE, True, "about 160 examples like these would decide (now 50)"
    ),
    Judgement("intra_class_diversity", "≥ 0.8", Verdict.PASS, True),
    Judgement("near_copies", "≤ 0", Verdict.FAIL, True, "the whole interval is beyond the limit"),
    Judgement("augmentation_gain", "≥ -0.002", Verdict.PASS, True),
    Judgement("coverage", "≥ 0.8 × real", Verdict.PASS, False),
    Judgement("frechet_ratio", "≤ 3", Verdict.PASS, False),
)

PROBLEMS: Sequence[Problem] = (
    Problem("duplicates", "4 rows are equal to another row", "info", None, "they were kept on one side of the split"),
    Problem(
        "outliers", "column 'area error' has values 12 times its interquartile range away", "warning", "area error"
    ),
)
NOT_MEASURED: Sequence[NotMeasured] = (NotMeasured("identifier_replay", "privacy", "there is no identifier column"),)


def table_report(verdict: Verdict = Verdict.PASS) -> Report:
    """A report on the table with this verdict; the required rules get it too."""
    judgements = [
        judgement if judgement.verdict != Verdict.PASS or verdict == Verdict.PASS or judgement.metric == "validity"
        else Judgement(judgement.metric, judgement.rule, verdict, judgement.required, "a remark")
        for judgement in TABLE_JUDGEMENTS
    ]  # fmt: skip
    return Report(verdict, TABLE_FINDINGS, judgements, NOT_MEASURED, PROBLEMS, PROVENANCE)


def table_material(rng: np.random.Generator, **changes: object) -> Material:
    """The material of the table run."""
    train, holdout, synthetic = cancer_tables(rng)
    seconds = {"ingest": 0.4, "split": 0.2, "fit": 61.0, "sample": 1.2, "curate": 2.2, "evaluate": 23.5}
    curation = {
        "drawn": 348,
        "exact_copies": 0,
        "rounds": 0,
        "calibration": {"rate": 0.52},
        "near_copy_threshold": None,
    }
    fields = {
        "config": table_config(), "train": train, "holdout": holdout, "synthetic": synthetic,
        "history": history(200, rng), "curation": curation, "dataset": "runs/k3f9/dataset", "seconds": seconds,
    }  # fmt: skip
    return Material(**{**fields, **changes})


def image_report() -> Report:
    """A report on images that were refused."""
    provenance = {**PROVENANCE, "name": "digits", "synthetic_rows": 150, "split_rows": {"train": 1100, "valid": 300}}
    return Report(Verdict.FAIL, IMAGE_FINDINGS, IMAGE_JUDGEMENTS, (), (), provenance)


def image_material(rng: np.random.Generator) -> Material:
    """The material of the image run."""
    train, holdout, synthetic = digit_images(rng)
    config = parse_config({"name": "digits", "source": {"kind": "builtin", "name": "digits"}})
    return Material(config, train, holdout, synthetic, history(200, rng), {"drawn": 180, "near_copies": 30})

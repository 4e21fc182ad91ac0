"""The report on a set of synthetic data, and what its page needs."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from synthgen.auditing.classes import lost_classes
from synthgen.auditing.reading import Input, Inputs, read_inputs
from synthgen.classical import control_of, has_control
from synthgen.config import EVALUATION_SIZES, AuditOptions
from synthgen.datasets import Table
from synthgen.findings import Finding, NotMeasured, Report, Rule
from synthgen.gates import judge, rules_for, verdict_of
from synthgen.metrics import Evaluation, Modality, measure, metrics_of
from synthgen.provenance import provenance
from synthgen.remote import shown
from synthgen.reports import Material


def audit_data(
    train: Input, synthetic: Input, holdout: Input | None, options: AuditOptions, *, downloads: Path | None = None
) -> tuple[Report, Material]:
    """The report on `synthetic`, and what its page needs.

    Args:
        train: the real rows that the generator has seen; a frame or file, or a folder, npz, zip or manifest of images.
        holdout: real rows that it has not seen; None makes every verdict NOT AUDITED, for want of a control.
        downloads: folder for copies of what lies behind an address; None: that of the workspace in the environment.

    Raises:
        DataError: a file cannot be read, or the three do not have the same columns or classes.
        UsageError: tables and images are mixed, or an option names a column that is not there.
        ConfigError: a gate names a metric that does not exist or that the profile does not measure.
    """
    items = named_inputs(train, synthetic, holdout)
    inputs, rules = prepared(items, options, downloads)
    modality, evaluation = _modality(inputs), _evaluation(inputs, options)
    findings, missing = measure(evaluation, modality) if evaluation else _nothing_measured(inputs, options)
    control = control_of(evaluation) if evaluation and has_control(modality, options.profile) else None
    # A set for some classes may augment; one that is shared stands for all of them.
    lost = lost_classes(inputs.train, inputs.synthetic, inputs.holdout) if options.purpose == "share" else []
    judgements = judge(rules, findings, missing, holdout_given=inputs.holdout is not None, lost_classes=len(lost))
    facts = {**provenance(), "name": "audit", **_facts(items, inputs, options)}
    report = Report(verdict_of(judgements), findings, judgements, missing, inputs.problems, facts, control=control)
    return report, material_of(inputs)


def named_inputs(train: Input, synthetic: Input, holdout: Input | None) -> dict[str, Input]:
    """The inputs by their part in the audit."""
    items = {"train": train, "synthetic": synthetic}
    return items if holdout is None else {**items, "holdout": holdout}


def prepared(
    items: Mapping[str, Input], options: AuditOptions, downloads: Path | None = None
) -> tuple[Inputs, list[Rule]]:
    """Everything that can be wrong before something is measured: the data, the columns, the gates."""
    inputs = read_inputs(items, options, downloads)
    return inputs, rules_for(_modality(inputs), options.purpose, options.gates, profile=options.profile)


def _modality(inputs: Inputs) -> Modality:
    return "table" if isinstance(inputs.train, Table) else "images"


def material_of(inputs: Inputs) -> Material:
    """What the page of an audit needs."""
    return Material(config=None, train=inputs.train, holdout=inputs.holdout, synthetic=inputs.synthetic)


def _nothing_measured(inputs: Inputs, options: AuditOptions) -> tuple[list[Finding], list[NotMeasured]]:
    known = metrics_of(_modality(inputs), options.profile)
    return [], [NotMeasured(name, metric.family, inputs.no_control) for name, metric in known.items()]


def _evaluation(inputs: Inputs, options: AuditOptions) -> Evaluation | None:
    if inputs.holdout is None:
        return None
    return Evaluation(
        train=inputs.train,
        holdout=inputs.holdout,
        synthetic=inputs.synthetic,
        size=EVALUATION_SIZES[options.profile],
        seed=options.seed,
        probe=inputs.synthetic if isinstance(inputs.synthetic, Table) else None,
    )


def _facts(items: Mapping[str, Input], inputs: Inputs, options: AuditOptions) -> dict[str, object]:
    return {
        "purpose": options.purpose,
        "profile": options.profile,
        "seed": options.seed,
        "real_rows": len(inputs.train),
        "synthetic_rows": len(inputs.synthetic),
        "unit": "rows" if isinstance(inputs.train, Table) else "images",
        **inputs.hashes(),
        "files": {name: shown(item) for name, item in items.items() if not isinstance(item, pd.DataFrame)},
    }

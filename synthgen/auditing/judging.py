"""The report on a set of synthetic data, and what its page needs."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from synthgen.auditing.reading import Input, Inputs, read_inputs
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
    findings, missing = _measured(inputs, _modality(inputs), options)
    judgements = judge(rules, findings, missing, holdout_given=holdout is not None)
    facts = {**provenance(), "name": "audit", **_facts(items, inputs, options)}
    report = Report(verdict_of(judgements), findings, judgements, missing, inputs.problems, facts)
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


def _measured(inputs: Inputs, modality: Modality, options: AuditOptions) -> tuple[list[Finding], list[NotMeasured]]:
    if inputs.holdout is None:
        reason = "no held-out real rows were given, so there is no control"
        known = metrics_of(modality, options.profile)
        return [], [NotMeasured(name, metric.family, reason) for name, metric in known.items()]
    evaluation = Evaluation(
        train=inputs.train,
        holdout=inputs.holdout,
        synthetic=inputs.synthetic,
        size=EVALUATION_SIZES[options.profile],
        seed=options.seed,
        probe=inputs.synthetic if isinstance(inputs.synthetic, Table) else None,
    )
    return measure(evaluation, modality)


def _facts(items: Mapping[str, Input], inputs: Inputs, options: AuditOptions) -> dict[str, object]:
    sets = {"data": inputs.train, "synthetic": inputs.synthetic, "holdout": inputs.holdout}
    prints = {f"{name}_sha256": data.fingerprint() for name, data in sets.items() if data is not None}
    return {
        "purpose": options.purpose,
        "profile": options.profile,
        "seed": options.seed,
        "real_rows": len(inputs.train),
        "synthetic_rows": len(inputs.synthetic),
        "unit": "rows" if isinstance(inputs.train, Table) else "images",
        **prints,
        "files": {name: shown(item) for name, item in items.items() if not isinstance(item, pd.DataFrame)},
    }

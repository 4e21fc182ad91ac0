"""Where the numbers come from, and the one command that makes them again."""

from collections.abc import Mapping

import yaml

from synthgen.findings import Report, Verdict
from synthgen.redaction import redacted
from synthgen.reports.material import Material
from synthgen.reports.words import shown_duration


def first_facts(report: Report, material: Material, *, shared: bool = False) -> list[tuple[str, str]]:
    """The line under the headline: run, data, date, model, time, gates."""
    known = report.provenance
    required = [judgement.verdict == Verdict.PASS for judgement in report.judgements if judgement.required]
    facts = {
        "run": known.get("run_id"),
        "data": _hash(known.get("data_sha256")),
        "date": str(known.get("started", ""))[:16].replace("T", " ") or None,
        "model": report.provenance.get("model"),
        "differential privacy": _promise(report),
        "time": shown_duration(sum(material.seconds.values())) if material.seconds else None,
        "required checks passed": f"{sum(required)} of {len(required)}",
        "privacy": _privacy(report),
        "version": "to hand on: aggregates only" if shared else "for use inside the house",
    }
    return [(name, str(value)) for name, value in facts.items() if value is not None]


def all_facts(report: Report) -> list[tuple[str, str]]:
    """Everything the run recorded about itself, but not its state: it goes on after the report."""
    known = {name: value for name, value in report.provenance.items() if value is not None and name != "state"}
    return [(name.replace("_", " "), redacted(_line(value))) for name, value in known.items()]


def stage_times(material: Material) -> list[tuple[str, str]]:
    """Seconds of each stage."""
    return [(name, shown_duration(seconds)) for name, seconds in material.seconds.items()]


def config_text(material: Material) -> str | None:
    """The resolved configuration as YAML, without credentials."""
    if material.config is None:
        return None
    return redacted(yaml.safe_dump(material.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def command_of(material: Material) -> str:
    """What to type to make this again."""
    if material.config is not None:
        return "synthgen run config.yaml"
    return "synthgen audit --train TRAIN --synthetic SYNTHETIC" + (
        " --holdout HOLDOUT" if material.holdout is not None else ""
    )


def _promise(report: Report) -> str | None:
    promise = report.provenance.get("differential_privacy")
    if not promise:
        return None
    # The report itself looks at raw rows.
    return f"model: epsilon {promise['epsilon']:g}, delta {promise['delta']:g}; the numbers of this page lie outside"


def _privacy(report: Report) -> str:
    measured = {finding.metric for finding in report.findings if finding.family == "privacy"}
    if not measured:
        return "not measured"
    required = any(judgement.required and judgement.metric in measured for judgement in report.judgements)
    return "measured, required" if required else "measured, not required"


def _hash(value: object) -> str | None:
    return f"sha256 {str(value)[:8]}…" if value else None


def _line(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_line(item)}" for name, item in value.items())
    return str(value)

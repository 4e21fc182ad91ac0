"""The end of a run, after its stages: the verdict, the dataset where it is allowed, report and tracking."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthgen import reports, tracking
from synthgen.canaries import Canaries
from synthgen.config import RunConfig
from synthgen.datasets import Splits, Table, load_data
from synthgen.exporters import emit_dataset
from synthgen.exporters.ids import with_new_ids
from synthgen.files import read_json
from synthgen.findings import Finding, Judgement, NotMeasured, Problem, Report, Verdict
from synthgen.gates import judge, rules_of, verdict_of
from synthgen.notes import run_note
from synthgen.remote import send
from synthgen.runs import Run
from synthgen.stats import named_rng
from synthgen.workspace import Ref, Workspace

logger = logging.getLogger(__name__)


def judge_run(config: RunConfig, run: Run, splits: Ref, synthetic: Ref, evaluation: Ref) -> Report:
    """The findings under the gates, with provenance."""
    raw = read_json(evaluation.directory / "findings.json")
    findings = [Finding(**item) for item in raw["findings"]]
    missing = [NotMeasured(**item) for item in raw["not_measured"]]
    judgements = judge(rules_of(config), findings, missing)
    judgements += _plan_judgement(read_json(synthetic.directory / "curation.json").get("ratio"))
    problems = [Problem(**item) for item in read_json(splits.directory / "problems.json")]
    if (canaries := synthetic.directory / "canaries").exists():
        problems.append(Canaries.load(canaries).note())
    return Report(verdict_of(judgements), findings, judgements, missing, problems, run.record())


def _plan_judgement(ratio: Mapping[str, Any] | None) -> list[Judgement]:
    if not ratio:
        return []
    verdict = Verdict.PASS if ratio["share"] else Verdict.FAIL
    return [Judgement("augmentation_share", "> 0 on valid", verdict, required=True, remark=ratio["reason"])]


def may_emit(config: RunConfig, verdict: Verdict, *, force: bool) -> bool:
    """Whether the dataset is written: for `share` only on PASS, for `augment` on everything but FAIL."""
    allowed = verdict == Verdict.PASS if config.purpose == "share" else verdict != Verdict.FAIL
    return allowed or force


def emit(config: RunConfig, run: Run, splits: Ref, synthetic: Ref, report: Report, *, force: bool) -> Path | None:
    """Write dataset/ if the verdict allows it; None when it does not."""
    if not may_emit(config, report.verdict, force=force):
        return None
    parts, rows = Splits.load(splits.directory), load_data(synthetic.directory / "synthetic")
    if config.export.ids == "regenerate" and isinstance(rows, Table):
        rows = with_new_ids(rows, parts, named_rng(config.seed, "ids"))
    facts = {
        "run_id": run.id,
        "name": config.name,
        "purpose": config.purpose,
        "verdict": str(report.verdict),
        "passed": report.verdict == Verdict.PASS,
        "forced": force and not may_emit(config, report.verdict, force=False),
        "data_sha256": report.provenance["data_sha256"],
        "created": report.provenance["started"],
        "synthesizer": report.provenance.get("model", config.synthesizer.kind),
        "differential_privacy": report.provenance.get("differential_privacy"),
        "approval": report.provenance.get("approval"),
    }
    emit_dataset(run.dataset, parts, rows, purpose=config.purpose, formats=config.export.formats, facts=facts)
    return run.dataset


def write_report(config: RunConfig, run: Run, report: Report, artifacts: Mapping[str, Ref]) -> Path:
    """Write report/report.html and report.json; the path of the page."""
    folders = {name: ref.directory for name, ref in artifacts.items()}
    material = reports.material_from(config, run, folders, {name: ref.seconds for name, ref in artifacts.items()})
    reports.write_report(run.directory / "report", report, material)
    return run.directory / "report" / "report.html"


def hand_over(config: RunConfig, run: Run) -> None:
    """Copy report and, if there is one, dataset to `export.to`/name/run id; the manifest comes last."""
    if config.export.to is None:
        return
    place = f"{config.export.to.rstrip('/')}/{config.name}/{run.id}"
    for folder in (run.directory / "report", run.dataset):
        if folder.exists():
            send(folder, f"{place}/{folder.name}")
    run.update(exported_to=place)


def track(
    config: RunConfig, run: Run, workspace: Workspace, mlflow_run_id: str | None, report: Report, model: Ref
) -> None:
    """Log the finished run; its name is the config's."""
    logger.info("track run=%s name=%s verdict=%s", run.id, config.name, report.verdict)
    history = model.directory / "history.json"
    tracking.finish(run, workspace, mlflow_run_id, report, history, note=run_note(run, report))

"""Many runs side by side: each ends in a result whatever happens to it, and none is done twice."""

import hashlib
import json
import logging
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from synthgen.augmentation import StageCaller, call_plainly, finished_before, run_augmentation
from synthgen.config_reading import parse_config
from synthgen.errors import SynthgenError, resource_error
from synthgen.files import read_json
from synthgen.findings import EXIT_CODES, Report
from synthgen.redaction import redacted
from synthgen.runs import Run
from synthgen.stages import preflight
from synthgen.workspace import Workspace

logger = logging.getLogger(__name__)

State = Literal["emitted", "refused", "failed"]
# In MLflow the runs of one sweep are found by this tag.
TAG = "synthgen.sweep"


@dataclass(frozen=True)
class Attempt:
    """One run of a sweep.

    Attributes:
        name: the config's file and what varies, unique within the sweep.
        settings: what varies among the runs, by key.
        config: content of a RunConfig.
    """

    name: str
    settings: Mapping[str, str]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What an attempt came to.

    Attributes:
        state: whether a dataset was emitted, or the gates refused it, or the run ended with an error.
        exit_code: as of `synthgen run`.
        again: whether the run was finished before this command.
        metrics: value, low, high, verdict and is_required of each, in the order of the report.
    """

    name: str
    settings: Mapping[str, str]
    state: State
    exit_code: int
    verdict: str | None = None
    error: str | None = None
    run_id: str | None = None
    report_html: str | None = None
    dataset_dir: str | None = None
    mlflow_run_id: str | None = None
    seconds: float | None = None
    again: bool = False
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def sweep_id(attempts: Sequence[Attempt]) -> str:
    """The same for the same runs, so that the same command goes on with its sweep."""
    text = json.dumps([asdict(attempt) for attempt in attempts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def attempted(attempt: Attempt, workspace: Workspace, *, sweep: str, call: StageCaller = call_plainly) -> Result:
    """The run of the attempt, or a finished one with the same config and data; an error becomes a result."""
    try:
        config = parse_config(attempt.config)
        if (before := finished_before(config, workspace)) is not None:
            return _result(attempt, before, again=True)
        # A mistake in the data is answered before anything is trained.
        fresh = preflight(config, workspace)
        outcome = run_augmentation(config, workspace, fresh=fresh, call=call, links={TAG: sweep})
        return _result(attempt, Run(Path(outcome.run_dir)), again=False)
    except Exception as error:  # one run must not end the others
        return _failed(attempt, error, workspace)


def _result(attempt: Attempt, run: Run, *, again: bool) -> Result:
    record, report = run.record(), Report.from_json(read_json(run.report / "report.json"))
    return Result(
        name=attempt.name,
        settings=attempt.settings,
        state="emitted" if record["dataset_dir"] else "refused",
        exit_code=EXIT_CODES[report.verdict],
        verdict=str(report.verdict),
        run_id=run.id,
        report_html=str(run.report / "report.html"),
        dataset_dir=record["dataset_dir"],
        mlflow_run_id=record.get("mlflow_run_id"),
        seconds=record["seconds"],
        again=again,
        metrics=_metrics(report),
    )


def _metrics(report: Report) -> dict[str, dict[str, Any]]:
    judged = {item.metric: item for item in report.judgements}
    found: dict[str, dict[str, Any]] = {}
    for metric in dict.fromkeys([*judged, *(finding.metric for finding in report.findings)]):
        finding, judgement = report.finding(metric), judged.get(metric)
        numbers = (finding.value, finding.low, finding.high) if finding else (None, None, None)
        found[metric] = {
            **dict(zip(("value", "low", "high"), numbers, strict=True)),
            "verdict": str(judgement.verdict) if judgement else None,
            "is_required": judgement.required if judgement else False,
        }
    return found


def failure(attempt: Attempt, error: str, *, exit_code: int = 1) -> Result:
    """The result of a run that ended with an error."""
    return Result(attempt.name, attempt.settings, "failed", exit_code, error=redacted(error))


def _failed(attempt: Attempt, error: Exception, workspace: Workspace) -> Result:
    told = error if isinstance(error, SynthgenError) else resource_error(error, "the run", str(workspace.root))
    if told is not None:
        return failure(attempt, told.message, exit_code=told.exit_code)
    # Its text stays in the log: it may quote a cell.
    log = workspace.root / "sweeps" / "errors" / f"{hashlib.sha256(attempt.name.encode()).hexdigest()[:12]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(redacted("".join(traceback.format_exception(error))), encoding="utf-8", errors="replace")
    return failure(attempt, f"unexpected {type(error).__name__}; the traceback is in {log}")

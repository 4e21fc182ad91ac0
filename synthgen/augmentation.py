"""One augmentation run: the stages in order, the same for plain calls and for an orchestrator."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from synthgen import changes, classical, concluding, stages, tracking
from synthgen.approval import decision_on
from synthgen.config import NotifyEvent, RunConfig
from synthgen.config_reading import load_config
from synthgen.datasets import load_data
from synthgen.errors import UsageError
from synthgen.files import read_json
from synthgen.findings import EXIT_CODES, Report, Verdict
from synthgen.notifying import notify, reason_of
from synthgen.registry.stages import promote_model, register_model
from synthgen.run_artifacts import built_artifacts
from synthgen.run_log import StageTimes, run_log
from synthgen.runs import REJECTED, WAITING, Run, free_lock, list_runs, put_aside
from synthgen.shards import Spread, in_turn
from synthgen.synthesizers.origin import located, origin_inputs
from synthgen.workspace import Ref, Workspace

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class StageCaller(Protocol):
    """How a stage is called: plainly, or as an orchestrator's task."""

    def __call__(
        self, stage: Callable[Concatenate[RunConfig, P], R], config: RunConfig, /, *a: P.args, **k: P.kwargs
    ) -> R:
        """The stage's result."""
        ...


def call_plainly(stage: Callable[Concatenate[RunConfig, P], R], config: RunConfig, /, *a: P.args, **k: P.kwargs) -> R:
    """The stage called as the function that it is."""
    return stage(config, *a, **k)


@dataclass(frozen=True)
class Outcome:
    """What a run came to; the content of `synthgen run --json`.

    Attributes:
        state: "finished", "waiting for approval" or "rejected".
        not_tracked: why MLflow has not all of it.
        model: the registered version, such as "adult@3".
        promotion: why that version became champion, or did not.
        exported_to: address that report and dataset were copied to.
    """

    run_id: str
    run_dir: str
    verdict: str
    exit_code: int
    report_html: str
    report_json: str
    dataset_dir: str | None
    mlflow_run_id: str | None
    reused_stages: list[str]
    seconds: float
    state: str
    not_tracked: str | None = None
    model: str | None = None
    promotion: str | None = None
    exported_to: str | None = None


@dataclass(frozen=True)
class _Going:
    """A run on its way, and how its stages are called."""

    config: RunConfig
    workspace: Workspace
    run: Run
    times: StageTimes
    called_by: StageCaller
    force: bool = False

    def call(self, stage: Callable[Concatenate[RunConfig, P], R], config: RunConfig, /, *a: P.args, **k: P.kwargs) -> R:
        return self.times.timed(stage.__name__, lambda: self.called_by(stage, config, *a, **k))

    @property
    def mlflow_run_id(self) -> str | None:
        return self.run.record().get("mlflow_run_id")


def run_augmentation(
    config: RunConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    fresh: Collection[str] = (),
    call: StageCaller = call_plainly,
    links: Mapping[str, str] | None = None,
    spread: Spread = in_turn,
) -> Outcome:
    """Ingest, split, fit, sample, curate, evaluate, judge, wait for approval if required, emit, track, register.

    Args:
        force: emit the dataset whatever the verdict, marked as not passed.
        fresh: stages that the caller has built for this very run, so that they do not count as reused.
        call: how each stage is called.
        links: tags for the tracked run, such as the id of the orchestrator's run.
        spread: where parts of sampling and evaluation are worked on; the result is the same.

    Raises:
        UsageError: `force` where the config asks for an approval.
    """
    if force and config.approval == "required":
        message = "--force emits whatever the verdict, and this config asks for an approval: one of the two"
        raise UsageError(message, where="approval", hint="leave out --force, or set approval: none")
    started = time.monotonic()
    run = Run.create(workspace, config, stages.config_hash(config))
    run.update(unit="images" if config.modality == "images" else "rows")
    going = _Going(config, workspace, run, StageTimes(run), call, force)
    with run_log(run):
        going.call(tracking.start, config, run, workspace, dict(links or {}))
        try:
            artifacts = _build(config, workspace, run, going.call, spread, fresh)
            run.update(reused_stages=[name for name, ref in artifacts.items() if ref.reused])
            return _concluded(going, artifacts, started)
        except BaseException as error:
            tracking.fail(run, workspace, going.mlflow_run_id, error)
            if isinstance(error, Exception):
                notify(config.notify, "error", {"name": config.name, "run_id": run.id, "reason": reason_of(error)})
            raise
        finally:
            run.release()


def conclude(workspace: Workspace, run: Run, *, call: StageCaller = call_plainly) -> Outcome:
    """What a run that waited came to, now that a person has decided: emitted, tracked and registered, or not emitted.

    Nothing is trained again. A run that does not wait any more is as it is.

    Raises:
        UsageError: another process is at work on the run.
        IntegrityError: what the run was made of is no longer in the workspace.
    """
    started, lock = time.monotonic(), free_lock(run.directory)
    if lock is None:
        raise UsageError(f"another process is at work on run {run.id!r}", hint="`synthgen runs` shows how it ends")
    try:
        if run.record().get("state") != WAITING:
            return outcome_of(run)
        # Of an earlier attempt that was killed; nobody has been told of it.
        put_aside(run.dataset)
        going = _Going(load_config(run.directory / "config.yaml"), workspace, run, StageTimes(run), call)
        with run_log(run):
            return _concluded(going, built_artifacts(run, workspace), started - float(run.record()["seconds"]))
    finally:
        lock.release()


def outcome_of(run: Run) -> Outcome:
    """What run.json says the run came to."""
    record, state = run.record(), str(run.record()["state"])
    codes = {WAITING: EXIT_CODES[Verdict.INCONCLUSIVE], REJECTED: EXIT_CODES[Verdict.FAIL]}
    return Outcome(
        run_id=run.id,
        run_dir=str(run.directory),
        verdict=record["verdict"],
        exit_code=codes.get(state, EXIT_CODES[Verdict(record["verdict"])]),
        report_html=str(run.directory / "report" / "report.html"),
        report_json=str(run.directory / "report" / "report.json"),
        dataset_dir=record.get("dataset_dir"),
        mlflow_run_id=record.get("mlflow_run_id"),
        reused_stages=record.get("reused_stages", []),
        seconds=record["seconds"],
        state=state,
        not_tracked=record.get("tracking_error"),
        model=record.get("registered"),
        promotion=(record.get("promotion") or {}).get("reason"),
        exported_to=record.get("exported_to"),
    )


def _concluded(going: _Going, artifacts: Mapping[str, Ref], started: float) -> Outcome:
    config, run, call = going.config, going.run, going.call
    decision = decision_on(run) if config.approval == "required" else None
    if config.approval == "required":
        run.update(approval=asdict(decision) if decision else {"decision": None})
    split, synthetic = artifacts["split"], artifacts["curate"]
    report = call(concluding.judge_run, config, run, split, synthetic, artifacts["evaluate"])
    report = replace(report, drift=changes.read_drift(artifacts["drift"]) if "drift" in artifacts else None)
    report = replace(report, control=classical.read_control(artifacts["control"]) if "control" in artifacts else None)
    may_emit = concluding.may_emit(config, report.verdict, force=going.force)
    waits = config.approval == "required" and decision is None and may_emit
    rejected = decision is not None and decision.decision == "rejected"
    emits = may_emit and not waits and not rejected
    dataset = call(concluding.emit, config, run, split, synthetic, report, force=going.force) if emits else None
    call(concluding.write_report, config, run, report, artifacts)
    if not waits:
        call(concluding.hand_over, config, run)
    run.update(
        verdict=report.verdict,
        seconds=round(time.monotonic() - started, 1),
        dataset_dir=str(dataset) if dataset else None,
    )
    if waits:
        run.update(state=WAITING)
        tracking.wait(run, going.workspace, going.mlflow_run_id)
        tracking.log_times(run, going.workspace, going.mlflow_run_id, going.times.seconds)
    else:
        _hand_on(going, artifacts, report)
        # Last: a run that is killed before is gone on with, and so is its page in MLflow.
        run.update(state=REJECTED if rejected else "finished")
    _tell(going, report)
    return outcome_of(run)


def _hand_on(going: _Going, artifacts: Mapping[str, Ref], report: Report) -> None:
    config, run, space, tracked = going.config, going.run, going.workspace, going.mlflow_run_id
    going.call(concluding.track, config, run, space, tracked, report, artifacts["fit"])
    version = going.call(register_model, config, run, space, tracked, report)
    going.call(promote_model, config, run, space, version, artifacts["split"], artifacts["curate"])
    tracking.log_times(run, space, tracked, going.times.seconds)


def _tell(going: _Going, report: Report) -> None:
    outcome = outcome_of(going.run)
    events: Mapping[Verdict, NotifyEvent] = {Verdict.PASS: "pass", Verdict.FAIL: "fail"}
    event = "waiting" if outcome.state == WAITING else events.get(report.verdict, "inconclusive")
    failed = [item.metric for item in report.judgements if item.required and item.verdict == report.verdict]
    reason = f"{report.verdict}: {', '.join(failed)}" if report.verdict != Verdict.PASS else "every gate passed"
    facts = {name: getattr(outcome, name) for name in ("run_id", "verdict", "exit_code", "state", "model", "promotion")}
    places = {"report": outcome.report_html, "dataset": outcome.dataset_dir, "mlflow_run_id": outcome.mlflow_run_id}
    if outcome.state != REJECTED:
        notify(going.config.notify, event, {"name": going.config.name, "reason": reason, **facts, **places})


def finished_before(config: RunConfig, workspace: Workspace) -> Run | None:
    """The newest finished run on the same data with the same config and origin, if its dataset is still there."""
    data = read_json(stages.ingest(config, workspace).directory / "fingerprint.json")
    origin: Mapping[str, str] = {}
    # A model that is gone is no other model.
    with suppress(UsageError):
        origin = _origin(config, workspace)
    wanted = {"name": config.name, "config_hash": stages.config_hash(config), "data_sha256": data["sha256"], **origin}
    for record in list_runs(workspace):
        # What a person has rejected is not asked again.
        is_ended, dataset = record.get("state") in ("finished", REJECTED), record.get("dataset_dir")
        is_whole = dataset is None or (Path(dataset) / "manifest.json").exists()
        # Runs of before do not say which model `init_from` named.
        if is_ended and is_whole and wanted.items() <= {**origin, **record}.items():
            return Run(Path(record["run_dir"]))
    return None


def _origin(config: RunConfig, workspace: Workspace) -> Mapping[str, str]:
    """For run.json: the hash of the model that `init_from` names; empty without one."""
    inputs = origin_inputs(located(config.synthesizer, workspace))
    return {f"{name}_sha256": sha256 for name, sha256 in inputs.items()}


def _build(
    config: RunConfig, workspace: Workspace, run: Run, call: StageCaller, spread: Spread, fresh: Collection[str]
) -> dict[str, Ref]:
    data = call(stages.ingest, config, workspace)
    splits = call(stages.split_data, config, workspace, data)
    _record_real(run, data, splits)
    run.update(**_origin(config, workspace))
    drift = call(changes.data_drift, config, workspace, data, run)
    canaries = call(stages.plant, config, workspace, splits) if config.canaries else None
    model = call(stages.fit, config, workspace, splits, canaries, changes.earlier_model(config, workspace, run))
    run.adopt(model.directory / "model", "model")
    stages.describe_model(run, model)
    candidates = call(stages.sample, config, workspace, splits, model, spread)
    synthetic = call(stages.curate_candidates, config, workspace, splits, model, candidates, canaries)
    rows = load_data(synthetic.directory / "synthetic")
    run.update(synthetic_sha256=rows.data_sha256(), synthetic_rows=len(rows))
    evaluation = call(stages.evaluate, config, workspace, splits, synthetic, spread, model)
    is_compared = classical.has_control(config.modality, config.evaluation.profile)
    control = call(classical.cart_control, config, workspace, splits, synthetic) if is_compared else None
    refs = (data, splits, drift, canaries, model, candidates, synthetic, evaluation, control)
    built = {ref.stage: replace(ref, reused=ref.reused and ref.stage not in fresh) for ref in refs if ref is not None}
    run.update(
        stages={name: {"key": ref.key, "reused": ref.reused, "seconds": ref.seconds} for name, ref in built.items()}
    )
    return built


def _record_real(run: Run, data: Ref, splits: Ref) -> None:
    facts = read_json(data.directory / "fingerprint.json")
    rows = {part: len(load_data(splits.directory / part)) for part in ("train", "valid", "holdout")}
    run.update(data_sha256=facts["sha256"], real_rows=facts["rows"], split_rows=rows)

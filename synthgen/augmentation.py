"""One augmentation run: the stages in order, the same for plain calls and for an orchestrator."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from synthgen import changes, stages, tracking
from synthgen.config import RunConfig
from synthgen.datasets import load_data
from synthgen.findings import EXIT_CODES
from synthgen.registry.stages import promote_model, register_model
from synthgen.runs import Ref, Run, Workspace, list_runs, read_json
from synthgen.shards import Spread, in_turn

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
    """What a run came to; the content of `synthgen run --json`."""

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
    not_tracked: str | None = None
    model: str | None = None
    promotion: str | None = None


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
    """Ingest, split, fit, sample, curate, evaluate, judge, emit, track.

    Args:
        force: emit the dataset whatever the verdict, marked as not passed.
        fresh: stages that the caller has built for this very run, so that they do not count as reused.
        call: how each stage is called.
        links: tags for the tracked run, such as the id of the orchestrator's run.
        spread: where parts of sampling and evaluation are worked on; the result is the same.
    """
    started = time.monotonic()
    run = Run.create(workspace, config, stages.config_hash(config))
    run.update(unit="images" if config.modality == "images" else "rows")
    mlflow_run_id = call(tracking.start, config, run, workspace, dict(links or {}))
    try:
        artifacts = _build(config, workspace, run, call, spread)
        report = call(stages.judge_run, config, run, artifacts["split"], artifacts["curate"], artifacts["evaluate"])
        report = replace(report, drift=changes.read_drift(artifacts["drift"]) if "drift" in artifacts else None)
        dataset = call(stages.emit, config, run, artifacts["split"], artifacts["curate"], report, force=force)
        page = call(stages.write_report, config, run, report, artifacts)
        call(stages.hand_over, config, run)
    except BaseException as error:
        tracking.fail(run, workspace, mlflow_run_id, error)
        run.release()
        raise
    outcome = Outcome(
        run_id=run.id,
        run_dir=str(run.directory),
        verdict=str(report.verdict),
        exit_code=EXIT_CODES[report.verdict],
        report_html=str(page),
        report_json=str(page.with_suffix(".json")),
        dataset_dir=str(dataset) if dataset else None,
        mlflow_run_id=mlflow_run_id,
        reused_stages=[name for name, ref in artifacts.items() if ref.reused and name not in fresh],
        seconds=round(time.monotonic() - started, 1),
    )
    run.update(verdict=outcome.verdict, seconds=outcome.seconds, dataset_dir=outcome.dataset_dir)
    call(stages.track, config, run, workspace, mlflow_run_id, report, artifacts["fit"])
    version = call(register_model, config, run, workspace, mlflow_run_id, report)
    promoted = call(promote_model, config, run, workspace, version, artifacts["split"], artifacts["curate"])
    # Last: a run that is killed before is gone on with, and so is its page in MLflow.
    run.update(state="finished")
    run.release()
    return replace(
        outcome,
        not_tracked=run.record().get("tracking_error"),
        model=version.text if version else None,
        promotion=promoted.reason if promoted else None,
    )


def finished_before(config: RunConfig, workspace: Workspace) -> Run | None:
    """The newest finished run on the same data with the same config, if its dataset is still there."""
    data = read_json(stages.ingest(config, workspace).directory / "fingerprint.json")
    wanted = {"name": config.name, "state": "finished", "config_hash": stages.config_hash(config)}
    for record in list_runs(workspace):
        dataset = record.get("dataset_dir")
        if {**wanted, "data_sha256": data["sha256"]}.items() <= record.items() and (
            dataset is None or (Path(dataset) / "manifest.json").exists()
        ):
            return Run(Path(record["run_dir"]))
    return None


def _build(config: RunConfig, workspace: Workspace, run: Run, call: StageCaller, spread: Spread) -> dict[str, Ref]:
    data = call(stages.ingest, config, workspace)
    splits = call(stages.split_data, config, workspace, data)
    _record_real(run, data, splits)
    drift = call(changes.data_drift, config, workspace, data, run)
    canaries = call(stages.plant, config, workspace, splits) if config.canaries else None
    model = call(stages.fit, config, workspace, splits, canaries)
    run.adopt(model.directory / "model", "model")
    stages.describe_model(run, model)
    candidates = call(stages.sample, config, workspace, splits, model, spread)
    synthetic = call(stages.curate_candidates, config, workspace, splits, model, candidates, canaries)
    rows = load_data(synthetic.directory / "synthetic")
    run.update(synthetic_sha256=rows.fingerprint(), synthetic_rows=len(rows))
    evaluation = call(stages.evaluate, config, workspace, splits, synthetic, spread)
    refs = (data, splits, drift, canaries, model, candidates, synthetic, evaluation)
    built = {ref.stage: ref for ref in refs if ref is not None}
    run.update(
        stages={name: {"key": ref.key, "reused": ref.reused, "seconds": ref.seconds} for name, ref in built.items()}
    )
    return built


def _record_real(run: Run, data: Ref, splits: Ref) -> None:
    facts = read_json(data.directory / "fingerprint.json")
    rows = {part: len(load_data(splits.directory / part)) for part in ("train", "valid", "holdout")}
    run.update(data_sha256=facts["sha256"], real_rows=facts["rows"], split_rows=rows)

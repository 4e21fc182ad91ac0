"""The augmentation flow: ingest, split, fit, sample, curate, evaluate, judge, emit, track.

Call `pipelines.bootstrap.bootstrap(workspace)` before this module is imported.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from pipelines.approving import await_decision
from pipelines.live_progress import progress_artifact
from pipelines.orchestration import finished, has_shared_server, is_prefects
from pipelines.pages import show_verdict
from pipelines.runners import Runner, spreading
from pipelines.slots import call_with_slot, untagged
from synthgen.augmentation import Outcome, run_augmentation
from synthgen.config import RunConfig
from synthgen.config_reading import parse_config
from synthgen.runs import WAITING, Run
from synthgen.shards import Spread, in_turn
from synthgen.workspace import Ref, Workspace

P = ParamSpec("P")
R = TypeVar("R")


def call_as_task(stage: Callable[Concatenate[RunConfig, P], R], config: RunConfig, /, *a: P.args, **k: P.kwargs) -> R:
    """The stage as a Prefect task. Artifacts are keyed by content in the workspace, so Prefect caches nothing."""

    def body(*args: Any, **kwargs: Any) -> Any:
        result = call_with_slot(stage, *args, **kwargs)
        if isinstance(result, Ref) and result.reused:
            # Shown as "Cached" in the Prefect UI, as its own cache hits are.
            reused: State[Ref] = Completed(data=result, name="Cached")
            return reused
        return result

    wrapped = task(name=stage.__name__, cache_policy=NO_CACHE, persist_result=False)(body)
    try:
        with untagged():
            state = cast("State[R]", wrapped(config, *a, return_state=True, **k))
        return state.result()
    except Exception as error:
        if not is_prefects(error):
            raise
        # The run goes on in its own records; as a failure of the stage it would be given up, and begun again.
        return stage(config, *a, **k)


@flow(name="augment", persist_result=False, validate_parameters=False)
def augment_flow(
    config: dict[str, Any],
    workspace: str,
    force: bool = False,
    fresh: Sequence[str] = (),
    runner: dict[str, Any] | None = None,
) -> Outcome:
    """One augmentation run on the workspace; the outcome is what `synthgen run --json` prints.

    Args:
        runner: content of `pipelines.runners.Runner`, where parts of sampling and evaluation go; None: this process.
    """
    with spreading(Runner(**runner) if runner else None) as spread:
        return augmented(parse_config(config), Workspace.at(workspace), force=force, fresh=fresh, spread=spread)


def augmented(
    config: RunConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    fresh: Sequence[str] = (),
    spread: Spread = in_turn,
) -> Outcome:
    """One augmentation run inside a flow run, on whose page the verdict is shown."""
    links = {"prefect.flow_run_id": str(runtime.flow_run.id), "prefect.flow_run_name": str(runtime.flow_run.name)}
    with progress_artifact():
        outcome = run_augmentation(
            config, workspace, force=force, fresh=fresh, call=call_as_task, links=links, spread=spread
        )
    run = Run(Path(outcome.run_dir))
    if outcome.state == WAITING and has_shared_server():
        show_verdict(workspace, run)
        outcome = await_decision(workspace, outcome, links["prefect.flow_run_id"], call=call_as_task)
    finished(outcome)
    show_verdict(workspace, run)
    return outcome

"""The sweep flow: many runs fanned out over a task runner, each an ordinary run of the workspace.

Call `pipelines.bootstrap.bootstrap(workspace)` before this module is imported.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed

from pipelines.orchestration import finished
from pipelines.runners import Runner, children_ended
from pipelines.slots import call_with_slot, untagged
from pipelines.sweeping import Pace, results_markdown
from synthgen.sweeping import Attempt, Result, attempted, failure
from synthgen.workspace import Workspace

_LOST = "the process that ran it died; the system may have killed it for its memory"


@task(name="run", task_run_name="{attempt[name]}", cache_policy=NO_CACHE, persist_result=False)
def run_task(attempt: Mapping[str, Any], workspace: str, sweep: str) -> dict[str, Any]:
    """One attempt; plain JSON in and out, so that it may run anywhere that sees the workspace."""
    return asdict(attempted(Attempt(**attempt), Workspace.at(workspace), sweep=sweep, call=call_with_slot))


def sweep_flow(attempts: Sequence[Attempt], workspace: Workspace, sweep: str, runner: Runner) -> list[Result]:
    """The results in the order of the attempts; a run whose process dies has another try, in a process of its own."""
    pace = Pace(len(attempts))
    results = _flow_results(attempts, workspace, sweep, runner, pace)
    for attempt in attempts:
        if attempt.name not in results:
            alone = Runner(runner.kind, 1, runner.address)
            results |= _flow_results([attempt], workspace, sweep, alone, pace)
            if attempt.name not in results:
                results[attempt.name] = pace.done(failure(attempt, _LOST))
    return finished([results[attempt.name] for attempt in attempts])


def _flow_results(
    attempts: Sequence[Attempt], workspace: Workspace, sweep: str, runner: Runner, pace: Pace
) -> dict[str, Result]:
    found: dict[str, Result] = {}

    # Results are read while the runner runs; what the flow itself returns would come at its end.
    @flow(name="sweep", task_runner=runner.task_runner(), persist_result=False, validate_parameters=False)
    def fan_out(runs: list[dict[str, Any]], workspace: str, sweep: str) -> None:
        # Inside: the runner would wait for its processes before an interrupt gets out of the flow.
        with children_ended():
            with untagged():
                futures = [run_task.submit(run, workspace, sweep) for run in runs]
            for result in _as_they_end(futures):
                found[result.name] = pace.done(result)
        create_markdown_artifact(markdown=results_markdown(found.values()), key="sweep", description=sweep)

    fan_out([asdict(attempt) for attempt in attempts], str(workspace.root), sweep)
    return found


def _as_they_end(futures: list[PrefectFuture[dict[str, Any]]]) -> Iterator[Result]:
    for future in as_completed(futures):
        # Whoever asked sees by the missing result that the process of a run died.
        with suppress(Exception):
            yield Result(**future.result())

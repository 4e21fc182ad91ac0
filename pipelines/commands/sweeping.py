"""`synthgen sweep`: many runs side by side, and one table of what they came to."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipelines.commands.options import JsonFlag, RunnerOptions, WorkspaceOption, out

if TYPE_CHECKING:
    from pipelines.runners import Runner
    from synthgen.sweeping import Attempt, Result
    from synthgen.workspace import Workspace


def sweep(
    config: Annotated[list[Path], Parameter(help="One or more YAML files.")],
    *,
    seeds: Annotated[str | None, Parameter(help="0-4 or 0,3,7; default: that of each config.")] = None,
    set_: Annotated[
        list[str] | None, Parameter(name=["-s", "--set"], help="key.sub=value,value: every combination is a run.")
    ] = None,
    on: RunnerOptions | None = None,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Run every config with every seed and setting, side by side, and compare them in one table.

    Each is an ordinary run. One that fails or is refused ends no other; the same command goes on where it stopped.
    """
    from pipelines.bootstrap import bootstrap, workspace_at
    from pipelines.combinations import combinations
    from pipelines.sweeping import exit_code, results_table, written
    from synthgen.sweeping import sweep_id

    attempts = combinations(config, seeds=seeds, settings=set_ or ())
    space = workspace_at(workspace)
    bootstrap(space)
    results = _results(attempts, space, (on or RunnerOptions()).chosen(), progress=not json_)
    name = sweep_id(attempts)
    page = written(space, name, results)
    if json_:
        places = {"sweep_html": str(page), "sweep_csv": str(page.with_suffix(".csv"))}
        code = exit_code(results)
        runs = [asdict(result) for result in results]
        print(json.dumps({"sweep": name, "exit_code": code, **places, "runs": runs}))
    else:
        out.print(results_table(results))
        out.print(f"\nwrote {page}, with sweep.csv and sweep.json beside it", highlight=False, soft_wrap=True)
    return exit_code(results)


def _results(attempts: "list[Attempt]", space: "Workspace", runner: "Runner", *, progress: bool) -> "list[Result]":
    from pipelines.orchestration import orchestrated
    from pipelines.runners import require_workers
    from pipelines.sweeping import sweep_plainly
    from pipelines.terminal import progress_shown
    from synthgen.sweeping import sweep_id

    name = sweep_id(attempts)

    def flow() -> "list[Result]":
        # Here, where Prefect's API answers: the workers are asked whether they reach it.
        require_workers(runner, space)
        from pipelines.sweep import sweep_flow

        return sweep_flow(attempts, space, name, runner)

    with progress_shown(enabled=progress):
        return orchestrated(space, flow, lambda: sweep_plainly(attempts, space, name))

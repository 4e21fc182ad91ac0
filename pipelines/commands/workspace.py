"""`synthgen runs`, `ui` and `doctor`: what has run, its pages, and whether the installation works."""

import json
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from pipelines.commands.options import JsonFlag, WorkspaceOption, out


def runs(*, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """What has run, newest first, with state and verdict."""
    from pipelines.bootstrap import workspace_at
    from pipelines.overview import runs_table
    from synthgen.runs import list_runs

    records = list_runs(workspace_at(workspace))
    if json_:
        print(json.dumps(records))
    elif not records:
        out.print("no runs yet; `synthgen run CONFIG` makes one", highlight=False)
    else:
        out.print(runs_table(records))
    return 0


def ui(*, workspace: WorkspaceOption = None, prefect_port: int = 4200, mlflow_port: int = 5000) -> int:
    """Serve the Prefect and the MLflow pages of this workspace until Ctrl-C."""
    from pipelines.bootstrap import bootstrap, workspace_at
    from pipelines.servers import serve_pages

    space = workspace_at(workspace)
    bootstrap(space)
    return serve_pages(space, prefect_port=prefect_port, mlflow_port=mlflow_port)


def doctor(
    *,
    reap: Annotated[bool, Parameter(negative="", help="End and remove what killed processes left behind.")] = False,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Check the installation and the workspace, and list what killed processes left behind."""
    from pipelines.bootstrap import bootstrap, workspace_at
    from pipelines.orchestration import start_server
    from pipelines.overview import checks_table, examine, examine_leftovers

    space = workspace_at(workspace)
    bootstrap(space)
    # A failure shows in the check that calls a flow.
    start_server(space)
    checks = [*examine(space), *examine_leftovers(space, reap=reap)]
    if json_:
        print(json.dumps([asdict(item) for item in checks]))
    else:
        out.print(checks_table(checks))
    return 0 if all(item.fine for item in checks) else 1

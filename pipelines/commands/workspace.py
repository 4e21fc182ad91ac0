"""`synthgen runs`, `up`, `down`, `ui` and `doctor`: what has run, its pages, and whether the installation works."""

import json
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from pipelines.commands.options import MLFLOW_PORT, PREFECT_PORT, JsonFlag, WorkspaceOption, err, out


def runs(*, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """What has run, newest first, with state and verdict."""
    from pipelines.bootstrap import workspace_at
    from pipelines.overview import runs_table
    from synthgen.runs import list_runs

    records = list_runs(workspace_at(workspace))
    if json_:
        print(json.dumps({"runs": records}))
    elif not records:
        out.print("no runs yet; `synthgen run CONFIG` makes one", highlight=False)
    else:
        out.print(runs_table(records))
    return 0


def up(
    *,
    prefect_port: Annotated[int, Parameter(help="Port of the Prefect server; 0: any that is free.")] = PREFECT_PORT,
    mlflow_port: Annotated[int, Parameter(help="Port of the MLflow server; 0: any that is free.")] = MLFLOW_PORT,
    prefect_database: Annotated[str | None, Parameter(env_var="PREFECT_SERVER_DATABASE_CONNECTION_URL")] = None,
    mlflow_database: Annotated[str | None, Parameter(env_var="MLFLOW_BACKEND_STORE_URI")] = None,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Start a Prefect and an MLflow server for this workspace in the background, on 127.0.0.1.

    Other commands on the workspace find them; `synthgen down` stops them.

    Args:
        prefect_database: postgresql://USER:PASSWORD@HOST:5432/NAME; default: SQLite in the workspace.
        mlflow_database: the same for MLflow. The environment keeps a password out of the list of processes.
    """
    from pipelines.background import VARIABLES, Wanted, start_all
    from pipelines.bootstrap import bootstrap, workspace_at

    space = workspace_at(workspace)
    bootstrap(space)
    wanted = {"prefect": Wanted(prefect_port, prefect_database), "mlflow": Wanted(mlflow_port, mlflow_database)}
    servers = start_all(space, wanted)
    if json_:
        print(json.dumps({name: asdict(server) for name, server in servers.items()}))
        return 0
    for name, server in servers.items():
        out.print(f"export {VARIABLES[name]}={server.address}", highlight=False, soft_wrap=True)
    err.print("Commands on this workspace find them by themselves; `synthgen down` stops them.", highlight=False)
    return 0


def down(*, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """Stop the servers that `synthgen up` has started for this workspace."""
    from pipelines.background import stop_all
    from pipelines.bootstrap import workspace_at

    stopped = stop_all(workspace_at(workspace))
    if json_:
        print(json.dumps({"stopped": stopped}))
    else:
        out.print(f"stopped {' and '.join(stopped)}" if stopped else "no server was running", highlight=False)
    return 0


def ui(*, workspace: WorkspaceOption = None, prefect_port: int = PREFECT_PORT, mlflow_port: int = MLFLOW_PORT) -> int:
    """Serve the Prefect and the MLflow pages of this workspace until Ctrl-C."""
    from pipelines.background import running
    from pipelines.bootstrap import bootstrap, workspace_at
    from pipelines.servers import serve_pages, show_pages

    space = workspace_at(workspace)
    if servers := running(space):
        return show_pages({name: server.port for name, server in servers.items()})
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
        print(json.dumps({"checks": [asdict(item) for item in checks]}))
    else:
        out.print(checks_table(checks))
    return 0 if all(item.fine for item in checks) else 1

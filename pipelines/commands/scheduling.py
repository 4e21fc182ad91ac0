"""`synthgen schedule`, `schedules` and `serve`: runs that start by themselves."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from pipelines.commands.options import JsonFlag, WorkspaceOption, out
from pipelines.timing import Timing
from synthgen.config_reading import load_config
from synthgen.errors import UsageError

if TYPE_CHECKING:
    from synthgen.workspace import Workspace

Name = Annotated[str, Parameter(help="Name of the schedule, as `synthgen schedules` lists it.")]
schedules = App(name="schedules", help="List the schedules of the workspace; pause, resume, run now or delete one.")


def schedule(
    config: Path,
    *,
    timing: Timing | None = None,
    pool: str | None = None,
    name: str | None = None,
    set_: Annotated[list[str] | None, Parameter(name=["-s", "--set"], help="key.sub=value, repeatable.")] = None,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Run a config again and again, as a Prefect deployment; overlapping runs wait for each other.

    A run on data and config that a finished run has seen ends at once as "Unchanged". The config is kept in the
    deployment: schedule it again after a change.

    Args:
        pool: work pool whose workers run it; without, `synthgen serve` does.
        name: default: the name in the config.
    """
    loaded = load_config(config, set_ or ())
    space = _space(workspace)
    from pipelines.deploy import deploy

    chosen = name or loaded.name
    deployment = deploy(loaded, space, timing or Timing(), name=chosen, pool=pool)
    if json_:
        print(json.dumps({"name": chosen, "deployment_id": str(deployment), "pool": pool}))
        return 0
    out.print(f"scheduled {chosen}", highlight=False)
    if pool is None:
        out.print("next: `synthgen serve` runs what the schedules of this workspace ask for", highlight=False)
    return 0


@schedules.default
def list_schedules(*, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """The schedules of the workspace: when each runs next, and the verdict of its last run."""
    space = _space(workspace)
    from pipelines.schedules import listed, table

    found = listed(space)
    if json_:
        print(json.dumps({"schedules": [asdict(item) for item in found]}, default=str))
    elif not found:
        out.print("no schedules yet; `synthgen schedule CONFIG --every 6h` makes one", highlight=False)
    else:
        out.print(table(found))
        if any(not item.served for item in found):
            out.print("\nwhat nobody runs waits for `synthgen serve`, or for a worker of its pool", highlight=False)
    return 0


@schedules.command
def pause(name: Name, *, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """Let a schedule begin no run until it is resumed."""
    space = _space(workspace)
    from pipelines.schedules import pause

    pause(space, name)
    return _told({"paused": name}, json_)


@schedules.command
def resume(name: Name, *, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """Let a paused schedule fire again."""
    space = _space(workspace)
    from pipelines.schedules import resume

    resume(space, name)
    return _told({"resumed": name}, json_)


@schedules.command
def run_now(name: Name, *, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """Ask for a run at once, beside the schedule."""
    space = _space(workspace)
    from pipelines.schedules import run_now

    return _told({"asked for": name, "flow_run": run_now(space, name)}, json_)


@schedules.command
def delete(name: Name, *, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """Remove a schedule; its runs stay."""
    space = _space(workspace)
    from pipelines.schedules import delete

    delete(space, name)
    return _told({"deleted": name}, json_)


def serve(*, limit: int = 1, workspace: WorkspaceOption = None) -> int:
    """Run what the schedules of this workspace without a pool ask for, until Ctrl-C or SIGTERM.

    Args:
        limit: the most runs at once; one training keeps a machine busy.
    """
    if limit < 1:
        raise UsageError(f"--limit is {limit}; at least one run must be let through", where="--limit")
    space = _space(workspace)
    from pipelines.schedules import serve

    return serve(space, limit=limit)


def _space(workspace: Path | None) -> "Workspace":
    from pipelines.bootstrap import bootstrap, workspace_at

    space = workspace_at(workspace)
    bootstrap(space)
    return space


def _told(facts: dict[str, str], as_json: bool) -> int:
    if as_json:
        print(json.dumps(facts))
    else:
        out.print(", ".join(f"{key} {value}" for key, value in facts.items()), highlight=False)
    return 0

"""`synthgen approve` and `reject`: a person's yes or no to a run that waits for it."""

import json
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from pipelines.commands.options import JsonFlag, WorkspaceOption, out
from synthgen.errors import UsageError
from synthgen.remote import is_elsewhere

RunName = Annotated[str, Parameter(help="A run id (or its beginning), or a run folder.")]
ByOption = Annotated[str | None, Parameter(help="Who decides; default: the user of this system.")]


def approve(
    run: RunName, *, by: ByOption = None, reason: str = "", workspace: WorkspaceOption = None, json_: JsonFlag = False
) -> int:
    """Let a waiting run emit its dataset; it is then tracked and registered, and nothing is trained again."""
    return _decided(run, approved=True, by=by, reason=reason, workspace=workspace, as_json=json_)


def reject(
    run: RunName, *, reason: str, by: ByOption = None, workspace: WorkspaceOption = None, json_: JsonFlag = False
) -> int:
    """Say no to a waiting run: nothing is emitted, and its model never becomes champion."""
    return _decided(run, approved=False, by=by, reason=reason, workspace=workspace, as_json=json_)


def _decided(
    name: str, *, approved: bool, by: str | None, reason: str, workspace: WorkspaceOption, as_json: bool
) -> int:
    from pipelines.approving import resume_paused_flow
    from pipelines.bootstrap import bootstrap, workspace_at
    from synthgen.approval import decide
    from synthgen.augmentation import conclude
    from synthgen.runs import find_run

    space = workspace_at(workspace)
    if is_elsewhere(name):
        message = f"{name!r} is an address, and a decision is written into the folder of the run"
        raise UsageError(message, hint="decide on the machine that holds its workspace; `synthgen runs` lists its ids")
    bootstrap(space)
    run = find_run(space, name)
    decision = decide(run, approved=approved, by=by, reason=reason)
    outcome = conclude(space, run)
    resume_paused_flow(run, decision)
    if as_json:
        print(json.dumps({**asdict(outcome), "approval": asdict(decision)}))
    else:
        what = f"dataset {outcome.dataset_dir}" if outcome.dataset_dir else "nothing is emitted"
        out.print(f"{decision.decision} by {decision.by}: {what}", highlight=False, soft_wrap=True)
    return 0

"""`synthgen models`, `promote` and `rollback`: registered models, and which of them is in use."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipelines.commands.options import JsonFlag, WorkspaceOption, out

if TYPE_CHECKING:
    from synthgen.registry.promotion import Promotion


def models(name: str | None = None, *, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """Registered models, newest version first, with aliases, verdict and age.

    Args:
        name: only the versions of this model.
    """
    from pipelines.bootstrap import workspace_at
    from pipelines.overview import models_table
    from synthgen.registry.versions import find_version, list_versions

    space = workspace_at(workspace)
    if name is not None:
        find_version(space, name)
    versions = list_versions(space, name)
    if json_:
        print(json.dumps({"models": [{**asdict(version), "model": version.text} for version in versions]}))
    elif not versions:
        out.print("no models yet; `synthgen run CONFIG` registers one", highlight=False)
    else:
        out.print(models_table(versions))
    return 0


def promote(
    model: Annotated[str, Parameter(help="A run id (or its beginning), NAME (its candidate), NAME@3 or NAME@alias.")],
    *,
    unproven: Annotated[
        bool, Parameter(negative="", help="Also where few rows leave open whether it is worse.")
    ] = False,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Make a version `champion`, if its gates passed and it is not worse than the champion on the same holdout."""
    from pipelines.bootstrap import workspace_at
    from synthgen.registry.stages import promote_by_name

    return _told(promote_by_name(workspace_at(workspace), model, unproven=unproven), as_json=json_)


def rollback(name: str, *, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """Give `champion` back to the version that had it before."""
    from pipelines.bootstrap import workspace_at
    from synthgen.registry.promotion import rollback as roll_back
    from synthgen.registry.versions import find_version

    space = workspace_at(workspace)
    return _told(roll_back(space, find_version(space, name).name), as_json=json_)


def _told(promotion: "Promotion", *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(asdict(promotion)))
    else:
        champion = f"{promotion.model}@{promotion.version}"
        out.print(f"champion of {promotion.model} is {champion}: {promotion.reason}", highlight=False, soft_wrap=True)
    return 0

"""The artifacts that a run was made of, found again from its record."""

from synthgen.errors import IntegrityError, UsageError
from synthgen.runs import Run
from synthgen.workspace import Ref, Workspace, artifact_folder


def built_artifacts(run: Run, workspace: Workspace) -> dict[str, Ref]:
    """Reference to the artifact of each stage, by the stage's name.

    Raises:
        UsageError: the run has not got as far.
        IntegrityError: an artifact is no longer in the workspace.
    """
    record = run.record()
    stages = record.get("stages")
    if not stages:
        message = f"run {run.id!r} was not evaluated (its state: {record.get('state')})"
        raise UsageError(message, where=str(run.directory), hint="`synthgen run` with its config goes on with it")
    found = {}
    for name, item in stages.items():
        folder = artifact_folder(workspace, name, item["key"])
        if not folder.exists():
            message = f"stage {name!r} of run {run.id!r} is no longer in the workspace"
            raise IntegrityError(message, where=str(folder), hint="the same config, run again, makes it again")
        found[name] = Ref(name, item["key"], str(folder), True, float(item["seconds"]))
    return found

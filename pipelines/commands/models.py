"""`synthgen sample` and `verify`: more rows from a trained model, and the hashes of an emitted dataset."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pipelines.commands.options import JsonFlag, RunnerOptions, WorkspaceOption, out


def sample(  # noqa: PLR0913 - options of a command
    model: Annotated[
        str, Parameter(help="A run id (or its beginning), a run or model folder, or a registered model: NAME@champion.")
    ],
    *,
    rows: int | None = None,
    per_class: Annotated[list[str] | None, Parameter(help="LABEL=N, repeatable.")] = None,
    where: Annotated[list[str] | None, Parameter(help="COLUMN=VALUE that every row or image has, repeatable.")] = None,
    seed: int = 0,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    on: RunnerOptions | None = None,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Draw more from a trained model: .parquet or .csv for a table, .npz or a folder for images.

    A folder has the files that an emitted dataset would have: DICOM or NIfTI where the model learned from such, else
    PNG, an npz for other volumes; and a manifest with run, model and seed. PNG, npz and parquet name run and model
    themselves, DICOM and NIfTI the run.
    These rows are as the model draws them: not curated and not judged. With a runner, blocks of 65,536 rows are drawn
    side by side; the rows are the same.
    """
    from pipelines.bootstrap import workspace_at
    from pipelines.drawing import Request, draw
    from pipelines.runners import spreading
    from pipelines.terminal import progress_shown
    from synthgen.remote import local_output, shown

    request = Request(rows=rows, per_class=per_class or (), where=where or (), seed=seed)
    with (
        progress_shown(enabled=not json_),
        local_output(output, is_new=True) as target,
        spreading(on.chosen() if on else None) as spread,
    ):
        written, unit = draw(workspace_at(workspace), model, request, target=target, spread=spread)
    if json_:
        print(json.dumps({"written": str(shown(output)), "rows": written}))
    else:
        out.print(f"wrote {written:,} {unit} to {shown(output)}", highlight=False, soft_wrap=True)
    return 0


def verify(dataset: Path, *, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """Compare every file of an emitted dataset with the hash in its manifest."""
    from pipelines.places import local_input
    from synthgen.manifests import verify_manifest
    from synthgen.remote import is_address, shown

    found = local_input(dataset, workspace) if is_address(dataset) else dataset
    inside = "/dataset" if (found / "dataset" / "manifest.json").exists() else ""
    manifest = verify_manifest(Path(f"{found}{inside}"))
    if json_:
        place = f"{shown(dataset)}{inside}"
        print(json.dumps({"dataset": place, "files": len(manifest["files"]), "verdict": manifest.get("verdict")}))
    else:
        out.print(
            f"✓ {len(manifest['files'])} files as in the manifest; verdict {manifest.get('verdict')}", highlight=False
        )
    return 0

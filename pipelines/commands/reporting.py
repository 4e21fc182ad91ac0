"""`synthgen report` and `compare`: a run's page drawn again, and runs side by side."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pipelines.commands.options import JsonFlag, OutputOption, WorkspaceOption, out
from synthgen.errors import UsageError

RunName = Annotated[str, Parameter(help="A run id (or its beginning), or the folder of a run or an audit.")]


def report(
    run: RunName,
    *,
    shareable: Annotated[bool, Parameter(negative="")] = False,
    output: OutputOption = None,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Draw the report of a finished run again, from its numbers and data.

    Args:
        shareable: only the version to hand on: aggregates, no image, no path, nothing that rests on a few rows.
        output: folder to write to; default: the folder of the report that is there.
    """
    from pipelines.bootstrap import workspace_at
    from pipelines.rendering import render_again
    from synthgen.remote import local_output, shown

    with local_output(output) if output else nullcontext() as folder:
        written = render_again(workspace_at(workspace), run, folder, shareable=shareable)
    places = [f"{shown(output)}/{page.name}" if output else str(page) for page in written]
    if json_:
        print(json.dumps({"written": places}))
    else:
        for place in places:
            out.print(f"wrote {place}", highlight=False, soft_wrap=True)
    return 0


def compare(
    *runs: RunName,
    output: OutputOption = None,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Two or more runs side by side; a difference from the first is marked when the 95 % intervals do not overlap.

    Args:
        output: folder for compare.html; default: the current folder.
    """
    if len(runs) < 2:
        raise UsageError(f"compare takes two or more runs, {len(runs)} given", hint="`synthgen runs` lists them")
    from pipelines.bootstrap import workspace_at
    from pipelines.rendering import files_trusted_to_be_whole, print_comparison
    from synthgen.remote import local_output, shown
    from synthgen.reports.comparison import compared, load_side, write_comparison

    space = workspace_at(workspace)
    with files_trusted_to_be_whole(", ".join(runs)):
        comparison = compared([load_side(space, name) for name in runs])
    with local_output(output or Path()) as folder:
        write_comparison(folder / "compare.html", comparison)
    page = f"{shown(output or Path().absolute())}/compare.html"
    if json_:
        print(json.dumps({**comparison.to_json(), "compare_html": page}))
    else:
        print_comparison(out, comparison)
        out.print(f"\nwrote {page}", highlight=False, soft_wrap=True)
    return 0

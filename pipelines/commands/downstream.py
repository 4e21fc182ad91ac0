"""`synthgen downstream`: what a classifier gains from the synthetic rows of a dataset."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipelines.commands.options import JsonFlag, OutputOption, WorkspaceOption, out
from synthgen.remote import is_address, shown

if TYPE_CHECKING:
    from synthgen.downstream import DownstreamOutcome
    from synthgen.workspace import Workspace


def downstream(
    dataset: Annotated[Path, Parameter(help="An emitted dataset, or the run that emitted it: id, folder or address.")],
    *,
    seeds: Annotated[int, Parameter(help="Paired trainings of each arm, at least 2.")] = 5,
    output: OutputOption = None,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Train a classifier with and without the synthetic rows, and with cheaper means; register the better one.

    Everything is chosen on the valid rows and tested on the holdout, which no stage has seen. It reports and judges
    nothing: the exit code is 0 whether augmentation helps or not.
    """
    from pipelines.bootstrap import bootstrap, workspace_at
    from pipelines.orchestration import orchestrated
    from pipelines.terminal import progress_shown
    from synthgen.downstream import check_downstream, run_downstream
    from synthgen.runs import find_run

    space = workspace_at(workspace)
    place = _place(dataset) if is_address(dataset) or dataset.exists() else str(find_run(space, str(dataset)).directory)
    target = None if output is None else _place(output)
    with progress_shown(enabled=not json_):
        # A mistake is answered before any server starts.
        check_downstream(place, space, seeds, target)
        bootstrap(space)
        outcome = orchestrated(
            space,
            lambda: _flow(place, space, seeds, target),
            lambda: run_downstream(place, space, seeds=seeds, output=target),
        )
    if json_:
        print(json.dumps(asdict(outcome)))
    else:
        _show(outcome)
    return outcome.exit_code


def _place(given: Path) -> str:
    return shown(given if is_address(given) else given.absolute())


def _flow(dataset: str, space: "Workspace", seeds: int, output: str | None) -> "DownstreamOutcome":
    from pipelines.downstream import downstream_flow

    return downstream_flow(dataset, str(space.root), seeds, output)


def _show(outcome: "DownstreamOutcome") -> None:
    from pipelines.terminal import print_places
    from pipelines.verdicts import class_rows, comparison_rows, conclusion

    out.print(conclusion(outcome), style="bold", highlight=False)
    out.print(f"{outcome.seeds} paired trainings of each, tested on the holdout", style="dim", highlight=False)
    out.print()
    _print_rows(
        ("Trained on", "Bal. accuracy", "95 % interval", "Gain over it", "95 % interval"), comparison_rows(outcome)
    )
    if len(outcome.classes) > 2:
        out.print()
        _print_rows(("Class", "Test rows", "Found, real", "Found, augmented", "Gain"), class_rows(outcome))
    out.print()
    registered = outcome.registered
    model = f"{registered['name']} version {registered['version']}" if registered else f"not: {outcome.not_tracked}"
    print_places(out, {"classifier": outcome.model_dir, "registered": model, "dataset": outcome.dataset})


def _print_rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for position, title in enumerate(titles):
        table.add_column(title, justify="right" if position else "left", no_wrap=bool(position))
    for row in rows:
        table.add_row(*row)
    out.print(table, highlight=False, markup=False)

"""Options that several commands take, and the two consoles."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipelines.inert import inert_console

if TYPE_CHECKING:
    from pipelines.runners import Runner

# Where `synthgen up` and `synthgen ui` serve pages unless they are told otherwise.
PREFECT_PORT, MLFLOW_PORT = 4200, 5000

out = inert_console()
err = inert_console(stderr=True)

WorkspaceOption = Annotated[Path | None, Parameter(name="--workspace", help="Default: $SYNTHGEN_WORKSPACE.")]
JsonFlag = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")]
OutputOption = Annotated[Path | None, Parameter(name=["-o", "--output"])]


@Parameter(name="*")
@dataclass(frozen=True)
class RunnerOptions:
    """Where parallel work goes."""

    runner: Annotated[str | None, Parameter(help="threads, processes or dask.")] = None
    dask: Annotated[
        str | None, Parameter(help="Address of a Dask scheduler; without it a cluster of this machine.")
    ] = None
    workers: Annotated[
        int | None, Parameter(help="Processes at once on this machine; default: as the cores carry.")
    ] = None

    def chosen(self) -> "Runner":
        """The runner; raises UsageError for what does not fit together. Call `bootstrap` first."""
        from pipelines.runners import Runner

        return Runner.of(self.runner, workers=self.workers, address=self.dask)

    @property
    def is_given(self) -> bool:
        """Whether any option says that work is to be spread."""
        return self != RunnerOptions()

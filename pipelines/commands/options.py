"""Options that several commands take, and the two consoles."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pipelines.inert import inert_console

out = inert_console()
err = inert_console(stderr=True)

WorkspaceOption = Annotated[Path | None, Parameter(name="--workspace", help="Default: $SYNTHGEN_WORKSPACE.")]
JsonFlag = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")]
OutputOption = Annotated[Path | None, Parameter(name=["-o", "--output"])]

"""The `synthgen` command: its table of commands, and what a mistake is answered with."""

import itertools
import json
import logging
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cyclopts import App, CycloptsError

from pipelines.commands import (
    approving,
    auditing,
    augmenting,
    downstream,
    models,
    registry,
    reporting,
    scheduling,
    sweeping,
    workspace,
)
from pipelines.commands.options import err
from pipelines.helping import help_out, is_helper
from pipelines.problems import show_problems
from synthgen import __version__
from synthgen.errors import SynthgenError, resource_error
from synthgen.redaction import redacted

app = App(
    name="synthgen",
    version=__version__,
    help="Augment a labelled dataset with a GAN, prove on held-out real data that it is good, safe and useful, "
    "or refuse and say why.",
    help_epilogue="Exit codes: 0 PASS · 1 unexpected error · 2 bad input, config or usage · 3 gate FAIL or rejected · "
    "4 INCONCLUSIVE, NOT AUDITED or waiting for approval · 130 Ctrl-C · 143 SIGTERM.",
    # Else it ends the process itself, silently and always with 130.
    suppress_keyboard_interrupt=False,
)
# To add one: a function in pipelines/commands/, and its name here.
COMMANDS = (
    augmenting.init, augmenting.check, augmenting.run, approving.approve, approving.reject,
    auditing.audit, reporting.report, reporting.compare, models.sample, models.verify,
    registry.models, registry.promote, registry.rollback, downstream.downstream,
    sweeping.sweep, scheduling.schedule, scheduling.schedules, scheduling.serve,
    workspace.runs, workspace.up, workspace.down, workspace.ui, workspace.doctor,
)  # fmt: skip
for command in COMMANDS:
    app.command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code; no traceback for a mistake of the user."""
    tokens = sys.argv[1:] if arguments is None else arguments
    # As Ctrl-C: what was trained is kept, the run is marked, servers are stopped.
    signal.signal(signal.SIGTERM, _stop)
    if is_helper() and tokens[:1] == ["run"]:
        help_out()
    sys.exit(_answer(tokens))


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(number)


def _answer(tokens: list[str]) -> int:
    as_json = "--json" in tokens
    try:
        code = app(tokens, exit_on_error=False, print_error=not as_json, result_action="return_value")
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        # cyclopts has printed it, with the usage, unless JSON was asked for.
        return _report_error(
            {"error": str(error), "where": None, "hint": "synthgen --help", "exit_code": 2}, as_json, False
        )
    except SynthgenError as error:
        return _report_error(_told(error), as_json, True)
    except KeyboardInterrupt as error:
        # As a shell counts: 128 and the number of the signal.
        number = error.args[0] if error.args else signal.SIGINT
        message = f"stopped by {'Ctrl-C' if number == signal.SIGINT else 'SIGTERM'}"
        hint = "the same command goes on where this one stopped"
        content = {"error": message, "where": None, "hint": hint, "exit_code": 128 + number}
        return _report_error(content, as_json, True)
    except Exception as error:  # the last resort of a command line: say it shortly, keep the traceback in a file
        if (fault := resource_error(error, "the command", str(_space(tokens)))) is not None:
            return _report_error(_told(fault), as_json, True)
        return _report_error(_unexpected(error, _space(tokens)), as_json, True)


def _told(error: SynthgenError) -> dict[str, Any]:
    problems = [{"problem": item.message, "where": item.where, "hint": item.hint} for item in error.problems]
    said = {"error": error.message, "where": error.where, "hint": error.hint}
    return {**said, "exit_code": error.exit_code, "problems": problems}


def _report_error(content: Mapping[str, Any], as_json: bool, shown: bool) -> int:
    if as_json:
        print(json.dumps(content))
    elif shown and len(content.get("problems", ())) > 1:
        show_problems(content["problems"], err)
    elif shown:
        err.print(f"error: {content['error']}", style="bold red", highlight=False, markup=False, soft_wrap=True)
        if content["hint"]:
            err.print(f"hint: {content['hint']}", highlight=False, markup=False, soft_wrap=True)
    return int(content["exit_code"])


def _unexpected(error: Exception, space: Path) -> dict[str, Any]:
    log = space / "error.log"
    with suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(redacted("".join(traceback.format_exception(error))), encoding="utf-8", errors="replace")
    logging.getLogger(__name__).debug("unexpected error", exc_info=error)
    return {
        # Its text stays in the log: it may quote a cell.
        "error": f"unexpected {type(error).__name__}",
        "where": str(log),
        "hint": f"the traceback is in {log}",
        "exit_code": 1,
    }


def _space(tokens: list[str]) -> Path:
    """The workspace of the command, whatever became of its other options."""
    from pipelines.bootstrap import workspace_at

    following = dict(itertools.pairwise(tokens))
    joined = (token.partition("=")[2] for token in tokens if token.startswith("--workspace="))
    given = following.get("--workspace") or next(joined, None)
    return workspace_at(Path(given) if given else None).root


if __name__ == "__main__":
    main()

"""`synthgen runs` and `synthgen doctor`."""

import importlib
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from pipelines.terminal import verdict_text
from synthgen.findings import SEVERITY, Verdict
from synthgen.runs import Workspace
from synthgen.tracking import check as check_tracking

# Free space below which a run is likely to end in the middle of a write.
_NEEDED_GB = 2.0
_REQUIRED = ("torch", "ctgan", "monai", "prefect", "mlflow", "pandas", "xgboost", "imblearn", "sdmetrics")


@dataclass(frozen=True)
class Check:
    """One thing that `doctor` looked at."""

    name: str
    fine: bool
    detail: str


def runs_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Runs with id, name, state, verdict, duration and what was emitted."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Run", "Name", "State", "Verdict", "Seconds", "Dataset"):
        table.add_column(column, no_wrap=column == "Run", overflow="fold")
    for record in records:
        verdict = record.get("verdict")
        table.add_row(
            str(record.get("run_id")),
            str(record.get("name")),
            Text(str(record.get("state"))),
            verdict_text(Verdict(verdict)) if verdict in SEVERITY else "–",
            str(record.get("seconds", "–")),
            "emitted" if record.get("dataset_dir") else "–",
        )
    return table


def examine(workspace: Workspace) -> list[Check]:
    """Everything a run needs, each tried rather than assumed."""
    checks = [_python(), *map(_package, _REQUIRED)]
    for name, probe in (
        ("workspace", lambda: _writable(workspace)),
        ("disk", lambda: _disk(workspace)),
        ("device", _device),
        ("mlflow store", lambda: check_tracking(workspace)),
        ("prefect api", _prefect_api),
    ):
        checks.append(_tried(name, probe))
    return checks


def examine_leftovers(workspace: Workspace, *, reap: bool) -> list[Check]:
    """One check for each thing that a killed process left behind, after it was ended or removed if so asked."""
    from pipelines.reaping import leftovers

    try:
        found = leftovers(workspace)
    except Exception as error:  # whatever is broken is the finding
        return [Check("leftovers", False, f"{type(error).__name__}: {error}")]
    checks = []
    for leftover in found:
        if reap:
            leftover.end()
        state = "ended" if reap else "`synthgen doctor --reap` ends or removes it"
        checks.append(Check(leftover.kind, True, f"{leftover.what}: {state}"))
    return checks


def checks_table(checks: Sequence[Check]) -> Table:
    """One line per check."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in checks:
        mark = Text("✓", style="green") if check.fine else Text("✗", style="bold red")
        table.add_row(mark, check.name, Text(check.detail, overflow="fold"))
    return table


def _python() -> Check:
    version = platform.python_version_tuple()
    return Check("python", (int(version[0]), int(version[1])) >= (3, 11), platform.python_version())


def _package(name: str) -> Check:
    return _tried(name, lambda: str(getattr(importlib.import_module(name), "__version__", "installed")))


def _tried(name: str, probe: Callable[[], str]) -> Check:
    try:
        return Check(name, True, probe())
    except Exception as error:  # whatever is broken is the finding
        return Check(name, False, f"{type(error).__name__}: {error}")


def _writable(workspace: Workspace) -> str:
    probe = workspace.root / ".doctor"
    probe.write_text("")
    probe.unlink()
    return str(workspace.root)


def _disk(workspace: Workspace) -> str:
    free = shutil.disk_usage(workspace.root).free / 1e9
    if free < _NEEDED_GB:
        raise OSError(f"{free:.1f} GB free, a run may need {_NEEDED_GB:.0f}")
    return f"{free:.0f} GB free"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return f"cpu, {torch.get_num_threads()} threads"


def _prefect_api() -> str:
    # A flow that really starts: importing prefect works even where every flow start fails.
    from prefect import flow

    @flow(name="doctor", persist_result=False)
    def probe() -> str:
        return "a flow started and ended"

    return probe()

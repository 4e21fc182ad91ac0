"""`synthgen runs` and `synthgen doctor`."""

import importlib
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipelines.terminal import verdict_text
from synthgen.findings import SEVERITY, Verdict
from synthgen.registry.versions import Version
from synthgen.tracking import check as check_tracking
from synthgen.workspace import Workspace

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
    """Runs with id, name, state, verdict, duration, age and whether data was emitted."""
    table = listing("Run", "Name", "State", "Verdict", "Took", "Age", "Data", wraps=("Name",))
    for record in records:
        seconds = record.get("seconds")
        table.add_row(
            str(record.get("run_id")),
            Text(str(record.get("name"))),
            Text(str(record.get("state"))),
            _verdict(record.get("verdict")),
            "–" if seconds is None else _duration(float(seconds)),
            _age(record.get("started")),
            "yes" if record.get("dataset_dir") else "–",
        )
    return table


def models_table(versions: Sequence[Version]) -> Group:
    """Registered versions with aliases, verdict, age and run; below, why each is champion or not."""
    table = listing("Model", "Alias", "Verdict", "Age", "Run", wraps=("Model", "Alias"))
    for version in versions:
        table.add_row(
            Text(version.text),
            ", ".join(version.aliases) or "–",
            _verdict(version.tags.get("verdict")),
            _age(version.created),
            version.tags.get("run_id", "–"),
        )
    told = [version for version in versions if "promotion" in version.tags]
    reasons = [Text(f"{version.text}: {version.tags['promotion']}") for version in told]
    return Group(table, *([Text(), *reasons] if reasons else []))


def listing(*columns: str, wraps: Sequence[str]) -> Table:
    """A table without lines in which only the columns in `wraps` give way on a narrow terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column not in wraps, overflow="fold")
    return table


def _verdict(verdict: str | None) -> Text:
    return verdict_text(Verdict(verdict)) if verdict in SEVERITY else Text("–")


def _age(moment: object) -> str:
    try:
        age = _duration((datetime.now(UTC) - datetime.fromisoformat(str(moment))).total_seconds())
        return " ".join(age.split()[:2])
    except (ValueError, TypeError):
        return "–"


def _duration(seconds: float) -> str:
    """The two largest units, such as `1 h 05 min`; less than a minute in seconds."""
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{max(0, round(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60:02d} min" if hours < 24 else f"{hours // 24} d {hours % 24:02d} h"


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

"""What killed processes have left behind in a workspace, and how each is ended or removed."""

import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from filelock import FileLock, Timeout

from pipelines import background
from pipelines.orchestration import TAG, processes
from synthgen import tracking
from synthgen.files import read_json
from synthgen.runs import Run, free_lock, unfinished_files
from synthgen.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

logger = logging.getLogger(__name__)

# A stopped training is worth keeping for the next schedule or two.
_CHECKPOINT_DAYS = 7.0
_DAY_S = 86_400.0
_FLOW_RUNS = 200


@dataclass(frozen=True)
class Leftover:
    """One thing that nobody works on any more; `end` removes it, or ends it."""

    kind: str
    what: str
    end: Callable[[], None]


def leftovers(workspace: Workspace) -> list[Leftover]:
    """Orphaned servers, flow runs and runs of dead processes, and what is half written and will not be gone on with."""
    found = [*_servers(workspace), *_background(workspace), *_stages(workspace), *_runs(workspace)]
    served = _is_held(serve_lock(workspace))
    # Last, so that those which only wait for their own server are seen as they are.
    return [*found, *dead_flow_runs(workspace), *(() if served else flow_runs_not_begun(workspace))]


def serve_lock(workspace: Workspace) -> Path:
    """Held by `synthgen serve` for as long as it lives."""
    return workspace.root / "prefect" / "serve.lock"


def _servers(workspace: Workspace) -> Iterator[Leftover]:
    for place in sorted(processes(workspace).glob("*.server.json")):
        owner = place.with_name(place.name.replace(".server.json", ".lock"))
        if _is_held(owner):
            continue
        if _is_held(Path(f"{place}.lock")):
            pid = int(read_json(place)["pid"])
            yield Leftover("orphaned Prefect server", f"process {pid}", partial(_end_server, pid, place))
        else:
            place.unlink(missing_ok=True)


def _background(workspace: Workspace) -> Iterator[Leftover]:
    for name, server in background.orphans(workspace).items():
        what = f"port {server.port}, of `synthgen up`"
        yield Leftover(f"orphaned {name} server", what, partial(background.end, workspace, name))


def _end_server(pid: int, place: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        until = time.monotonic() + 10
        while _is_held(Path(f"{place}.lock")) and time.monotonic() < until:
            time.sleep(0.1)
    place.unlink(missing_ok=True)


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _stages(workspace: Workspace) -> Iterator[Leftover]:
    for folder in sorted((workspace.root / "artifacts").glob("*/*.partial")):
        if _is_held(folder.with_suffix(".lock")):
            continue
        checkpoints = [file.stat().st_mtime for file in (folder / "checkpoint").rglob("*") if file.is_file()]
        if checkpoints and time.time() - max(checkpoints) < _CHECKPOINT_DAYS * _DAY_S:
            continue  # the same command goes on from it
        what = f"{folder.parent.name}/{folder.name}"
        yield Leftover("unfinished stage", what, partial(shutil.rmtree, folder, ignore_errors=True))


def _runs(workspace: Workspace) -> Iterator[Leftover]:
    for folder in sorted(path for path in workspace.runs.glob("*/*") if path.is_dir()):
        lock = free_lock(folder)
        if lock is None:
            continue
        lock.release()
        if not (folder / "run.json").exists():
            yield Leftover("run that never began", folder.name, partial(shutil.rmtree, folder, ignore_errors=True))
            continue
        for path in unfinished_files(folder):
            what = f"{folder.name}/{path.name}"
            yield Leftover("unfinished file of a run", what, partial(_remove, path))
        if read_json(folder / "run.json").get("state") == "running":
            yield Leftover("run of a dead process", folder.name, partial(_interrupt, workspace, Run(folder)))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _interrupt(workspace: Workspace, run: Run) -> None:
    tracking.fail(run, workspace, run.record().get("mlflow_run_id"), SystemExit("the process that ran it has died"))


def dead_flow_runs(workspace: Workspace) -> Iterator[Leftover]:
    """Flow runs that Prefect shows at work although their process has died; each holds the slot of its schedule."""
    for run in _flow_runs_at_work():
        tokens = _tokens(run)
        if tokens and not any(_is_held(processes(workspace) / f"{token}.lock") for token in tokens):
            yield Leftover("flow run of a dead process", run.name, partial(_crash, run.id))


def flow_runs_not_begun(workspace: Workspace) -> Iterator[Leftover]:
    """Those that a `synthgen serve` had taken when it stopped; each holds a slot, and `end` lets the next one take it.

    Only for who knows that no `synthgen serve` lives, or is it.
    """
    pool = workspace.root / "prefect" / "pool"
    name = pool.read_text(encoding="utf-8") if pool.exists() else None
    for run in _flow_runs_at_work():
        if name is not None and run.work_pool_name == name and not _tokens(run):
            yield Leftover("flow run that never began", run.name, partial(_ask_again, run.id))


def _flow_runs_at_work() -> "list[FlowRun]":
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    unfinished = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=unfinished)))
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=wanted, limit=_FLOW_RUNS)


def _tokens(run: "FlowRun") -> list[str]:
    return [tag.removeprefix(TAG) for tag in run.tags if tag.startswith(TAG)]


def _ask_again(flow_run_id: UUID) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Scheduled

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Scheduled(), force=True)


def _crash(flow_run_id: UUID) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Crashed(message="the process that ran it has died"), force=True)

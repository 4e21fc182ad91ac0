"""The schedules of a workspace: listed, paused, run now, deleted; and the process that runs them."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from filelock import FileLock, Timeout
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.client.schemas.sorting import FlowRunSort
from rich.table import Table
from rich.text import Text

from pipelines.deploy import deployments, own_pool, prefect_client
from pipelines.overview import listing
from pipelines.reaping import dead_flow_runs, flow_runs_not_begun, serve_lock
from pipelines.timing import written
from synthgen.errors import UsageError, unknown_name
from synthgen.workspace import Workspace

_VERDICT_TAG = "verdict:"
_NEWEST = 20
_GRACE_S = 30.0
_TERMINAL = (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)


@dataclass(frozen=True)
class Scheduled:
    """One schedule.

    Attributes:
        next_run: None when it is paused.
        last_state: name of the state in which its last run ended; None before the first.
        last_verdict: of the newest run that came to one.
        served: whether a process works on its pool.
    """

    name: str
    timing: str
    pool: str
    paused: bool
    served: bool
    next_run: datetime | None
    last_state: str | None
    last_verdict: str | None


def listed(workspace: Workspace) -> list[Scheduled]:
    """The schedules of a workspace by name."""
    with prefect_client() as client:
        return [_described(client, item) for item in deployments(client, workspace)]


def pause(workspace: Workspace, name: str) -> None:
    """Let no run begin any more until `resume`."""
    with prefect_client() as client:
        client.pause_deployment(_named(client, workspace, name).id)


def resume(workspace: Workspace, name: str) -> None:
    """Let a paused schedule fire again."""
    with prefect_client() as client:
        client.resume_deployment(_named(client, workspace, name).id)


def run_now(workspace: Workspace, name: str) -> str:
    """Ask for a run at once, beside the schedule; its name in Prefect."""
    with prefect_client() as client:
        return client.create_flow_run_from_deployment(_named(client, workspace, name).id).name


def delete(workspace: Workspace, name: str) -> None:
    """Remove a schedule; what it has run stays."""
    with prefect_client() as client:
        client.delete_deployment(_named(client, workspace, name).id)


def serve(workspace: Workspace, *, limit: int) -> int:
    """Run what the schedules without a pool of their own ask for, so many at once, until Ctrl-C or SIGTERM.

    Raises:
        UsageError: another process does so, or the server cannot be reached.
    """
    try:
        with FileLock(serve_lock(workspace), timeout=0):
            return _serve(workspace, limit)
    except Timeout:
        message, hint = "another `synthgen serve` works on this workspace", "--limit N lets it run more at once"
        raise UsageError(message, where=str(workspace.root), hint=hint) from None


def _serve(workspace: Workspace, limit: int) -> int:
    with prefect_client() as client:
        pool = own_pool(client, workspace)
        # The server counts. Prefect's worker (3.8.8) never gives back the place of a run whose schedule was deleted:
        # with its own limit of one it then runs nothing any more.
        client.update_work_pool(pool, WorkPoolUpdate(concurrency_limit=limit))
    _free_slots(workspace)
    import anyio
    from prefect.workers.process import ProcessWorker

    worker = ProcessWorker(work_pool_name=pool)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop_runs)
    with suppress(KeyboardInterrupt):
        anyio.run(worker.start)
    # A server that has gone cannot be told; the next start tells it.
    with suppress(UsageError):
        _free_slots(workspace)
    return 0


def _free_slots(workspace: Workspace) -> None:
    """Without it the next run of a schedule waits for 300 s, or for ever if the server is restarted meanwhile."""
    with prefect_client():
        for leftover in (*dead_flow_runs(workspace), *flow_runs_not_begun(workspace)):
            leftover.end()


def _stop_runs(_number: int, _frame: FrameType | None) -> NoReturn:
    """Let the runs at work say that they are interrupted: the worker would kill them, and Prefect show them running."""
    until = time.monotonic() + _GRACE_S
    asked = set[int]()
    while (left := set(_children())) and time.monotonic() < until:
        for pid in left - asked:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        asked |= left
        time.sleep(0.1)
    raise KeyboardInterrupt


def _children() -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        # A process that ends meanwhile has no file, or an empty one.
        with suppress(OSError, ValueError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                yield int(folder.name)


def table(found: Sequence[Scheduled]) -> Table:
    """One line for each schedule."""
    columns = ("Schedule", "When", "Next run (UTC)", "Last run", "Verdict", "Run by")
    lines = listing(*columns, wraps=("When", "Run by"))
    for item in found:
        moment = "paused" if item.paused else f"{item.next_run:%Y-%m-%d %H:%M:%S}" if item.next_run else "–"
        runner = item.pool if item.served else f"{item.pool}: nobody"
        cells = (item.name, item.timing, moment, item.last_state or "–", item.last_verdict or "–", runner)
        lines.add_row(*map(Text, cells))
    return lines


def _named(client: SyncPrefectClient, workspace: Workspace, name: str) -> DeploymentResponse:
    known = {item.name: item for item in deployments(client, workspace)}
    if name not in known:
        raise UsageError(unknown_name("schedule", name, known), hint="`synthgen schedules` lists them")
    return known[name]


def _described(client: SyncPrefectClient, item: DeploymentResponse) -> Scheduled:
    upcoming = _runs(client, item, (StateType.SCHEDULED,), FlowRunSort.EXPECTED_START_TIME_ASC)
    past = _runs(client, item, _TERMINAL, FlowRunSort.END_TIME_DESC)
    workers = client.read_workers_for_work_pool(item.work_pool_name) if item.work_pool_name else []
    return Scheduled(
        name=item.name,
        timing=", ".join(_timing(entry.schedule) for entry in item.schedules),
        pool=item.work_pool_name or "",
        paused=item.paused,
        served=any(worker.status == "ONLINE" for worker in workers),
        next_run=upcoming[0].expected_start_time if upcoming else None,
        last_state=past[0].state_name if past else None,
        last_verdict=next((verdict for run in past if (verdict := _verdict(run))), None),
    )


def _timing(schedule: object) -> str:
    match schedule:
        case CronSchedule(cron=cron, timezone=timezone):
            return f"{cron} {timezone or 'UTC'}"
        case IntervalSchedule(interval=interval):
            return f"every {written(interval)}"
        case _:
            return str(schedule)


def _verdict(run: FlowRun) -> str | None:
    return next((tag.removeprefix(_VERDICT_TAG) for tag in run.tags if tag.startswith(_VERDICT_TAG)), None)


def _runs(
    client: SyncPrefectClient, item: DeploymentResponse, states: Sequence[StateType], sort: FlowRunSort
) -> list[FlowRun]:
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[item.id])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states)))),
        sort=sort,
        limit=_NEWEST,
    )

"""Where the tasks of a flow run: threads, processes of this machine, or a Dask cluster."""

import multiprocessing
import os
import re
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from synthgen.errors import UsageError, unknown_name
from synthgen.redaction import redacted
from synthgen.shards import Spread, in_turn
from synthgen.workspace import Workspace

RunnerKind = Literal["threads", "processes", "dask"]
# A scheduler that runs answers at once; this is for a network that drops packets.
_ANSWER_S = 10


@dataclass(frozen=True)
class Runner:
    """A kind of runner; workers: how many tasks at once, where this machine runs them; address: of a Dask scheduler."""

    kind: RunnerKind
    workers: int
    address: str | None = None

    @classmethod
    def of(cls, kind: str | None, *, workers: int | None, address: str | None) -> "Runner":
        """The runner that options name; raises UsageError for what does not fit together."""
        chosen = kind or ("dask" if address else "processes")
        if chosen not in get_args(RunnerKind):
            raise UsageError(unknown_name("runner", chosen, get_args(RunnerKind)), where="--runner")
        if address and chosen != "dask":
            raise UsageError(f"--dask names a scheduler, but --runner is {chosen!r}", hint="leave --runner out")
        if address and workers is not None:
            raise UsageError("--workers is for this machine; the scheduler at --dask has workers of its own")
        if workers is not None and workers < 1:
            raise UsageError(f"--workers is {workers}, at least 1 is needed", where="--workers")
        if chosen == "dask":
            _require_dask()
        if address:
            _require_scheduler(address)
        return cls(chosen, workers or default_workers(), address)  # type: ignore[arg-type]  # checked above

    def task_runner(self) -> Any:
        """Prefect's task runner of this kind. Call `bootstrap` first."""
        from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

        match self.kind:
            case "threads":
                return ThreadPoolTaskRunner(max_workers=self.workers)
            case "processes":
                return ProcessPoolTaskRunner(max_workers=self.workers)
            case "dask":
                from prefect_dask.task_runners import DaskTaskRunner

                if self.address:
                    return DaskTaskRunner(address=self.address)
                return DaskTaskRunner(cluster_kwargs=self.cluster())

    def cluster(self) -> dict[str, Any]:
        """What a LocalCluster is made of: this machine only, without a page, and no worker killed for its memory."""
        size = {"n_workers": self.workers, "threads_per_worker": 1, "memory_limit": 0}
        return {**size, "host": "127.0.0.1", "dashboard_address": None, "silence_logs": 50}


def default_workers() -> int:
    """As many as the cores carry, each with the threads that `bootstrap` allows it."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    return max(1, (os.cpu_count() or 1) // threads)


def _require_dask() -> None:
    try:
        import prefect_dask  # noqa: F401 - whether it is there
    except ImportError:
        raise UsageError("runner 'dask' needs the extra dask", hint="pip install 'synthgen[dask]'") from None


def _require_scheduler(address: str) -> None:
    found = re.fullmatch(r"(?:tcp|tls)://([^\s:/@]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", address)
    if found is None or int(found[2]) > 65_535:
        message = f"{address!r} is no address of a Dask scheduler"
        raise UsageError(message, where="--dask", hint="for example --dask tcp://127.0.0.1:8786")
    try:
        with socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=_ANSWER_S):
            pass
    except OSError as error:
        message = f"no Dask scheduler answers at {address!r}: {error.strerror or error}"
        raise UsageError(
            message, where="--dask", hint="`dask scheduler` starts one, `dask worker ADDRESS` a worker"
        ) from None


def require_workers(runner: Runner, workspace: Workspace) -> None:
    """Raise UsageError unless the scheduler, if one is named, has workers that see the workspace and Prefect's API."""
    if runner.address is None:
        return
    from distributed import Client

    token = workspace.root / f".shared-{secrets.token_hex(4)}"
    token.write_text("")
    try:
        with Client(runner.address, timeout=_ANSWER_S, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            answers = client.run(worker_problem, str(token), os.environ.get("PREFECT_API_URL"))
    except (OSError, TimeoutError, ValueError, ImportError, RuntimeError) as error:
        reason = redacted(str(error) or type(error).__name__).splitlines()[0]
        message = f"the Dask scheduler at {runner.address!r} cannot be asked: {reason}"
        raise UsageError(message, where="--dask", hint="see docs/scale-out.md") from None
    finally:
        token.unlink(missing_ok=True)
    if not answers:
        raise UsageError(f"the Dask scheduler at {runner.address!r} has no workers", where="--dask")
    for name, problem in answers.items():
        if problem is not None:
            raise UsageError(f"Dask worker {name}: {problem}", where="--dask", hint="see docs/scale-out.md")


def worker_problem(token: str, prefect: str | None) -> str | None:
    """What keeps this worker from the work of a sweep, or None."""
    import urllib.request
    from pathlib import Path

    if not Path(token).exists():
        return f"it does not see the workspace {str(Path(token).parent)!r}, which must lie on storage that all share"
    if prefect is not None and prefect.startswith(("http://", "https://")):
        try:
            with urllib.request.urlopen(f"{prefect}/health", timeout=_ANSWER_S):  # noqa: S310 - http, as checked
                pass
        except OSError:
            return "it does not reach Prefect's API, which runs beside this command unless PREFECT_API_URL is set"
    return None


@contextmanager
def spreading(runner: Runner | None) -> Iterator[Spread]:
    """Where parts are worked on inside the block: in turn without a runner, else by the `map` of its executor."""
    if runner is None:
        yield in_turn
        return
    with ExitStack() as stack:
        # Entered first, left last: an executor that waits for its processes must see them end.
        executor = stack.enter_context(_executor(runner))
        stack.enter_context(children_ended())
        yield executor.map


@contextmanager
def _executor(runner: Runner) -> Iterator[Executor]:
    match runner.kind:
        case "threads":
            with ThreadPoolExecutor(runner.workers) as threads:
                yield threads
        case "processes":
            # Forked, a process would inherit the locks of threads that it does not have.
            with ProcessPoolExecutor(runner.workers, mp_context=multiprocessing.get_context("spawn")) as processes:
                yield processes
        case "dask":
            from distributed import Client, LocalCluster

            with ExitStack() as stack:
                place = runner.address or stack.enter_context(LocalCluster(**runner.cluster()))  # type: ignore[no-untyped-call]
                client = stack.enter_context(
                    Client(place, timeout=_ANSWER_S, set_as_default=False)  # type: ignore[no-untyped-call]
                )
                yield stack.enter_context(client.get_executor(pure=False))


@contextmanager
def children_ended() -> Iterator[None]:
    """End the worker processes that this process started when the block is interrupted: they would else go on."""
    try:
        yield
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise

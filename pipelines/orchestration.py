"""A flow under Prefect, and the same work without it where Prefect is out of reach, fails or dies."""

import atexit
import logging
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from synthgen.errors import SynthgenError
from synthgen.redaction import redacted
from synthgen.workspace import Workspace

# Below the logger that the terminal listens to.
logger = logging.getLogger("synthgen.orchestration")
R = TypeVar("R")

# Marks the flow runs of one process: `doctor` sees by its lock whether it still lives.
TAG = "synthgen-process:"
_START_S = 180.0
# The lock of this process, held until it ends, and what the flow came to.
_HELD: dict[Path, tuple[str, FileLock]] = {}
_FINISHED: list[object] = []
# Addresses of the servers that this process has started for itself alone.
_OWN: set[str] = set()


def processes(workspace: Workspace) -> Path:
    """Folder of the locks of all processes on a workspace, and of the ids of the servers that they started."""
    return workspace.root / "prefect" / "processes"


def finished(outcome: R) -> R:
    """The outcome, remembered: a Prefect that dies after it must not cost it."""
    _FINISHED.append(outcome)
    return outcome


def orchestrated(workspace: Workspace, flow: Callable[[], R], plainly: Callable[[], R]) -> R:
    """What the flow returns; a failure of Prefect itself leaves the same work to be done, or ended, without it.

    Args:
        flow: imports and calls a Prefect flow, which passes its result through `finished`.
        plainly: the same work as plain calls.
    """
    _FINISHED.clear()
    token, failure = registered(workspace), start_server(workspace)
    if failure is None:
        try:
            from prefect import tags

            with tags(f"{TAG}{token}"):
                return flow()
        except Exception as error:
            if not is_prefects(error):
                raise
            failure = redacted(str(error) or type(error).__name__).splitlines()[0]
    note = f"warning: Prefect failed, so this run is not (or not whole) on its pages; it goes on without it: {failure}"
    logger.warning("%s", note, extra={"note": note})
    return _FINISHED[-1] if _FINISHED else plainly()  # type: ignore[return-value]  # what `flow` passed through


def is_prefects(error: Exception) -> bool:
    """Whether Prefect has failed, and not the work itself."""
    import httpx
    from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
    from prefect.exceptions import PrefectException

    if isinstance(error, SynthgenError):
        return False
    prefects = (httpx.HTTPError, PrefectException, ConcurrencySlotAcquisitionError)
    return isinstance(error, prefects) or any(words in str(error) for words in ("Prefect API", "Failed to reach API"))


def registered(workspace: Workspace) -> str:
    """The name under which this process holds a lock until it ends; a flow run bears it as a tag after `TAG`."""
    folder = processes(workspace)
    if folder not in _HELD:
        folder.mkdir(parents=True, exist_ok=True)
        token = secrets.token_hex(6)
        lock = FileLock(folder / f"{token}.lock", thread_local=False)
        lock.acquire()
        atexit.register(_forget, lock)
        _HELD[folder] = (token, lock)
    return _HELD[folder][0]


def _forget(lock: FileLock) -> None:
    lock.release()
    Path(lock.lock_file).unlink(missing_ok=True)


def start_server(workspace: Workspace) -> str | None:
    """Make Prefect's API answer; why it does not, or None."""
    # Prefect reads where its API is when it is imported.
    if "prefect" in sys.modules:
        return None
    if "PREFECT_API_URL" not in os.environ:
        # One at a time: two that make the tables of an empty database at once break each other.
        with FileLock(workspace.root / ".prefect.lock"):
            port = _free_port()
            server = _launched(workspace, port)
            failure = _awaited(server, port)
        if failure is None:
            os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
            # A server of our own that is gone does not come back; five tries take a minute for each request.
            os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "3")
            _OWN.add(os.environ["PREFECT_API_URL"])
        return failure
    return None


def has_shared_server() -> bool:
    """Whether Prefect's server is one that others reach too, and that outlives this process."""
    from prefect.settings import PREFECT_API_URL

    address = PREFECT_API_URL.value()
    return address is not None and address not in _OWN


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _launched(workspace: Workspace, port: int) -> subprocess.Popen[bytes]:
    place = processes(workspace) / f"{registered(workspace)}.server.json"
    # As Prefect starts it: no pages, and only the services of a server that lives for one run.
    settings = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    server = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "pipelines.embedded", str(port), str(place)],
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C in the terminal is for the run; the server lives until the run has said how it ended.
        start_new_session=True,
    )
    atexit.register(_stop, server)
    return server


def _awaited(server: subprocess.Popen[bytes], port: int) -> str | None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if server.poll() is not None:
            return f"its embedded server ended with code {server.returncode} when it was started"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5):
                return None
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    server.kill()
    return f"its embedded server did not answer within {_START_S:.0f} s"


def _stop(server: subprocess.Popen[bytes]) -> None:
    assert server.stdin is not None
    server.stdin.close()
    try:
        server.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.kill()

"""`synthgen up` and `down`: a Prefect and an MLflow server of a workspace that outlive the command."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from synthgen.errors import UsageError
from synthgen.files import read_json, write_json
from synthgen.redaction import redacted
from synthgen.workspace import Workspace

# A first start makes the tables of both stores; on a busy machine that takes a minute.
_START_S = 180.0
_STOP_S = 20.0
# The environment through which other programs find each server.
VARIABLES: Mapping[str, str] = {"prefect": "PREFECT_API_URL", "mlflow": "MLFLOW_TRACKING_URI"}


@dataclass(frozen=True)
class Server:
    """A server in the background.

    Attributes:
        pid: leader of a process group of its own.
        address: what its variable in `VARIABLES` is set to, such as http://127.0.0.1:4200/api.
        ready: it has answered, so its tables are made.
    """

    pid: int
    port: int
    address: str
    log: str
    ready: bool = False


@dataclass(frozen=True)
class Wanted:
    """What to start: a port of 127.0.0.1 (0: any that is free) and a database (None: SQLite in the workspace)."""

    port: int
    database: str | None


def running(workspace: Workspace) -> dict[str, Server]:
    """The servers of this workspace that live and have answered, by name."""
    return {name: server for name, server in _known(workspace).items() if server.ready and is_alive(workspace, name)}


def addresses(workspace: Workspace) -> dict[str, str]:
    """The environment that leads other commands to the servers that run."""
    return {VARIABLES[name]: server.address for name, server in running(workspace).items()}


def start_all(workspace: Workspace, wanted: Mapping[str, Wanted]) -> dict[str, Server]:
    """The servers, after they have answered; one that runs already stays as it is.

    Raises:
        UsageError: a port is in use, a database is not SQLite or PostgreSQL, or a server does not come up.
    """
    folder = _folder(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    # Two that make the tables of an empty database at once break each other; a run makes its own with these locks.
    root = workspace.root
    with FileLock(folder / "up.lock"), FileLock(root / ".prefect.lock"), FileLock(root / ".mlflow.lock"):
        missing = {name: item for name, item in wanted.items() if name not in running(workspace)}
        stop_all(workspace, tuple(missing))
        environments = {name: _environment(workspace, name, item.database) for name, item in missing.items()}
        ports = {name: _free_port(name, item.port) for name, item in missing.items()}
        started = {name: _started(workspace, name, ports[name], environments[name]) for name in missing}
        try:
            for name, process in started.items():
                _await_answer(name, process, _known(workspace)[name])
        except BaseException:
            stop_all(workspace, tuple(missing))
            raise
        _remember(workspace, {name: Server(**{**asdict(_known(workspace)[name]), "ready": True}) for name in missing})
    return running(workspace)


def stop_all(workspace: Workspace, names: tuple[str, ...] = tuple(VARIABLES)) -> list[str]:
    """End these servers and forget them; the names of those that lived."""
    ended = [name for name in names if name in _known(workspace) and is_alive(workspace, name)]
    for name in names:
        if name in _known(workspace):
            end(workspace, name)
    return ended


def end(workspace: Workspace, name: str) -> None:
    """End every process of one server, dead or alive, and forget it."""
    group = _known(workspace)[name].pid
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not (is_alive(workspace, name) or _has_members(group, name)):
            break
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        until = time.monotonic() + _STOP_S
        while (is_alive(workspace, name) or _has_members(group, name)) and time.monotonic() < until:
            time.sleep(0.1)
    _remember(workspace, {name: None})


def orphans(workspace: Workspace) -> dict[str, Server]:
    """Servers of which a part lives although their first process is dead; the other dead ones are forgotten."""
    dead = {name: server for name, server in _known(workspace).items() if not is_alive(workspace, name)}
    left = {name: server for name, server in dead.items() if _has_members(server.pid, name)}
    _remember(workspace, {name: None for name in dead if name not in left})
    return left


def is_alive(workspace: Workspace, name: str) -> bool:
    """Whether the first process of a server lives: it holds a lock until it dies."""
    import fcntl

    place = _folder(workspace) / f"{name}.lock"
    if not place.exists():
        return False
    with place.open() as probe:
        try:
            # Shared, so that two who look at once do not see each other.
            fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _has_members(group: int, name: str) -> bool:
    """Whether a process of the server outlives its leader; by name, too: ids are used again."""
    for folder in Path("/proc").glob("[0-9]*"):
        # A process that ends meanwhile has no file, or an empty one.
        with suppress(OSError, ValueError):
            state, _, group_of = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(group_of) == group and state != "Z" and name.encode() in (folder / "cmdline").read_bytes():
                return True
    return False


def _folder(workspace: Workspace) -> Path:
    return workspace.root / "servers"


def _known(workspace: Workspace) -> dict[str, Server]:
    place = _folder(workspace) / "servers.json"
    return {name: Server(**item) for name, item in read_json(place).items()} if place.exists() else {}


def _remember(workspace: Workspace, changes: Mapping[str, Server | None]) -> None:
    if not changes:
        return
    folder = _folder(workspace)
    with FileLock(folder / "servers.json.lock"):
        merged = {**_known(workspace), **changes}
        write_json(folder / "servers.json", {name: asdict(item) for name, item in merged.items() if item is not None})


def _free_port(name: str, port: int) -> int:
    if _in_use(port):
        raise UsageError(f"port {port} is in use", where=f"--{name}-port", hint=f"choose another with --{name}-port")
    if port:
        return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        return port != 0 and probe.connect_ex(("127.0.0.1", port)) == 0


def _environment(workspace: Workspace, name: str, database: str | None) -> dict[str, str]:
    """What a server reads; an address with its password stands here and not on a command line, which all may see."""
    own = (*VARIABLES.values(), "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL")
    kept = {key: value for key, value in os.environ.items() if key not in own}
    if name == "prefect":
        chosen = {} if database is None else {"PREFECT_SERVER_DATABASE_CONNECTION_URL": _driven(database, name)}
        # Kept in memory, as they are by default, a restart forgets who holds a slot, and nobody ever frees it.
        leases = "prefect.server.concurrency.lease_storage.filesystem"
        defaults = {"PREFECT_SERVER_LOGGING_LEVEL": "WARNING", "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": leases}
        return {**defaults, **kept, **chosen}
    sqlite = f"sqlite:///{workspace.root / 'mlflow.db'}"
    store = sqlite if database is None else _driven(database, name)
    # Artifacts where a run without server puts them, too: the store can be used both ways.
    places = {"MLFLOW_BACKEND_STORE_URI": store, "MLFLOW_DEFAULT_ARTIFACT_ROOT": workspace.mlflow_artifacts}
    return {**kept, **places, "MLFLOW_SERVE_ARTIFACTS": "false"}


def _driven(database: str, name: str) -> str:
    kind, separator, rest = database.partition("://")
    if kind.startswith("sqlite") and separator:
        return f"{'sqlite+aiosqlite' if name == 'prefect' else 'sqlite'}://{rest}"
    if kind.partition("+")[0] not in ("postgresql", "postgres") or not separator:
        # Without its parts known, what is a password in it is not known either.
        message = f"--{name}-database is no address of a PostgreSQL or SQLite database"
        raise UsageError(message, where=f"--{name}-database", hint="postgresql://USER:PASSWORD@HOST:5432/NAME")
    driver = "asyncpg" if name == "prefect" else "psycopg2"
    if importlib.util.find_spec(driver) is None:
        message = f"PostgreSQL behind {name} needs the package {driver}"
        raise UsageError(message, where=f"--{name}-database", hint="pip install 'synthgen[postgresql]'")
    return f"postgresql+{driver}://{rest}"


def _started(workspace: Workspace, name: str, port: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    import fcntl

    folder = _folder(workspace)
    log, address = folder / f"{name}.log", f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", name, "server", *(["start"] if name == "prefect" else ["--workers", "1"])]
    pages = {"PREFECT_SERVER_UI_API_URL": f"{address}/api"} if name == "prefect" else {}
    with (folder / f"{name}.lock").open("w") as held, log.open("wb") as said:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=workspace.root,
            env={**environment, **pages},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            # The lock is the server's now, and the kernel's to free when it dies.
            pass_fds=(held.fileno(),),
            start_new_session=True,
        )
        api = f"{address}/api" if name == "prefect" else address
        _remember(workspace, {name: Server(process.pid, port, api, str(log))})
    return process


def _await_answer(name: str, process: subprocess.Popen[bytes], server: Server) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise UsageError(
                f"the {name} server ended when it was started: {_last_words(Path(server.log))}",
                where=server.log,
                hint=f"its messages are in {server.log}",
            )
        try:
            with urllib.request.urlopen(f"{server.address}/health", timeout=5):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise UsageError(
        f"the {name} server did not answer within {_START_S:.0f} s", hint=f"its messages are in {server.log}"
    )


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return redacted(next((line for line in reversed(lines) if line), "without a word"))[:300]

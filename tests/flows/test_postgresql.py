"""PostgreSQL behind Prefect and MLflow: one run goes through, and both keep it there."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.timeout(900)]


def _programs() -> Path | None:
    """Folder of initdb and pg_ctl: Debian keeps them out of PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)


def _as_nobody(folder: Path) -> tuple[str, ...]:
    """How to start a program that refuses to run as root."""
    if os.geteuid() != 0:
        return ()
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def postgresql() -> Iterator[Callable[[str], str]]:
    """The address of a fresh database with this name, on a server in a temporary folder."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    # Beside pytest's own folders, which another user may not enter.
    with tempfile.TemporaryDirectory() as made:
        folder, port = Path(made), _free_port()
        user = _as_nobody(folder)

        def call(program: str, *words: object) -> None:
            command = [*user, str(programs / program), *map(str, words)]
            # Not a pipe: the server would keep it open.
            subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def database(name: str) -> str:
            call("createdb", "-h", "127.0.0.1", "-p", port, "-U", "synthgen", name)
            return f"postgresql://synthgen@127.0.0.1:{port}/{name}"

        try:
            call("initdb", "-D", folder / "data", "-U", "synthgen", "-A", "trust", "-N", "-E", "UTF8")
            options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
            call("pg_ctl", "-D", folder / "data", "-w", "-o", options, "start")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"PostgreSQL does not start here: {error}")
        yield database
        call("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")


def rows(address: str, query: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(address)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())
    finally:
        connection.close()


def test_a_run_goes_through_on_postgresql(postgresql: Callable[[str], str], tmp_path: Path) -> None:
    prefect, mlflow = postgresql("prefect"), postgresql("mlflow")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT", "MLFLOW"))}
    environment = {**clean, "SYNTHGEN_WORKSPACE": str(tmp_path / "space")}
    databases = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect, "MLFLOW_BACKEND_STORE_URI": mlflow}
    path = tmp_path / "wine.yaml"
    path.write_text(
        "source: {kind: builtin, name: wine}\nsynthesizer: {kind: marginals}\nplan: {kind: ratio, ratio: 1}\n"
    )

    def ask(*words: object, **more: str) -> dict[str, object]:
        command = [sys.executable, "-m", "pipelines.cli", *map(str, words), "--json"]
        done = subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 3, 4), done.stdout + done.stderr
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    ask("up", "--prefect-port", 0, "--mlflow-port", 0, **databases)
    try:
        outcome = ask("run", path)
        assert rows(mlflow, "SELECT run_uuid, status FROM runs") == [(outcome["mlflow_run_id"], "FINISHED")]
        verdict = "SELECT value FROM tags WHERE key = 'synthgen.verdict'"
        assert rows(mlflow, verdict) == [(outcome["verdict"],)]
        assert rows(prefect, "SELECT state_type::text FROM flow_run") == [("COMPLETED",)]
        assert not (tmp_path / "space" / "mlflow.db").exists()
    finally:
        ask("down")

"""Servers in the background: found while they live, never when they are dead, ended as a whole."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from pipelines.background import Server, Wanted, addresses, end, orphans, running, start_all, stop_all
from pipelines.bootstrap import bootstrap
from synthgen.errors import UsageError
from synthgen.files import read_json, write_json
from synthgen.workspace import Workspace

SERVER = Server(pid=1, port=1, address="http://127.0.0.1:1/api", log="prefect.log", ready=True)


@pytest.fixture(autouse=True)
def _environment_restored() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    (tmp_path / "servers").mkdir()
    write_json(tmp_path / "servers" / "servers.json", {"prefect": asdict(SERVER)})
    return Workspace(tmp_path)


@pytest.fixture
def alive(space: Workspace) -> Iterator[None]:
    with (space.root / "servers" / "prefect.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@pytest.mark.usefixtures("alive")
def test_a_server_that_lives_is_found_by_other_commands(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    bootstrap(space)
    assert os.environ["PREFECT_API_URL"] == SERVER.address


@pytest.mark.usefixtures("alive")
def test_what_the_environment_says_goes_first(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere/api")
    bootstrap(space)
    assert os.environ["PREFECT_API_URL"] == "http://elsewhere/api"


@pytest.mark.usefixtures("alive")
def test_a_server_that_has_not_answered_yet_is_not_announced(space: Workspace) -> None:
    write_json(space.root / "servers" / "servers.json", {"prefect": {**asdict(SERVER), "ready": False}})
    assert addresses(space) == {}


def test_a_dead_server_is_not_announced_and_is_forgotten(space: Workspace) -> None:
    assert running(space) == {}
    assert orphans(space) == {}
    assert read_json(space.root / "servers" / "servers.json") == {}


def test_what_is_left_of_a_dead_server_is_found_and_ended(space: Workspace) -> None:
    child = [sys.executable, "-c", "import time; time.sleep(60)", "prefect"]
    left = subprocess.Popen(child, start_new_session=True)
    write_json(space.root / "servers" / "servers.json", {"prefect": {**asdict(SERVER), "pid": left.pid}})
    assert orphans(space)["prefect"].pid == left.pid
    end(space, "prefect")
    assert left.wait(timeout=10) != 0
    assert stop_all(space) == []


def test_a_process_that_got_the_number_of_a_dead_server_is_left_alone(space: Workspace) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        write_json(space.root / "servers" / "servers.json", {"prefect": {**asdict(SERVER), "pid": other.pid}})
        assert orphans(space) == {}
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("database", ["oracle://host/db", "postgresql", "user:Zanzibar@host/db"])
def test_a_database_that_is_not_known_is_told_without_its_password(tmp_path: Path, database: str) -> None:
    with pytest.raises(UsageError, match="--mlflow-database is no address of a PostgreSQL or SQLite database") as told:
        start_all(Workspace(tmp_path), {"mlflow": Wanted(0, database)})
    assert "Zanzibar" not in str(told.value)

"""Settings of the whole suite."""

import os
import shutil
from pathlib import Path

import pytest

from synthgen.tracking import client_of
from synthgen.workspace import Workspace

# Two workers on two cores: more threads would only wait for each other, many times slower than one alone.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_runtest_setup() -> None:
    """No test talks to a server of the person who starts it, nor to the store of the test before it."""
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of MLflow as a first run makes it, once: its tables take a second of CPU and several of the disk."""
    folder = tmp_path_factory.mktemp("store")
    client_of(Workspace(folder))
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    return folder / "mlflow.db"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Workspace:
    """One workspace for all tests of a file."""
    folder = tmp_path_factory.mktemp("space")
    shutil.copy(empty_store, folder)
    return Workspace(folder)

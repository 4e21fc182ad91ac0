"""Settings that Prefect and MLflow read when they are imported. Call it before either is."""

import os
from pathlib import Path

from pipelines.background import addresses
from synthgen.tracking import quiet_settings
from synthgen.workspace import Workspace


def bootstrap(workspace: Workspace) -> None:
    """Make both run quiet and offline, on the servers of `synthgen up` or else embedded under the workspace.

    What the environment says goes first.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    defaults = {
        "PREFECT_HOME": str((workspace.root / "prefect").absolute()),
        # With analytics on, the embedded database answers "database is locked".
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        # The default of 20 s is too short for a first start (migrations) on a busy machine.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        # The terminal belongs to the progress bar and the verdict; the API still receives every record.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        # Of a server that is gone we say one sentence; its client would print every event that it cannot send.
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "synthgen",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_CLI_PROMPT": "false",
        **quiet_settings(workspace),
        **addresses(workspace),
        # Independent trainings run side by side, one per core. More threads inside each spin for one another: with one
        # other busy process on two cores a step of the image GAN takes ten times as long with two threads as with one.
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // 2)),
    }
    for key, value in defaults.items():
        os.environ.setdefault(key, value)


def workspace_at(path: Path | None) -> Workspace:
    """The workspace given, else SYNTHGEN_WORKSPACE, else ./synthgen-workspace."""
    return Workspace.at(path)

"""Processes that help one run to train: started by `torchrun`, or by `synthgen run --processes N` on this machine."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from synthgen.errors import ResourceError, UsageError


def is_helper() -> bool:
    """Whether `torchrun` started this process as any but the first."""
    return int(os.environ.get("RANK", "0")) > 0


def help_out() -> NoReturn:
    """Train beside the first process until it has no more to do, or is gone, and end."""
    from synthgen.synthesizers.assisting import help_out as follow

    # The first process is gone: it has said why.
    code = 1
    with suppress(RuntimeError, ResourceError, KeyboardInterrupt):
        follow()
        code = 0
    # Nothing is left to write, and torch's threads at times abort a process whose Python shuts down: torchrun would end
    # the first process for it, which still has to judge.
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def helped(processes: int | None) -> Iterator[None]:
    """Inside the block this process leads those that `torchrun` started, or `processes` - 1 that are started here.

    Raises:
        UsageError: both, or no process at all.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if processes is not None and processes < 1:
        raise UsageError(f"--processes is {processes}, at least 1 is needed", where="--processes")
    if processes is not None and size > 1:
        raise UsageError("--processes is not for a run that torchrun started: it has as many as that says")
    if (processes or size) == 1:
        yield
        return
    from synthgen.team import joined

    helpers = _started(processes) if processes else []
    try:
        with joined():
            yield
    finally:
        for helper in helpers:
            with suppress(subprocess.TimeoutExpired):
                helper.wait(timeout=5)
            helper.kill()


def _started(processes: int) -> list["subprocess.Popen[bytes]"]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    places = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
    }
    command = [sys.executable, "-m", "pipelines.cli", "run"]
    started = []
    for rank in map(str, range(1, processes)):
        environment = {**os.environ, **places, "RANK": rank, "LOCAL_RANK": rank}
        # Ctrl-C in the terminal is for the run, whose end they see.
        started.append(subprocess.Popen(command, env=environment, start_new_session=True))  # noqa: S603 - our own
    os.environ.update(places, RANK="0", LOCAL_RANK="0")
    return started

"""Two processes of a team, as `torchrun` starts them."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def run_both(module: str, *words: str) -> None:
    """Run a test's module as the program of two processes; both have to end well."""
    port = str(free_port())
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module, *words],
            env={**shared, "RANK": rank},
            cwd=Path(__file__).parents[3],
            stderr=subprocess.PIPE,
        )
        for rank in "01"
    ]
    said = [process.communicate(timeout=250)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(said)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_parted() -> None:
    """Threads of the connection that live on are torn down with the interpreter, which now and then aborts it."""
    names = [comm.read_text().strip() for comm in Path("/proc/self/task").glob("*/comm")]
    assert not (left := [name for name in names if "gloo" in name]), left

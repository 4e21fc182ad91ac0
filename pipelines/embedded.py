"""Prefect's API beside one run, as a process of its own: `python -m pipelines.embedded PORT FILE`.

It ends when its standard input does, so also when the run that started it is killed.
"""

import os
import sys
import threading
import time
from pathlib import Path

import uvicorn
from filelock import FileLock

from synthgen.files import write_json

# Time for open requests; a server that hangs in its shutdown is ended then.
_GRACE_S = 10.0
_START_S = 180.0


def serve(port: int, place: Path) -> None:
    """Serve until standard input ends; meanwhile `place` holds the process id, and its lock is taken."""
    app = "prefect.server.api.server:create_app"
    server = uvicorn.Server(uvicorn.Config(app, factory=True, host="127.0.0.1", port=port, log_level="error"))
    with FileLock(f"{place}.lock", timeout=0):
        write_json(place, {"pid": os.getpid(), "port": port})
        threading.Thread(target=_end_with_owner, args=(server,), daemon=True).start()
        server.run()
        place.unlink(missing_ok=True)
    Path(f"{place}.lock").unlink(missing_ok=True)


def _end_with_owner(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    until = time.monotonic() + _START_S
    while not server.started and time.monotonic() < until:
        # Tables that are half made would keep every later server from starting.
        time.sleep(0.1)
    server.should_exit = True
    time.sleep(_GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))

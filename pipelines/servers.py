"""`synthgen ui`: the Prefect and MLflow pages of a workspace."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

from rich.console import Console

from synthgen.errors import UsageError
from synthgen.workspace import Workspace

console = Console()
_TITLES: Mapping[str, str] = {"prefect": "Prefect", "mlflow": "MLflow"}
_PAGES: Mapping[str, str] = {"prefect": "runs", "mlflow": "#/experiments"}


def serve_pages(workspace: Workspace, *, prefect_port: int, mlflow_port: int) -> int:
    """Start both servers, print their addresses, and stop them on Ctrl-C."""
    for port, option in ((prefect_port, "--prefect-port"), (mlflow_port, "--mlflow-port")):
        if _in_use(port):
            raise UsageError(f"port {port} is in use", hint=f"choose another with {option}")
    servers = [_start(_prefect(prefect_port), prefect_port), _start(_mlflow(workspace, mlflow_port), mlflow_port)]
    show_pages({"prefect": prefect_port, "mlflow": mlflow_port})
    console.print("Ctrl-C stops both.", highlight=False)
    try:
        while all(server.poll() is None for server in servers):
            time.sleep(0.5)
        console.print("a server ended by itself; its messages are above", style="red")
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(timeout=20)


def show_pages(ports: Mapping[str, int]) -> int:
    """Print where the pages of servers on this machine are."""
    for name, port in ports.items():
        console.print(f"{_TITLES[name]:<8} http://127.0.0.1:{port}/{_PAGES[name]}", highlight=False)
    return 0


def _prefect(port: int) -> list[str]:
    return [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]


def _mlflow(workspace: Workspace, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [*command, "--backend-store-uri", workspace.mlflow_uri]


def _start(command: list[str], port: int) -> subprocess.Popen[bytes]:
    # On another port than 4200 the Prefect page is empty unless it is told where its API is.
    environment = {**os.environ, "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

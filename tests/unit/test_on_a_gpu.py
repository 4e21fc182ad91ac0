"""The code path of a GPU; see `on_a_gpu.py`."""

import os
import subprocess
import sys
from pathlib import Path


def test_nothing_meets_a_tensor_of_another_device():
    # In a process of its own: a device that torch once knows stays, and all other code would ask for its random state.
    own = Path(__file__).with_name("on_a_gpu.py")
    without_workers = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-n0", str(own)]
    found = subprocess.run(command, env=without_workers, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-4000:]
    assert "[100%]" in found.stdout

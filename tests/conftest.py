"""Settings of the whole suite."""

import os

# Two workers on two cores: more threads would only wait for each other, many times slower than one alone.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_runtest_setup() -> None:
    """No test talks to a server of the person who starts it, nor to the store of the test before it."""
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        os.environ.pop(name, None)

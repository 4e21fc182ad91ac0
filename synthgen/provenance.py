"""Where a run was made: versions, code, kind of machine, time."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from synthgen import __version__


def provenance() -> dict[str, Any]:
    """What a reader needs to know to make the run again: versions, code, machine kind, time."""
    packages = ("torch", "ctgan", "monai", "prefect", "pandas", "scikit-learn", "xgboost-cpu", "mlflow")
    versions = {"python": platform.python_version(), "synthgen": __version__}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": _git_commit(),
        "versions": versions,
        "cores": os.cpu_count(),
        "platform": platform.system(),
    }


def synthetic_text(run_id: str = "", model: str = "") -> dict[str, str]:
    """Text chunks of a PNG of synthetic images, by keyword; run and model where they are known.

    Keywords: PNG specification, 3rd ed., 11.3.3.1.
    """
    known = [f"{name} {value}" for name, value in (("run", run_id), ("model", model)) if value]
    comment = ", ".join(["made by synthgen", *known])
    return {"Source": "synthetic", "Software": f"synthgen {__version__}", "Comment": comment}


def _git_commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    answer = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or None

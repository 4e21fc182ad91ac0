"""`synthgen sample`: more rows from a trained model."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthgen.datasets import Data, Labels, Table
from synthgen.errors import UsageError
from synthgen.exporters import EXPORTERS
from synthgen.exporters.parts import Part
from synthgen.runs import Workspace, find_run
from synthgen.stats import named_rng
from synthgen.synthesizers import load_synthesizer

_FORMAT_OF_SUFFIX = {".parquet": "parquet", ".csv": "csv", ".npz": "npz", "": "folder"}


def draw(
    workspace: Workspace, model: str, *, rows: int | None, per_class: Sequence[str], seed: int, target: Path
) -> int:
    """Write rows drawn from the model to `target`; how many.

    Raises:
        UsageError: neither rows nor per_class is given, the target exists, or its suffix does not fit the data.
    """
    if target.exists():
        raise UsageError(f"{target} exists already", where=str(target), hint="choose another name with -o")
    labels = _labels(per_class)
    count = rows if labels is None else len(labels)
    if not count or count < 1:
        raise UsageError("sample needs --rows N or --per-class LABEL=N, at least 1")
    if rows is not None and rows != count:
        raise UsageError(f"--rows is {rows} but --per-class adds up to {count}: give one of them")
    synthesizer = load_synthesizer(_model_folder(workspace, model))
    data = synthesizer.sample(count, labels, named_rng(seed, "sample/command"))
    _write(data, target, model)
    return count


def _model_folder(workspace: Workspace, model: str) -> Path:
    direct = Path(model)
    return direct if (direct / "synthesizer.json").exists() else find_run(workspace, model).directory / "model"


def _labels(per_class: Sequence[str]) -> Labels | None:
    if not per_class:
        return None
    counts: dict[str, int] = {}
    for item in per_class:
        name, separator, count = item.rpartition("=")
        if not separator or not count.isdigit():
            raise UsageError(f"--per-class {item!r} must read LABEL=N, for example --per-class yes=100")
        counts[name] = int(count)
    return np.repeat(np.array(list(counts), dtype=np.str_), list(counts.values()))


def _write(data: Data, target: Path, model: str) -> None:
    modality = "table" if isinstance(data, Table) else "images"
    known = {suffix: name for suffix, name in _FORMAT_OF_SUFFIX.items() if EXPORTERS[name].modality == modality}
    if target.suffix not in known:
        allowed = " or ".join(suffix or "a folder (no suffix)" for suffix in known)
        raise UsageError(f"{target.name!r} does not say how to write {modality}; allowed: {allowed}", where=str(target))
    part = Part("synthetic", data, np.ones(len(data), dtype=bool), model)
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is one rename on one file system.
    with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".synthgen-") as scratch:
        EXPORTERS[known[target.suffix]].write([part], Path(scratch))
        files = list(Path(scratch).iterdir())
        whole = Path(scratch) if target.suffix == "" else files[0]
        whole.rename(target)
        Path(scratch).mkdir(exist_ok=True)

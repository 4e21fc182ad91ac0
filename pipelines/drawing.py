"""`synthgen sample`: more rows from a trained model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthgen.datasets import Labels
from synthgen.errors import UsageError
from synthgen.exporters import write_single
from synthgen.runs import Workspace, find_run
from synthgen.stats import named_rng
from synthgen.synthesizers import load_synthesizer


def draw(
    workspace: Workspace, model: str, *, rows: int | None, per_class: Sequence[str], seed: int, target: Path
) -> int:
    """Write rows drawn from the model to `target`; how many.

    Raises:
        UsageError: neither rows nor per_class is given, or the target exists.
    """
    if target.exists():
        raise UsageError(f"{target} exists already", where=str(target), hint="choose another name with -o")
    synthesizer = load_synthesizer(_model_folder(workspace, model))
    labels = _labels(per_class)
    count = len(labels) if labels is not None else rows
    if not count or count < 1:
        raise UsageError("sample needs --rows N or --per-class LABEL=N, at least 1")
    if rows is not None and labels is not None and rows != count:
        raise UsageError(f"--rows is {rows} but --per-class adds up to {count}: give one of them")
    data = synthesizer.sample(count, labels, named_rng(seed, "sample/command"))
    write_single(data, target)
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

"""`synthgen sample`: more rows from a trained model."""

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthgen.datasets import Data, Labels, Table
from synthgen.errors import UsageError
from synthgen.exporters import EXPORTERS
from synthgen.exporters.parts import Part
from synthgen.registry.versions import fetched, find_version, is_model_name
from synthgen.runs import find_model
from synthgen.shards import Spread, Wanted, drawn, in_turn
from synthgen.stats import named_rng
from synthgen.synthesizers import ConditionalSynthesizer, load_synthesizer, whole_model
from synthgen.workspace import Workspace

_FORMAT_OF_SUFFIX = {".parquet": "parquet", ".csv": "csv", ".npz": "npz", "": "folder"}


@dataclass(frozen=True)
class Request:
    """So many rows, or so many of each class (`LABEL=N`); with these values in columns (`COLUMN=VALUE`)."""

    rows: int | None
    per_class: Sequence[str]
    where: Sequence[str]
    seed: int


def draw(workspace: Workspace, model: str, request: Request, *, target: Path, spread: Spread = in_turn) -> int:
    """Write rows drawn from the model to `target`; how many.

    Raises:
        UsageError: neither rows nor per_class is given, the target exists, or its suffix does not fit the data.
        ModelError: the model does not reach the values that are asked for.
    """
    if target.exists():
        raise UsageError(f"{target} exists already", where=str(target), hint="choose another name with -o")
    labels = _labels(request.per_class)
    count = request.rows if labels is None else len(labels)
    if not count or count < 1:
        raise UsageError("sample needs --rows N or --per-class LABEL=N, at least 1")
    if request.rows is not None and request.rows != count:
        raise UsageError(f"--rows is {request.rows} but --per-class adds up to {count}: give one of them")
    wanted = Wanted(count, labels, _values(request.where))
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    with (
        _model_folder(workspace, model) as folder,
        # Beside the target, so that workers of another machine that see the one see the other.
        tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".synthgen-") as scratch,
    ):
        if wanted.where and not isinstance(load_synthesizer(folder), ConditionalSynthesizer):
            hint = "ctgan, autoregressive, cart and tvae do, and image-gan with conditioning: attributes"
            raise UsageError("this model takes no --where", where="--where", hint=hint)
        rng = named_rng(request.seed, "sample/command")
        with whole_model(folder):
            data = drawn(folder, wanted, rng, scratch=Path(scratch), spread=spread)
        _write(data, target, model)
    return count


def _values(where: Sequence[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for item in where:
        name, separator, value = item.partition("=")
        if not separator or not name:
            raise UsageError(f"--where {item!r} must read COLUMN=VALUE, for example --where city=Oslo")
        # Nothing after the sign asks for a missing value.
        values[name] = value if value else None
    return values


def _model_folder(workspace: Workspace, model: str) -> AbstractContextManager[Path]:
    if is_model_name(model) and not Path(model).exists():
        return fetched(workspace, find_version(workspace, model))
    return nullcontext(find_model(workspace, model))


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
    # Beside the target, so that the last step is one rename on one file system.
    with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".synthgen-") as scratch:
        EXPORTERS[known[target.suffix]].write([part], Path(scratch))
        files = list(Path(scratch).iterdir())
        whole = Path(scratch) if target.suffix == "" else files[0]
        whole.rename(target)
        Path(scratch).mkdir(exist_ok=True)

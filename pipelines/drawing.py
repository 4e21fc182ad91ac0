"""`synthgen sample`: more rows from a trained model."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthgen.datasets import ImageSet, Labels
from synthgen.errors import UsageError
from synthgen.exporters import write_sample
from synthgen.files import read_json, sha256_path
from synthgen.findings import Verdict
from synthgen.registry.versions import Version, fetched, find_version, is_model_name
from synthgen.runs import Run, find_model
from synthgen.shards import Spread, Wanted, drawn, in_turn
from synthgen.stats import named_rng
from synthgen.synthesizers import ConditionalSynthesizer, load_synthesizer, whole_model
from synthgen.workspace import Workspace

_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Request:
    """So many rows, or so many of each class (`LABEL=N`); with these values in columns (`COLUMN=VALUE`)."""

    rows: int | None
    per_class: Sequence[str]
    where: Sequence[str]
    seed: int


def draw(
    workspace: Workspace, model: str, request: Request, *, target: Path, spread: Spread = in_turn
) -> tuple[int, str]:
    """Write rows drawn from the model to `target`, with the run and model that they come from.

    Returns:
        How many, and of what: "rows" or "images".

    Raises:
        ConfigError: the format cannot hold the images.
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
        _opened(workspace, model) as (folder, version),
        # Beside the target, so that workers of another machine that see the one see the other.
        tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".synthgen-") as scratch,
    ):
        if wanted.where and not isinstance(load_synthesizer(folder), ConditionalSynthesizer):
            hint = "ctgan, autoregressive, cart and tvae do, and image-gan with conditioning: attributes"
            raise UsageError("this model takes no --where", where="--where", hint=hint)
        rng = named_rng(request.seed, "sample/command")
        with whole_model(folder):
            data = drawn(folder, wanted, rng, scratch=Path(scratch), spread=spread)
        write_sample(target, data, facts=_facts(folder, version, request.seed))
    return count, "images" if isinstance(data, ImageSet) else "rows"


def _values(where: Sequence[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for item in where:
        name, separator, value = item.partition("=")
        if not separator or not name:
            raise UsageError(f"--where {item!r} must read COLUMN=VALUE, for example --where city=Oslo")
        # Nothing after the sign asks for a missing value.
        values[name] = value if value else None
    return values


@contextmanager
def _opened(workspace: Workspace, model: str) -> Iterator[tuple[Path, Version | None]]:
    """The model's folder, and its version where it is registered."""
    if is_model_name(model) and not Path(model).exists():
        version = find_version(workspace, model)
        with fetched(workspace, version) as folder:
            yield folder, version
        return
    yield find_model(workspace, model), None


def _facts(folder: Path, version: Version | None, seed: int) -> dict[str, object]:
    """What a manifest says of rows that nobody has judged: as that of an emitted dataset, and the model and seed."""
    unjudged = {"verdict": str(Verdict.NOT_AUDITED), "passed": False, "forced": False}
    return {**(_of_folder(folder) if version is None else _of_version(version)), **unjudged, "seed": seed}


def _of_version(version: Version) -> dict[str, object]:
    known = {name: version.tags.get(name) for name in ("run_id", "data_sha256", "synthesizer")}
    return {**known, "run_id": known["run_id"] or _UNKNOWN, "name": version.name, "model": version.text}


def _of_folder(folder: Path) -> dict[str, object]:
    record = Run(folder.parent).record()
    kind = record.get("model") or _kind(folder)
    # A model that lies by itself is told from others by its hash.
    model = kind if record else f"{kind} of SHA-256 {sha256_path(folder)}"
    return {
        "run_id": record.get("run_id", _UNKNOWN),
        "name": record.get("name", folder.name),
        "model": model,
        "synthesizer": kind,
        "data_sha256": record.get("data_sha256"),
        "differential_privacy": record.get("differential_privacy"),
    }


def _kind(folder: Path) -> str:
    inner = folder / "inner"  # what constraints are laid around
    return str(read_json((inner if inner.exists() else folder) / "synthesizer.json")["kind"])


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

"""Emitted datasets: written whole or not at all, read back verified.

To add one: write a function `(parts, directory) -> rows of each file` and give it a line in EXPORTERS.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from synthgen.config import Purpose
from synthgen.datasets import Data, ImageSet, Splits, Table
from synthgen.errors import ConfigError, DataError, UsageError, unknown_name
from synthgen.exporters.card import card_text
from synthgen.exporters.croissant import croissant_json
from synthgen.exporters.images import write_folder, write_npz
from synthgen.exporters.load import load_dataset
from synthgen.exporters.parts import Part, dtypes_of, parts_to_emit
from synthgen.exporters.tables import write_csv, write_parquet
from synthgen.runs import write_json, write_manifest

__all__ = ["EXPORTERS", "Exporter", "emit_dataset", "load_dataset"]

Modality = Literal["table", "images"]


@dataclass(frozen=True)
class Exporter:
    """A file format: for which data, and the function that writes all parts to a folder and returns rows per file."""

    modality: Modality
    write: Callable[[Sequence[Part], Path], dict[str, int]]


# The first of each modality is its default.
EXPORTERS: Mapping[str, Exporter] = {
    "parquet": Exporter("table", write_parquet),
    "csv": Exporter("table", write_csv),
    "folder": Exporter("images", write_folder),
    "npz": Exporter("images", write_npz),
}


def emit_dataset(
    target: Path,
    splits: Splits,
    synthetic: Data,
    *,
    purpose: Purpose,
    formats: Sequence[str],
    facts: Mapping[str, object],
) -> dict[str, object]:
    """The manifest of the dataset, once the whole of it stands at `target`.

    Args:
        target: the folder to make; it must not exist.
        formats: names in EXPORTERS; empty = the default of the modality.
        facts: run_id, name, verdict, passed, forced, data_sha256 and what else the manifest should state.

    Raises:
        ConfigError: a format is unknown or not for such data.
        DataError: the data cannot be written: a column is named `synthetic`, the disk is full.
        UsageError: the target exists.
    """
    chosen = _chosen(formats, synthetic)
    parts = parts_to_emit(splits, synthetic, purpose=purpose, run_id=str(facts["run_id"]))
    with _whole_folder(target) as folder:
        rows: dict[str, int] = {}
        for name in chosen:
            rows |= EXPORTERS[name].write(parts, folder)
        manifest = _manifest(parts, {**facts, "purpose": purpose, "formats": chosen, "rows": rows})
        (folder / "CARD.md").write_text(card_text(manifest), encoding="utf-8")
        write_json(folder / "croissant.json", croissant_json(manifest, folder))
        # Manifest last: its existence means the dataset is complete.
        write_manifest(folder, manifest)
    return manifest


def _chosen(formats: Sequence[str], data: Data) -> list[str]:
    modality = _modality(data)
    allowed = [name for name, exporter in EXPORTERS.items() if exporter.modality == modality]
    for name in formats:
        if name not in allowed:
            raise ConfigError(unknown_name(f"export format for {modality}", name, allowed), where="export.formats")
    return list(formats) or allowed[:1]


def _modality(data: Data) -> Modality:
    return "table" if isinstance(data, Table) else "images"


@contextmanager
def _whole_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that gets its name when the block ends well, and is removed when it does not."""
    if target.exists() or target.is_symlink():
        raise UsageError(f"{str(target)!r} exists already; a dataset is never overwritten", where=str(target))
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(target)
    except OSError as error:
        raise DataError(f"the dataset cannot be written: {error.strerror or error}", where=str(target)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _manifest(parts: Sequence[Part], facts: Mapping[str, object]) -> dict[str, object]:
    data = parts[0].data
    counts = {
        part.name: {"real": int((~part.synthetic).sum()), "synthetic": int(part.synthetic.sum())} for part in parts
    }
    shape: dict[str, object] = {"modality": _modality(data), "classes": list(data.classes), "parts": counts}
    if isinstance(data, ImageSet):
        shape |= {"image_shape": list(data.images.shape[1:]), "image_dtype": str(data.images.dtype)}
    else:
        shape |= {"schema": data.schema.state(), "dtypes": dtypes_of(parts)}
    return {"format": "synthgen-dataset", "format_version": 1, **facts, **shape}

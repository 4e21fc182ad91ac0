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

import numpy as np

from synthgen.config import Purpose
from synthgen.datasets import Data, ImageSet, Splits, Table
from synthgen.errors import ConfigError, DataError, UsageError, name_list, unknown_name
from synthgen.exporters.card import card_text
from synthgen.exporters.croissant import croissant_json
from synthgen.exporters.images import write_dicom, write_folder, write_nifti, write_npz
from synthgen.exporters.load import load_dataset
from synthgen.exporters.parts import Part, dtypes_of, parts_to_emit
from synthgen.exporters.tables import write_csv, write_parquet
from synthgen.files import write_json
from synthgen.manifests import write_manifest

__all__ = ["EXPORTERS", "Exporter", "emit_dataset", "load_dataset", "write_sample"]

Modality = Literal["table", "images"]


@dataclass(frozen=True)
class Exporter:
    """A file format: for which data, and the function that writes all parts to a folder and returns rows per file.

    Attributes:
        is_indexed: one file for each image, and index.parquet.
        lacks: what the format cannot hold of these images; None when it can hold them.
    """

    modality: Modality
    write: Callable[[Sequence[Part], Path], dict[str, int]]
    is_indexed: bool = False
    lacks: Callable[[ImageSet], str | None] = lambda images: None


def _png_lacks(images: ImageSet) -> str | None:
    if images.is_volumes:
        return "no volumes"
    return "no negative numbers" if images.scan is not None and images.scan.offset else None


def _scan_lacks(images: ImageSet) -> str | None:
    return "no colour here" if images.images.shape[1] == 3 else None


# The first of each modality is its default; DICOM and NIfTI stay what they were.
EXPORTERS: Mapping[str, Exporter] = {
    "parquet": Exporter("table", write_parquet),
    "csv": Exporter("table", write_csv),
    "folder": Exporter("images", write_folder, is_indexed=True, lacks=_png_lacks),
    "npz": Exporter("images", write_npz),
    "dicom": Exporter("images", write_dicom, is_indexed=True, lacks=_scan_lacks),
    "nifti": Exporter("images", write_nifti, is_indexed=True, lacks=_scan_lacks),
}
# Formats that are one file where there is one part.
_FORMAT_OF_SUFFIX = {".parquet": "parquet", ".csv": "csv", ".npz": "npz"}


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
        formats: names in EXPORTERS; empty = the default of the data.
        facts: run_id, name, verdict, passed, forced, data_sha256 and what else the manifest should state.

    Raises:
        ConfigError: a format is unknown or not for such data, or two of them want the same index.
        DataError: the data cannot be written: a column is named `synthetic`, the disk is full.
        UsageError: the target exists.
    """
    chosen = chosen_formats(formats, synthetic)
    run_id, model = str(facts["run_id"]), str(facts.get("synthesizer", ""))
    parts = parts_to_emit(splits, synthetic, purpose=purpose, run_id=run_id, model=model)
    with _whole_folder(target) as folder:
        rows = _written(parts, chosen, folder)
        manifest = _manifest(parts, {**facts, "purpose": purpose, "formats": chosen, "rows": rows})
        (folder / "CARD.md").write_text(card_text(manifest), encoding="utf-8")
        write_json(folder / "croissant.json", croissant_json(manifest, folder))
        # Manifest last: its existence means the dataset is complete.
        write_manifest(folder, manifest)
    return manifest


def write_sample(target: Path, drawn: Data, *, facts: Mapping[str, object]) -> None:
    """Rows as a model draws them, neither curated nor judged, once the whole of them stands at `target`.

    Args:
        target: must not exist. Its suffix names the format; without one images get a folder with a manifest, in the
            format that an emitted dataset of them has by default.
        facts: run_id, model and what else the manifest should state.

    Raises:
        ConfigError: the format cannot hold the images.
        DataError: the rows cannot be written.
        UsageError: the target exists, or its suffix does not fit the data.
    """
    chosen = _sample_formats(target, drawn)
    made_up = np.ones(len(drawn), dtype=bool)
    parts = [Part("synthetic", drawn, made_up, str(facts["run_id"]), str(facts["model"]))]
    with _whole_folder(target, as_file=bool(target.suffix)) as folder:
        rows = _written(parts, chosen, folder)
        if not target.suffix:
            write_manifest(folder, _manifest(parts, {**facts, "formats": chosen, "rows": rows}))


def _sample_formats(target: Path, drawn: Data) -> list[str]:
    modality = _modality(drawn)
    if not target.suffix and modality == "images":
        return chosen_formats((), drawn)
    known = [suffix for suffix, name in _FORMAT_OF_SUFFIX.items() if EXPORTERS[name].modality == modality]
    if target.suffix not in known:
        allowed = " or ".join(known if modality == "table" else [*known, "a folder (no suffix)"])
        raise UsageError(f"{target.name!r} does not say how to write {modality}; allowed: {allowed}", where=str(target))
    return chosen_formats([_FORMAT_OF_SUFFIX[target.suffix]], drawn)


def _written(parts: Sequence[Part], formats: Sequence[str], folder: Path) -> dict[str, int]:
    rows: dict[str, int] = {}
    for name in formats:
        rows |= EXPORTERS[name].write(parts, folder)
    return rows


def chosen_formats(formats: Sequence[str], data: Data) -> list[str]:
    """The formats, or the default of the data; raises ConfigError for one that is not for them."""
    modality = _modality(data)
    allowed = [name for name, exporter in EXPORTERS.items() if exporter.modality == modality]
    for name in formats:
        if name not in allowed:
            raise ConfigError(unknown_name(f"export format for {modality}", name, allowed), where="export.formats")
    if not isinstance(data, ImageSet):
        return list(formats) or allowed[:1]
    chosen = list(formats) or [data.file_format]
    for name in chosen:
        lack = EXPORTERS[name].lacks(data)
        if lack is not None:
            fitting = name_list(other for other in allowed if EXPORTERS[other].lacks(data) is None)
            message = f"export format {name!r} holds {lack}, these data need another"
            raise ConfigError(message, where="export.formats", hint=f"allowed: {fitting}")
    indexed = [name for name in chosen if EXPORTERS[name].is_indexed]
    if len(indexed) > 1:
        message = f"export.formats names {name_list(indexed)}, one of which is allowed: each writes index.parquet"
        raise ConfigError(message, where="export.formats", hint="npz may stand beside it")
    return chosen


def _modality(data: Data) -> Modality:
    return "table" if isinstance(data, Table) else "images"


@contextmanager
def _whole_folder(target: Path, *, as_file: bool = False) -> Iterator[Path]:
    """A folder beside the target that gets its name when the block ends well, and is removed when it does not.

    Args:
        as_file: the one file in the folder gets the name instead.
    """
    if target.exists() or target.is_symlink():
        raise UsageError(f"{str(target)!r} exists already; a dataset is never overwritten", where=str(target))
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        (next(partial.iterdir()) if as_file else partial).rename(target)
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
        dtype = str(data.images.dtype) if data.scan is None else data.scan.dtype
        shape |= {"image_shape": list(data.images.shape[1:]), "image_dtype": dtype}
        shape["mirror_keeps_label"] = data.mirror_keeps_label
        if data.attributes is not None:
            shape["attributes"] = dict(data.attributes.levels)
        if data.scan is not None:
            shape["scan"] = data.scan.state()
    else:
        shape |= {"schema": data.schema.state(), "dtypes": dtypes_of(parts)}
    return {"format": "synthgen-dataset", "format_version": 1, **facts, **shape}

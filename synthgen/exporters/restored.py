"""Parts of an emitted dataset as the tables and images that they were."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from synthgen.attributes import Attributes
from synthgen.datasets import Data, ImageSet, Table
from synthgen.exporters.images import read_npz
from synthgen.exporters.load import read_index, read_table, schema_of
from synthgen.exporters.parts import SYNTHETIC_COLUMN
from synthgen.exporters.torch_data import class_codes, decoder
from synthgen.scans import Scan, Stored


def restored_part(folder: Path, manifest: dict[str, Any], name: str) -> tuple[Data, npt.NDArray[np.bool_]]:
    """Rows of the part train, valid, holdout or synthetic, and bool [n], which of them are made up."""
    if manifest["modality"] == "images":
        return _images(folder, manifest, name)
    frame, schema = read_table(folder, manifest, name), schema_of(manifest)
    marked = SYNTHETIC_COLUMN in frame.columns
    synthetic = frame[SYNTHETIC_COLUMN].to_numpy(dtype=bool) if marked else np.full(len(frame), name == "synthetic")
    kinds = {column: kind for column, kind in schema.kinds.items() if column in frame and column != SYNTHETIC_COLUMN}
    return Table(frame[list(kinds)], replace(schema, kinds=kinds)), synthetic


def _images(folder: Path, manifest: Mapping[str, Any], name: str) -> tuple[ImageSet, npt.NDArray[np.bool_]]:
    decode = decoder(manifest)
    if decode is None:
        stored, index = read_npz(folder, name)
    else:
        index = read_index(folder, dict(manifest), name)
        stored = cast("Stored", np.stack([decode(Path(path)) for path in index["path"]]))
    scan = Scan.restore(manifest.get("scan"))
    # The numbers of the files may have signs, those of a set have none.
    whole = stored.astype(np.int32) - (scan.offset if scan else 0)
    pixels = whole.astype(np.uint8) if stored.dtype == np.uint8 else whole.astype(np.uint16)
    codes = class_codes(index["label"], manifest["classes"])
    mirrored = bool(manifest.get("mirror_keeps_label", False))
    levels = manifest.get("attributes") or {}
    known = Attributes.of({attribute: index[attribute] for attribute in levels}, levels) if levels else None
    names = tuple(manifest["classes"])
    images = ImageSet(pixels, codes, names, mirror_keeps_label=mirrored, scan=scan, attributes=known)
    return images, index["synthetic"].to_numpy(dtype=bool)

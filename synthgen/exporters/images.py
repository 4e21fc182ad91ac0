"""Images as files: a folder of class folders with an index, and one npz in MedMNIST's layout."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.datasets import ImageSet
from synthgen.exporters.parts import Part
from synthgen.exporters.png import Image, encode_png

NPZ_NAME = "dataset.npz"
INDEX_NAME = "index.parquet"
# MedMNIST's words for our parts.
NPZ_PREFIX = {"train": "train", "valid": "val", "holdout": "test", "synthetic": "synthetic"}

_UNSAFE = re.compile(r"[^\w.\- ]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # devices on Windows
_NAME_CHARACTERS = 60  # at 4 bytes each they stay under the 255 bytes that file systems allow


def write_folder(parts: Sequence[Part], directory: Path) -> dict[str, int]:
    """Rows of index.parquet: <part>/<class>/<image>.png, and one line in the index for each.

    The index has path, label (the class name as it came), split, synthetic and, if the data have them, group.
    """
    rows: list[dict[str, object]] = []
    for part in parts:
        if isinstance(part.data, ImageSet):
            rows += _write_images(part, part.data, directory)
    pd.DataFrame(rows).to_parquet(directory / INDEX_NAME, index=False)
    return {INDEX_NAME: len(rows)}


def write_npz(parts: Sequence[Part], directory: Path) -> dict[str, int]:
    """Rows of dataset.npz: <part>_images [n, h, w] or [n, h, w, 3], _labels int64 [n, 1], train_synthetic, classes."""
    arrays: dict[str, np.ndarray] = {}
    for part in parts:
        if isinstance(part.data, ImageSet):
            prefix = NPZ_PREFIX[part.name]
            arrays[f"{prefix}_images"] = _channels_last(part.data.images)
            arrays[f"{prefix}_labels"] = part.data.codes[:, None]
            arrays["classes"] = np.asarray(part.data.classes, dtype=np.str_)
            if part.name == "train":
                arrays["train_synthetic"] = part.synthetic
    np.savez_compressed(directory / NPZ_NAME, allow_pickle=False, **arrays)
    return {NPZ_NAME: sum(len(part.data) for part in parts)}


def read_npz(directory: Path, split: str) -> tuple[Image, pd.DataFrame]:
    """Images [n, c, h, w] of one part, and its index: path, position in the file, label, split, synthetic."""
    prefix = NPZ_PREFIX[split]
    with np.load(directory / NPZ_NAME, allow_pickle=False) as arrays:
        images, codes = arrays[f"{prefix}_images"], arrays[f"{prefix}_labels"][:, 0]
        synthetic = arrays["train_synthetic"] if split == "train" else np.full(len(codes), split == "synthetic")
        labels = arrays["classes"][codes]
    index = pd.DataFrame(
        {"path": str(directory / NPZ_NAME), "position": np.arange(len(codes)), "label": labels.astype(object)}
    )
    first = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return first, index.assign(split=split, synthetic=synthetic)


def folder_names(classes: Sequence[str]) -> dict[str, str]:
    """A different safe folder name for each class: no separator, not only dots, no device name, 60 characters."""
    taken: set[str] = set()
    names = {}
    for name in classes:
        safe = _safe(name)
        number = 1
        while (candidate := safe if number == 1 else f"{safe}-{number}").casefold() in taken:
            number += 1
        taken.add(candidate.casefold())
        names[name] = candidate
    return names


def _safe(name: str) -> str:
    text = _UNSAFE.sub("_", unicodedata.normalize("NFC", name))[:_NAME_CHARACTERS].strip(" .")
    return f"_{text}" if not text or _RESERVED.fullmatch(text) else text


def _write_images(part: Part, data: ImageSet, directory: Path) -> list[dict[str, object]]:
    folders = folder_names(data.classes)
    for name in set(data.labels.tolist()):
        (directory / part.name / folders[name]).mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for position, (image, label, synthetic) in enumerate(zip(data.images, data.labels, part.synthetic, strict=True)):
        path = f"{part.name}/{folders[label]}/{'synthetic' if synthetic else 'real'}-{position:06d}.png"
        text = {"Source": "synthetic", "Comment": f"made by synthgen, run {part.run_id}"} if synthetic else {}
        (directory / path).write_bytes(encode_png(image, text))
        row = {"path": path, "label": str(label), "split": part.name, "synthetic": bool(synthetic)}
        if data.groups is not None:
            row["group"] = str(data.groups[position]) or None
        rows.append(row)
    return rows


def _channels_last(images: Image) -> Image:
    return images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)

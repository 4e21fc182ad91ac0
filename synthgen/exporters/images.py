"""Images as files: a folder of class folders with an index, and one npz in MedMNIST's layout; volumes alike."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.datasets import ImageSet
from synthgen.errors import DataError
from synthgen.exporters.image_files import Encode, Origin, png_files
from synthgen.exporters.parts import Part, made_by
from synthgen.scans import Stored

NPZ_NAME = "dataset.npz"
INDEX_NAME = "index.parquet"
# MedMNIST's words for our parts.
NPZ_PREFIX = {"train": "train", "valid": "val", "holdout": "test", "synthetic": "synthetic"}

_UNSAFE = re.compile(r"[^\w.\- ]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # devices on Windows
_NAME_CHARACTERS = 60  # at 4 bytes each they stay under the 255 bytes that file systems allow


def write_folder(parts: Sequence[Part], directory: Path) -> dict[str, int]:
    """PNG files, see `write_files`."""
    return write_files(parts, directory, png_files)


def write_dicom(parts: Sequence[Part], directory: Path) -> dict[str, int]:
    """DICOM files, see `write_files`; a volume is a series of them, of which the index names the first."""
    with _extra("pydicom"):
        from synthgen.exporters.dicom import dicom_files
    return write_files(parts, directory, dicom_files)


def write_nifti(parts: Sequence[Part], directory: Path) -> dict[str, int]:
    """NIfTI files, see `write_files`."""
    with _extra("nibabel"):
        from synthgen.exporters.nifti import nifti_files
    return write_files(parts, directory, nifti_files)


@contextmanager
def _extra(package: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        message = f"this format is written with {package}, which is not installed"
        raise DataError(message, where="export.formats", hint="pip install 'synthgen[medical]'") from None


def write_files(parts: Sequence[Part], directory: Path, encode: Encode) -> dict[str, int]:
    """Rows of index.parquet: <part>/<class>/<image>.<suffix>, and one line in the index for each.

    The index has path, label (the class name as it came), split, synthetic and, if the data have them, group and a
    column for each attribute, empty where nobody knows; `slices` where an image is a series of so many files, of which
    path is the first. Its `attrs` are those of `made_by`.
    """
    rows: list[dict[str, object]] = []
    for part in parts:
        if isinstance(part.data, ImageSet):
            rows += _write_images(part, part.data, directory, encode)
    index = pd.DataFrame(rows)
    index.attrs.update(made_by(parts))
    index.to_parquet(directory / INDEX_NAME, index=False)
    return {INDEX_NAME: len(rows)}


def write_npz(parts: Sequence[Part], directory: Path) -> dict[str, int]:
    """Rows of dataset.npz: <part>_images [n, h, w], [n, h, w, 3] or [n, d, h, w], _labels int64 [n, 1],
    train_synthetic, classes; <part>_attributes str [n, attributes] and attribute_names where the data have them;
    str [] for each of `made_by`.
    """
    arrays: dict[str, np.ndarray] = {name: np.asarray(text, dtype=np.str_) for name, text in made_by(parts).items()}
    for part in parts:
        if isinstance(part.data, ImageSet):
            prefix = NPZ_PREFIX[part.name]
            stored = part.data.images if part.data.scan is None else part.data.scan.stored(part.data.images)
            arrays[f"{prefix}_images"] = _channels_last(stored)
            arrays[f"{prefix}_labels"] = part.data.codes[:, None]
            arrays["classes"] = np.asarray(part.data.classes, dtype=np.str_)
            if part.data.attributes is not None:
                texts = part.data.attributes.texts
                arrays["attribute_names"] = np.asarray(list(texts), dtype=np.str_)
                arrays[f"{prefix}_attributes"] = np.column_stack(list(texts.values()))
            if part.name == "train":
                arrays["train_synthetic"] = part.synthetic
    np.savez_compressed(directory / NPZ_NAME, allow_pickle=False, **arrays)
    return {NPZ_NAME: sum(len(part.data) for part in parts)}


def read_npz(directory: Path, split: str) -> tuple[Stored, pd.DataFrame]:
    """Images [n, c, h, w], or volumes [n, 1, d, h, w], of one part, and its index.

    The index has path, position in the file, label, split, synthetic, and a column for each attribute.
    """
    prefix = NPZ_PREFIX[split]
    with np.load(directory / NPZ_NAME, allow_pickle=False) as arrays:
        images, codes = arrays[f"{prefix}_images"], arrays[f"{prefix}_labels"][:, 0]
        synthetic = arrays["train_synthetic"] if split == "train" else np.full(len(codes), split == "synthetic")
        labels = arrays["classes"][codes]
        known = arrays["attribute_names"].tolist() if f"{prefix}_attributes" in arrays else []
        texts = arrays[f"{prefix}_attributes"].T.tolist() if known else []
        attributes = {name: [text or None for text in column] for name, column in zip(known, texts, strict=True)}
    index = pd.DataFrame(
        {
            "path": str(directory / NPZ_NAME),
            "position": np.arange(len(codes)),
            "label": labels.astype(object),
            **attributes,
        }
    )
    # No volume has a side of 3.
    first = images.transpose(0, 3, 1, 2) if images.ndim == 4 and images.shape[3] == 3 else images[:, None]
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


def _write_images(part: Part, data: ImageSet, directory: Path, encode: Encode) -> list[dict[str, object]]:
    folders = folder_names(data.classes)
    for name in set(data.labels.tolist()):
        (directory / part.name / folders[name]).mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    texts = {} if data.attributes is None else data.attributes.texts
    for position, (image, label, synthetic) in enumerate(zip(data.images, data.labels, part.synthetic, strict=True)):
        stem = f"{part.name}/{folders[label]}/{'synthetic' if synthetic else 'real'}-{position:06d}"
        files = encode(image, Origin(stem, bool(synthetic), part.run_id, data.scan, part.model))
        for ending, content in files.items():
            (directory / f"{stem}{ending}").write_bytes(content)
        path = f"{stem}{next(iter(files))}"
        row = {"path": path, "label": str(label), "split": part.name, "synthetic": bool(synthetic)}
        if len(files) > 1:
            row["slices"] = len(files)
        if data.groups is not None:
            row["group"] = str(data.groups[position]) or None
        row |= {name: str(column[position]) or None for name, column in texts.items()}
        rows.append(row)
    return rows


def _channels_last(images: Stored) -> Stored:
    return images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)

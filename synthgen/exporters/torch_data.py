"""Emitted datasets as torch datasets."""

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import Dataset

from synthgen.errors import UsageError
from synthgen.exporters.images import read_npz
from synthgen.exporters.load import read_index, read_table, schema_of
from synthgen.exporters.png import decode_png
from synthgen.scans import REVERSED, Axes, Scan, Stored
from synthgen.sources.dicom import read_slice, read_slice_header
from synthgen.sources.nifti import read_nifti
from synthgen.sources.scan_files import Numbers, whole_numbers

FloatRows = npt.NDArray[np.float32]
_SECONDS_PER_DAY = 86_400
FIRST_SLICE = "-0000.dcm"


class LabelledTensors(Dataset[tuple[torch.Tensor, int]]):
    """Pairs of float32 features and class index.

    Attributes:
        targets: int64 [n], class index of each pair.
        classes: class names; the index counts in them.
        synthetic: bool [n], which pairs are made up.
        feature_names: columns of a table in order; empty for images.
    """

    def __init__(
        self,
        read: Callable[[int], npt.NDArray[np.float32]],
        labels: "Labels",
        feature_names: tuple[str, ...] = (),
    ) -> None:
        self.targets, self.classes, self.synthetic = labels.codes, labels.classes, labels.synthetic
        self.feature_names = feature_names
        self._read = read

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        # A copy: what a training script changes in place must not come back in the next epoch.
        return torch.from_numpy(self._read(index).copy()), int(self.targets[index])

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """float64 [n], mean 1: for `WeightedRandomSampler`, which then draws every class as often."""
        counts = np.bincount(self.targets, minlength=len(self.classes))
        return np.asarray(len(self) / ((counts > 0).sum() * counts[self.targets]), dtype=np.float64)


class LabelledImages(Dataset[dict[str, Any]]):
    """The same images as dictionaries, as MONAI's dictionary transforms take them.

    Each has `image` float32 [c, h, w] (or [1, d, h, w]), `label` int and `synthetic` bool; hand it to
    `monai.data.Dataset(data, transform)` or `CacheDataset`.
    """

    def __init__(self, pairs: LabelledTensors) -> None:
        self.pairs = pairs
        self.classes = pairs.classes

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, label = self.pairs[index]
        return {"image": image, "label": label, "synthetic": bool(self.pairs.synthetic[index])}


@dataclass(frozen=True)
class Labels:
    """Class index of each row, int64 [n], in which names it counts, and bool [n], which rows are made up."""

    codes: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    synthetic: npt.NDArray[np.bool_]


def labelled_images(folder: Path, manifest: dict[str, Any], split: str) -> LabelledImages:
    """One part as dictionaries; raises UsageError for a table."""
    if manifest["modality"] != "images":
        message = "kind 'monai' is for images, this dataset is a table (for tables: 'pandas', 'torch')"
        raise UsageError(message, where="load_dataset")
    return LabelledImages(_images(folder, manifest, split))


def labelled_tensors(folder: Path, manifest: dict[str, Any], split: str) -> LabelledTensors:
    """One part as tensors.

    Images: float32 [c, h, w] in [0, 1], volumes [1, d, h, w]; in [-1, 1] where numbers have signs.
    Tables: float32 [columns], numbers as they are, dates in days since 1970, categories as the position of the value
    among the sorted values of train; missing and unseen values NaN.
    """
    if manifest["modality"] == "images":
        return _images(folder, manifest, split)
    schema = schema_of(manifest)
    if schema.label is None:
        raise UsageError("the dataset has no label, so there is nothing to predict", where=str(folder))
    frame = read_table(folder, manifest, split)
    coding = read_table(folder, manifest, "train") if "train" in manifest["parts"] else frame
    names = tuple(name for name in schema.features if name != "synthetic")
    columns = [_numbers(frame[name], coding[name], schema.kinds[name]) for name in names]
    rows = np.column_stack(columns) if columns else np.empty((len(frame), 0), dtype=np.float32)
    codes = class_codes(frame[schema.label].astype(str), manifest["classes"])
    made_up = frame["synthetic"] if "synthetic" in frame else pd.Series(split == "synthetic", index=frame.index)
    labels = Labels(codes, tuple(manifest["classes"]), np.asarray(made_up, dtype=np.bool_))
    return LabelledTensors(partial(_row, rows), labels, names)


def _images(folder: Path, manifest: dict[str, Any], split: str) -> LabelledTensors:
    decode = decoder(manifest)
    if decode is not None:
        index = read_index(folder, manifest, split)
        read: Callable[[int], FloatRows] = partial(_file, index["path"].tolist(), decode)
    else:
        images, index = read_npz(folder, split)
        read = partial(_array, images)
    codes = class_codes(index["label"], manifest["classes"])
    labels = Labels(codes, tuple(manifest["classes"]), index["synthetic"].to_numpy(dtype=bool))
    return LabelledTensors(read, labels)


def _numbers(column: pd.Series, train: pd.Series, kind: str) -> FloatRows:
    match kind:
        case "categorical":
            # Sorted, not in order of appearance: that order tells which split a row came from.
            known = sorted(train.dropna().astype(str).unique())
            codes = pd.Series(
                pd.Categorical(column.astype(object).map(str, na_action="ignore"), categories=known)
            ).cat.codes
            return np.asarray(codes.where(codes >= 0), dtype=np.float32)
        case "datetime":
            days = (column - pd.Timestamp(0, tz=column.dt.tz)).dt.total_seconds() / _SECONDS_PER_DAY
            return np.asarray(days, dtype=np.float32)
        case _:
            return np.asarray(column.astype("Float64").to_numpy(dtype=np.float32, na_value=np.nan))


def class_codes(labels: pd.Series, classes: list[str]) -> npt.NDArray[np.int64]:
    """int64 [n]: the position of each label in `classes`."""
    position = {name: code for code, name in enumerate(classes)}
    return np.array([position[name] for name in labels], dtype=np.int64)


# Module-level functions, not lambdas: a DataLoader's workers must be able to pickle them.
def _row(rows: FloatRows, index: int) -> FloatRows:
    return np.asarray(rows[index])


def _array(images: Stored, index: int) -> FloatRows:
    return _scaled(images[index])


def _file(paths: list[str], decode: Callable[[Path], Stored], index: int) -> FloatRows:
    return _scaled(decode(Path(paths[index])))


def _decoded_png(path: Path) -> Stored:
    return decode_png(path.read_bytes())


def _decoded_dicom(path: Path) -> Stored:
    if not path.name.endswith(FIRST_SLICE):
        return whole_numbers(_slice(path), path.name)
    # The first slice of a volume leads to the others.
    files = sorted(path.parent.glob(f"{glob.escape(path.name.removesuffix(FIRST_SLICE))}-*.dcm"))
    return whole_numbers(np.concatenate([_slice(file) for file in files])[None], path.name)


def _slice(path: Path) -> Numbers:
    return read_slice(path, read_slice_header(path, path.name))


def _decoded_nifti(axes: Axes, path: Path) -> Stored:
    values = whole_numbers(read_nifti(path, path.name, axes), path.name)
    return values if values.shape[0] == 1 else values[None]


def _scaled(image: Stored) -> FloatRows:
    return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)


def decoder(manifest: Mapping[str, Any]) -> Callable[[Path], Stored] | None:
    """What reads an emitted file as the image that it was; None where an npz has all."""
    scan = Scan.restore(manifest.get("scan"))
    decoders: Mapping[str, Callable[[Path], Stored]] = {
        "folder": _decoded_png,
        "dicom": _decoded_dicom,
        "nifti": partial(_decoded_nifti, scan.axes if scan else REVERSED),
    }
    return next((decoders[name] for name in manifest["formats"] if name in decoders), None)

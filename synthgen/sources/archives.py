"""Archives: an npz in MedMNIST's layout, and a zip that is unpacked only when it is harmless."""

import lzma
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from synthgen.errors import DataError, name_list
from synthgen.sources.pixels import Pixels, as_pixels

MAX_BYTES = 8 * 2**30
MAX_FILES = 1_000_000
# Images hardly shrink in a zip; masks of an organ do, as far as zeros (adrenalmnist3d 221-fold): arrays may be larger.
MAX_RATIO = 200
SUSPECT_BYTES, SUSPECT_ARRAYS = 64 * 2**20, 512 * 2**20
# What zipfile raises for a damaged, encrypted or unknown kind of archive; bytes may say anything.
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, KeyError,
          IndexError, ValueError, struct.error)  # fmt: skip
COLOURS, MAX_CHANNELS = 3, 4
MEDMNIST_PARTS = {"train": "train", "val": "valid", "valid": "valid", "test": "holdout", "holdout": "holdout"}

AnyArray = npt.NDArray[np.generic]


def holds_arrays(path: Path) -> bool:
    """Whether the zip file is an npz: all its members are arrays."""
    with _zip(path) as archive:
        names = archive.namelist()
        return bool(names) and all(name.endswith(".npy") for name in names)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The content of a zip in a temporary folder of its name that is removed at the end.

    Raises:
        DataError: damaged, encrypted, a member that leads out of the folder or is a link, or a zip bomb.
    """
    with TemporaryDirectory(prefix="synthgen-zip-") as folder, _zip(path) as archive:
        _check_members(archive, path)
        root = Path(folder) / path.name
        root.mkdir()
        try:
            archive.extractall(root)
        except BROKEN:
            raise DataError(f"archive {path.name!r} is damaged or encrypted", where=str(path)) from None
        except OSError as error:
            reason = error.strerror or "a file cannot be written"
            raise DataError(f"archive {path.name!r} cannot be unpacked: {reason}", where=str(path)) from None
        try:
            yield root
        except DataError as error:
            # The temporary folder is gone when somebody looks.
            error.where = error.where and error.where.replace(str(root), str(path))
            raise


def _zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (*BROKEN, OSError):
        raise DataError(f"archive {path.name!r} is damaged or cut short", where=str(path)) from None


def _refuse_bomb(archive: zipfile.ZipFile, path: Path, *, suspect: int = SUSPECT_BYTES) -> None:
    members = archive.infolist()
    # Members may share their packed bytes, so the file's own size is what was really sent.
    size, packed = sum(item.file_size for item in members), path.stat().st_size
    if size > MAX_BYTES or len(members) > MAX_FILES or (size > suspect and size > MAX_RATIO * packed):
        message = f"archive {path.name!r} unpacks to {size / 2**20:,.0f} MiB in {len(members):,} files"
        raise DataError(f"{message}: it looks like a zip bomb", where=str(path), hint="unpack it and give the folder")


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    _refuse_bomb(archive, path)
    for item in archive.infolist():
        parts = PurePosixPath(item.filename.replace("\\", "/")).parts
        is_link = stat.S_ISLNK(item.external_attr >> 16)
        if is_link or ".." in parts or item.filename.startswith(("/", "\\")) or ":" in item.filename:
            message = f"archive {path.name!r} has a member that leads out of it"
            raise DataError(message, where=str(path), hint="repack it without links, '..' and absolute paths")


def load_arrays(path: Path) -> tuple[Pixels, list[str], list[str] | None]:
    """Images [n, h, w] or [n, h, w, 3], or volumes [n, d, h, w], their labels and parts; None where there is no split.

    Raises:
        DataError: damaged, pickled objects, arrays missing, not matching, or of another shape.
    """
    with _zip(path) as archive:
        _refuse_bomb(archive, path, suspect=SUSPECT_ARRAYS)
    try:
        with np.load(path, allow_pickle=False) as file:
            held = file.files
            arrays = {name: file[name] for name in held if name.endswith(("images", "labels"))}
        if any(not isinstance(array, np.ndarray) for array in arrays.values()):
            # numpy hands out the bytes of a member that is no array.
            raise ValueError("no array")
    except ValueError as error:
        reason = "holds pickled objects, which are not executed" if "pickle" in str(error) else "is damaged"
        raise DataError(f"{path.name!r} {reason}", where=str(path), hint="save plain uint8 arrays") from None
    except (*BROKEN, OSError, TypeError, MemoryError, OverflowError, SyntaxError, tokenize.TokenError):
        raise DataError(f"{path.name!r} is damaged or cut short", where=str(path)) from None
    if "images" in arrays and "labels" in arrays:
        return _images(arrays, "images", path), _labels(arrays, "", path), None
    found = [prefix for prefix in MEDMNIST_PARTS if f"{prefix}_images" in arrays]
    if not found:
        message = f"{path.name!r} has neither images and labels nor train_images and train_labels"
        raise DataError(message, where=str(path), hint=f"it has {name_list(held)}")
    images = [_images(arrays, f"{prefix}_images", path) for prefix in found]
    labels = [_labels(arrays, f"{prefix}_", path) for prefix in found]
    if len({(image.shape[1:], image.dtype) for image in images}) > 1:
        raise DataError(f"the parts of {path.name!r} differ in image shape or dtype", where=str(path))
    parts = [MEDMNIST_PARTS[prefix] for prefix, names in zip(found, labels, strict=True) for _ in names]
    return as_pixels(np.concatenate(images)), [label for names in labels for label in names], parts


def _images(arrays: Mapping[str, AnyArray], key: str, path: Path) -> Pixels:
    images = arrays[key]
    if images.ndim in (4, 5) and images.shape[-1] == 1:
        images = images[..., 0]
    message = f"{key} of {path.name!r} has shape {arrays[key].shape}"
    if images.ndim not in (3, 4):
        raise DataError(f"{message}; [n, h, w], [n, h, w, 3] or [n, d, h, w] is allowed", where=str(path))
    if images.ndim == 4 and images.shape[-1] != COLOURS and min(images.shape[1:]) <= MAX_CHANNELS:
        what, hint = _mistaken(images.shape)
        allowed = f"[n, h, w], [n, h, w, 3], or volumes [n, d, h, w] of more than {MAX_CHANNELS} voxels a side"
        raise DataError(f"{message}, which looks like {what}; allowed: {allowed}", where=str(path), hint=hint)
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * np.uint8(255)
    if images.dtype in (np.uint8, np.uint16):
        return as_pixels(images)
    if images.dtype.kind in "iu" and images.size and images.min() >= 0 and images.max() <= 255:
        return images.astype(np.uint8, copy=False)
    raise DataError(f"{key} of {path.name!r} has type {images.dtype}; uint8 or uint16 is allowed", where=str(path))


def _mistaken(shape: tuple[int, ...]) -> tuple[str, str]:
    """What an array that is neither colour nor volumes looks like, and what to do."""
    if shape[1] <= MAX_CHANNELS:
        return "channels first", "images[:, 0] for one channel, images.transpose(0, 2, 3, 1) for red, green and blue"
    match shape[-1]:
        case 4:
            return "colour and transparency (RGBA)", "lay them on white, or keep images[..., :3]"
        case 2:
            return "grey and transparency", "lay them on white, or keep images[..., 0]"
        case _:
            return f"volumes with a side of {min(shape[1:])}", "resample them to more slices, or save each as an image"


def _labels(arrays: Mapping[str, AnyArray], prefix: str, path: Path) -> list[str]:
    labels, images = arrays.get(f"{prefix}labels"), arrays[f"{prefix}images"]
    if labels is None:
        raise DataError(f"{path.name!r} has {prefix}images but no {prefix}labels", where=str(path))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) != len(images):
        message = f"{prefix}labels of {path.name!r} has shape {labels.shape} for {len(images)} images"
        raise DataError(message, where=str(path))
    if labels.dtype.kind == "f" and np.array_equal(labels, np.trunc(labels)):
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iubU":
        message = f"{prefix}labels of {path.name!r} has type {labels.dtype}; whole numbers or text are allowed"
        raise DataError(message, where=str(path))
    return [str(label) for label in labels.tolist()]

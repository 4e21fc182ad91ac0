"""Archives of images: arrays of another layout, hostile and damaged files."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synthgen.config import ImageSource
from synthgen.datasets import ImageSet, Ingested
from synthgen.errors import DataError, SynthgenError
from synthgen.sources import propose, read


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


def ingest(path: Path, **keys: Any) -> Ingested:
    return read(ImageSource(kind="images", path=str(path), **keys), seed=0)


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def write_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number, pixels in enumerate(noise(12, 8, 8)):
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, "png")
            archive.writestr(f"{'cat' if number % 2 else 'dog'}/{number}.png", content.getvalue())
    return path


PIXELS, LABELS = noise(20, 8, 8), np.arange(20) % 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": PIXELS}, "neither images and labels"),
        ({"train_images": PIXELS}, "has train_images but no train_labels"),
        ({"images": PIXELS, "labels": LABELS[:5]}, r"labels of 'set.npz' has shape \(5,\) for 20 images"),
        ({"images": PIXELS, "labels": np.zeros((20, 14))}, r"has shape \(20, 14\)"),
        ({"images": noise(20, 8, 8, 8, 2), "labels": LABELS}, r"has shape \(20, 8, 8, 8, 2\)"),
        ({"images": PIXELS / 255, "labels": LABELS}, "has type float64; uint8 or uint16"),
        ({"images": PIXELS, "labels": LABELS + 0.5}, "has type float64; whole numbers or text"),
        ({"images": PIXELS, "labels": LABELS.astype(object)}, "holds pickled objects, which are not executed"),
        ({"train_images": PIXELS, "train_labels": LABELS, "test_images": noise(20, 9, 9), "test_labels": LABELS},
         "differ in image shape"),
    ],
)  # fmt: skip
def test_arrays_of_another_layout_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ingest(write_npz(tmp_path / "set.npz", **arrays))


def hostile_zip(path: Path, name: str, content: bytes, *, mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        file.writestr(member, content, zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize(
    ("name", "content", "mode", "message"),
    [
        ("../../evil.png", b"x", 0o100644, "leads out of it"),
        ("/etc/evil.png", b"x", 0o100644, "leads out of it"),
        ("..\\evil.png", b"x", 0o100644, "leads out of it"),
        ("C:/evil.png", b"x", 0o100644, "leads out of it"),
        ("cat/link.png", b"/etc/passwd", 0o120777, "leads out of it"),
        ("cat/zeros.png", bytes(70 * 2**20), 0o100644, "unpacks to 70 MiB in 1 files: it looks like a zip bomb"),
    ],
)
def test_a_hostile_archive_is_refused(tmp_path: Path, name: str, content: bytes, mode: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ingest(hostile_zip(tmp_path / "set.zip", name, content, mode=mode))
    assert [path.name for path in tmp_path.parent.rglob("evil.png")] == []


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ((20, 1, 28, 30), "channels first"),
        ((20, 2, 28, 30), "channels first"),
        ((20, 3, 28, 30), "channels first"),
        ((20, 4, 28, 30), "channels first"),
        ((20, 1, 28, 30, 1), "channels first"),
        ((20, 28, 30, 2), "grey and transparency"),
        ((20, 28, 30, 4), "colour and transparency (RGBA)"),
        ((20, 28, 4, 30), "volumes with a side of 4"),
    ],
)
@pytest.mark.parametrize("keys", [{}, {"fit": "resize", "size": 16}], ids=str)
def test_channels_of_an_npz_are_not_taken_for_slices(
    shape: tuple[int, ...], what: str, keys: dict[str, Any], tmp_path: Path
) -> None:
    path = write_npz(tmp_path / "set.npz", images=np.zeros(shape, np.uint8), labels=LABELS)
    with pytest.raises(DataError) as caught:
        ingest(path, **keys)
    assert f"images of 'set.npz' has shape {shape}, which looks like {what}; " in caught.value.message
    assert "[n, h, w, 3]" in caught.value.message
    with pytest.raises(DataError, match="which looks like"):
        propose(path, label="label")


@pytest.mark.parametrize("suffix", ["npz", "zip"])
@pytest.mark.parametrize("cut", [0, 20, 200])
def test_a_truncated_archive_is_refused(tmp_path: Path, suffix: str, cut: int) -> None:
    arrays = {"images": PIXELS, "labels": LABELS}
    whole = write_npz(tmp_path / "whole.npz", **arrays) if suffix == "npz" else write_zip(tmp_path / "whole.zip")
    content = whole.read_bytes()
    (tmp_path / f"set.{suffix}").write_bytes(content[: len(content) // 2] if cut == 0 else content[:-cut])
    with pytest.raises(DataError, match="damaged"):
        ingest(tmp_path / f"set.{suffix}")


def test_a_member_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip")
    content = bytearray(path.read_bytes())
    content[80] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        ingest(path)


@pytest.mark.parametrize(
    ("options", "sides"),
    [({}, (9, 10, 11)), ({"size": 8, "fit": "resize"}, (8, 8, 8)), ({"size": 16, "fit": "pad"}, (16,) * 3)],
)
def test_volumes_of_an_npz_are_read_and_fitted(options: dict[str, Any], sides: tuple[int, ...], tmp_path: Path) -> None:
    volumes = np.random.default_rng(0).integers(0, 255, (12, 9, 10, 11), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=volumes, labels=np.arange(12) % 2)
    data = read(ImageSource(kind="images", path=str(tmp_path / "set.npz"), **options), seed=0).data
    assert isinstance(data, ImageSet)
    assert data.is_volumes
    assert data.images.shape == (12, 1, *sides)
    if not options:
        assert np.array_equal(data.images[:, 0], volumes)


@pytest.mark.parametrize(("key", "value"), [("size", 8), ("channels", "rgb")])
def test_volumes_that_do_not_fit_are_refused(key: str, value: object, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=np.zeros((12, 9, 10, 11), dtype=np.uint8), labels=np.arange(12) % 2)
    with pytest.raises(SynthgenError, match=f"source.{key}"):
        read(ImageSource(kind="images", path=str(tmp_path / "set.npz"), **{key: value}), seed=0)

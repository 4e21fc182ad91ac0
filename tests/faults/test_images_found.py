"""Cases 77 onwards: what random image sets found."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from synthgen.config import ImageSource
from synthgen.datasets import ImageSet
from synthgen.errors import DataError
from synthgen.exporters.png import encode_png
from synthgen.sources import read


def deep_colour(path: Path) -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 65_536, (24, 10, 12, 3), dtype=np.uint16)
    np.savez(path, train_images=images, train_labels=np.arange(24) % 2)
    return images


@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_77_images_of_16_bit_colour_are_fitted(tmp_path: Path, fit: str) -> None:
    deep_colour(tmp_path / "set.npz")
    source = ImageSource.model_validate({"kind": "images", "path": str(tmp_path / "set.npz"), "fit": fit, "size": 8})
    data = read(source, seed=0).data
    assert isinstance(data, ImageSet)
    assert (data.images.shape, data.images.dtype) == ((24, 3, 8, 8), np.uint16)
    assert data.images.max() > 32_768


def test_77_images_of_16_bit_colour_become_grey(tmp_path: Path) -> None:
    images = deep_colour(tmp_path / "set.npz")
    data = read(ImageSource(kind="images", path=str(tmp_path / "set.npz"), channels="grey"), seed=0).data
    assert isinstance(data, ImageSet)
    red, green, blue = np.moveaxis(images.astype(float), -1, 0)
    assert np.abs(data.images[:, 0] - (0.299 * red + 0.587 * green + 0.114 * blue)).max() <= 0.5


def test_77_files_of_16_bit_colour_are_not_cut(tmp_path: Path) -> None:
    images = deep_colour(tmp_path / "set.npz")
    for number, image in enumerate(images):
        path = tmp_path / "set" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(image.transpose(2, 0, 1), {}))
    data = read(ImageSource(kind="images", path=str(tmp_path / "set")), seed=0).data
    assert isinstance(data, ImageSet)
    expected = sorted(image.transpose(2, 0, 1).tobytes() for image in images)
    assert sorted(image.tobytes() for image in data.images) == expected


@pytest.mark.parametrize("names", [["a.png"], []])
def test_78_a_zip_without_class_folders_is_named_by_its_own_path(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    with pytest.raises(DataError, match=r"'set\.zip' has no class folders") as caught:
        read(ImageSource(kind="images", path=str(tmp_path / "set.zip")), seed=0)
    assert caught.value.where == str(tmp_path / "set.zip")

"""Image sets: class folders, given splits, npz, zip, manifests; and what is refused."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synthgen.config import ImageSource
from synthgen.datasets import ImageSet, Ingested
from synthgen.errors import ConfigError, DataError, SynthgenError
from synthgen.sources import read

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 255, shape, dtype=np.uint8)


def write_classes(root: Path, counts: dict[str, int], shape: tuple[int, ...] = (8, 8)) -> Path:
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(noise(*shape)).save(root / name / f"{number:03}.png")
    return root


def ingest(path: Path, *, split_column: str | None = None, **keys: object) -> Ingested:
    source = ImageSource.model_validate({"kind": "images", "path": str(path), **keys})
    return read(source, seed=0, split_column=split_column)


def the_images(ingested: Ingested) -> ImageSet:
    assert isinstance(ingested.data, ImageSet)
    return ingested.data


def test_folders_are_classes_and_files_beside_images_are_ignored(tmp_path: Path) -> None:
    write_classes(tmp_path, {"9": 5, "10": 6})
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "9" / "notes.txt").write_text("about")
    (tmp_path / "9" / ".DS_Store").write_bytes(b"x")
    ingested = ingest(tmp_path)
    images = the_images(ingested)
    assert (images.classes, images.images.shape, images.images.dtype) == (("9", "10"), (11, 1, 8, 8), np.uint8)
    assert images.labels.tolist() == ["10"] * 6 + ["9"] * 5
    first = np.asarray(Image.open(tmp_path / "10" / "000.png"))
    np.testing.assert_array_equal(images.images[0, 0], first)
    assert ingested.parts is None
    assert {problem["kind"] for problem in ingested.problems} == {"tiny_class"}


def test_top_folders_that_name_parts_are_the_split(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("val", 3), ("test", 4)):
        write_classes(tmp_path / part, {"cat": count, "dog": count})
    parts = ingest(tmp_path).parts
    assert parts is not None
    assert dict(zip(*np.unique(parts, return_counts=True), strict=True)) == {"holdout": 8, "train": 12, "valid": 6}


def test_one_folder_around_everything_is_looked_through(tmp_path: Path) -> None:
    write_classes(tmp_path / "set" / "images", {"cat": 5, "dog": 5})
    assert the_images(ingest(tmp_path)).classes == ("cat", "dog")


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("prefixes", "parts"),
    [(("train", "val", "test"), {"train", "valid", "holdout"}), (("train", "test"), {"train", "holdout"})],
)
def test_medmnist_npz_keeps_its_official_split(tmp_path: Path, prefixes: tuple[str, ...], parts: set[str]) -> None:
    arrays = {f"{prefix}_images": noise(20, 8, 8) for prefix in prefixes}
    labels = {f"{prefix}_labels": np.arange(20)[:, None] % 2 for prefix in prefixes}
    ingested = ingest(write_npz(tmp_path / "set.npz", **arrays, **labels))
    assert ingested.parts is not None
    assert set(ingested.parts.tolist()) == parts
    np.testing.assert_array_equal(the_images(ingested).images[:20, 0], arrays["train_images"])


def test_plain_npz_with_colour_and_text_labels_has_no_split(tmp_path: Path) -> None:
    pixels = noise(20, 8, 10, 3)
    ingested = ingest(write_npz(tmp_path / "set.npz", images=pixels, labels=np.asarray(["cat", "dog"] * 10)))
    assert (ingested.parts, the_images(ingested).classes) == (None, ("cat", "dog"))
    np.testing.assert_array_equal(the_images(ingested).images, np.moveaxis(pixels, -1, 1))


def test_sixteen_bit_arrays_stay_sixteen_bit(tmp_path: Path) -> None:
    pixels = noise(20, 8, 8).astype(np.uint16) * 200
    path = write_npz(tmp_path / "set.npz", images=pixels, labels=np.arange(20) % 2)
    assert (the_images(ingest(path)).images.dtype, the_images(ingest(path)).max_value) == (np.uint16, 65_535)


def zip_of(folder: Path, archive: Path, *, inside: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, inside + path.relative_to(folder).as_posix())
    return archive


@pytest.mark.parametrize("inside", ["", "set/"])
def test_a_zip_of_class_folders_equals_the_folder(tmp_path: Path, inside: str) -> None:
    folder = write_classes(tmp_path / "folder", {"cat": 5, "dog": 5})
    archive = zip_of(folder, tmp_path / "set.zip", inside=inside)
    assert ingest(archive).data.fingerprint() == ingest(folder).data.fingerprint()


def test_a_zip_of_an_npz_equals_the_npz(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    npz = write_npz(tmp_path / "folder" / "set.npz", images=noise(20, 8, 8), labels=np.arange(20) % 2)
    archive = zip_of(tmp_path / "folder", tmp_path / "set.zip")
    assert ingest(archive).data.fingerprint() == ingest(npz).data.fingerprint()


def write_manifest(root: Path, rows: pd.DataFrame) -> Path:
    rows.to_csv(root / "manifest.csv", index=False)
    return root / "manifest.csv"


def manifest_rows(root: Path) -> pd.DataFrame:
    write_classes(root, {"files": 12})
    return pd.DataFrame({
        "path": [f"files/{number:03}.png" for number in range(12)],
        "kind": ["cat", "dog"] * 6,
        "patient": ["p1", "p1", None, "p2", *["p3"] * 8],
        "split": ["train"] * 8 + ["test"] * 4,
    })  # fmt: skip


def test_a_manifest_gives_labels_groups_and_parts(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, manifest_rows(tmp_path))
    ingested = ingest(path, label="kind", group="patient", split_column="split")
    images = the_images(ingested)
    assert images.labels.tolist() == ["cat", "dog"] * 6
    assert images.groups is not None
    assert (images.groups[0] == images.groups[1], len(set(images.groups.tolist()))) == (True, 4)
    assert ingested.parts is not None
    assert ingested.parts.tolist() == ["train"] * 8 + ["holdout"] * 4


def test_mixed_sizes_name_their_range_and_are_fitted_when_asked(tmp_path: Path) -> None:
    write_classes(tmp_path, {"cat": 6}, (8, 30))
    write_classes(tmp_path, {"dog": 6}, (20, 10))
    with pytest.raises(DataError, match=r"10 to 30 wide and 8 to 20 high, in 2 sizes; one size is needed") as caught:
        ingest(tmp_path)
    assert caught.value.where == "source.fit"
    ingested = ingest(tmp_path, fit="resize", size=16)
    assert the_images(ingested).images.shape == (12, 1, 16, 16)
    assert "mixed_sizes" in {problem["kind"] for problem in ingested.problems}


def test_mixed_channels_are_refused_or_made_equal(tmp_path: Path) -> None:
    write_classes(tmp_path, {"cat": 6})
    write_classes(tmp_path, {"dog": 6}, (8, 8, 3))
    with pytest.raises(DataError, match="differ: 6 grey of 8 bits, 6 RGB of 8 bits"):
        ingest(tmp_path)
    assert the_images(ingest(tmp_path, channels="grey")).images.shape == (12, 1, 8, 8)
    assert the_images(ingest(tmp_path, channels="rgb")).images.shape == (12, 3, 8, 8)


def test_duplicates_are_remarked_and_an_image_under_two_labels_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path, {"cat": 12, "dog": 12})
    copy = (tmp_path / "cat" / "000.png").read_bytes()
    (tmp_path / "cat" / "copy.png").write_bytes(copy)
    assert [problem["message"] for problem in ingest(tmp_path).problems] == [
        "1 of 25 images repeat another one in every pixel"
    ]
    (tmp_path / "dog" / "copy.png").write_bytes(copy)
    with pytest.raises(DataError, match=r"1 of 24 different images of .* under more than one label"):
        ingest(tmp_path)


def spoil_empty_class(root: Path) -> None:
    (root / "cow").mkdir()


def spoil_nested(root: Path) -> None:
    write_classes(root / "cow", {"brown": 1})


def spoil_zero_bytes(root: Path) -> None:
    (root / "cat" / "bad.png").write_bytes(b"")


def spoil_cut_short(root: Path) -> None:
    content = (root / "cat" / "000.png").read_bytes()
    (root / "cat" / "bad.png").write_bytes(content[:-30])


def spoil_file_link(root: Path) -> None:
    (root.parent / "secret.png").write_bytes((root / "cat" / "000.png").read_bytes())
    (root / "cat" / "bad.png").symlink_to(root.parent / "secret.png")


def spoil_folder_link(root: Path) -> None:
    outside = write_classes(root.parent / "outside", {"cow": 6})
    (root / "cow").symlink_to(outside / "cow")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_empty_class, "class folder 'cow' is empty"),
        (spoil_nested, "class folder 'cow' holds folders, not images"),
        (spoil_zero_bytes, "image 'cat/bad.png' is empty"),
        (spoil_cut_short, "image 'cat/bad.png' is damaged or cut short"),
        (spoil_file_link, "cat/bad.png leads out of the folder 'set'"),
        (spoil_folder_link, "cow leads out of the folder 'set'"),
    ],
)
def test_a_spoilt_folder_names_the_place(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    root = write_classes(tmp_path / "set", {"cat": 6, "dog": 6})
    spoil(root)
    with pytest.raises(DataError, match=message):
        ingest(root)


@pytest.mark.parametrize(
    ("counts", "shape", "message"),
    [
        ({}, (8, 8), "has no class folders"),
        ({"cat": 12}, (8, 8), "one class only"),
        ({"cat": 3, "dog": 3}, (8, 8), "has 6 images, at least 10"),
        ({"cat": 6, "dog": 6}, (4, 4), "4 x 4 pixels; 8 to 128 a side"),
        ({"cat": 6, "dog": 6}, (8, 200), "200 x 8 pixels; 8 to 128 a side"),
    ],
)
def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path, counts: dict, shape: tuple, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ingest(write_classes(tmp_path, counts, shape))


def with_row(rows: pd.DataFrame, **cells: object) -> pd.DataFrame:
    return pd.concat([rows.iloc[:-1], rows.tail(1).assign(**cells)])


@pytest.mark.parametrize(
    ("change", "keys", "message"),
    [
        (lambda rows: with_row(rows, path="../files/000.png"), {}, "row 12: the path leads out"),
        (lambda rows: with_row(rows, path="files\\..\\..\\x.png"), {}, "row 12: the path leads out"),
        (lambda rows: with_row(rows, path="/etc/hostname"), {}, "row 12: the path leads out"),
        (lambda rows: with_row(rows, path="C:\\x.png"), {}, "row 12: the path leads out"),
        (lambda rows: with_row(rows, path="files/none.png"), {}, "row 12: there is no such file"),
        (lambda rows: with_row(rows, path="files/link.png"), {}, "row 12 leads out of the folder"),
        (lambda rows: with_row(rows, kind=None), {}, "column 'kind' of 'manifest.csv' is missing in 1 of 12 rows"),
        (lambda rows: rows, {"label": "knd"}, "label column 'knd' is not in 'manifest.csv' .* did you mean 'kind'"),
        (lambda rows: rows, {"path_column": "file"}, "path_column column 'file'"),
        (lambda rows: rows, {"split_column": "kind"}, "names no part in 12 of 12 rows"),
    ],
)
def test_a_manifest_with_a_mistake_names_the_row(tmp_path: Path, change: Callable, keys: dict, message: str) -> None:
    (tmp_path / "set").mkdir()
    rows = manifest_rows(tmp_path / "set")
    Image.fromarray(noise(8, 8)).save(tmp_path / "outside.png")
    (tmp_path / "set" / "files" / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(DataError, match=message):
        ingest(write_manifest(tmp_path / "set", change(rows)), **{"label": "kind", **keys})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"split_column": "split"}, "split.column is 'split', but only a manifest has columns"),
        ({"group": "patient"}, "source.group is 'patient', but only a manifest has columns"),
        ({"fit": "crop"}, "source.fit is 'crop', but source.size is not set"),
    ],
)
def test_keys_that_a_folder_cannot_honour_are_refused(tmp_path: Path, keys: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ingest(write_classes(tmp_path, {"cat": 6, "dog": 6}), **keys)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynthgenError, match="does not exist"):
        ingest(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []

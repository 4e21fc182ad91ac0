"""Cases 43-51 and 54-56: image files and sets of them, through every reader of images."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from synthgen import stages
from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet, Splits, load_data
from synthgen.exporters import emit_dataset, load_dataset
from synthgen.manifests import verify_manifest
from synthgen.workspace import Workspace

SECRET = "Zanzibar-4711"
FACTS = {"run_id": "r", "name": "demo", "verdict": "PASS", "passed": True, "data_sha256": "0", "created": "now"}
Refused = Callable[..., list[dict[str, Any]]]
Content = Mapping[str, bytes]


def picture(number: int, *, side: int = 16, mode: str = "L") -> Image.Image:
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def good(count: int = 24) -> dict[str, bytes]:
    """Images of two classes, by their path."""
    return {f"{'ab'[number % 2]}/{number:02}.png": encoded(picture(number)) for number in range(count)}


def folder(root: Path, files: Content) -> Path:
    for name, content in files.items():
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root / "images"


def archive(root: Path, files: Content) -> Path:
    with zipfile.ZipFile(root / "images.zip", "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return root / "images.zip"


def manifest(root: Path, files: Content) -> Path:
    base = folder(root, files)
    rows = pd.DataFrame({"path": list(files), "label": [name[0] for name in files]})
    rows.to_csv(base / "manifest.csv", index=False)
    return base / "manifest.csv"


READERS = {"folder": folder, "zip": archive, "manifest": manifest}
Reader = Callable[[Path, Content], Path]
every_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)


def config_of(path: Path, **source: object) -> dict[str, object]:
    return {"name": "x", "source": {"kind": "images", "path": str(path), **source}, "synthesizer": {"kind": "copies"},
            "plan": {"kind": "rows", "rows": 8}}  # fmt: skip


def config_file(path: Path, **source: object) -> Path:
    target = path.parent / "config.yaml"
    target.write_text(yaml.safe_dump(config_of(path, **source)), encoding="utf-8")
    return target


def stages_of(path: Path, space: Path, **source: object) -> tuple[Splits, ImageSet]:
    """The parts of the split and what a model draws, through the stages of a run."""
    config, workspace = parse_config(config_of(path, **source)), Workspace(space)
    splits = stages.split_data(config, workspace, stages.ingest(config, workspace))
    model = stages.fit(config, workspace, splits)
    curated = stages.curate_candidates(
        config, workspace, splits, model, stages.sample(config, workspace, splits, model)
    )
    synthetic = load_data(curated.directory / "synthetic")
    assert isinstance(synthetic, ImageSet)
    return Splits.load(splits.directory), synthetic


def all_images(splits: Splits) -> list[bytes]:
    return sorted(image.tobytes() for _, part in splits.parts() if isinstance(part, ImageSet) for image in part.images)


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(10_000)))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


DAMAGED = {
    "43-truncated-png": (cut(encoded(picture(0, side=64))), "is damaged or cut short"),
    "43-truncated-jpeg": (cut(encoded(picture(0, side=64), "JPEG")), "is damaged or cut short"),
    "43-truncated-tiff": (cut(encoded(picture(0, side=64), "TIFF")), "is damaged or cut short"),
    "43-truncated-bmp": (cut(encoded(picture(0, side=64), "BMP")), "is damaged or cut short"),
    "43-half-a-header": (encoded(picture(0))[:30], "is not a PNG, JPEG, TIFF or BMP image"),
    "44-zero-bytes": (b"", "is empty (zero bytes)"),
    "44-zeros": (bytes(5_000), "is not a PNG, JPEG, TIFF or BMP image"),
    "45-text": (SECRET.encode(), "is not a PNG, JPEG, TIFF or BMP image"),
    "51-million-pixels": (bomb(9_000, 9_000), "has more than 64 million pixels"),
    "51-two-billion-pixels": (bomb(50_000, 50_000), "has more than 64 million pixels"),
    "51-a-line": (bomb(2**31 - 1, 1), "has more than 64 million pixels"),
}


@every_reader
@pytest.mark.parametrize(("content", "sentence"), DAMAGED.values(), ids=DAMAGED)
def test_43_51_every_file_that_is_no_image_is_named(
    content: bytes, sentence: str, reader: Reader, refused: Refused, tmp_path: Path
) -> None:
    files = good() | {"a/00.png": content, "b/03.png": content}
    # The others have the size that a truncated file states, so that it is the damage that is told.
    wanted = {name: files[name] for name in files if name not in ("a/00.png", "b/03.png")}
    if "cut short" in sentence and len(content) > 100:
        wanted = {name: encoded(picture(place, side=64)) for place, name in enumerate(wanted)}
    path = reader(tmp_path, wanted | {"a/00.png": content, "b/03.png": content})
    problems = refused("check", config_file(path))
    assert len(problems) == 2
    names = ("manifest.csv row", "manifest.csv row") if reader is manifest else ("'a/00.png'", "'b/03.png'")
    for problem, name in zip(problems, names, strict=True):
        assert sentence in problem["problem"]
        assert name in problem["problem"]


@every_reader
def test_45_a_wrong_extension_is_read_by_its_first_bytes(reader: Reader, tmp_path: Path) -> None:
    kinds = ("PNG", "BMP", "TIFF")
    files = {f"{'ab'[number % 2]}/{number:02}.jpg": encoded(picture(number), kinds[number % 3]) for number in range(24)}
    splits, _ = stages_of(reader(tmp_path, files), tmp_path / "space")
    assert all_images(splits) == sorted(np.asarray(picture(number)).tobytes() for number in range(24))


MIXED = {"46-mixed-sizes": ({"a/00.png": encoded(picture(0, side=20))}, "16 to 20 wide and 16 to 20 high",
                            "source.fit"),
         "47-mixed-channels": ({"a/00.png": encoded(picture(0, mode="RGB"))}, "23 grey of 8 bits, 1 RGB of 8 bits",
                               "source.channels"),
         "48-mixed-depths": ({"a/00.png": encoded(Image.fromarray(np.full((16, 16), 40_000, dtype=np.uint16)))},
                             "23 grey of 8 bits, 1 grey of 16 bits", "source.channels")}  # fmt: skip


@every_reader
@pytest.mark.parametrize(("changed", "sentence", "where"), MIXED.values(), ids=MIXED)
def test_46_48_a_mixed_set_is_refused_with_the_key_that_helps(
    changed: Content, sentence: str, where: str, reader: Reader, refused: Refused, tmp_path: Path
) -> None:
    [problem] = refused("check", config_file(reader(tmp_path, good() | changed)))
    assert sentence in problem["problem"]
    assert problem["where"] == where


@every_reader
@pytest.mark.parametrize("fit", ["resize", "crop", "pad"], ids=lambda fit: f"46-{fit}")
def test_46_mixed_sizes_are_brought_to_one_as_asked(fit: str, reader: Reader, tmp_path: Path) -> None:
    path = reader(
        tmp_path, good() | {"a/00.png": encoded(picture(0, side=20)), "b/01.png": encoded(picture(1, side=9))}
    )
    splits, _ = stages_of(path, tmp_path / "space", fit=fit, size=12)
    assert {part.images.shape[1:] for _, part in splits.parts() if isinstance(part, ImageSet)} == {(1, 12, 12)}


@pytest.mark.parametrize("channels", ["grey", "rgb"], ids=lambda channels: f"47-{channels}")
def test_47_mixed_channels_are_brought_to_one_as_asked(channels: str, tmp_path: Path) -> None:
    path = folder(tmp_path, good() | {"a/00.png": encoded(picture(0, mode="RGB"))})
    splits, _ = stages_of(path, tmp_path / "space", channels=channels)
    assert isinstance(splits.train, ImageSet)
    assert splits.train.images.shape[1] == {"grey": 1, "rgb": 3}[channels]


def deep(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 65_535, (16, 16), dtype=np.uint16)


def deep_files(root: Path, kind: str) -> Path:
    if kind == "npz":
        root.mkdir()
        np.savez(root / "images.npz", images=np.stack([deep(n) for n in range(24)]), labels=np.arange(24) % 2)
        return root / "images.npz"
    files = {f"{'ab'[n % 2]}/{n:02}.{kind}": encoded(Image.fromarray(deep(n)), kind) for n in range(24)}
    return folder(root, files)


@pytest.mark.parametrize("target", ["folder", "npz", "dicom", "nifti"], ids=lambda target: f"to-{target}")
@pytest.mark.parametrize("kind", ["png", "tiff", "npz"], ids=lambda kind: f"48-from-{kind}")
def test_48_sixteen_bits_come_through_to_the_emitted_file(kind: str, target: str, tmp_path: Path) -> None:
    splits, synthetic = stages_of(deep_files(tmp_path / "in", kind), tmp_path / "space")
    emit_dataset(tmp_path / "out", splits, synthetic, purpose="augment", formats=[target], facts=FACTS)
    assert verify_manifest(tmp_path / "out")["image_dtype"] == "uint16"
    back = [load_dataset(tmp_path / "out", "torch", split=name) for name in ("train", "valid", "holdout")]
    pixels = [np.rint(part[row][0].numpy() * 65_535).astype(np.uint16) for part in back for row in range(len(part))]
    # The rows of train hold the copies too.
    assert {image.tobytes() for image in pixels} == {deep(number).tobytes() for number in range(24)}


def odd_mode(number: int, mode: str) -> Image.Image:
    image = picture(number, mode="RGB")
    return image.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize(("mode", "kind", "channels"),
                         [("P", "PNG", 3), ("CMYK", "TIFF", 3), ("RGBA", "PNG", 3), ("LA", "PNG", 1), ("1", "PNG", 1)],
                         ids=["49-palette", "49-cmyk", "49-alpha", "49-grey-alpha", "49-bilevel"])  # fmt: skip
def test_49_other_modes_are_read_as_grey_or_colour(mode: str, kind: str, channels: int, tmp_path: Path) -> None:
    files = {f"{'ab'[n % 2]}/{n:02}.png": encoded(odd_mode(n, mode), kind) for n in range(24)}
    splits, _ = stages_of(folder(tmp_path, files), tmp_path / "space")
    assert isinstance(splits.train, ImageSet)
    assert splits.train.images.shape[1:] == (channels, 16, 16)
    if mode == "RGBA":  # opaque, so nothing is lost
        expected = sorted(np.asarray(picture(n, mode="RGB")).transpose(2, 0, 1).tobytes() for n in range(24))
        assert all_images(splits) == expected


def sideways() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B], exif[0x010E] = 6, SECRET, SECRET  # orientation, artist, description
    return exif


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"], ids=lambda kind: f"50-{kind.lower()}")
def test_50_rotation_is_applied_and_metadata_stays_behind(kind: str, tmp_path: Path) -> None:
    images = [picture(number).resize((10, 16)) for number in range(24)]
    options = {"quality": 100} if kind == "JPEG" else {}
    files = {f"{'ab'[n % 2]}/{n:02}.x": encoded(image, kind, exif=sideways(), **options)
             for n, image in enumerate(images)}  # fmt: skip
    splits, synthetic = stages_of(folder(tmp_path / "in", files), tmp_path / "space")
    assert isinstance(splits.train, ImageSet)
    assert splits.train.images.shape[2:] == (10, 16)
    if kind != "JPEG":
        assert all_images(splits) == sorted(np.rot90(np.asarray(image), -1).tobytes() for image in images)
    emit_dataset(tmp_path / "out", splits, synthetic, purpose="augment", formats=[], facts=FACTS)
    emitted = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(emitted) > 24
    assert not [path for path in emitted if SECRET.encode() in path.read_bytes()]
    assert not [path for path in emitted if path.suffix == ".png" and dict(Image.open(path).getexif())]


def test_54_an_empty_class_folder_is_refused_by_name(refused: Refused, tmp_path: Path) -> None:
    path = folder(tmp_path, good())
    (path / "empty one").mkdir()
    [problem] = refused("check", config_file(path))
    assert problem["problem"] == "class folder 'empty one' is empty"


@every_reader
def test_55_the_same_image_under_two_labels_is_refused_with_the_count(
    reader: Reader, refused: Refused, tmp_path: Path
) -> None:
    files = good()
    # As another file: only the pixels are the same.
    twice = {"a/twin.png": encoded(picture(1), "BMP"), "b/twin.png": encoded(picture(0), "TIFF")}
    [problem] = refused("check", config_file(reader(tmp_path, files | twice)))
    assert "2 of 24 different images of" in problem["problem"]
    assert "under more than one label" in problem["problem"]


def test_55_the_same_image_under_two_labels_of_an_npz_is_refused(refused: Refused, tmp_path: Path) -> None:
    pixels = np.stack([np.asarray(picture(number % 12)) for number in range(24)])
    np.savez(tmp_path / "images.npz", images=pixels, labels=np.repeat([0, 1], 12))
    [problem] = refused("check", config_file(tmp_path / "images.npz"))
    assert "12 of 12 different images" in problem["problem"]


def smooth(number: int) -> np.ndarray:
    """Something like a photograph: coarse shapes, and no two alike."""
    coarse = np.random.default_rng(number).integers(40, 215, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC))


def retouched(number: int, how: str) -> bytes:
    pixels = smooth(number)
    if how == "brighter":
        return encoded(Image.fromarray((pixels.astype(np.float32) * 0.8 + 40).astype(np.uint8)))
    if how == "noisy":
        noise = np.random.default_rng(99).normal(0, 2, pixels.shape)
        return encoded(Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)))
    return encoded(Image.fromarray(pixels), "JPEG", quality=80)


@pytest.mark.parametrize("how", ["brighter", "noisy", "compressed"], ids=lambda how: f"56-{how}")
def test_56_near_duplicates_over_train_and_holdout_are_counted(
    how: str, ask: Callable[..., Any], tmp_path: Path
) -> None:
    files = {f"{part}/{'ab'[n % 2]}/{n:02}.png": encoded(Image.fromarray(smooth(n)))
             for n in range(60) for part in ["train" if n < 30 else "val" if n < 40 else "test"]}  # fmt: skip
    files |= {f"test/{'ab'[n % 2]}/again{n:02}.png": retouched(n, how) for n in range(5)}
    config = config_file(folder(tmp_path, files))
    problems = ask("check", config, "--json").json["problems"]
    [found] = [problem for problem in problems if problem["kind"] == "near_duplicates"]
    assert found["message"] == "5 of 25 images in holdout are near-duplicates of one in train"
    assert found["severity"] == "warning"
    for number in range(5):
        (tmp_path / "images" / "test" / "ab"[number % 2] / f"again{number:02}.png").unlink()
    assert "near_duplicates" not in {problem["kind"] for problem in ask("check", config, "--json").json["problems"]}

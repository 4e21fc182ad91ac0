"""Image sets that nobody thought of: 20 steps of training go through, or all ends with a clear error of ours."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.cli import _answer
from synthgen import stages
from synthgen.config_reading import load_config
from synthgen.datasets import ImageSet, Splits, load_data
from synthgen.errors import SynthgenError
from synthgen.exporters import emit_dataset, load_dataset
from synthgen.metrics import image_classifier
from synthgen.workspace import Workspace

MODES = ["L", "RGB", "RGBA", "LA", "P", "1", "I;16", "CMYK", "I", "F"]
SUFFIXES = ["png", "jpg", "tif", "bmp", "gif", "PNG", "jpeg", "webp", "txt"]
CLASSES = ["a", "b", "класс", "two words", "=x", ".hidden", "c" * 100]
DTYPES = ["uint8", "uint16", "bool", "int16", "int64", "float32", "uint32"]
FACTS = {"run_id": "r", "name": "demo", "verdict": "PASS", "passed": True, "data_sha256": "0", "created": "now"}


def pixels(kind: str, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
    """Noise, a few levels, or nothing at all, over the range of the type."""
    top = {"uint8": 255, "bool": 1, "float32": 1}.get(dtype, 4_000)
    levels = {"noise": 256, "few": 3, "constant": 1}[kind]
    values = rng.integers(0, levels, shape) / max(levels - 1, 1) * top
    if dtype == "float32" and kind == "few":
        values[..., 0] = np.nan
    return values.astype(dtype)


@st.composite
def sizes(draw: st.DrawFn, wild: bool) -> tuple[int, int]:
    """Height and width; all but the wild ones can be learnt."""
    side = st.integers(8, 20)
    if wild:
        side = st.one_of(side, st.sampled_from([1, 2, 7, 28, 40, 129]))
    return draw(side), draw(side)


def picture(mode: str, kind: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """An image in this mode."""
    if mode == "I;16":
        return Image.fromarray(pixels(kind, size, "uint16", rng))
    return Image.fromarray(pixels(kind, (*size, 3), "uint8", rng), "RGB").convert(mode)


@st.composite
def folders(draw: st.DrawFn, wild: bool) -> dict[str, bytes]:
    """Files by path: class folders of images that are alike, or differ in size and mode, and now and then no image."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mixed = wild and draw(st.booleans())
    mode = draw(st.sampled_from(MODES if wild else ["L", "RGB", "RGBA", "P", "I;16", "1"]))
    size, suffix = draw(sizes(wild)), draw(st.sampled_from(SUFFIXES if wild else ["png", "tif", "PNG"]))
    names = st.sampled_from(CLASSES if wild else [name for name in CLASSES if not name.startswith(".")])
    files: dict[str, bytes] = {}
    for name in draw(st.lists(names, min_size=1 if wild else 2, max_size=3, unique=True)):
        kind = draw(st.sampled_from(["noise", "noise", "few", "constant"] if wild else ["noise", "few"]))
        for number in range(draw(st.sampled_from([0, 1, 5, 12, 20, 30] if wild else [12, 20, 30]))):
            if mixed and rng.random() < 0.3:
                mode, size = str(rng.choice(MODES)), (int(rng.integers(1, 30)), int(rng.integers(1, 30)))
            files[f"{name}/{number}.{suffix}"] = encoded(picture(mode, kind, size, rng), suffix)
    if files and wild and draw(st.integers(0, 2)) == 0:
        victim = draw(st.sampled_from(sorted(files)))
        files[victim] = files[victim][: draw(st.integers(0, len(files[victim])))]
    return files


def encoded(image: Image.Image, suffix: str) -> bytes:
    """The bytes of the file; PNG where the format cannot hold the mode."""
    form = {"jpg": "JPEG", "tif": "TIFF", "txt": "PNG"}.get(suffix.lower(), suffix.upper())
    stream = io.BytesIO()
    try:
        image.save(stream, form)
    except (OSError, ValueError, KeyError):
        stream = io.BytesIO()
        (image.convert("RGB") if image.mode in ("CMYK", "F", "I") else image).save(stream, "PNG")
    return stream.getvalue()


@st.composite
def arrays(draw: st.DrawFn, wild: bool) -> dict[str, np.ndarray]:
    """The arrays of an npz: images and labels in MedMNIST's layout, or nearly."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(sizes(wild))
    odd = [(*size, 4), size[:1], ()] if wild else []
    shape = draw(st.sampled_from([size, (*size, 1), (*size, 3), (9, *size), (12, *size, 1), *odd]))
    dtype = draw(st.sampled_from(DTYPES if wild else DTYPES[:2]))
    kind = draw(st.sampled_from(["noise", "few", "constant"] if wild else ["noise", "few"]))
    label = draw(st.sampled_from(["int64", "uint8", "<U2", "float64", "bool"] if wild else ["int64", "uint8", "<U2"]))
    classes = draw(st.sampled_from([1, 2, 3] if wild else [2, 3]))
    odd_parts = [["test"], ["x"]] if wild else []
    found = {}
    for part in draw(st.sampled_from([["train"], ["train", "val", "test"], *odd_parts])):
        n = draw(st.sampled_from([0, 1, 6, 20, 40] if wild else [20, 40]))
        found[f"{part}_images"] = pixels(kind, (n, *shape), dtype, rng)
        codes = rng.permutation(n) % classes
        shorter = wild and draw(st.booleans())
        found[f"{part}_labels"] = codes.reshape((n, 1) if draw(st.booleans()) else n).astype(label)[: n - shorter]
    return found


@st.composite
def sets(draw: st.DrawFn) -> tuple[str, Any, dict[str, Any]]:
    """A folder, zip or npz, and what the config says of its images."""
    wild = draw(st.integers(0, 3)) == 0
    form = draw(st.sampled_from(["folder", "zip", "npz"]))
    content = draw(arrays(wild) if form == "npz" else folders(wild))
    options: dict[str, Any] = {}
    if draw(st.booleans()):
        options["fit"] = draw(st.sampled_from(["resize", "crop", "pad", *(["error"] if wild else [])]))
        options["size"] = draw(st.sampled_from([8, 12, 16, *([None] if wild else [])]))
    if draw(st.integers(0, 2)) == 0:
        options["channels"] = draw(st.sampled_from(["keep", "grey", "rgb"]))
    return form, content, options


def save(form: str, content: Any, folder: Path) -> Path:
    """The set as it lies on the disk."""
    if form == "npz":
        np.savez(folder / "set.npz", **content)
        return folder / "set.npz"
    if form == "zip":
        with zipfile.ZipFile(folder / "set.zip", "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return folder / "set.zip"
    (folder / "set").mkdir()
    for name, data in content.items():
        path = folder / "set" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return folder / "set"


def run_tiny(config_file: Path, folder: Path, *, measured: bool) -> None:
    """The stages of a run, and the dataset that it emits, read again."""
    config, space = load_config(config_file), Workspace(folder / "space")
    splits = stages.split_data(config, space, stages.ingest(config, space))
    model = stages.fit(config, space, splits)
    curated = stages.curate_candidates(config, space, splits, model, stages.sample(config, space, splits, model))
    rows = load_data(curated.directory / "synthetic")
    assert isinstance(rows, ImageSet)
    if measured:
        stages.evaluate(config, space, splits, curated)
    formats = ["npz"] if rows.is_volumes else ["folder", "npz"]
    parts = Splits.load(splits.directory)
    emit_dataset(folder / "data", parts, rows, purpose="augment", formats=formats, facts=FACTS)
    assert len(load_dataset(folder / "data", "torch", split="train")) == len(parts.train) + len(rows)


def survives(case: tuple[str, Any, dict[str, Any]], capsys: pytest.CaptureFixture[str], *, measured: bool) -> None:
    """Assert that `check` and a run end well, or with an error of ours."""
    form, content, options = case
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = {"kind": "images", "path": str(save(form, content, folder)), **options}
        synthesizer = {"kind": "image-gan", "budget_steps": 20, "batch_size": 8, "width": 4}
        raw = {"source": source, "synthesizer": synthesizer, "plan": {"kind": "ratio", "ratio": 0.5}}
        (folder / "config.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
        capsys.readouterr()
        code = _answer(["check", str(folder / "config.yaml"), "--json"])
        answer = json.loads(capsys.readouterr().out)
        assert code in (0, 2), answer
        if code == 2:
            event("refused by check")
            assert all(problem["problem"] and "\n" not in problem["problem"] for problem in answer["problems"])
            return
        try:
            run_tiny(folder / "config.yaml", folder, measured=measured)
            event("went through")
        except SynthgenError:
            event("refused by the run")


QUIET = [
    HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture,
    HealthCheck.large_base_example,
]  # fmt: skip


@pytest.fixture(autouse=True)
def _short_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_classifier, "JUDGE", image_classifier.Recipe(steps=3, batch_size=8))


@settings(max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
          suppress_health_check=QUIET)  # fmt: skip
@given(case=sets())
def test_any_images_are_learnt_or_refused(
    case: tuple[str, Any, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    survives(case, capsys, measured=False)


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
@settings(max_examples=500, deadline=None, suppress_health_check=QUIET, print_blob=True)
@given(case=sets())
def test_five_hundred_image_sets_are_learnt_and_measured_or_refused(
    case: tuple[str, Any, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    survives(case, capsys, measured=True)

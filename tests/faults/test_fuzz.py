"""Bytes changed at random in every kind of file that is read: it is read, or refused with an error of ours.

A few hundred in the default run. For an hour, or as long as SYNTHGEN_FUZZ_MINUTES says: `pytest -n0 -s -m nightly`.
"""

import io
import json
import os
import random
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines.drawing import Request, draw
from pipelines.overview import runs_table
from pipelines.rendering import files_trusted_to_be_whole
from synthgen.config import CartConfig, ImageSource, MarginalsConfig, TableSource
from synthgen.config_reading import load_config, parse_config
from synthgen.datasets import ImageSet, Schema, Splits, Table
from synthgen.errors import SynthgenError
from synthgen.exporters import emit_dataset, load_dataset
from synthgen.files import sha256_file, write_json
from synthgen.findings import Finding, Judgement, NotMeasured, Problem, Report, Verdict
from synthgen.reports.comparison import compared, load_side
from synthgen.runs import Run, find_run, list_runs
from synthgen.sources import read
from synthgen.synthesizers import create
from synthgen.synthesizers.model_files import _digest
from synthgen.workspace import Workspace

FACTS = {"run_id": "r", "name": "demo", "verdict": "PASS", "passed": True, "data_sha256": "0", "created": "now"}
CI_MUTATIONS = 25
TOKENS = (
    b"", b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b"[", b"]", b"{", b"}", b":", b",", b";", b"\n",
    b"\r", b"\t", b"-", b"NaN", b"Infinity", b"1e999", b"-1", b"0", b"null", b"true", b"!!python/object:os.system",
    b"&a *a",
    b"../", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00",
    b"99999999999999999999", b"PK\x03\x04", b"\x1f\x8b", b"PAR1", b"<script>",
)  # fmt: skip
VALUES = (
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    float("nan"),
    10**30,
    "",
    "x",
    "../x",
    "\ud800",
    [],
    [1],
    [[]],
    {},
    {"x": 1},
    "1" * 999,
)


@dataclass(frozen=True)
class Target:
    """A kind of file: `write` a good one to a folder and return it; `read` what a command reads of the folder."""

    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    change: Callable[[bytes, random.Random], bytes]


def changed_bytes(content: bytes, rng: random.Random) -> bytes:
    """One to four places overwritten, inserted, cut out, repeated, or cut off after."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed) + 1)
        length = rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(6):
            case 0 if changed:
                changed[min(place, len(changed) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                changed[place:place] = rng.choice(TOKENS)
            case 2:
                token = rng.choice(TOKENS)
                changed[place : place + len(token)] = token
            case 3:
                del changed[place : place + length]
            case 4:
                changed[place:place] = changed[place : place + 4 * length]
            case _ if rng.random() < 0.2:
                del changed[place:]
    return bytes(changed)


def changed_json(content: bytes, rng: random.Random) -> bytes:
    """One or two values of a JSON file replaced, removed or renamed; its form stays JSON."""
    if rng.random() < 0.2:
        return changed_bytes(content, rng)
    root = [json.loads(content)]
    for _ in range(rng.randint(1, 2)):
        places = list(_places(root))
        holder, key = rng.choice(places)
        match rng.randrange(4):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[rng.choice(("", "x", "kind", "path"))] = holder.pop(key)
            case 2 if isinstance(holder[key], list) and holder[key]:
                holder[key].pop()
            case _:
                holder[key] = deepcopy(rng.choice(VALUES))
    return json.dumps(root[0] if root else None).encode()


def _places(node: object) -> Iterator[tuple[dict | list, object]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield node, key
        yield from _places(value)


def changed_members(content: bytes, rng: random.Random) -> bytes:
    """Bytes inside one member of a zip changed, with a checksum that fits; or the archive itself."""
    if rng.random() < 0.3:
        return changed_bytes(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    victim = rng.choice(list(members))
    members[victim] = changed_bytes(members[victim], rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return packed.getvalue()


def changed_png(content: bytes, rng: random.Random) -> bytes:
    """A PNG whose chunks are changed, with checksums that fit."""
    changed, place = bytearray(changed_bytes(content, rng)), 8
    while place + 12 <= len(changed):
        end = place + 8 + int.from_bytes(changed[place : place + 4], "big")
        changed[end : end + 4] = zlib.crc32(changed[place + 4 : end]).to_bytes(4, "big") if end < len(changed) else b""
        place = end + 4
    return bytes(changed)


def table(rows: int = 40) -> Table:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=rows).round(2), "n": rng.integers(0, 9, rows), "c": rng.choice(["é", "b"], rows)}
    )
    frame["t"] = pd.date_range("2020-01-01", periods=rows)
    kinds = {"x": "numeric", "n": "integer", "c": "categorical", "t": "datetime", "class": "categorical"}
    return Table(frame.assign(**{"class": ["u", "v"] * (rows // 2)}), Schema(kinds, "class"))


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 255, (9, 9, 3), dtype=np.uint8)


def write_config(folder: Path) -> Path:
    text = """# a comment
name: demo
seed: 0
source: {kind: table, path: t.csv, label: class, ids: [], drop: [x], types: {n: numeric}}
split: {train: 0.6, valid: 0.2, holdout: 0.2}
synthesizer: {kind: ctgan, budget_minutes: 4}
plan: {kind: per_class, per_class: {u: 5}}
gates: [{metric: c2st_auc, at_most: 0.8, required: true}]
export: {formats: [parquet]}
"""
    (folder / "demo.yaml").write_text(text)
    return folder / "demo.yaml"


def write_image(suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        for number in range(12):
            path = folder / "set" / "uv"[number % 2] / f"{number}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels(number)).save(path)
        return path

    return write


def write_zip(folder: Path) -> Path:
    write_image(".png")(folder)
    with zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / "set").rglob("*.png")):
            archive.write(path, path.relative_to(folder / "set"))
    return folder / "set.zip"


def write_npz(folder: Path) -> Path:
    images = np.stack([pixels(number) for number in range(24)])
    labels = np.arange(12)[:, None] % 2
    parts = {"train_images": images[:12], "train_labels": labels, "test_images": images[12:], "test_labels": labels}
    np.savez_compressed(folder / "set.npz", **parts)
    return folder / "set.npz"


def write_manifest(folder: Path) -> Path:
    write_image(".png")(folder)
    rows = [(f"set/{'uv'[n % 2]}/{n}.png", "uv"[n % 2]) for n in range(12)]
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(folder / "m.csv", index=False)
    return folder / "m.csv"


def write_csv(folder: Path) -> Path:
    table().frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def write_parquet(folder: Path) -> Path:
    table().frame.to_parquet(folder / "t.parquet", index=False)
    return folder / "t.parquet"


def write_dataset(name: str, form: str = "csv") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        stack = np.stack([pixels(number).transpose(2, 0, 1) for number in range(12)])
        data = table() if form in ("csv", "parquet") else ImageSet(stack, np.arange(12) % 2, ("u", "v"))
        emit_dataset(folder / "data", Splits(data, data, data), data, purpose="augment", formats=[form], facts=FACTS)
        return folder / "data" / name

    return write


def load_all(folder: Path) -> None:
    for split in ("train", "valid", "synthetic"):
        load_dataset(folder / "data", split=split)
        load_dataset(folder / "data", "torch", split=split)


def write_model(name: str, kind: str = "marginals") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        config = MarginalsConfig(kind="marginals") if kind == "marginals" else CartConfig(kind="cart")
        create(config, table()).fit(table(), table(), np.random.default_rng(0)).save(folder / "model")
        return folder / "model" / name

    return write


def sampled(folder: Path) -> None:
    draw(Workspace(folder), str(folder / "model"), Request(5, (), (), seed=0), target=folder / "drawn.csv")


def sampled_as_signed(folder: Path) -> None:
    """As if somebody had written this model on purpose: its hash is right."""
    path = folder / "model" / "synthesizer.json"
    try:
        meta = json.loads(path.read_text("utf-8", "replace"))
        meta.pop("sha256", None)
        digest = _digest(meta, sha256_file(folder / "model" / "model.safetensors"))
        write_json(path, {**meta, "sha256": digest})
    except (ValueError, AttributeError, TypeError):
        pass
    sampled(folder)


def write_report(folder: Path) -> Path:
    findings = [
        Finding("c2st_auc", "fidelity", 0.6, 0.5, 0.7, 0.5, False, 90, None, {"worst_class": "u"}),
        Finding("validity", "fidelity", 1.0, 1.0, 1.0, None, True, 90),
    ]
    judgements = [
        Judgement("c2st_auc", "≤ 0.9", Verdict.PASS, True),
        Judgement("validity", "≥ 1", Verdict.FAIL, True, "r"),
    ]
    missing = [NotMeasured("tstr_gap", "utility", "none")]
    report = Report(
        Verdict.FAIL, findings, judgements, missing, [Problem("k", "m")], {"name": "d", "versions": {"a": "1"}}
    )
    for number in range(2):
        run = Run.create(Workspace(folder), parse_config({"source": {"kind": "builtin", "name": "wine"}}), str(number))
        run.update(state="finished", verdict="FAIL")
        (run.directory / "report").mkdir()
        write_json(run.directory / "report" / "report.json", report.to_json())
    return run.directory / "report" / "report.json"


def write_record(folder: Path) -> Path:
    return write_report(folder).parents[1] / "run.json"


def compare_all(folder: Path) -> None:
    space = Workspace(folder)
    runs_table(list_runs(space))
    names = [str(path.parent) for path in folder.glob("runs/*/*/run.json")]
    for name in names:
        find_run(space, name).record()
    with files_trusted_to_be_whole("both"):
        json.dumps(compared([load_side(space, name) for name in names]).to_json())


def images_in(name: str) -> Callable[[Path], object]:
    return lambda folder: read(ImageSource(kind="images", path=str(folder / name)), seed=0)


def table_in(name: str) -> Callable[[Path], object]:
    return lambda folder: read(TableSource(kind="table", path=str(folder / name), label="class"), seed=0)


TARGETS = {
    "config": Target(write_config, lambda folder: load_config(folder / "demo.yaml"), changed_bytes),
    "csv": Target(write_csv, table_in("t.csv"), changed_bytes),
    "parquet": Target(write_parquet, table_in("t.parquet"), changed_bytes),
    "npz": Target(write_npz, images_in("set.npz"), changed_members),
    "zip": Target(write_zip, images_in("set.zip"), changed_members),
    "image-manifest": Target(write_manifest, images_in("m.csv"), changed_bytes),
    "png": Target(write_image(".png"), images_in("set"), changed_png),
    "jpeg": Target(write_image(".jpg"), images_in("set"), changed_bytes),
    "tiff": Target(write_image(".tiff"), images_in("set"), changed_bytes),
    "bmp": Target(write_image(".bmp"), images_in("set"), changed_bytes),
    "dataset-manifest": Target(write_dataset("manifest.json"), load_all, changed_json),
    "dataset-manifest-of-parquet": Target(write_dataset("manifest.json", "parquet"), load_all, changed_json),
    "dataset-manifest-of-images": Target(write_dataset("manifest.json", "folder"), load_all, changed_json),
    "dataset-manifest-of-npz": Target(write_dataset("manifest.json", "npz"), load_all, changed_json),
    "dataset-file": Target(write_dataset("train.csv"), load_all, changed_bytes),
    "model-json": Target(write_model("synthesizer.json"), sampled, changed_json),
    "model-json-signed": Target(write_model("synthesizer.json"), sampled_as_signed, changed_json),
    "model-json-signed-cart": Target(write_model("synthesizer.json", "cart"), sampled_as_signed, changed_json),
    "model-tensors-signed": Target(write_model("model.safetensors"), sampled_as_signed, changed_bytes),
    "model-tensors": Target(write_model("model.safetensors"), sampled, changed_bytes),
    "report-json": Target(write_report, compare_all, changed_json),
    "run-json": Target(write_record, compare_all, changed_json),
}


@contextmanager
def good_file(target: Target, folder: Path) -> Iterator[tuple[Path, bytes]]:
    """The good file, which is read without a complaint."""
    path = target.write(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target.read(folder)
        yield path, path.read_bytes()


def complaint(target: Target, path: Path, content: bytes, folder: Path, seed: int) -> str:
    """What went wrong with one changed file; empty when it was read or refused."""
    path.write_bytes(target.change(content, random.Random(seed)))
    (folder / "drawn.csv").unlink(missing_ok=True)
    try:
        target.read(folder)
    except SynthgenError:
        return ""
    except Exception:
        return f"seed {seed}: {''.join(traceback.format_exc().splitlines(keepends=True)[-7:])}"
    return ""


@pytest.mark.parametrize("name", TARGETS)
def test_changed_bytes_are_read_or_refused(name: str, tmp_path: Path) -> None:
    with good_file(TARGETS[name], tmp_path) as (path, content):
        found = [complaint(TARGETS[name], path, content, tmp_path, seed) for seed in range(CI_MUTATIONS)]
    assert [text for text in found if text] == []


@pytest.mark.parametrize("change", [changed_bytes, changed_json, changed_members, changed_png])
def test_a_change_changes_something_and_is_the_same_for_the_same_seed(
    change: Callable[[bytes, random.Random], bytes], tmp_path: Path
) -> None:
    write = {changed_json: write_report, changed_members: write_npz, changed_png: write_image(".png")}
    content = write.get(change, write_csv)(tmp_path).read_bytes()
    different = [change(content, random.Random(seed)) for seed in range(20)]
    assert sum(item != content for item in different) >= 15
    assert different == [change(content, random.Random(seed)) for seed in range(20)]


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_an_hour_of_changed_bytes(tmp_path: Path) -> None:
    seconds = 60 * float(os.environ.get("SYNTHGEN_FUZZ_MINUTES", "60"))
    counts, found = dict.fromkeys(TARGETS, 0), []
    for name, target in TARGETS.items():
        folder = tmp_path / name
        folder.mkdir()
        ends, seed = time.monotonic() + seconds / len(TARGETS), CI_MUTATIONS
        with good_file(target, folder) as (path, content):
            while time.monotonic() < ends:
                text = complaint(target, path, content, folder, seed)
                found += [f"{name} {text}"] if text else []
                seed, counts[name] = seed + 1, counts[name] + 1
    print(f"\n{sum(counts.values()):,} changed files, {len(found)} unhandled: {counts}")
    assert found == []

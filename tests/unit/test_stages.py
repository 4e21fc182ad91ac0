"""What a stage is built from: the key of ingest, the model that fit begins with, and what counts as finished."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file

from synthgen.augmentation import finished_before, run_augmentation
from synthgen.config import RunConfig
from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet, Splits
from synthgen.errors import DataError, TrainingError
from synthgen.exporters import emit_dataset
from synthgen.files import read_json, write_json
from synthgen.runs import Run, list_runs
from synthgen.scans import Scan
from synthgen.stages import fit, ingest, split_data
from synthgen.workspace import Ref, Workspace

FACTS = {"run_id": "r1", "name": "v", "verdict": "PASS", "passed": True, "forced": False, "data_sha256": "ab"}


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)).save(path)


def manifest_of(folder: Path) -> Path:
    names = [f"images/{number}.png" for number in range(40)]
    for number, name in enumerate(names):
        picture(folder / name, number)
    labels = np.where(np.arange(40) % 2, "a", "b")
    pd.DataFrame({"path": names, "label": labels}).to_csv(folder / "list.csv", index=False)
    return folder / "list.csv"


def class_folders_of(folder: Path) -> Path:
    for number in range(40):
        picture(folder / "ab"[number % 2] / f"{number}.png", number)
    return folder


def volumes_of(folder: Path, *, counts_slices: bool) -> Path:
    def volumes(n: int, seed: int) -> ImageSet:
        pixels = np.random.default_rng(seed).integers(0, 900, (n, 1, 8, 9, 10)).astype(np.uint16)
        return ImageSet(pixels, np.arange(n, dtype=np.int64) % 2, ("a", "b"), scan=Scan("dicom", "uint16", 0, "CT"))

    parts = Splits(*(volumes(12, seed) for seed in range(3)))
    emit_dataset(folder / "dataset", parts, volumes(10, 3), purpose="augment", formats=["dicom"], facts=FACTS)
    index = folder / "dataset" / "index.parquet"
    if not counts_slices:
        pd.read_parquet(index).drop(columns="slices").to_parquet(index, index=False)
    return index


def images_config(path: Path) -> RunConfig:
    return parse_config({"source": {"kind": "images", "path": str(path)}, "synthesizer": {"kind": "image-gan"}})


@pytest.mark.parametrize("name", ["synthgen-workspace", ".space"])
@pytest.mark.parametrize("lay_out", [manifest_of, class_folders_of])
def test_a_workspace_and_a_config_beside_the_images_change_no_key(
    lay_out: Callable[[Path], Path], name: str, tmp_path: Path
) -> None:
    config, space = images_config(lay_out(tmp_path)), Workspace(tmp_path / name)
    refs = []
    for number in range(3):
        refs.append(ingest(config, space))
        (tmp_path / "run.yaml").write_text(str(number))
        (space.root / "mlflow.db").write_text(str(number))
    assert [ref.reused for ref in refs] == [False, True, True]
    assert len({ref.key for ref in refs}) == 1


@pytest.mark.parametrize(("lay_out", "file"), [(manifest_of, "images/7.png"), (class_folders_of, "b/7.png")])
def test_an_image_with_other_content_or_under_another_label_changes_the_key(
    lay_out: Callable[[Path], Path], file: str, tmp_path: Path
) -> None:
    path, space = lay_out(tmp_path / "data"), Workspace(tmp_path / "space")
    before = ingest(images_config(path), space).key
    picture(tmp_path / "data" / file, 99)
    changed = ingest(images_config(path), space).key
    if path.is_dir():
        (path / file).rename(path / "a" / "7.png")
    else:
        pd.read_csv(path).assign(label=["a", *"ab" * 19, "b"]).to_csv(path, index=False)
    assert len({before, changed, ingest(images_config(path), space).key}) == 3


@pytest.mark.parametrize("counts_slices", [True, False])
def test_every_slice_of_a_listed_volume_is_in_the_key(tmp_path: Path, counts_slices: bool) -> None:
    index, space = volumes_of(tmp_path, counts_slices=counts_slices), Workspace(tmp_path / "space")
    before = ingest(images_config(index), space)
    assert ingest(images_config(index), space).reused
    first = sorted(index.parent.rglob("*-0000.dcm"))[0]
    last = sorted(first.parent.glob(first.name.replace("0000", "*")))[-1]
    content = last.read_bytes()
    last.write_bytes(content[:-2] + bytes(255 - byte for byte in content[-2:]))
    assert ingest(images_config(index), space).key != before.key


@pytest.mark.parametrize("suffix", [".CSV", ".tsv", ".txt"])
def test_a_manifest_of_any_suffix_speaks_of_the_files_that_it_lists(suffix: str, tmp_path: Path) -> None:
    path, space = manifest_of(tmp_path), Workspace(tmp_path / "space")
    config = images_config(path.rename(path.with_suffix(suffix)))
    before = ingest(config, space).key
    picture(tmp_path / "images/7.png", 99)
    assert ingest(config, space).key != before


def test_a_listed_file_that_is_missing_is_named_by_its_row(tmp_path: Path) -> None:
    path, space = manifest_of(tmp_path), Workspace(tmp_path / "space")
    (tmp_path / "images/7.png").unlink()
    with pytest.raises(DataError, match=r"list\.csv row 8: there is no such file") as caught:
        ingest(images_config(path), space)
    assert caught.value.hint == "paths are relative to the manifest"


def test_a_source_that_is_gone_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"list\.csv' does not exist"):
        ingest(images_config(tmp_path / "list.csv"), Workspace(tmp_path / "space"))


def trained(config: RunConfig, space: Workspace, start: Path | None = None) -> Ref:
    return fit(config, space, split_data(config, space, ingest(config, space)), start=start)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("digits", {"kind": "image-gan", "batch_size": 8, "width": 4, "latent": 4, "augmentation": []}),
        ("wine", {"kind": "ctgan"}),
    ],
    ids=str,
)
def test_a_warm_start_reaches_the_training(name: str, settings: dict[str, object], tmp_path: Path) -> None:
    space, source = Workspace(tmp_path / "space"), {"kind": "builtin", "name": name}
    section = {**settings, "budget_steps": 2, "warm_start": True}
    cold = trained(parse_config({"source": source, "synthesizer": {**section, "budget_steps": 4}}), space)
    config = parse_config({"source": source, "synthesizer": section})
    refs = [trained(config, space), trained(config, space, cold.directory / "model")]
    weights = [load_file(ref.directory / "model" / "model.safetensors") for ref in refs]
    assert any(not np.array_equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert read_json(refs[1].directory / "model" / "synthesizer.json")["start"] == "warm"
    assert refs[0].key != refs[1].key


def digits(**changes: object) -> RunConfig:
    section = {"kind": "image-gan", "budget_steps": 2, "batch_size": 8, "width": 4, **changes}
    return parse_config({"name": "d", "source": {"kind": "builtin", "name": "digits"}, "synthesizer": section})


def up_to_fit(stage: Callable[..., Any], config: RunConfig, /, *args: Any, **named: Any) -> Any:
    if stage is fit:
        raise TrainingError("far enough")
    return stage(config, *args, **named)


def finished_run(config: RunConfig, space: Workspace) -> Run:
    """A run that recorded what it was made of, and is taken for finished."""
    with pytest.raises(TrainingError, match="far enough"):
        run_augmentation(config, space, call=up_to_fit)
    [stopped] = [record["run_dir"] for record in list_runs(space) if record["state"] != "finished"]
    run = Run(Path(stopped))
    run.update(state="finished")
    return run


def test_a_run_that_went_on_from_a_model_is_finished_until_that_model_is_replaced(
    tmp_path: Path, space: Workspace
) -> None:
    model = shutil.copytree(trained(digits(), space).directory / "model", tmp_path / "model")
    config = digits(init_from=str(model))
    run = finished_run(config, space)
    assert finished_before(config, space) == run
    (model / "more.json").write_text("{}")
    assert finished_before(config, space) is None
    shutil.rmtree(model)
    assert finished_before(config, space) == run


def test_a_run_of_before_that_names_no_hash_of_its_model_is_finished(tmp_path: Path, space: Workspace) -> None:
    model = shutil.copytree(trained(digits(), space).directory / "model", tmp_path / "model")
    run = finished_run(digits(init_from=str(model)), space)
    write_json(run.record_path, {key: fact for key, fact in run.record().items() if not key.startswith("init_from")})
    assert finished_before(digits(init_from=str(model)), space) == run


def test_a_run_without_an_earlier_model_is_finished(space: Workspace) -> None:
    run = finished_run(digits(), space)
    assert "init_from_sha256" not in run.record()
    assert finished_before(digits(), space) == run

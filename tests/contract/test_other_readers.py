"""What is emitted is read as it stands by other libraries: Hugging Face datasets, a torch and a MONAI training loop."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, WeightedRandomSampler

from synthgen.datasets import ImageSet, Schema, Splits, Table
from synthgen.errors import UsageError
from synthgen.exporters import emit_dataset, load_dataset

FACTS = {"run_id": "r1", "name": "demo", "verdict": "PASS", "passed": True, "forced": False, "data_sha256": "ab"}
SPLITS = ("train", "valid", "holdout", "synthetic")


def pictures(n: int, seed: int) -> ImageSet:
    """Class `b` is bright; one in four is of it."""
    rng = np.random.default_rng(seed)
    codes = (np.arange(n) % 4 == 0).astype(np.int64)
    images = rng.integers(0, 60, (n, 1, 8, 8)) + 150 * codes[:, None, None, None]
    return ImageSet(images.astype(np.uint8), codes, ("a", "b"))


def table(n: int, seed: int) -> Table:
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    frame = pd.DataFrame(
        {"size": size, "town": rng.choice(["Oslo", "Rome"], n), "ill": np.where(size > 0, "yes", "no")}
    )
    return Table(frame, Schema({"size": "numeric", "town": "categorical", "ill": "categorical"}, "ill"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "dataset"
    parts = Splits(pictures(40, 1), pictures(12, 2), pictures(16, 3))
    emit_dataset(folder, parts, pictures(20, 4), purpose="augment", formats=["folder"], facts=FACTS)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows") / "dataset"
    parts = Splits(table(40, 1), table(12, 2), table(16, 3))
    emit_dataset(folder, parts, table(20, 4), purpose="augment", formats=["parquet"], facts=FACTS)
    return folder


@pytest.fixture
def hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]  # a module
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return pytest.importorskip("datasets", reason="Hugging Face datasets is not installed: pip install 'synthgen[dev]'")


@pytest.mark.filterwarnings("ignore")  # of another library, in code of another library
def test_hugging_face_reads_tables(hugging_face, rows: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    files = {split: str(rows / f"{split}.parquet") for split in SPLITS}
    found = hugging_face.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert {split: len(found[split]) for split in found} == {"train": 60, "valid": 12, "holdout": 16, "synthetic": 20}
    for split in SPLITS:
        written = pd.read_parquet(rows / f"{split}.parquet")
        # All splits get the columns of train: the mark of made-up rows is empty in the others.
        pd.testing.assert_frame_equal(found[split].to_pandas()[list(written)], written)
    assert sum(found["train"]["synthetic"]) == 20


@pytest.mark.filterwarnings("ignore")  # of another library, in code of another library
def test_hugging_face_reads_image_folders_with_labels(hugging_face, images: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    files = {split: str(images / split / "**") for split in SPLITS}
    found = hugging_face.load_dataset("imagefolder", data_files=files, cache_dir=str(tmp_path / "cache"))
    index = pd.read_parquet(images / "index.parquet")
    for split in SPLITS:
        assert found[split].features["label"].names == ["a", "b"]
        wanted = index[index["split"] == split]["label"].value_counts().to_dict()
        names = pd.Series(found[split]["label"]).map({0: "a", 1: "b"})
        assert names.value_counts().to_dict() == wanted
        # The pixels belong to the label.
        bright = np.array([np.asarray(image).mean() for image in found[split]["image"]]) > 120
        assert (bright == (names == "b")).all()
    alone = hugging_face.load_dataset("imagefolder", data_dir=str(images / "train"), cache_dir=str(tmp_path / "cache"))
    assert len(alone["train"]) == 60


def test_a_torch_loop_learns_from_a_table_with_balanced_batches(rows: Path) -> None:
    train, holdout = load_dataset(rows, "torch"), load_dataset(rows, "torch", split="holdout")
    assert train.synthetic.tolist() == [False] * 40 + [True] * 20
    assert not holdout.synthetic.any()
    assert train.weights.mean() == pytest.approx(1)
    assert [train.weights[train.targets == code].sum() for code in (0, 1)] == pytest.approx([30, 30])
    generator = torch.Generator().manual_seed(0)
    sampler = WeightedRandomSampler(train.weights.tolist(), 600, generator=generator)
    weight = torch.zeros(2, 2, requires_grad=True)
    optimizer = torch.optim.SGD([weight], 0.5)
    for features, target in DataLoader(train, batch_size=20, sampler=sampler):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(features @ weight, target).backward()
        optimizer.step()
    features, target = next(iter(DataLoader(holdout, batch_size=16)))
    assert ((features @ weight).argmax(1) == target).float().mean() > 0.9


def test_changing_a_row_in_place_does_not_change_the_dataset(rows: Path) -> None:
    train = load_dataset(rows, "torch")
    before = train[0][0].clone()
    train[0][0].zero_()
    assert torch.equal(train[0][0], before)


def test_monai_takes_the_images_as_dictionaries(images: Path) -> None:
    items = load_dataset(images, "monai")
    assert items.classes == ("a", "b")
    assert len(items) == 60
    item = items[0]
    assert set(item) == {"image", "label", "synthetic"}
    assert (item["image"].shape, item["image"].dtype) == ((1, 8, 8), torch.float32)
    batch = next(iter(DataLoader(items, batch_size=60)))
    assert batch["synthetic"].sum() == 20
    assert ((batch["image"].mean((1, 2, 3)) > 0.45).long() == batch["label"]).all()


@pytest.mark.slow  # MONAI's import
@pytest.mark.filterwarnings("ignore")  # of another library, in code of another library
def test_monai_transforms_work_on_them(images: Path) -> None:
    from monai.data import Dataset
    from monai.transforms import Compose, RandFlipd, ScaleIntensityd

    changes = Compose([ScaleIntensityd(keys="image"), RandFlipd(keys="image", prob=1.0, spatial_axis=1)])
    item = Dataset(load_dataset(images, "monai", split="valid"), changes)[0]
    assert (float(item["image"].min()), float(item["image"].max())) == (0.0, 1.0)


def test_monai_is_for_images(rows: Path) -> None:
    with pytest.raises(UsageError, match="is for images"):
        load_dataset(rows, "monai")

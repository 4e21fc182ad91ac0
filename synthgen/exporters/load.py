"""Reading an emitted dataset, after its files were compared with the manifest."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import pandas as pd
import pyarrow as pa

from synthgen.datasets import Schema
from synthgen.errors import DataError, IntegrityError, UsageError, unknown_name
from synthgen.exporters.images import INDEX_NAME, read_npz
from synthgen.exporters.tables import read_csv
from synthgen.findings import Verdict
from synthgen.manifests import verify_manifest
from synthgen.remote import local_copy, shown
from synthgen.workspace import Workspace

if TYPE_CHECKING:
    from synthgen.exporters.torch_data import LabelledImages, LabelledTensors

KINDS = ("pandas", "torch", "monai")


@overload
def load_dataset(path: Path | str, kind: Literal["pandas"] = "pandas", *, split: str = "train") -> pd.DataFrame: ...


@overload
def load_dataset(path: Path | str, kind: Literal["torch"], *, split: str = "train") -> "LabelledTensors": ...


@overload
def load_dataset(path: Path | str, kind: Literal["monai"], *, split: str = "train") -> "LabelledImages": ...


def load_dataset(
    path: Path | str, kind: str = "pandas", *, split: str = "train"
) -> "pd.DataFrame | LabelledTensors | LabelledImages":
    """One part of an emitted dataset, its files verified; warns when the dataset did not pass its audit.

    Args:
        path: the dataset's folder, or the folder of the run that emitted it. Either may be an address such as
            `s3://`: it is copied to the workspace that SYNTHGEN_WORKSPACE names, or ./synthgen-workspace.
        kind: "pandas": a DataFrame of the rows, or of path, label, split and synthetic for images;
            "torch": a torch Dataset of (float32 features, class index), with `.classes`, `.targets`, `.synthetic` and
            `.weights`; "monai": a Dataset of dictionaries with `image`, `label` and `synthetic`.
        split: train (real and synthetic), valid, holdout or synthetic.

    Raises:
        IntegrityError: a file is not what the manifest says.
        UsageError: kind or split is not known, or the folder holds no dataset.
        DataError: nothing can be read at the address, or the run emitted no dataset.
    """
    if kind not in KINDS:
        raise UsageError(unknown_name("kind", kind, KINDS), where="load_dataset")
    with verified_dataset(local_copy(path, Workspace.at().downloads)) as (folder, manifest):
        if split not in manifest["parts"]:
            raise UsageError(unknown_name("split", split, manifest["parts"]), where=str(folder))
        _warn_unless_passed(manifest, shown(path))
        if kind != "pandas":
            from synthgen.exporters import torch_data  # torch costs seconds: only who asks for it pays

            if kind == "monai":
                return torch_data.labelled_images(folder, manifest, split)
            return torch_data.labelled_tensors(folder, manifest, split)
        if manifest["modality"] == "table":
            return read_table(folder, manifest, split)
        return read_index(folder, manifest, split)


@contextmanager
def verified_dataset(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folder and manifest of the dataset at this path, or of the run at this path, its files verified.

    Files have their hashes, the manifest has none: what it says of them may be anything, so what fails inside the
    block for that reason is an IntegrityError.
    """
    folder = _dataset_folder(path)
    manifest = verify_manifest(folder)
    try:
        yield folder, manifest
    except (ValueError, LookupError, TypeError, AttributeError, NotImplementedError, OSError, pa.ArrowException):
        message = "manifest.json does not describe the files beside it"
        raise IntegrityError(
            message, where=str(folder), hint="the run that emitted the dataset can emit it again"
        ) from None


def read_table(folder: Path, manifest: dict[str, Any], split: str) -> pd.DataFrame:
    """The rows of one part, types as they were."""
    if "parquet" in manifest["formats"]:
        return pd.read_parquet(folder / f"{split}.parquet")
    return read_csv(folder / f"{split}.csv", manifest["dtypes"][split])


def read_index(folder: Path, manifest: dict[str, Any], split: str) -> pd.DataFrame:
    """Path, label, split and synthetic of each image of one part; with only an npz, the position inside it too."""
    if "index.parquet" not in manifest["rows"]:
        return read_npz(folder, split)[1]
    index = pd.read_parquet(folder / INDEX_NAME)
    stated = {item["path"] for item in manifest["files"]}
    if not stated.issuperset(index["path"]):
        raise IntegrityError(f"{INDEX_NAME} names a file that is not in the manifest", where=str(folder))
    chosen = index[index["split"] == split].reset_index(drop=True)
    return chosen.assign(path=[str(folder / name) for name in chosen["path"]])


def schema_of(manifest: dict[str, Any]) -> Schema:
    """The schema of the widest table in the dataset."""
    return Schema.restore(cast("dict[str, Any]", manifest["schema"]))


def _dataset_folder(path: Path) -> Path:
    for folder in (path, path / "dataset"):
        if (folder / "manifest.json").exists():
            return folder
    if (path / "run.json").exists():
        raise DataError(
            f"the run in {str(path)!r} emitted no dataset",
            where=str(path),
            hint="report/report.html in that folder says why",
        )
    raise UsageError(f"{str(path)!r} holds no emitted dataset: manifest.json is not there", where=str(path))


def _warn_unless_passed(manifest: dict[str, Any], place: str) -> None:
    if manifest["verdict"] != Verdict.PASS:
        forced = ", and was emitted by force" if manifest.get("forced") else ""
        message = f"dataset {place!r} did not pass its audit: the verdict is {manifest['verdict']}{forced}"
        warnings.warn(message, UserWarning, stacklevel=3)

"""An emitted dataset as the classifier's material, after its files were compared with the manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthgen.datasets import Data, Table
from synthgen.errors import DataError
from synthgen.exporters.load import verified_dataset
from synthgen.exporters.restored import restored_part

# Fewer test rows cannot show a gain.
MIN_TEST_ROWS = 20


@dataclass(frozen=True)
class Material:
    """What an emitted dataset holds.

    Attributes:
        folder: of the dataset.
        train, valid, holdout: real rows.
        synthetic: the rows that were added to train.
    """

    folder: Path
    manifest: Mapping[str, Any]
    train: Data
    synthetic: Data
    valid: Data
    holdout: Data


def read_material(path: Path) -> Material:
    """The material of the dataset in this folder, or of the run in this folder.

    Raises:
        IntegrityError: a file is not what the manifest says.
        UsageError: the folder holds no dataset.
        DataError: the dataset has no real rows, no label, or too little to train and test a classifier.
    """
    with verified_dataset(path) as (folder, manifest):
        if "holdout" not in manifest["parts"]:
            message = "the dataset was emitted to be shared and holds no real rows, so there is nothing to test on"
            hint = "run the config with purpose: augment, or audit its rows with `synthgen audit`"
            raise DataError(message, where=str(folder), hint=hint)
        joined, synthetic = restored_part(folder, manifest, "train")
        real, made = (joined.take(np.flatnonzero(chosen)) for chosen in (~synthetic, synthetic))
        valid, holdout = (restored_part(folder, manifest, name)[0] for name in ("valid", "holdout"))
    material = Material(folder, manifest, real, made, valid, holdout)
    _require_learnable(material)
    return material


def _require_learnable(material: Material) -> None:
    train, where = material.train, str(material.folder)
    if isinstance(train, Table) and train.schema.label is None:
        raise DataError("the dataset has no label, so there is nothing to predict", where=where)
    if len(material.synthetic) == 0:
        raise DataError("the dataset has no synthetic rows, so there is nothing to compare", where=where)
    for name, part in (("train", train), ("valid", material.valid), ("holdout", material.holdout)):
        if len(set(part.labels.tolist())) < 2 or len(part) < MIN_TEST_ROWS:
            message = f"part {name!r} has {len(part)} rows; two classes and {MIN_TEST_ROWS} rows are needed"
            raise DataError(message, where=where)

"""A trained classifier as files that execute nothing: trees as UBJ, networks as safetensors, the rest as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
import xgboost
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from synthgen.datasets import ImageSet, Labels
from synthgen.errors import ModelError
from synthgen.files import read_json, write_json
from synthgen.metrics.classifiers import Ensemble, Scale
from synthgen.metrics.image_classifier import SmallConvNet, build_network, in_batches, pixels
from synthgen.metrics.table_features import Coding
from synthgen.stats import FloatArray

_META, _TREES, _WEIGHTS = "classifier.json", "trees.ubj", "network.safetensors"
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | np.ndarray[tuple[int, ...], np.dtype[np.uint16]]


class Learnt(Protocol):
    """What was trained: it gives probabilities, and can be written."""

    def probabilities(self, rows: Any) -> FloatArray:
        """Probability of each class for each row, float64 [n, classes]."""
        ...

    def save(self, directory: Path) -> dict[str, Any]:
        """Write the weights; what else is needed, JSON-ready."""
        ...


@dataclass(frozen=True)
class LearntTrees:
    """Boosted trees and how the rows of a table become numbers for them."""

    coding: Coding
    trees: Ensemble

    def probabilities(self, rows: pd.DataFrame) -> FloatArray:
        """Of a frame with the columns of training; unknown categories count as missing."""
        return self.trees.probabilities(self.coding.encode(rows).matrix())

    def save(self, directory: Path) -> dict[str, Any]:
        """Write trees.ubj."""
        self.trees.booster.save_model(directory / _TREES)
        scale = {"centre": self.trees.scale.centre.tolist(), "unit": self.trees.scale.unit.tolist()}
        known = {"kinds": list(self.trees.kinds), "classes": self.trees.classes, "rounds": self.trees.rounds}
        return {"kind": "trees", "coding": asdict(self.coding), "scale": scale, **known}

    @classmethod
    def load(cls, directory: Path, meta: dict[str, Any]) -> "LearntTrees":
        """What `save` wrote."""
        raw = meta["coding"]
        coding = Coding(tuple(raw["numeric"]), {name: tuple(known) for name, known in raw["categories"].items()})
        scale = Scale(*(np.asarray(meta["scale"][part], dtype=np.float64) for part in ("centre", "unit")))
        booster = xgboost.Booster(model_file=directory / _TREES)
        return cls(coding, Ensemble(booster, scale, meta["kinds"], meta["classes"], meta["rounds"]))


@dataclass(frozen=True)
class LearntNetwork:
    """A small convolutional network; shape: channels, then edge lengths of what it is shown, two or three."""

    network: SmallConvNet
    shape: tuple[int, ...]
    width: int

    def probabilities(self, rows: Pixels | torch.Tensor) -> FloatArray:
        """Of images uint8 or uint16 [n, c, *size], or of what `pixels` made of them."""
        if not isinstance(rows, torch.Tensor):
            rows = pixels(ImageSet(rows, np.zeros(len(rows), dtype=np.int64), ("",)))
        return in_batches(self.network, rows).softmax(1).double().numpy()

    def save(self, directory: Path) -> dict[str, Any]:
        """Write network.safetensors."""
        save_file(
            {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}, directory / _WEIGHTS
        )
        return {"kind": "network", "shape": self.shape, "width": self.width, "classes": self.network.head.out_features}

    @classmethod
    def load(cls, directory: Path, meta: dict[str, Any]) -> "LearntNetwork":
        """What `save` wrote."""
        shape = tuple(meta["shape"])
        blank = torch.empty((1, *shape))
        network = build_network(blank, meta["classes"], torch.Generator().manual_seed(0), width=meta["width"])
        network.load_state_dict(load_file(directory / _WEIGHTS))
        return cls(network.eval(), shape, meta["width"])


@dataclass(frozen=True)
class Classifier:
    """A classifier as it is deployed.

    Attributes:
        classes: names, in the order of the probabilities.
        weights: float64 [classes]; the class with the largest probability x weight is predicted.
        label: the column that it predicts; None for images.
    """

    learnt: Learnt
    classes: Sequence[str]
    weights: FloatArray
    label: str | None = None

    def predict(self, rows: pd.DataFrame | Pixels) -> Labels:
        """str [n]: the class of each row."""
        return self.decided(self.learnt.probabilities(rows))

    def decided(self, probabilities: FloatArray) -> Labels:
        """str [n]: the class that these probabilities, float64 [n, classes], lead to."""
        found: Labels = np.asarray(self.classes, dtype=np.str_)[(probabilities * self.weights).argmax(axis=1)]
        return found

    def save(self, directory: Path) -> None:
        """Write classifier.json and the weights."""
        directory.mkdir(parents=True, exist_ok=True)
        own = {"class_names": list(self.classes), "weights": self.weights.tolist(), "label": self.label}
        write_json(directory / _META, {**self.learnt.save(directory), **own})


def load_classifier(directory: Path) -> Classifier:
    """The classifier that was saved to this folder; raises ModelError when it is not whole."""
    try:
        meta = read_json(directory / _META)
        kind = LearntTrees if meta["kind"] == "trees" else LearntNetwork
        learnt: Learnt = kind.load(directory, meta)
        return Classifier(learnt, meta["class_names"], np.asarray(meta["weights"]), meta["label"])
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError, xgboost.core.XGBoostError):
        message = f"the classifier in {directory.name!r} is not whole: a file is missing or damaged"
        raise ModelError(message, where=str(directory), hint="`synthgen downstream` trains it again") from None

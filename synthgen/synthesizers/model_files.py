"""A fitted model on disk: synthesizer.json (kind and what JSON can hold) beside model.safetensors. Nothing executes."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from synthgen.errors import ModelError
from synthgen.files import read_json, sha256_file, write_json

Arrays = Mapping[str, npt.NDArray[Any]]
Item = TypeVar("Item")


def below(prefix: str, named: Mapping[str, Item]) -> dict[str, Item]:
    """What stands under names that begin with the prefix, by the rest of the name."""
    return {name.removeprefix(prefix): item for name, item in named.items() if name.startswith(prefix)}


def write_model(directory: Path, meta: Mapping[str, Any], arrays: Arrays) -> None:
    """Write both files; the JSON last, so that its existence means the model is complete."""
    directory.mkdir(parents=True, exist_ok=True)
    # safetensors writes the memory as it lies there: a transposed view would come back scrambled.
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, directory / "model.safetensors")
    tensors = sha256_file(directory / "model.safetensors")
    # As it will be read: JSON makes text of every key.
    plain = json.loads(json.dumps(dict(meta), default=str))
    write_json(directory / "synthesizer.json", {**plain, "sha256": _digest(plain, tensors)})


def read_model(directory: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """What `write_model` wrote; raises ModelError when a file is missing, broken, or not as it was written."""
    try:
        meta: dict[str, Any] = read_json(directory / "synthesizer.json")
        stated = meta.pop("sha256", None)
        if stated != _digest(meta, sha256_file(directory / "model.safetensors")):
            message = "saved model differs from its SHA-256: a file of it was changed or damaged"
            raise ModelError(message, where=str(directory), hint="train it again, or copy it again from where it was")
        return meta, load_file(directory / "model.safetensors")
    except (OSError, ValueError, SafetensorError, AttributeError, TypeError, RecursionError) as error:
        raise ModelError(f"saved model cannot be read: {error}", where=str(directory)) from None


def _digest(meta: Mapping[str, Any], tensors: str) -> str:
    """Hash over both files. It tells damage and mix-ups; who can write the folder can write the hash, too."""
    text = json.dumps([meta, tensors], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

"""A fitted model on disk: synthesizer.json (kind and what JSON can hold) beside model.safetensors. Nothing executes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from synthgen.errors import ModelError
from synthgen.runs import read_json, write_json

Arrays = Mapping[str, npt.NDArray[Any]]


def write_model(directory: Path, meta: Mapping[str, Any], arrays: Arrays) -> None:
    """Write both files; the JSON last, so that its existence means the model is complete."""
    directory.mkdir(parents=True, exist_ok=True)
    # safetensors writes the memory as it lies there: a transposed view would come back scrambled.
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, directory / "model.safetensors")
    write_json(directory / "synthesizer.json", dict(meta))


def read_model(directory: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """What `write_model` wrote; raises ModelError when a file is missing or broken."""
    try:
        meta: dict[str, Any] = read_json(directory / "synthesizer.json")
        return meta, load_file(directory / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"saved model cannot be read: {error}", where=str(directory)) from None

"""The saved model that a training goes on from."""

from collections.abc import Mapping
from pathlib import Path

from synthgen.config import SynthesizerConfig
from synthgen.files import sha256_path
from synthgen.runs import find_model
from synthgen.workspace import Workspace


def located(config: SynthesizerConfig, workspace: Workspace) -> SynthesizerConfig:
    """The configuration with the folder of that model, where it names a run; raises UsageError for an unknown run."""
    named = getattr(config, "init_from", None)
    return config if named is None else config.model_copy(update={"init_from": str(find_model(workspace, named))})


def origin_inputs(config: SynthesizerConfig) -> Mapping[str, str]:
    """What of that model decides the result; empty without one.

    Args:
        config: as `located` returns it.
    """
    folder = getattr(config, "init_from", None)
    return {} if folder is None else {"init_from": sha256_path(Path(folder))}

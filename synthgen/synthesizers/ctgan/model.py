"""`ctgan`: conditional tabular GAN (Xu 2019) over categorical codes, whose columns see the columns before them.

The label is the condition of the generator and not among its outputs: a row asked for with a label is a row generated
for that label. Every other column is a categorical code (encoding/), decoded to legal values.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from synthgen.config import CtganConfig
from synthgen.datasets import Index
from synthgen.device import best_device
from synthgen.errors import DataError
from synthgen.synthesizers.codes import Allowed, Arrays, CodeModel, CodeRows, Drawn, Layout
from synthgen.synthesizers.ctgan.assisting import call_for_help, material_of
from synthgen.synthesizers.ctgan.groups import Groups
from synthgen.synthesizers.ctgan.material import Material
from synthgen.synthesizers.ctgan.monitor import Judge, settle_batch_norm
from synthgen.synthesizers.ctgan.network import CodeGenerator, build_network
from synthgen.synthesizers.ctgan.private_budget import accounting
from synthgen.synthesizers.ctgan.private_moments import private_material
from synthgen.synthesizers.ctgan.start import Start
from synthgen.synthesizers.ctgan.training import State, Task, budget_of, train_networks
from synthgen.synthesizers.model_files import below
from synthgen.synthesizers.training_file import training_key
from synthgen.team import Team

# The moments of 8,192 levels take 270 MB, and training holds four of their kind.
_MAX_LEVELS = 8_192


class Ctgan:
    """The table GAN. Trains `budget_steps`, or as many as the rows ask for (`budget_of`); never beyond the minutes."""

    def __init__(self, config: CtganConfig) -> None:
        self.config = config
        self._network: CodeGenerator | None = None
        self._history: list[dict[str, float]] = []
        self._privacy: dict[str, Any] | None = None
        self._start: Start | None = None

    def begin_from(self, earlier: CodeModel, codes: Sequence[Index]) -> None:
        """Take the generator of the earlier GAN; the critic joins late and starts anew, as it does without one."""
        assert isinstance(earlier, Ctgan)
        assert earlier._network is not None
        self._start = Start(earlier._network, codes)

    @property
    def history(self) -> Sequence[dict[str, float]]:
        return self._history

    def fit(
        self, train: CodeRows, valid: CodeRows, layout: Layout, rng: np.random.Generator, *, checkpoint: Path | None
    ) -> Self:
        """Trains, going on from the checkpoint when it is one of the same data, config and seed.

        Raises:
            DataError: more levels than pairs of them fit into memory.
            TrainingError: training failed, and rolling back did not help.
        """
        _refuse_width(layout)
        team = Team.current() if self.config.dp is None else Team()
        if self.config.dp is None:
            material = material_of(train, layout.sizes, self.config, team)
        else:
            # From here on neither rows nor their number are known; new noise each time, so nothing to go on from.
            material = private_material(train, layout, self.config.dp, batch_size=self.config.batch_size)
            self._privacy = accounting(self.config.dp, layout)
            valid, checkpoint = valid.take(np.arange(0)), None
        seed = int(rng.integers(2**63))
        state = State.fresh(self.config, layout, material, torch.Generator(material.device).manual_seed(seed))
        began = self._begun(state)
        key = training_key(seed, (train, valid), self.config, began) if checkpoint else ""
        if checkpoint:
            state.resume(checkpoint, key)
        task = Task(material, self.config, Judge.of(valid, material, self.config.latent), team)
        call_for_help(state, train, layout, self.config, team)
        budget = budget_of(self.config, len(material.codes), is_warm="is_warm" in state.numbers)
        train_networks(state, task, budget, lambda now: _save_state(now, checkpoint, key))
        self._network = _kept(state, material, self.config.latent)
        self._history = state.history
        return self

    def _begun(self, state: State) -> Mapping[str, torch.Tensor] | None:
        """What training begins with, after the state was given it; None for a cold start."""
        if self._start is None:
            return None
        for network in (state.generator, state.average, state.best):
            self._start.give(network)
        # Among the numbers, which go into checkpoints and to the processes that help.
        state.numbers["is_warm"] = 1.0
        return self._start.tensors()

    def draw(self, classes: Index, allowed: Allowed, rng: np.random.Generator) -> Drawn:
        """Columns drawn in order, each given noise, class and the columns before it."""
        assert self._network is not None
        device = self._network.groups.offsets.device
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
        noise = torch.randn(len(classes), self.config.latent, generator=generator, device=device)
        drafts = self._network.sample(noise, classes, allowed, generator)
        return Drawn(drafts.codes.cpu().numpy(), drafts.log_weight.double().cpu().numpy())

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """The weights of the averaged generator."""
        assert self._network is not None
        weights = {f"network.{name}": t.cpu().numpy() for name, t in self._network.state_dict().items()}
        return {"history": self._history, "privacy": self._privacy}, weights

    def restore(self, layout: Layout, meta: Mapping[str, Any], arrays: Arrays) -> Self:
        """The GAN whose `state` this is."""
        device = best_device()
        size = (self.config.latent, self.config.width)
        groups = Groups.of(layout.sizes, device)
        network = build_network(layout, groups, size, torch.Generator(device), has_head=self.config.head)
        network.load_state_dict({name: torch.from_numpy(array) for name, array in below("network.", arrays).items()})
        self._network = network.eval().requires_grad_(False)
        self._history, self._privacy = list(meta["history"]), meta["privacy"]
        return self


def _kept(state: State, material: Material, latent: int) -> CodeGenerator:
    """The weights that did best on `valid`, or where nobody looked the last average."""
    if "has_best" in state.numbers:
        return state.best.eval()
    settle_batch_norm(state.average, material, latent, state.rng)
    return state.average


def _refuse_width(layout: Layout) -> None:
    if sum(layout.sizes) > _MAX_LEVELS:
        widest = int(np.argmax(layout.sizes))
        raise DataError(
            f"the columns have {sum(layout.sizes)} levels together, ctgan takes {_MAX_LEVELS}",
            where=layout.names[widest],
            hint=f"{layout.names[widest]!r} has {layout.sizes[widest]}: declare it as id, or group its rare values",
        )


def _save_state(state: State, checkpoint: Path | None, key: str) -> None:
    if checkpoint is not None:
        state.save(checkpoint, key)

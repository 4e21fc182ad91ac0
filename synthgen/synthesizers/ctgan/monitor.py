"""Watches training: faults are undone and answered, the best weights are kept, and a run past its best ends."""

import logging
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthgen.errors import TrainingError
from synthgen.synthesizers.codes import CodeRows
from synthgen.synthesizers.ctgan.groups import Groups
from synthgen.synthesizers.ctgan.losses import log_loss
from synthgen.synthesizers.ctgan.material import Material
from synthgen.synthesizers.ctgan.network import CodeGenerator
from synthgen.synthesizers.separability import code_auc
from synthgen.synthesizers.training_file import Parts

logger = logging.getLogger(__name__)

Fault = Literal["diverged", "stopped learning (its gradients vanished)", "collapsed (its rows are too much alike)"]

_MAX_ROLLBACKS = 3
# Of the error at the first tick, when columns are still nearly independent: more is worse than having learned nothing.
# And beyond a floor: where there is nothing to learn, the first error is 0.
_EXPLODED, _EXPLODED_FLOOR, _LEARNED = 3.0, 1.0, 0.1
_VANISHED_NORM, _COLLAPSED_DIVERSITY = 1e-7, 0.3
# The area of 1,500 rows moves by .01 by chance: within half of it the later weights, at a lower rate, are kept.
_TIE, _PATIENCE = 0.005, 3
# By how much the loss on `valid` may stand above its lowest, as a share of it.
_RECITES = 0.01
_MIN_ROWS, _MAX_ROWS, _NORM_BATCHES = 100, 1_500, 20


@dataclass(frozen=True)
class Health:
    """What a tick measures.

    Attributes:
        error: what the generator is trained to lower, without the critic's part.
        losses: by name; only their being numbers matters.
        gradient_norm: of the generator's last step.
        diversity: of drawn rows, relative to real ones.
        has_critic: whether the critic takes part already.
    """

    error: float
    losses: dict[str, float]
    gradient_norm: float
    diversity: float
    has_critic: bool

    def numbers(self) -> dict[str, float]:
        """By name, those that are finite: the history is JSON."""
        every = {**self.losses, "gradient_norm": self.gradient_norm, "diversity": self.diversity}
        return {name: value for name, value in every.items() if np.isfinite(value)}

    def fault(self, first_error: float) -> Fault | None:
        """What is wrong, judged against the error of the first tick."""
        if not np.isfinite([self.error, self.gradient_norm, *self.losses.values()]).all():
            return "diverged"
        # A collapse makes the error large, too.
        if self.diversity < _COLLAPSED_DIVERSITY:
            return "collapsed (its rows are too much alike)"
        if self.error > _EXPLODED * first_error + _EXPLODED_FLOOR:
            return "diverged"
        if self.gradient_norm < _VANISHED_NORM and self.error > _LEARNED * first_error:
            return "stopped learning (its gradients vanished)"
        return None


class Watched(Protocol):
    """A training as the monitors see it. `numbers`: what they found and changed."""

    rng: torch.Generator
    step: int
    numbers: dict[str, float]

    def parts(self) -> Parts:
        """All that training changes."""
        ...


class Rescue:
    """Holds the last good state and brings it back, three times at most."""

    def __init__(self, state: Watched) -> None:
        self.keep(state)

    def keep(self, state: Watched) -> None:
        """This state is good."""
        self._good = state.parts().copied()

    def is_ready(self, state: Watched, health: Health) -> bool:
        """Whether the state is good; else it is the last good one again, with a lower rate or critic weight.

        Steps and randomness go on: the same batches would lead to the same place.

        Raises:
            TrainingError: a fault after three rollbacks, before any weights were found good on `valid`.
        """
        if np.isfinite(health.error):
            state.numbers.setdefault("first_error", health.error)
        fault = health.fault(state.numbers.get("first_error", np.inf))
        if fault is None:
            self.keep(state)
            return True
        if state.numbers["rollbacks"] >= _MAX_ROLLBACKS:
            _give_up(state, fault)
            return False
        state.parts().fill(self._good)
        # A collapse is the critic's doing, everything else that of steps too long.
        answer = "critic_scale" if health.has_critic and fault.startswith("collapsed") else "rate_scale"
        state.numbers[answer] /= 2
        state.numbers["rollbacks"] += 1
        logger.warning("roll back step=%d reason=%r %s=%g", state.step, fault, answer, state.numbers[answer])
        return False


def _give_up(state: Watched, fault: Fault) -> None:
    state.numbers["is_over"] = 1.0
    if "has_best" not in state.numbers:
        raise TrainingError(
            f"training {fault} at step {state.step}, for the {_MAX_ROLLBACKS + 1}th time",
            where="synthesizer.learning_rate",
            hint="set a lower learning_rate, or critic_weight: 0",
        )
    logger.warning("stop training step=%d reason=%r kept=best-on-valid", state.step, fault)


@dataclass(frozen=True)
class Judge:
    """Compares drawn rows with `valid`; valid: at most 1,500 rows."""

    valid: CodeRows
    material: Material
    latent: int

    @classmethod
    def of(cls, valid: CodeRows, material: Material, latent: int) -> "Judge | None":
        """None when there are too few rows to tell anything."""
        # Evenly, not the first ones: files are often sorted.
        index = np.linspace(0, len(valid) - 1, min(len(valid), _MAX_ROWS)).astype(np.int64)
        return cls(valid.take(index), material, latent) if len(valid) >= _MIN_ROWS else None

    def check(self, state: Watched, average: CodeGenerator, best: CodeGenerator, *, is_late: bool) -> dict[str, float]:
        """What it found; `best` then holds the best weights so far, and numbers["is_over"] may be set.

        Best is, late in training, who is hardest to tell from `valid`; but never at the price of its likelihood: a
        model that begins to recite training rows is hard to tell, too. Early, likelihood alone decides.
        Randomness depends on seed and step alone: a run with checks is otherwise the run without.
        """
        rng = np.random.default_rng([state.rng.initial_seed() % 2**63, state.step])
        generator = torch.Generator(self.material.device).manual_seed(int(rng.integers(2**63)))
        settle_batch_norm(average, self.material, self.latent, generator)
        found = {} if average.head is None else {"valid_loss": self._loss(average, generator)}
        if is_late:
            found["valid_auc"] = self._auc(average, generator, rng)
        if _is_best(state.numbers, found):
            best.load_state_dict(average.state_dict())
            state.numbers |= {"has_best": 1.0, "checks_since_best": 0.0}
            return found
        state.numbers["checks_since_best"] += 1
        if state.numbers["checks_since_best"] >= _PATIENCE:
            state.numbers["is_over"] = 1.0
            logger.info("stop training step=%d reason=past-its-best", state.step)
        return found

    @torch.no_grad()
    def _loss(self, network: CodeGenerator, generator: torch.Generator) -> float:
        device = self.material.device
        codes = torch.from_numpy(self.valid.codes).to(device)
        condition = functional.one_hot(torch.from_numpy(self.valid.classes), network.class_count).float().to(device)
        noise = torch.randn(len(codes), self.latent, generator=generator, device=device)
        logits = network.given(network(noise, condition), codes, condition)
        return float(log_loss(network.groups, logits, codes))

    def _auc(self, network: CodeGenerator, generator: torch.Generator, rng: np.random.Generator) -> float:
        noise = torch.randn(len(self.valid), self.latent, generator=generator, device=self.material.device)
        codes = network.sample(noise, self.valid.classes, {}, generator).codes.cpu().numpy()
        return code_auc(self.valid, CodeRows(codes, self.valid.classes), rng)


def _is_best(numbers: dict[str, float], found: dict[str, float]) -> bool:
    """Whether these weights are to be kept; the lowest loss and area so far are noted."""
    loss, auc = found.get("valid_loss", 0.0), found.get("valid_auc")
    lowest = numbers["best_loss"] = min(loss, numbers.get("best_loss", loss))
    if auc is None:
        return loss <= lowest
    if loss > lowest * (1 + _RECITES):
        return False
    easiest = numbers["best_auc"] = min(auc, numbers.get("best_auc", auc))
    return auc <= easiest + _TIE


@torch.no_grad()
def settle_batch_norm(network: CodeGenerator, material: Material, latent: int, rng: torch.Generator) -> None:
    """Batch statistics of the averaged weights in evaluation mode: a row then does not depend on the rows beside it."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.reset_running_stats()
            layer.momentum = None
    network.train()
    for _ in range(_NORM_BATCHES):
        noise = torch.randn(material.batch_size, latent, generator=rng, device=material.device)
        network(noise, material.conditions)
    network.eval()


def diversity(drawn: Tensor, real: Tensor, groups: Groups) -> float:
    """How varied drawn codes int [n, columns] are beside as many real ones; 1 = as varied, 0 = one row again and again.

    The lower of two ratios: the entropy of the columns, and the number of distinct rows.
    """
    entropy = (_entropy(groups.one_hot(drawn)) + 1e-6) / (_entropy(groups.one_hot(real)) + 1e-6)
    return min(entropy, len(torch.unique(drawn, dim=0)) / len(torch.unique(real, dim=0)))


def _entropy(rows: Tensor) -> float:
    share = rows.mean(dim=0)
    return float(torch.special.entr(share).sum())

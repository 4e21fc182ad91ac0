"""The networks and the gradient of the discriminator's objective as compiled graphs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from synthgen.gan.networks import Discriminator, Generator
from synthgen.gan.penalties import Pairs, Penalty

# Loss with penalty and logits of (judge, pairs, penalty).
Objective = Callable[[Callable[..., Tensor], Pairs, Penalty | None], tuple[Tensor, Tensor]]
# Gradients by parameter, then loss and logits, of (parameters, images, codes, place, weight).
Learner = Callable[..., tuple[Mapping[str, Tensor], tuple[Tensor, Tensor]]]


@dataclass
class Graphs:
    """Each network in one graph, without a break that would wait for the device.

    Attributes:
        draw: what the generator does.
        judge: what the discriminator does.
    """

    generator: Generator
    discriminator: Discriminator
    objective: Objective
    backend: str | Callable[..., Any] = "inductor"
    draw: Callable[[Tensor, Tensor], Tensor] = field(init=False)
    judge: Callable[[Tensor, Tensor], Tensor] = field(init=False)
    _learners: dict[bool, Learner] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.draw = torch.compile(self.generator, fullgraph=True, backend=self.backend)
        self.judge = torch.compile(self.discriminator, fullgraph=True, backend=self.backend)

    def learn(self, pairs: Pairs, penalty: Penalty | None) -> tuple[Tensor, Tensor]:
        """Give every parameter of the discriminator that learns its gradient; the loss with penalty, and the logits."""
        # With and without the penalty are two graphs; which one is never asked inside.
        if (penalty is not None) not in self._learners:
            self._learners[penalty is not None] = self._learner(penalty)
        learner = self._learners[penalty is not None]
        learned = {name: p for name, p in self.discriminator.named_parameters() if p.requires_grad}
        # The gradient is taken by the graph itself, not by autograd, which would differentiate twice.
        values = {name: parameter.detach() for name, parameter in learned.items()}
        gradients, told = learner(values, pairs.images.detach(), pairs.codes, pairs.place, pairs.weight)
        for name, parameter in learned.items():
            # As the parameter lies in memory: the fused optimiser walks over both.
            parameter.grad = torch.empty_like(parameter).copy_(gradients[name])
        return told

    def _learner(self, penalty: Penalty | None) -> Learner:
        def told(
            parameters: dict[str, Tensor], images: Tensor, codes: Tensor, place: Tensor, weight: float
        ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            judge = partial(_judged, self.discriminator, parameters)
            value, logits = self.objective(judge, Pairs(images, codes, place, weight), penalty)
            return value, (value, logits)

        gradient: Learner = torch.func.grad(told, has_aux=True)
        compiled: Learner = torch.compile(gradient, fullgraph=True, backend=self.backend)
        return compiled


def _judged(network: Discriminator, parameters: dict[str, Tensor], images: Tensor, codes: Tensor) -> Tensor:
    logits: Tensor = functional_call(network, parameters, (images, codes))
    return logits

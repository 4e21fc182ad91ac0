"""Generator and discriminator: the body that the architecture names, with what all of them share around it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthgen.gan.architectures import ARCHITECTURES
from synthgen.gan.spec import CLASS_FEATURES, NetworkSpec


@dataclass(frozen=True)
class Phase:
    """How far the networks have been let in.

    Attributes:
        class_share: of the class signal, in [0, 1].
        missing: doublings that a growing architecture leaves out.
    """

    class_share: float = 1.0
    missing: float = 0.0


class Generator(nn.Module):
    """Images of the asked classes.

    Attributes:
        latent: normal numbers that an image is made of.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec, self.phase = spec, Phase()
        self.embedding = nn.Embedding(spec.classes, CLASS_FEATURES) if spec.is_conditional else None
        self.attributes = nn.ModuleList(nn.Embedding(len(levels), CLASS_FEATURES) for levels in spec.attributes)
        self.body = ARCHITECTURES[spec.architecture].generator(spec)
        self.latent = int(self.body.latent)  # type: ignore[arg-type]  # an attribute of a module is anything

    def forward(self, latent: Tensor, codes: Tensor) -> Tensor:
        """latent: float [n, `latent`]; codes: see `Batches` -> float [n, c, *size], in [-1, 1] unless they are maps."""
        label = latent.new_empty(len(latent), 0)
        if self.embedding is not None:
            # Scaled so that an element of the class vector is as large as one of z.
            told = _told([self.embedding, *self.attributes], codes)
            label = functional.normalize(told, dim=1) * math.sqrt(CLASS_FEATURES)
            label = label * self.phase.class_share
        images = cropped(self.body(latent, label), self.spec.size)
        return torch.tanh(images) if self.spec.maps is None else images

    def enter(self, phase: Phase) -> None:
        """Go on with this phase."""
        self.phase = _entered(self.body, phase)

    def get_extra_state(self) -> Tensor:
        """The phase: what is saved draws as it did when it was saved."""
        return _packed(self.phase)

    def set_extra_state(self, state: Tensor) -> None:
        """Enter the saved phase."""
        self.enter(_unpacked(state))


class Discriminator(nn.Module):
    """Logits of being real for the class; projection head. Source: Miyato 2018, arXiv:1802.05637."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.phase = Phase()
        self.body = ARCHITECTURES[spec.architecture].discriminator(spec)
        features = int(self.body.features)  # type: ignore[arg-type]  # an attribute of a module is anything
        self.realism = nn.Linear(features, 1)
        self.embedding = nn.Embedding(spec.classes, features) if spec.is_conditional else None
        self.attributes = nn.ModuleList(nn.Embedding(len(levels), features) for levels in spec.attributes)
        for embedding in filter(None, [self.embedding, *self.attributes]):
            nn.init.normal_(embedding.weight, std=features**-0.5)

    @property
    def layers(self) -> nn.ModuleList:
        """From the image inwards."""
        layers = self.body.layers
        assert isinstance(layers, nn.ModuleList)
        return layers

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        """images: float [n, c, *size], in [-1, 1] unless they are maps; codes: see `Batches` -> logits [n]."""
        h = self.body(images).flatten(2)  # [n, k, positions]
        # Divided by the root: logits keep their spread whatever the image size.
        h = h.sum(2) / math.sqrt(h.shape[2])  # [n, k]
        logits: Tensor = self.realism(h).squeeze(1)
        if self.embedding is not None:
            told = _told([self.embedding, *self.attributes], codes)
            logits = logits + (told * h).sum(1) * self.phase.class_share
        return logits

    def enter(self, phase: Phase) -> None:
        """Go on with this phase."""
        self.phase = _entered(self.body, phase)

    def get_extra_state(self) -> Tensor:
        """The phase."""
        return _packed(self.phase)

    def set_extra_state(self, state: Tensor) -> None:
        """Enter the saved phase."""
        self.enter(_unpacked(state))


def _told(embeddings: Sequence[nn.Module], codes: Tensor) -> Tensor:
    """The sum over class and attributes, [n, features]."""
    columns = codes.view(len(codes), -1).unbind(1)
    return torch.stack([embedding(column) for embedding, column in zip(embeddings, columns, strict=True)]).sum(0)


def _entered(body: nn.Module, phase: Phase) -> Phase:
    if hasattr(body, "missing"):
        body.missing = phase.missing  # type: ignore[assignment]  # stubs allow a module tensors and modules alone
    return phase


def _packed(phase: Phase) -> Tensor:
    return torch.tensor([phase.class_share, phase.missing], dtype=torch.float64)


def _unpacked(state: Tensor) -> Phase:
    class_share, missing = state.tolist()
    return Phase(class_share, missing)


def cropped(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """The middle of x [n, c, *any], of this size."""
    for axis, length in enumerate(size, start=2):
        x = x.narrow(axis, (x.shape[axis] - length) // 2, length)
    return x

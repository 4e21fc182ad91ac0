"""MONAI's own nets, trained as its GanTrainer trains them: the peer of benchmarks/images.py."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from synthgen.datasets import ImageSet, Labels
from synthgen.gan.spec import halvings

# (classes asked for, random numbers) -> images
Draw = Callable[[Labels, np.random.Generator], ImageSet]


def parameters(network: nn.Module) -> int:
    """Numbers that a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


class NaiveGenerator(nn.Module):
    """MONAI's Generator, told the class as one-hot numbers beside the latent."""

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        from monai.networks.nets import Generator

        super().__init__()
        strides, start = halvings(shape[1:], 7)
        widths = [16 * 2**level for level in range(len(strides))]
        channels = [*reversed(widths), shape[0]]
        self.classes = classes
        self.net = Generator((64 + classes,), (2 * channels[0], *start), channels, [*strides, 1])

    def forward(self, latent: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Images in [-1, 1]."""
        told_class = nn.functional.one_hot(codes, self.classes).float()
        return torch.tanh(self.net(torch.cat([latent, told_class], 1)))


class NaiveDiscriminator(nn.Module):
    """MONAI's Discriminator, told the class as constant planes."""

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        from monai.networks.nets import Discriminator

        super().__init__()
        self.classes = classes
        self.net = Discriminator((shape[0] + classes, *shape[1:]), (16, 32, 64), (2, 2, 2), last_act=None)

    def forward(self, images: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Logits."""
        planes = nn.functional.one_hot(codes, self.classes).float()
        planes = planes.view(*planes.shape, *[1] * (images.dim() - 2)).expand(-1, -1, *images.shape[2:])
        return self.net(torch.cat([images, planes], 1))


def train_monai(train: ImageSet, seconds: float, seed: int) -> tuple[Draw, dict[str, Any]]:
    """MONAI's nets in the loop of its GanTrainer: binary cross-entropy, Adam as in its tutorial."""
    torch.manual_seed(seed)
    shape, classes, batch = train.images.shape[1:], len(train.classes), 32
    generator, discriminator = NaiveGenerator(shape, classes), NaiveDiscriminator(shape, classes)
    optimisers = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (generator, discriminator)]
    before, shown, loader = time.process_time(), 0, monai_loader(train, batch)
    bce = nn.functional.binary_cross_entropy_with_logits
    while time.process_time() - before < seconds:
        for part in loader:
            real, codes = part["image"].as_tensor(), part["label"]
            fake = generator(torch.randn(batch, 64), codes)
            optimisers[1].zero_grad()
            right, wrong = discriminator(real, codes), discriminator(fake.detach(), codes)
            loss = (bce(right, torch.ones_like(right)) + bce(wrong, torch.zeros_like(wrong))) / 2
            loss.backward()
            optimisers[1].step()
            loss.item()
            fake = generator(torch.randn(batch, 64), codes)
            optimisers[0].zero_grad()
            judged = discriminator(fake, codes)
            loss = bce(judged, torch.ones_like(judged))
            loss.backward()
            optimisers[0].step()
            loss.item()
            shown += batch
            if time.process_time() - before >= seconds:
                break
    cpu_s = time.process_time() - before
    facts = {"cpu_s": cpu_s, "images_per_s": shown / cpu_s, "generator_parameters": parameters(generator)}
    return drawing_of(generator.eval(), train), {**facts, "rollbacks": 0}


def monai_loader(train: ImageSet, batch: int) -> Any:
    """Dictionary transforms behind a DataLoader, as in MONAI's tutorials."""
    from monai.data import DataLoader, Dataset
    from monai.transforms import Compose, EnsureTyped, ScaleIntensityRanged

    high = float(train.images.max())
    steps = [EnsureTyped(keys=["image"], dtype=torch.float32), ScaleIntensityRanged(["image"], 0, high, -1, 1)]
    rows = [{"image": image, "label": int(code)} for image, code in zip(train.images, train.codes, strict=True)]
    return DataLoader(Dataset(rows, Compose(steps)), batch_size=batch, shuffle=True, num_workers=0, drop_last=True)


def drawing_of(generator: NaiveGenerator, train: ImageSet) -> Draw:
    """Draws from MONAI's nets as from ours."""
    high = float(train.images.max())

    @torch.no_grad()
    def draw(labels: Labels, rng: np.random.Generator) -> ImageSet:
        codes = np.array([train.classes.index(name) for name in labels.tolist()], dtype=np.int64)
        latent = torch.from_numpy(rng.standard_normal((len(codes), 64)).astype(np.float32))
        parts = [generator(*pair) for pair in zip(latent.split(256), torch.from_numpy(codes).split(256), strict=True)]
        images = ((torch.cat(parts) + 1) / 2 * high).round().numpy().astype(train.images.dtype)
        return replace(train, images=images, codes=codes, groups=None)

    return draw

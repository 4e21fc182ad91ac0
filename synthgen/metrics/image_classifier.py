"""A small convolutional network: the judge of labels, the maker of features, the classifier of utility numbers."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from synthgen.datasets import ImageSet
from synthgen.device import best_device
from synthgen.metrics.image_augmentation import classic_augmentation
from synthgen.progress import counted

T = TypeVar("T")

FEATURES = 64
# Larger ones are averaged down for classifiers, by number of axes: a training at 64 px costs eight times as much.
CLASSIFIER_PX = {2: 32, 3: 16}
# Images that are made float at once: all of 100,000 large ones would not fit.
_BLOCK = 1_024
# Layers of images and of volumes.
LAYERS: Mapping[int, tuple[type[nn.Conv2d | nn.Conv3d], type[nn.BatchNorm2d | nn.BatchNorm3d]]] = {
    2: (nn.Conv2d, nn.BatchNorm2d),
    3: (nn.Conv3d, nn.BatchNorm3d),
}
Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained. One cycle of the learning rate (Smith 2018, arXiv:1803.09820), AdamW."""

    width: int = 16
    steps: int = 400
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    label_smoothing: float = 0.05


JUDGE = Recipe()


class SmallConvNet(nn.Module):
    """At least three convolutions down to 4 px, a layer of 64 features, logits. Any size, any channels, 2-D and 3-D."""

    def __init__(self, shape: Sequence[int], classes: int, *, width: int) -> None:
        super().__init__()
        channels, *sides = shape
        convolution, norm = LAYERS[len(sides)]
        halvings = max(math.ceil(math.log2(max(sides) / 4)), 0)
        strides = [1] * max(3 - halvings, 0) + [2] * halvings
        if len(sides) == 3:
            # A layer of whole volumes takes most of the time: halved first, and wider for it, 0.35x the CPU time at
            # 16 voxels, and as right (adrenals, three splits: .746 of the classes of valid images, before .745).
            strides, width = strides[::-1], width * 3 // 2
        layers: list[nn.Module] = [norm(channels, affine=False)]
        for level, stride in enumerate(strides):
            wider = width * min(2**level, 4)
            layers += [convolution(channels, wider, 3, stride, 1, bias=False), norm(wider), nn.ReLU()]
            channels = wider
        for _ in range(halvings):
            sides = [math.ceil(side / 2) for side in sides]
        self.convolutions = nn.Sequential(*layers)
        self.projection = nn.Linear(channels * math.prod(sides), FEATURES)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """float32 [n, 64], before the last non-linearity: nearer to a Gaussian than after it."""
        features: torch.Tensor = self.projection(self.convolutions(images).flatten(1))
        return features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, float32 [n, classes]."""
        logits: torch.Tensor = self.head(F.relu(self.features(images)))
        return logits


def pixels(data: ImageSet, *, at_most_px: Mapping[int, int] = CLASSIFIER_PX) -> torch.Tensor:
    """float32 [n, c, *size] in [-1, 1]; averaged so that the longest side has at most that many pixels.

    Args:
        at_most_px: by the number of axes, 2 of images and 3 of volumes.
    """
    sides = data.images.shape[2:]
    scale = at_most_px[len(sides)] / max(sides)
    blocks = [data.images[start : start + _BLOCK] for start in range(0, max(len(data), 1), _BLOCK)]
    images = (torch.from_numpy(block.astype(np.float32)).mul_(2 / data.max_value).sub_(1) for block in blocks)
    if scale >= 1:
        return torch.cat(list(images))
    size = [max(round(side * scale), 1) for side in sides]
    return torch.cat([F.interpolate(block, size=size, mode="area") for block in images])


def build_network(
    images: torch.Tensor, classes: int, generator: torch.Generator, *, width: int = Recipe.width
) -> SmallConvNet:
    """An untrained network for such images, on the GPU when there is one.

    Its weights come from the generator alone, a CPU's, whatever the device (He 2015, arXiv:1502.01852).
    """
    # On the meta device the layers' own initialisation draws nothing from the global random state.
    with torch.device("meta"):
        network = SmallConvNet(images.shape[1:], classes, width=width)
    network.to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.reset_parameters()
    return network.to(best_device())


def fit_classifier(
    images: torch.Tensor,
    codes: torch.Tensor,
    classes: int,
    generator: torch.Generator,
    *,
    recipe: Recipe,
    weights: torch.Tensor | None = None,
    augment: Augment | None = None,
) -> SmallConvNet:
    """A classifier trained for `recipe.steps` steps, in evaluation mode.

    Args:
        images: float32 [n, c, *size], see `pixels`.
        codes: int64 [n].
        weights: float [n], how often each image is drawn; None: all equally.
        augment: changes a batch of images.
        generator: of the CPU: batches and changes are the same whatever the device.
    """
    network = build_network(images, classes, generator, width=recipe.width).train()
    images, codes = images.to(best_device()), codes.to(best_device())
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.steps)
    drawn = recipe.steps * recipe.batch_size
    chances = torch.ones(len(images)) if weights is None else weights
    batches = torch.multinomial(chances, drawn, replacement=True, generator=generator).view(recipe.steps, -1)
    for rows in batches.to(best_device()):
        batch = images[rows] if augment is None else augment(images[rows], generator)
        loss = F.cross_entropy(network(batch), codes[rows], label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch 2.13 ships it without types
        optimizer.step()
        schedule.step()
    return network.eval()


def fit_judge(data: ImageSet, generator: torch.Generator) -> SmallConvNet:
    """A classifier of `pixels(data)`: every class drawn equally often, ordinary augmentation."""
    images, codes = pixels(data), torch.from_numpy(data.codes)
    weights = 1 / torch.bincount(codes).float()[codes]
    augment = partial(classic_augmentation, mirror=data.mirror_keeps_label)
    classes = len(data.classes)
    return fit_classifier(images, codes, classes, generator, recipe=JUDGE, weights=weights, augment=augment)


@torch.no_grad()
def in_batches(
    function: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, *, batch_size: int = 500
) -> torch.Tensor:
    """function(images) [n, ...] on the CPU, computed without gradient, a batch at a time where the networks are."""
    return torch.cat([function(batch.to(best_device())).cpu() for batch in torch.split(images, batch_size)])


def in_parallel(trainings: Sequence[Callable[[], T]]) -> list[T]:
    """Results of independent trainings in order, one training per core and one thread per training.

    Networks this small gain nothing from threads inside an operation; on busy cores those wait for each other
    (measured: 20 s for 400 steps in place of 4 s).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(min(os.cpu_count() or 1, len(trainings))) as pool:
            results = pool.map(lambda training: training(), trainings)
            return list(counted(results, "classifier", len(trainings)))
    finally:
        torch.set_num_threads(threads)


def torch_generator(rng: np.random.Generator) -> torch.Generator:
    """A torch stream that follows from a numpy stream."""
    return torch.Generator().manual_seed(int(rng.integers(2**63)))

"""What the image GAN makes of the hardware: images per second, their share of its limit, and images drawn and curated.

    python benchmarks/image_gpu.py steps --out image_gpu.jsonl
    python benchmarks/image_gpu.py curation --out image_gpu.jsonl
    python benchmarks/image_gpu.py steps --sizes 32 --batch-size 32 --seconds 5 --architectures dcgan    # a CPU

`steps` trains on noise at each size, as the steps come and compiled, and appends a line for each. Arithmetic is counted
by torch, over a whole cycle of the lazy penalty; the limit is the fastest product of two large matrices in the number
format of the training, measured in the same run. `curation` trains a model of sign_digits64 for a few steps, draws
images of 64 px from it and asks of each what curation asks. On the GPU when there is one. Data: ../shared/data or
SYNTHGEN_TEST_DATA.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from images import splits_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from synthgen.config import CurationConfig, ImageGanConfig
from synthgen.curation.selection import CurationRecord, Screen
from synthgen.datasets import ImageSet
from synthgen.device import best_device
from synthgen.gan.augment import Policy
from synthgen.gan.batches import Batches
from synthgen.gan.compiling import compile_networks
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.state import TrainingState
from synthgen.gan.steps import train_step, update_average
from synthgen.gan.training import trains_in_bfloat16
from synthgen.synthesizers.image_gan import ImageGan

CLASSES = 10
# Of the lazy penalty: a step with it and those without.
CYCLE = 4
MATRIX = {"cuda": 16_384, "cpu": 2_048}


class Counted(TorchDispatchMode):
    """Floating point operations by torch's formulas; its own counter follows modules, which double backward forbids."""

    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and add what it takes."""
        found = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.operations += formula(*args, **(kwargs or {}), out_val=found)
        return found


def main() -> None:
    """Measure, and append what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("steps", "curation"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--architectures", nargs="+", default=["residual", "dcgan"])
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--images", type=int, default=100_000, help="drawn and curated")
    parser.add_argument("--out", type=Path, default=Path("image_gpu.jsonl"))
    arguments = parser.parse_args()
    for line in steps(arguments) if arguments.what == "steps" else curation(arguments.images):
        hardware = torch.cuda.get_device_name() if best_device().type == "cuda" else platform.processor()
        with arguments.out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"hardware": hardware, **line}) + "\n")
        print(json.dumps(line), flush=True)


def steps(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One line for each size, architecture, and way to run."""
    device = best_device()
    is_short = trains_in_bfloat16(device, 2)
    limit = matrix_rate(device, torch.bfloat16 if is_short else torch.float32)
    for size in arguments.sizes:
        for architecture in arguments.architectures:
            for is_compiled in (False, True):
                config = ImageGanConfig(
                    kind="image-gan",
                    architecture=architecture,
                    space="pixels",
                    batch_size=arguments.batch_size,
                    compile=is_compiled,
                )
                with torch.autocast(device.type, torch.bfloat16, enabled=is_short):
                    rate, arithmetic = trained(config, (size, size), device, arguments.seconds)
                yield {
                    "px": size,
                    "architecture": architecture,
                    "compiled": is_compiled,
                    "batch_size": arguments.batch_size,
                    "format": "bfloat16" if is_short else "float32",
                    "images_per_s": rate,
                    "gflop_per_image": arithmetic / 1e9,
                    "limit_tflops": limit / 1e12,
                    "share_of_limit": rate * arithmetic / limit,
                }


def trained(config: ImageGanConfig, size: Sequence[int], device: torch.device, seconds: float) -> tuple[float, float]:
    """Images per second, and floating point operations per image."""
    spec = NetworkSpec(
        size=tuple(size),
        channels=3,
        classes=CLASSES,
        architecture=config.architecture,
        width=config.width,
        latent=config.latent,
    )
    state = TrainingState.initial(spec, config, policy=Policy(), seed=0, device=device)
    noise = np.random.default_rng(0).integers(0, 256, (4 * config.batch_size, 3, *size), dtype=np.uint8)
    data = ImageSet(noise, np.arange(len(noise)) % CLASSES, tuple(map(str, range(CLASSES))))
    batches = Batches.of(data, (0, 255), device)
    with Counted() as counted:
        cycle(state, batches, config)
    compile_networks(state, batches, config)
    cycle(state, batches, config)
    wait(device)
    cycles, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        cycle(state, batches, config)
        wait(device)
        cycles += 1
    images = CYCLE * config.batch_size
    return cycles * images / (time.perf_counter() - started), counted.operations / images


def cycle(state: TrainingState, batches: Batches, config: ImageGanConfig) -> None:
    """As many steps as the penalty takes to come round."""
    for state.step in range(CYCLE):
        train_step(state, batches, config)
        update_average(state, config)


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating point operations per second of the fastest of twenty products of square matrices."""
    n = MATRIX[device.type]
    left, right = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(20):
        with timed(device, seconds.append):
            left @ right
    return 2 * n**3 / min(seconds)


def curation(count: int) -> Iterator[dict[str, Any]]:
    """Seconds of everything that curation does to so many images."""
    device, splits = best_device(), splits_of("sign_digits64", 64, 0)
    train, valid, config = splits.train, splits.valid, CurationConfig()
    assert isinstance(train, ImageSet)
    gan = ImageGan(ImageGanConfig(kind="image-gan", budget_steps=200)).fit(train, valid, np.random.default_rng(0))
    spent: dict[str, float] = {}

    @contextmanager
    def part(name: str) -> Iterator[None]:
        with timed(device, lambda seconds: spent.__setitem__(name, seconds)):
            yield

    with part("draw"):
        drawn = gan.sample(count, None, np.random.default_rng(1))
    with part("bars"):
        screen = Screen.of(train, valid, config).looking(config, np.random.default_rng(2))
    with part("copies"):
        screen.copies(drawn, CurationRecord())
    with part("odd"):
        screen.odd(drawn, CurationRecord())
    yield {
        "images": count,
        "train": len(train),
        **{f"{name}_s": round(s, 2) for name, s in spent.items()},
        "total_s": round(sum(spent.values()), 2),
    }


@contextmanager
def timed(device: torch.device, tell: Callable[[float], None]) -> Iterator[None]:
    """Tell how many seconds the block took, on the device as well."""
    wait(device)
    started = time.perf_counter()
    yield
    wait(device)
    tell(time.perf_counter() - started)


def wait(device: torch.device) -> None:
    """Until the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()

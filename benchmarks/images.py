"""Every loss and architecture of the image GAN against MONAI's own nets and the published peer, at equal CPU time.

    python benchmarks/images.py run fashion_mnist_12k sign_digits64 --seconds 60 --seeds 0 1 2 --out images.jsonl
    python benchmarks/images.py table images.jsonl

`run` cuts each dataset by each seed, trains each arm for so many CPU seconds on one thread, and appends one line per
arm, judged on held-out images that nothing has seen; lines that are there are not made again. `table` prints Markdown:
the median over seeds. `monai-naive` does what MONAI's
GanTrainer does, step by step, with MONAI's Generator and Discriminator, DataLoader and transforms: the trainer itself
needs ignite, which is no dependency here. Data: ../shared/data or SYNTHGEN_TEST_DATA.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from images_monai import Draw, parameters, train_monai
from torch import nn

from synthgen.config import EVALUATION_SIZES, ImageGanConfig, ImageSource, ImageVaeConfig, SplitConfig
from synthgen.datasets import ImageSet, Ingested, Splits
from synthgen.findings import Finding
from synthgen.gan import training
from synthgen.gan.architectures import ARCHITECTURES
from synthgen.gan.losses import LOSSES
from synthgen.metrics import Evaluation, image_features, image_judges, measured
from synthgen.metrics.image_classifier import JUDGE, SmallConvNet, fit_classifier, fit_judge, in_batches, pixels
from synthgen.sources import read
from synthgen.splitting import split
from synthgen.stats import named_rng
from synthgen.synthesizers import descent
from synthgen.synthesizers.image_files import FittedGan
from synthgen.synthesizers.image_gan import ImageGan
from synthgen.synthesizers.image_vae import ImageVae

# Path below the data folder, and the edge lengths to train at; None keeps the file's.
DATASETS: Mapping[str, tuple[str, Sequence[int | None]]] = {
    "fashion_mnist_12k": ("fashion_mnist_12k/fashion_mnist_12k.npz", (None,)),
    "pneumoniamnist": ("pneumoniamnist/pneumoniamnist.npz", (None,)),
    "sign_digits64": ("sign_digits64", (32, 64, 128)),
    "wbc_tecom": ("wbc_tecom/images", (32, 128)),
    "adrenalmnist3d": ("adrenalmnist3d_64/adrenalmnist3d_64.npz", (16, 28, 64)),
}
ARMS: Mapping[str, Mapping[str, Any]] = {
    "ours": {},
    "monai-naive": {},
    "dcgan-wgan-gp": {
        "architecture": "dcgan",
        "loss": "wasserstein",
        "penalty": "gp",
        "discriminator_steps": 2,
        "space": "pixels",
    },
    # The settings of Gulrajani 2017, arXiv:1704.00028, without our averaging and augmentation.
    "wgan-gp-as-published": {
        "architecture": "dcgan",
        "loss": "wasserstein",
        "penalty": "gp",
        "discriminator_steps": 5,
        "learning_rate": 1e-4,
        "batch_size": 64,
        "ema_halflife_images": 1,
        "augmentation": (),
        "space": "pixels",
    },
    **{loss: {"loss": loss} for loss in LOSSES if loss != "relativistic"},
    **{name: {"architecture": name} for name in ARCHITECTURES if name != "dcgan"},
    "pixels": {"space": "pixels"},
    "latent": {"space": "latent"},
    "vae": {},
}
PEERS = ("monai-naive", "dcgan-wgan-gp", "wgan-gp-as-published")
METRICS = ("frechet_ratio", "class_agreement", "coverage", "near_copies")
MOST_IMAGES = 5_000


def main() -> None:
    """Run arms, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run")
    run_parser.add_argument("datasets", nargs="+", choices=DATASETS)
    run_parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds of training for each arm")
    run_parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    run_parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    run_parser.add_argument(
        "--sizes", type=int, nargs="+", help="only these edge lengths of a dataset that has several"
    )
    run_parser.add_argument("--out", type=Path, default=Path("images.jsonl"))
    table_parser = commands.add_parser("table")
    table_parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "table":
        table(read_lines(arguments.results))
    else:
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    """Append a line for each arm that has none."""
    torch.set_num_threads(1)
    image_features.fit_judge = image_judges.fit_judge = fit_judge_once
    for dataset in arguments.datasets:
        for edge in DATASETS[dataset][1]:
            if arguments.sizes and edge not in (None, *arguments.sizes):
                continue
            for seed in arguments.seeds:
                wanted = {"dataset": dataset, "px": edge, "seed": seed, "seconds": arguments.seconds}
                done = {line["arm"] for line in read_lines(arguments.out) if wanted.items() <= line.items()}
                missing = [arm for arm in arguments.arms if arm not in done]
                splits = splits_of(dataset, edge, seed) if missing else None
                trtr = real_accuracy(splits, seed) if splits else None
                for arm in missing:
                    assert splits is not None
                    measured_here = {**measure(arm, splits, arguments.seconds, seed), "trtr": trtr}
                    line = {**wanted, "machine": processor(), "arm": arm, **measured_here}
                    with arguments.out.open("a", encoding="utf-8") as stream:
                        stream.write(json.dumps(line) + "\n")
                    print(json.dumps(line), flush=True)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """What was measured so far; a line that a kill cut off is left out."""
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in whole if line.endswith("}")]


def processor() -> str:
    """What the system calls it."""
    told = Path("/proc/cpuinfo")
    names = [line for line in told.read_text().splitlines() if line.startswith("model name")] if told.exists() else []
    return names[0].partition(": ")[2] if names else platform.machine()


def splits_of(dataset: str, edge: int | None, seed: int) -> Splits:
    """Train, valid and holdout by this seed."""
    root = Path(os.environ.get("SYNTHGEN_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    path, rng = root / DATASETS[dataset][0], named_rng(seed, "split")
    if dataset == "adrenalmnist3d":
        assert edge is not None
        return split(Ingested(volumes_of(path, edge)), SplitConfig(), rng)
    resized = {} if edge is None else {"size": edge, "fit": "resize"}
    ingested = read(ImageSource(kind="images", path=str(path), **resized), seed=0)
    return split(replace(ingested, parts=None), SplitConfig(), rng)


def volumes_of(path: Path, edge: int) -> ImageSet:
    """Volumes averaged down to this edge length; masks of mostly zeros, which the reader takes for a zip bomb."""
    with np.load(path) as arrays:
        parts = [arrays[f"{part}_images"] for part in ("train", "val", "test")]
        codes = np.concatenate([arrays[f"{part}_labels"].ravel() for part in ("train", "val", "test")])
    small = [
        nn.functional.adaptive_avg_pool3d(torch.from_numpy(volume)[None].float(), edge).round().numpy()
        for part in parts
        for volume in part
    ]
    return ImageSet(np.stack(small).astype(np.uint8), codes.astype(np.int64), ("normal", "hyperplasia"))


def measure(arm: str, splits: Splits, seconds: float, seed: int) -> dict[str, Any]:
    """One arm, trained and judged."""
    train, holdout = splits.train, splits.holdout
    assert isinstance(train, ImageSet)
    assert isinstance(holdout, ImageSet)
    match arm:
        case "monai-naive":
            draw, facts = train_monai(train, seconds, seed)
        case "vae":
            draw, facts = train_vae(splits, seconds, seed)
        case _:
            draw, facts = train_ours(arm, splits, seconds, seed)
    rng = named_rng(seed, "sample")
    labels = holdout.labels
    evaluation = Evaluation(
        train=train,
        holdout=holdout,
        synthetic=draw(labels, rng),
        size=EVALUATION_SIZES["quick"],
        seed=seed,
    )
    found = {name: told(measured(evaluation, "images", name)) for name in METRICS}
    return {**facts, **found, "tstr": accuracy(draw(few(train, seed).labels, rng), holdout, seed)}


def real_accuracy(splits: Splits, seed: int) -> float:
    """What the classifier of `accuracy` reaches when it learns from real images."""
    assert isinstance(splits.train, ImageSet)
    assert isinstance(splits.holdout, ImageSet)
    return accuracy(few(splits.train, seed), splits.holdout, seed)


def few(train: ImageSet, seed: int) -> ImageSet:
    """At most 5,000 of the images, and the same for every arm."""
    return train.take(named_rng(seed, "tstr").permutation(len(train))[:MOST_IMAGES].astype(np.int64))


_JUDGES: dict[tuple[str, int], SmallConvNet] = {}


def fit_judge_once(data: ImageSet, generator: torch.Generator) -> SmallConvNet:
    """What `fit_judge` gives, kept: judges of real images are the same for every arm."""
    key = (data.fingerprint(), generator.initial_seed())
    if key not in _JUDGES:
        _JUDGES[key] = fit_judge(data, generator)
    return _JUDGES[key]


def told(finding: Any) -> dict[str, Any] | None:
    """The numbers of a finding; None when it was not measured."""
    if not isinstance(finding, Finding):
        return None
    return {
        "value": finding.value,
        "low": finding.low,
        "high": finding.high,
        "reference": finding.reference,
        "class": finding.detail.get("worst_class"),
        "mean": finding.detail.get("mean_difference"),
    }


def accuracy(train: ImageSet, test: ImageSet, seed: int) -> float:
    """Mean over classes of the share that a small network, trained on `train`, names rightly in `test`."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.from_numpy(train.codes)
    network = fit_classifier(pixels(train), codes, len(train.classes), generator, recipe=JUDGE)
    right = in_batches(network, pixels(test)).argmax(1).numpy() == test.codes
    return float(np.mean([right[test.codes == code].mean() for code in np.unique(test.codes)]))


def train_ours(arm: str, splits: Splits, seconds: float, seed: int) -> tuple[Draw, dict[str, Any]]:
    """A GAN of the registry."""
    gan = ImageGan(ImageGanConfig(kind="image-gan", budget_minutes=seconds / 60, **ARMS[arm]))
    speed = fitted_by_cpu_time(gan, splits, seed)
    fitted = gan._fitted()
    facts = {
        **speed,
        "generator_parameters": parameters(fitted.generator) + decoder_parameters(fitted),
        "rollbacks": fitted.history[-1].get("rollbacks", sum("rollbacks" in tick for tick in fitted.history)),
    }
    return lambda labels, rng: gan.sample(len(labels), labels, rng), facts


def train_vae(splits: Splits, seconds: float, seed: int) -> tuple[Draw, dict[str, Any]]:
    """The variational autoencoder as it comes."""
    vae = ImageVae(ImageVaeConfig(kind="image-vae", budget_minutes=seconds / 60))
    speed = fitted_by_cpu_time(vae, splits, seed)
    parts = vae._fitted()[0].named_parameters()
    made_by = sum(value.numel() for name, value in parts if name.startswith(("embedding", "net.decode")))
    return lambda labels, rng: vae.sample(len(labels), labels, rng), {**speed, "generator_parameters": made_by}


def fitted_by_cpu_time(model: ImageGan | ImageVae, splits: Splits, seed: int) -> dict[str, float]:
    """Train it, and say how long that took; its budget is one of CPU time: a busy machine takes longer, no less."""
    training.time = descent.time = SimpleNamespace(monotonic=time.process_time)
    before = time.process_time()
    model.fit(splits.train, splits.valid, np.random.default_rng(seed))
    cpu_s = time.process_time() - before
    return {"cpu_s": cpu_s, "images_per_s": model.history[-1]["images"] / cpu_s}


def decoder_parameters(fitted: FittedGan) -> int:
    """Numbers of what makes images of maps; 0 where the generator makes them itself."""
    if fitted.autoencoder is None:
        return 0
    return sum(value.numel() for name, value in fitted.autoencoder.named_parameters() if "decoder" in name)


COLUMNS: Sequence[tuple[str, Callable[[Mapping[str, Any]], float | None]]] = (
    ("images/s", lambda line: line["images_per_s"]),
    ("Fréchet ratio", lambda line: line["frechet_ratio"] and line["frechet_ratio"]["value"]),
    ("label agreement − real's", lambda line: line["class_agreement"] and line["class_agreement"]["value"]),
    ("of all classes", lambda line: line["class_agreement"] and line["class_agreement"].get("mean")),
    ("coverage", lambda line: line["coverage"] and line["coverage"]["value"]),
    ("near copies", lambda line: line["near_copies"] and line["near_copies"]["value"]),
    ("TSTR / TRTR", lambda line: line["tstr"] / line["trtr"]),
)


def table(lines: Sequence[Mapping[str, Any]]) -> None:
    """Print one table for each dataset, size, budget and machine, and one of `ours` over its peers."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for line in lines:
        groups.setdefault(tuple(line[name] for name in ("dataset", "px", "seconds", "machine")), []).append(line)
    for key, group in groups.items():
        print(f"\n{heading(*key)}\n")
        print(f"| arm | seeds | {' | '.join(name for name, _ in COLUMNS)} | worst class | generator |")
        print("|" + "---|" * (len(COLUMNS) + 4))
        for arm in dict.fromkeys(line["arm"] for line in group):
            print(row_of(arm, [line for line in group if line["arm"] == arm]))
    print(f"\n| `ours` over | {' | '.join(f'`{peer}`, distance' for peer in PEERS)} | `{PEERS[0]}`, images/s |")
    print("|" + "---|" * (len(PEERS) + 2))
    for key, group in groups.items():
        arms = {arm: {line["seed"]: line for line in group if line["arm"] == arm} for arm in ("ours", *PEERS)}
        if arms["ours"]:
            cells = [quotients(arms["ours"], arms[peer], frechet) for peer in PEERS]
            cells.append(quotients(arms["ours"], arms[PEERS[0]], lambda line: line["images_per_s"]))
            print(f"| {heading(*key)} | {' | '.join(cells)} |")


def heading(dataset: str, edge: int | None, seconds: float, machine: str) -> str:
    """What lines of one table have in common."""
    unit = "voxels" if dataset == "adrenalmnist3d" else "px"
    return f"{dataset}{f', {edge} {unit}' if edge else ''}, {seconds:g} CPU s, {machine}"


def frechet(line: Mapping[str, Any]) -> float:
    """Distance of the worst class over that of real images."""
    return float(line["frechet_ratio"]["value"])


def quotients(
    ours: Mapping[int, Mapping[str, Any]],
    peer: Mapping[int, Mapping[str, Any]],
    number: Callable[[Mapping[str, Any]], float],
) -> str:
    """Median over median, and each split's, of the splits that both were trained on."""
    splits = sorted(set(ours) & set(peer))
    if not splits:
        return "–"
    of_ours, of_peer = ([number(lines[seed]) for seed in splits] for lines in (ours, peer))
    each = ", ".join(f"{mine / other:.2f}" for mine, other in zip(of_ours, of_peer, strict=True))
    return f"{statistics.median(of_ours) / statistics.median(of_peer):.2f} ({each})"


def row_of(arm: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """Medians over seeds; the worst class of the Fréchet ratio, of each seed."""
    cells = []
    for _, number in COLUMNS:
        numbers = [value for value in map(number, lines) if value is not None]
        cells.append(f"{statistics.median(numbers):.3g}" if numbers else "–")
    worst = ", ".join(str(line["frechet_ratio"]["class"]) for line in lines if line["frechet_ratio"])
    return f"| `{arm}` | {len(lines)} | {' | '.join(cells)} | {worst} | {lines[0]['generator_parameters']:,} |"


if __name__ == "__main__":
    main()

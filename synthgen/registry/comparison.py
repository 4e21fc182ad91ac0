"""Whether a model is worse than another for what its rows are for, on the same real rows."""

from pathlib import Path

from synthgen.config import RunConfig
from synthgen.datasets import Data, Labels, Splits, Table
from synthgen.errors import ModelError
from synthgen.metrics import Evaluation
from synthgen.metrics.utility import augmentation, images
from synthgen.metrics.utility.controls import Gain
from synthgen.stats import named_rng
from synthgen.synthesizers import load_synthesizer, whole_model


def gain_over(config: RunConfig, splits: Splits, labels: Labels, *, candidate: Path, champion: Path) -> Gain:
    """Balanced accuracy on the holdout with rows of the candidate minus with rows of the champion, paired.

    Both models draw afresh, as many rows of each class, uncurated: what was curated once cannot be drawn again.
    For purpose `augment` the classifier learns from train besides; for `share` from the synthetic rows alone.

    Args:
        labels: str [n], the class of each row to draw.

    Raises:
        NotMeasurable: the holdout is too small, or nothing can be learnt.
        ModelError: a model does not draw rows of these columns and classes.
    """
    ours, theirs = (
        Evaluation(
            train=splits.train,
            holdout=splits.holdout,
            synthetic=_drawn(folder, labels, like=splits.train, seed=config.seed),
            size=config.evaluation_size,
            seed=config.seed,
        )
        for folder in (candidate, champion)
    )
    measured = augmentation.gain_between if isinstance(splits.train, Table) else images.gain_between
    return measured(ours, theirs, alone=config.purpose == "share")


def _drawn(folder: Path, labels: Labels, *, like: Data, seed: int) -> Data:
    with whole_model(folder):
        rows = load_synthesizer(folder).sample(len(labels), labels, named_rng(seed, "promote/sample"))
    if type(rows) is not type(like) or not _fits(rows, like):
        raise ModelError("the model draws rows of other columns or images of another size", where=str(folder))
    return rows


def _fits(rows: Data, like: Data) -> bool:
    if isinstance(rows, Table) and isinstance(like, Table):
        kinds = [{name: table.schema.kinds[name] for name in table.schema.modelled} for table in (rows, like)]
        return kinds[0] == kinds[1] and rows.schema.label == like.schema.label
    if isinstance(rows, Table) or isinstance(like, Table):
        return False
    return rows.images.shape[1:] == like.images.shape[1:]

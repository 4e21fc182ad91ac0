"""The classical control of a table report: sequential CART learns the same rows and is measured in the same way."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from synthgen.config import CartConfig, Profile, RunConfig
from synthgen.datasets import Data, class_counts, load_data, take_per_class
from synthgen.files import read_json, write_json
from synthgen.findings import Control, Finding, NotMeasured
from synthgen.metrics import METRICS, Evaluation, Modality, measured
from synthgen.metrics.evaluation import canonical
from synthgen.notifying import reason_of
from synthgen.shards import Compared
from synthgen.synthesizers import create
from synthgen.workspace import Ref, Workspace

logger = logging.getLogger(__name__)

# How faithful the rows are, and what they give away.
MEASURED: Sequence[str] = (
    "column_shapes", "pair_trends", "c2st_auc", "alpha_precision", "beta_recall", "excess_copies",
    "membership_tpr_at_1pct_fpr", "membership_share_of_leak",
)  # fmt: skip
_STAGE, _FILE, _KIND = "control", "control.json", "cart"
# Of train, and drawn: no profile compares more rows, and CART takes seconds for them.
_MOST_ROWS = 100_000


def has_control(modality: Modality, profile: Profile) -> bool:
    """Whether a report of this kind shows the control."""
    return modality == "table" and profile != "quick"


def cart_control(config: RunConfig, workspace: Workspace, splits: Ref, synthetic: Ref) -> Ref:
    """What CART scores where the synthetic rows were evaluated. Artifact: control.json.

    Of the synthetic rows only their number of each class counts: runs on the same splits share the control.
    """
    size = config.evaluation_size

    def write(out: Path) -> None:
        evaluation = Compared(splits.path, synthetic.path, size.profile, config.seed).evaluation()
        write_json(out / _FILE, asdict(control_of(evaluation)))

    counts = class_counts(load_data(synthetic.directory / "synthetic"))
    inputs = {"splits": splits, "classes": counts, "size": size.model_dump(), "seed": config.seed}
    return workspace.build(_STAGE, inputs, write)


def read_control(control: Ref) -> Control:
    """What `cart_control` found."""
    return Control.from_json(read_json(control.directory / _FILE))


def control_of(evaluation: Evaluation) -> Control:
    """What CART scores in place of the synthetic rows; where it fails, the reason: nothing else fails with it."""
    try:
        return _measured(evaluation, _with_cart(evaluation))
    except Exception as error:
        reason = f"CART failed on this table: {reason_of(error)}"
        logger.warning("skip control=%s reason=%s", _KIND, reason, extra={"note": f"no control: {reason}"})
        missing = [NotMeasured(name, METRICS["table"][name].family, reason) for name in MEASURED]
        return Control(_KIND, 0, len(evaluation.train), 0, len(evaluation.synthetic), [], missing)


def _with_cart(evaluation: Evaluation) -> Evaluation:
    """The evaluation with rows that CART has drawn in place of the synthetic ones."""
    logger.info("train control=%s", _KIND, extra={"stage": _STAGE, "state": "running", "step": f"train {_KIND}"})
    rng = evaluation.rng(_STAGE)
    train, like = (_at_most(part, rng) for part in (evaluation.train, evaluation.synthetic))
    model = create(CartConfig(kind="cart"), train).fit(train, train, rng)
    # A class that train does not have cannot be asked for. Sorted: the order of rows moves no number.
    labels = np.sort(like.labels[np.isin(like.labels, train.classes)])
    drawn = model.sample(len(labels), labels, rng)
    return replace(evaluation, train=train, synthetic=drawn, probe=None, canaries=None)


def _at_most(data: Data, rng: np.random.Generator) -> Data:
    """The data, or a sample with the same class frequencies."""
    counts, share = class_counts(data), min(1.0, _MOST_ROWS / max(1, len(data)))
    return take_per_class(canonical(data), {name: int(np.ceil(share * count)) for name, count in counts.items()}, rng)


def _measured(evaluation: Evaluation, drawn: Evaluation) -> Control:
    results = [measured(drawn, "table", name, stage=_STAGE) for name in MEASURED]
    findings = [item for item in results if isinstance(item, Finding)]
    missing = [item for item in results if isinstance(item, NotMeasured)]
    return Control(
        kind=_KIND,
        learnt_rows=len(drawn.train),
        train_rows=len(evaluation.train),
        drawn_rows=len(drawn.synthetic),
        synthetic_rows=len(evaluation.synthetic),
        findings=findings,
        not_measured=missing,
    )

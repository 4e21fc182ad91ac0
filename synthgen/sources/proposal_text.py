"""How a proposed config reads: every section of a run with its values and, above each, why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import yaml

from synthgen.config import EVALUATION_SIZES, AutoConfig
from synthgen.estimates import Size, estimate

# A verdict on images needs so many synthetic ones of a class.
IMAGES_PER_CLASS = 200
# The format that an empty `export.formats` means, and another.
_FORMATS: Mapping[str, str] = {
    "parquet": "parquet; csv is possible, too",
    "folder": "a folder of PNG files; npz is possible, too",
    "npz": "an npz in MedMNIST's layout; nifti is possible, too",
    "dicom": "DICOM, as they came; npz is possible, too",
    "nifti": "NIfTI, as they came; npz is possible, too",
}
# Classes whose sizes differ by less than this need no balancing.
EVEN = 1.2
FRAMEWORK_GB = 1.5
BYTES_COPIED = 12


@dataclass(frozen=True)
class Proposal:
    """What is proposed for one dataset.

    Attributes:
        content: what was found, "48,842 rows".
        source: the lines of the source section.
        split: remarks on the split, and the column that names it.
        train: rows of each class in the training part.
        size: of a table.
        megabytes, side: of images in memory, and pixels of their longer side.
        export_format: what the dataset is emitted as unless the config says otherwise.
    """

    path: Path
    content: str
    source: Sequence[str]
    split_remarks: Sequence[str]
    split_column: str | None
    train: Mapping[str, int]
    size: Size | None = None
    megabytes: float = 0.0
    side: int | None = None
    export_format: str = "parquet"

    @property
    def name(self) -> str:
        """Name of the run: the file's, in characters that a folder may have."""
        plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in self.path.stem)
        return plain.strip("-")[:64] or "run"

    @property
    def unit(self) -> str:
        return "rows" if self.side is None else "images"

    @property
    def budget_minutes(self) -> int:
        return 4 if self.side is None or self.side <= 32 else 15


def entry(key: str, value: object, *remarks: str) -> list[str]:
    """Lines of one key of a section, its remarks as comments above it."""
    return [*(line for remark in remarks for line in comment(remark)), f"  {key}: {scalar(value)}"]


def comment(remark: str) -> list[str]:
    """The remark as comment lines; a line break in the name of a column does not end the comment."""
    deeper = " " * (len(remark) - len(remark.lstrip()) + 2)
    return wrap(remark, 116, initial_indent="  # ", subsequent_indent="  # " + deeper, break_long_words=False)


def scalar(value: object) -> str:
    """The value as YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")


def class_line(counts: Mapping[str, int]) -> str:
    """The classes with count and share, the largest first; long lists cut."""
    total = sum(counts.values())
    largest = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name!r} {count:,} ({count / total:.1%})" for name, count in largest[:10])
    return f"{len(counts)} classes: {shown}{'' if len(counts) <= 10 else ', ...'}"


def render(proposal: Proposal) -> str:
    """The whole config as text."""
    plan = _plan_lines(proposal)
    sections = [_head(proposal), ["source:", *proposal.source], _split_lines(proposal), _training(proposal), plan]
    return "\n\n".join("\n".join(section) for section in [*sections, _rest(proposal)]) + "\n"


def _head(proposal: Proposal) -> list[str]:
    return [
        f"# {scalar(proposal.path.name)}: {proposal.content}. A proposal; change what you know better.",
        f"# Check it:  synthgen check {proposal.name}.yaml      Run it:  synthgen run {proposal.name}.yaml",
        *(line.removeprefix("  ") for line in comment(f"Expect {_expectation(proposal)}.")),
        f"name: {scalar(proposal.name)}",
        f"# The same seed gives the same split, the same model and the same {proposal.unit}.",
        "seed: 0",
        "# augment: feed a classifier inside the house; share: give synthetic data away, if the privacy gates allow.",
        "purpose: augment",
    ]


def _expectation(proposal: Proposal) -> str:
    if proposal.size is None:
        memory = FRAMEWORK_GB + BYTES_COPIED * proposal.megabytes / 1024
        return f"{proposal.budget_minutes} minutes of training, some of evaluation, and {memory:.1f} GB of memory"
    models = [AutoConfig(budget_minutes=proposal.budget_minutes)]
    return estimate(
        proposal.size, models, drawn_rows=_planned_rows(proposal), evaluation=EVALUATION_SIZES["quick"]
    ).text


def _split_lines(proposal: Proposal) -> list[str]:
    remarks = [line for remark in proposal.split_remarks for line in comment(remark)]
    shares = ["  train: 0.6", "  valid: 0.2", "  holdout: 0.2"]
    return ["split:", *remarks, *shares, f"  column: {scalar(proposal.split_column)}"]


def _training(proposal: Proposal) -> list[str]:
    if proposal.side is None:
        remark = "auto: autoregressive, ctgan, cart and tvae share the minutes; the best on the valid rows is kept."
    else:
        remark = "auto: image-gan."
    return [
        "synthesizer:",
        f"  # {remark}",
        "  # Baselines: copies, marginals.",
        "  kind: auto",
        f"  # More minutes make better {proposal.unit}; twice as many is worth a try when fidelity is INCONCLUSIVE.",
        f"  budget_minutes: {proposal.budget_minutes}",
        "  # null: only the minutes count.",
        "  budget_steps: null",
    ]


def _balance_share(counts: Mapping[str, int]) -> float | None:
    """To which share of the largest class the others are brought; None when the classes are even."""
    largest, smallest = max(counts.values()), max(1, min(counts.values()))
    if largest <= EVEN * smallest:
        return None
    return 1.0 if largest <= 20 * smallest else 0.25


def _planned_rows(proposal: Proposal) -> int:
    counts, total = proposal.train, sum(proposal.train.values())
    share = _balance_share(counts)
    if share is not None:
        return sum(max(0, round(share * max(counts.values())) - count) for count in counts.values())
    return total // 2 if proposal.side is None else max(total // 2, IMAGES_PER_CLASS * len(counts))


def _plan_lines(proposal: Proposal) -> list[str]:
    share, made, total = _balance_share(proposal.train), _planned_rows(proposal), sum(proposal.train.values())
    if share is not None:
        goal = (
            f"as many {proposal.unit} as the largest"
            if share == 1
            else f"a quarter of the largest; more would rest on too few real {proposal.unit}"
        )
        remark = f"Every class up to {goal}: about {made:,} synthetic beside {total:,} real training {proposal.unit}."
        return ["plan:", *comment(remark), "  kind: balance", f"  share: {share}"]
    if proposal.side is None:
        remark = f"The classes are even, so all of them grow by half: about {made:,} synthetic rows."
        return ["plan:", *comment(remark), "  kind: ratio", "  ratio: 0.5"]
    remark = f"The classes are even, so all of them grow; a verdict needs {IMAGES_PER_CLASS} synthetic images of each."
    return ["plan:", *comment(remark), "  kind: rows", f"  rows: {made}"]


def _rest(proposal: Proposal) -> list[str]:
    return [
        "curation:",
        "  # Whether candidates may be weighted until their statistics match the training rows; the valid rows decide.",
        "  calibrate: true",
        "  # Rows that nearly equal a training row are drawn again.",
        "  near_copies: drop",
        "  # Images that a classifier takes for another class, or that are unlike every real one, are drawn again.",
        "  labels: drop",
        "  outliers: drop",
        "",
        "evaluation:",
        f"  # quick: minutes; full: more {proposal.unit} and seeds, narrower intervals;"
        " release: before data leave the house.",
        "  profile: quick",
        "",
        "# Empty: the default gates. Replace one by, for example: - {metric: c2st_auc, at_most: 0.8, required: true}",
        "gates: []",
        "",
        "export:",
        f"  # Empty: {_FORMATS[proposal.export_format]}.",
        "  formats: []",
        "  # omit: synthetic rows have no id; regenerate: new ones in the format of the real ones.",
        "  ids: omit",
        "",
        "tracking:",
        "  # The MLflow experiment; null: the name of the run.",
        "  experiment: null",
        "",
        "promotion:",
        "  # Balanced accuracy that a new champion among the registered models may lose at most, at the low end.",
        "  margin: 0.01",
        "",
        "# none, or required: nothing is emitted before `synthgen approve RUN`.",
        "approval: none",
        "",
        "notify:",
        "  # An address, or $NAME of the environment variable that holds it; null: nobody is told.",
        "  webhook: null",
        "  # Of pass, inconclusive, fail, error, waiting (for approval).",
        "  events: [fail, error, waiting]",
    ]

"""`synthgen check`: what a run would do, without doing it."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid
from rich.text import Text

from pipelines.commands.options import err
from pipelines.problems import show_warnings
from synthgen.canaries import toss
from synthgen.config import RunConfig
from synthgen.curation.choice import candidates_of
from synthgen.curation.plan import planned_counts, present_classes
from synthgen.datasets import Data, Ingested, Splits, Table, load_data
from synthgen.estimates import Estimate, Size, announce, available_gb, estimate
from synthgen.exporters import chosen_formats
from synthgen.exporters.parts import require_free_mark
from synthgen.files import read_json
from synthgen.findings import Problem, Rule
from synthgen.gates import rules_of
from synthgen.metrics import Modality
from synthgen.remote import is_address
from synthgen.sources import read
from synthgen.splitting import split, split_problems
from synthgen.stages import ingest, modality_of, split_data, with_local_source
from synthgen.stats import named_rng
from synthgen.synthesizers import create
from synthgen.synthesizers.origin import located
from synthgen.workspace import Workspace

_MARKS = {"error": "[red]✗[/red]", "warning": "[yellow]![/yellow]", "info": "[dim]·[/dim]"}


@dataclass(frozen=True)
class Plan:
    """What `check` found."""

    name: str
    purpose: str
    shape: str
    columns: Mapping[str, Sequence[str]]
    classes: Mapping[str, Mapping[str, int]]
    synthesizer: str
    training: str
    expected: Estimate | None
    gates: Sequence[Rule]
    problems: Sequence[Problem]

    def to_json(self) -> dict[str, Any]:
        """The content of `check --json`."""
        return {**asdict(self), "gates": [{**asdict(rule), "text": rule.text} for rule in self.gates]}


def look(config: RunConfig, workspace: Workspace | None = None) -> Plan:
    """Read and split the data and lay out the run; raises what a run would raise before training.

    Args:
        workspace: where the run that `init_from` may name lies; None: as `Workspace.at` finds it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source = with_local_source(config, Path(scratch)).source
        ingested = read(source, seed=config.seed, split_column=config.split.column)
        # A model behind an address is not kept: nothing is to be written.
        is_far = is_address(getattr(config.synthesizer, "init_from", None) or "")
        synthesizer = located(config.synthesizer, Workspace(Path(scratch)) if is_far else workspace or Workspace.at())
        splits = split(ingested, config.split, named_rng(config.seed, "split"))
        require_free_mark(splits.train)
        create(synthesizer, splits.train)
    modality = modality_of(splits.train)
    chosen_formats(config.export.formats, splits.train)
    found = [Problem(**{str(key): value for key, value in item.items()}) for item in ingested.problems]  # type: ignore[arg-type]  # JSON of a Problem
    return Plan(
        name=config.name,
        purpose=config.purpose,
        shape=_shape(ingested.data),
        columns=_columns(ingested),
        classes=_classes(config, splits),
        synthesizer=_model(config, modality),
        training=_training(config),
        expected=expected(config, splits.train, len(ingested.data)),
        gates=rules_of(config),
        problems=[*found, *split_problems(splits), *_planting(config, splits)],
    )


def _planting(config: RunConfig, splits: Splits) -> list[Problem]:
    return [toss(splits, config.canaries, named_rng(config.seed, "plant")).note()] if config.canaries else []


def expected(config: RunConfig, train: Data, rows: int) -> Estimate | None:
    """Memory and time of a run on a table of so many rows; None for images, which nobody has measured."""
    if not isinstance(train, Table):
        return None
    drawn_rows = sum(planned_counts(config.plan, present_classes(train)).values())
    models = candidates_of(config.synthesizer)
    return estimate(Size.of(train, rows), models, drawn_rows=drawn_rows, evaluation=config.evaluation_size)


def announce_run(config: RunConfig, workspace: Workspace) -> None:
    """Say what the run will take and what is odd about the data; what reading and splitting built is used again."""
    data = ingest(config, workspace)
    splits = split_data(config, workspace, data).directory
    show_warnings((Problem(**item) for item in read_json(splits / "problems.json")), err)
    train = load_data(splits / "train")
    estimated = expected(config, train, read_json(data.directory / "fingerprint.json")["rows"])
    if estimated is not None:
        announce(estimated)


def _model(config: RunConfig, modality: Modality) -> str:
    if modality == "images":
        return "image-gan" if config.synthesizer.kind == "auto" else config.synthesizer.kind
    kinds = [candidate.kind for candidate in candidates_of(config.synthesizer)]
    return kinds[0] if len(kinds) == 1 else f"the best of {', '.join(kinds)}"


def _shape(data: Data) -> str:
    if isinstance(data, Table):
        return f"{len(data):,} rows × {len(data.frame.columns)} columns"
    colour = "grey" if data.images.shape[1] == 1 else "RGB"
    sides = " × ".join(str(side) for side in reversed(data.images.shape[2:]))
    dtype = data.images.dtype if data.scan is None else data.scan.dtype
    return f"{len(data):,} {colour} {'volumes' if data.is_volumes else 'images'} of {sides} px, {dtype}"


def _columns(ingested: Ingested) -> dict[str, list[str]]:
    if not isinstance(ingested.data, Table):
        return {}
    kinds = ingested.data.schema.kinds
    return {kind: [name for name in kinds if kinds[name] == kind] for kind, _ in Counter(kinds.values()).most_common()}


def _classes(config: RunConfig, splits: Splits) -> dict[str, dict[str, int]]:
    parts = {name: present_classes(part) for name, part in splits.parts()}
    planned = planned_counts(config.plan, parts["train"])
    names = sorted(set().union(*parts.values()))
    return {
        name: {**{part: counts.get(name, 0) for part, counts in parts.items()}, "synthetic": planned.get(name, 0)}
        for name in names
    }


def _training(config: RunConfig) -> str:
    steps, images, minutes = (
        getattr(config.synthesizer, f"budget_{unit}", None) for unit in ("steps", "images", "minutes")
    )
    # As the training counts: minutes end it only where nothing else does.
    if counts := [f"{count:,} {unit}" for count, unit in ((steps, "steps"), (images, "images")) if count]:
        return " or ".join(counts)
    if not minutes:
        return "none"
    return f"at most {minutes:g} minutes" if minutes >= 2 else f"at most {60 * minutes:.0f} seconds"


def show(plan: Plan, console: Console) -> None:
    """Print the plan for a person."""
    console.print(f"[bold]{plan.name}[/bold]: {plan.shape}; purpose {plan.purpose}", highlight=False, markup=True)
    facts = Grid.grid(padding=(0, 2))
    for kind, names in plan.columns.items():
        facts.add_row(f"  {kind}", Text(", ".join(names)))
    facts.add_row("  model", f"{plan.synthesizer}, training {plan.training}")
    facts.add_row("  gates", Text("; ".join(f"{rule.metric} {rule.text}" for rule in plan.gates if rule.required)))
    if plan.expected is not None:
        facts.add_row("  expect", plan.expected.text)
    console.print(facts)
    counts = Grid(box=None, pad_edge=False, header_style="bold")
    for title in ("  class", "train", "valid", "holdout", "synthetic to make"):
        counts.add_column(title, justify="left" if title == "  class" else "right")
    for name, row in plan.classes.items():
        counts.add_row(Text(f"  {name}"), *(f"{count:,}" for count in row.values()))
    console.print(counts)
    for problem in plan.problems:
        hint = f" [dim]→ {escape(problem.hint)}[/dim]" if problem.hint else ""
        console.print(f"{_MARKS[problem.severity]} {escape(problem.message)}{hint}", highlight=False, markup=True)
    if plan.expected is not None and (warning := plan.expected.warning(available_gb())):
        console.print(f"{_MARKS['warning']} {warning}", highlight=False, markup=True)
    console.print("nothing was trained or written", style="dim")

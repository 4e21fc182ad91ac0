"""What was released: rows, class balance, columns, groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from synthgen.datasets import Data, Table, class_counts
from synthgen.findings import Report
from synthgen.reports.columns import OTHER, RARE_ROWS, ColumnFit
from synthgen.reports.disclosure import FEWEST, kept_names, shared_count
from synthgen.reports.material import Material

SHOWN_CLASSES, SHOWN_COLUMNS, SHOWN_GROUPS = 30, 100, 12


@dataclass(frozen=True)
class ClassBar:
    """Rows of one class before and after, and the lengths of its two bars in percent of the longest."""

    name: str
    real: int
    synthetic: int
    real_length: float
    synthetic_length: float


@dataclass(frozen=True)
class ColumnRow:
    """One column: what it is, how often it is missing, how far its distribution is from the real one, and train's."""

    name: str
    kind: str
    role: str
    missing_real: float | None
    missing_synthetic: float | None
    difference: float | None
    reference: float | None


@dataclass(frozen=True)
class GroupRow:
    """Share of one group among the training rows before and after."""

    column: str
    group: str
    before: float
    after: float


def class_bars(material: Material, *, shared: bool = False) -> list[ClassBar]:
    """Train's classes, largest first; a table without a label has none. Rare ones of a shared page are one bar."""
    if isinstance(material.train, Table) and material.train.schema.label is None:
        return []
    real, made = class_counts(material.train), class_counts(material.synthetic)
    if shared:
        kept = kept_names(real, at_most=len(real))
        real, made = _pooled(real, kept, FEWEST), _pooled(made, kept, 1)
    totals = {name: count + made.get(name, 0) for name, count in real.items()}
    longest = max(totals.values(), default=0) or 1
    ordered = sorted(real, key=lambda name: (-real[name], name))[:SHOWN_CLASSES]
    return [
        ClassBar(name, real[name], made.get(name, 0), 100 * real[name] / longest, 100 * made.get(name, 0) / longest)
        for name in ordered
    ]


def _pooled(counts: Mapping[str, int], kept: Sequence[str], fewest: int) -> dict[str, int]:
    rest = sum(count for name, count in counts.items() if name not in kept)
    return {**{name: counts.get(name, 0) for name in kept}, **({OTHER: rest} if rest >= fewest else {})}


def part_sizes(report: Report, material: Material) -> list[tuple[str, int, int]]:
    """Name, real rows and synthetic rows of each part of the data."""
    sizes = [("train", len(material.train), len(material.synthetic))]
    valid = report.provenance.get("split_rows", {}).get("valid")
    if valid is not None:
        sizes.append(("valid", int(valid), 0))
    if material.holdout is not None:
        sizes.append(("holdout", len(material.holdout), 0))
    return sizes


def column_rows(material: Material, fits: Sequence[ColumnFit], *, shared: bool = False) -> list[ColumnRow]:
    """Every column of a table in its own order, at most `SHOWN_COLUMNS`."""
    if not isinstance(material.train, Table) or not isinstance(material.synthetic, Table):
        return []
    fit_of = {fit.column.name: fit for fit in fits}
    made = material.synthetic.frame
    return [
        ColumnRow(
            name=name,
            kind=kind,
            role=_role(name, material.train),
            missing_real=_missing(material.train.frame[name], shared=shared),
            missing_synthetic=float(made[name].isna().mean()) if name in made and len(made) else None,
            difference=fit_of[name].difference if name in fit_of else None,
            reference=fit_of[name].reference if name in fit_of else None,
        )
        for name, kind in list(material.train.schema.kinds.items())[:SHOWN_COLUMNS]
    ]


def _missing(column: pd.Series, *, shared: bool) -> float | None:
    rows = int(column.isna().sum())
    return None if shared and shared_count(rows) is None else rows / max(1, len(column))


def _role(name: str, table: Table) -> str:
    schema = table.schema
    if name == schema.label:
        return "label"
    if name == schema.group:
        return "group; not synthesised"
    if name not in schema.modelled:
        return "not synthesised"
    roles = [role for role, names in (("protected", schema.protected), ("secret", schema.secrets)) if name in names]
    return ", ".join(roles) or "feature"


def protected_names(data: Data) -> tuple[str, ...]:
    """The protected columns, or attributes of images, that were declared."""
    if isinstance(data, Table):
        return tuple(data.schema.protected)
    return () if data.attributes is None else data.attributes.protected


def group_rows(material: Material, *, shared: bool = False) -> list[GroupRow]:
    """Each protected column's groups of at least `RARE_ROWS` training rows (shared: `FEWEST`), before and after."""
    real, made = _columns(material.train), _columns(material.synthetic)
    names = [name for name in protected_names(material.train) if name in made]
    fewest = FEWEST if shared else RARE_ROWS
    return [row for name in names for row in _groups(name, real[name], made[name], fewest)]


def _columns(data: Data) -> pd.DataFrame:
    if isinstance(data, Table):
        return data.frame
    return pd.DataFrame({} if data.attributes is None else data.attributes.texts)


def _groups(name: str, real: pd.Series, made: pd.Series, fewest: int) -> list[GroupRow]:
    before, synthetic = real.astype(str).value_counts(), made.astype(str).value_counts()
    kept = before[before >= fewest].head(SHOWN_GROUPS)
    total = max(1, len(real) + len(made))
    return [
        GroupRow(name, str(group), count / len(real), (count + int(synthetic.get(group, 0))) / total)
        for group, count in kept.items()
    ]

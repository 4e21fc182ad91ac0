"""report.html from a report and its material. The template escapes everything; nothing on the page runs or loads."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from synthgen.datasets import Data, ImageSet, Table
from synthgen.findings import Report
from synthgen.reports import fairness, fidelity, glossary, measures, provenance, released, training
from synthgen.reports.choice import arm_rows
from synthgen.reports.classical import control_table
from synthgen.reports.columns import RARE_ROWS, ColumnFit, Sides, column_fits, pair_fits, sides_of
from synthgen.reports.curation import curation_columns, curation_rows, shares_tried
from synthgen.reports.disclosure import FEWEST, shared_report
from synthgen.reports.gate_rows import gate_rows
from synthgen.reports.headline import headline
from synthgen.reports.material import Material
from synthgen.reports.pictures import ClassPictures, class_pictures, rarer_kind
from synthgen.reports.words import SYMBOLS, TONES, question_of


def environment() -> Environment:
    """The templates of all pages."""
    return Environment(
        loader=PackageLoader("synthgen.reports", "."),
        autoescape=True,  # off by default: an <img onerror> in a column name came through raw
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(report: Report, material: Material, *, shared: bool = False) -> str:
    """The page as HTML, the same bytes for the same input; for `shared` see `reports.disclosure`."""
    report = shared_report(report, material) if shared else report
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            report=report,
            shared=shared,
            is_audit=material.config is None,
            fewest=FEWEST if shared else RARE_ROWS,
            title=_title(report, material),
            headline=headline(report, emitted=material.emitted),
            tone=TONES[report.verdict],
            symbol=SYMBOLS[report.verdict],
            gates=gate_rows(report),
            question_of=question_of,
            is_image=isinstance(material.train, ImageSet),
            **_measured(report),
            **_data(report, material, shared=shared),
            **_origin(report, material, shared=shared),
        )
    )


def _title(report: Report, material: Material) -> str:
    name = str(report.provenance.get("name", "audit"))
    if material.config is None:
        return "Audit of synthetic data" if name == "audit" else f"{name} · audit of synthetic data"
    aim = "augment for a classifier" if material.config.purpose == "augment" else "synthetic data to share"
    return f"{name} · {aim}{_of_label(material)}"


def _of_label(material: Material) -> str:
    label = material.train.schema.label if isinstance(material.train, Table) else None
    return f" of {label}" if label is not None and material.config and material.config.purpose == "augment" else ""


def _measured(report: Report) -> dict[str, object]:
    arms, gain_drawing = measures.utility_arms(report.finding("augmentation_gain"))
    return {
        "privacy": measures.measures(report, "privacy"),
        "fidelity": measures.measures(report, "fidelity"),
        "privacy_control": control_table(report, "privacy"),
        "fidelity_control": control_table(report, "fidelity"),
        "utility": measures.measures(report, "utility"),
        "fairness": measures.measures(report, "fairness"),
        "arms": arms,
        "gain_drawing": gain_drawing,
    }


def _data(report: Report, material: Material, *, shared: bool) -> dict[str, object]:
    train, synthetic = material.train, material.synthetic
    fits, sides = _fits(material, shared=shared)
    return {
        "parts": released.part_sizes(report, material),
        "classes": released.class_bars(material, shared=shared),
        "hidden_classes": max(0, len(train.classes) - released.SHOWN_CLASSES),
        "columns": released.column_rows(material, fits, shared=shared),
        "hidden_columns": max(0, len(train.schema.kinds) - released.SHOWN_COLUMNS) if isinstance(train, Table) else 0,
        "protected": released.protected_names(train),
        "groups": released.group_rows(material, shared=shared),
        "group_tables": fairness.group_tables(report, shared=shared),
        "column_cards": fidelity.column_cards(fits),
        "pair_cards": fidelity.pair_cards(pair_fits(fits, sides, shown=fidelity.SHOWN, shared=shared)) if sides else [],
        "real_name": "training rows" if material.holdout is None else "held-out rows",
        # A synthetic image may be a copy of a real one.
        "pictures": [] if shared else _pictures(train, synthetic),
        "rarer_kind": None if shared or not isinstance(train, ImageSet) else rarer_kind(train, report),
        "has_holdout": material.holdout is not None,
    }


def _pictures(train: Data, synthetic: Data) -> list[ClassPictures]:
    if isinstance(train, ImageSet) and isinstance(synthetic, ImageSet):
        return class_pictures(train, synthetic)
    return []


def _fits(material: Material, *, shared: bool) -> tuple[list[ColumnFit], Sides | None]:
    train, holdout, synthetic = material.train, material.holdout, material.synthetic
    if not isinstance(train, Table) or not isinstance(synthetic, Table) or len(synthetic) == 0:
        return [], None
    sides = sides_of(train, holdout if isinstance(holdout, Table) else None, synthetic)
    return column_fits(sides, shared=shared), sides


def _origin(report: Report, material: Material, *, shared: bool) -> dict[str, object]:
    return {
        "facts": provenance.first_facts(report, material, shared=shared),
        "all_facts": provenance.all_facts(report),
        "stage_times": provenance.stage_times(material),
        # It has paths, and values in constraints.
        "config_text": None if shared else provenance.config_text(material),
        "command": provenance.command_of(material),
        "curation": {
            key: item
            for key, item in material.curation.items()
            if key not in ("per_class", "ratio") and not (shared and ("_per_" in key or "classes" in key))
        },
        "curation_columns": curation_columns(material.curation),
        "shares_tried": shares_tried(material.curation),
        "curation_classes": [] if shared else curation_rows(material.curation),
        "candidates": arm_rows(material.choice),
        "training": training.training_drawings(material.history),
        "rollbacks": training.rollbacks(material.history),
        # As above: one may show a training image that is being learned by heart.
        "training_pictures": [] if shared else training.training_pictures(material.pictures),
        # Its name alone: the page may travel, and the path would tell of the machine.
        "dataset": None if material.dataset is None else Path(material.dataset).name,
        "never_tested": glossary.NEVER_TESTED,
        "terms": glossary.TERMS,
        "references": glossary.REFERENCES,
        "methods": glossary.methods(report),
    }

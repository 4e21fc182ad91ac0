"""The comparison table of a sweep: one row for each run, as a page, as CSV and as JSON."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from synthgen.files import write_json
from synthgen.findings import Verdict
from synthgen.redaction import redacted_values
from synthgen.reports.words import SYMBOLS, TONES, shown_number, words_of

# A spreadsheet would take a text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FACTS = ("name", "state", "verdict", "exit_code", "error", "seconds", "run_id", "mlflow_run_id", "report_html")


@dataclass(frozen=True)
class SweepTable:
    """Rows of JSON-ready results (see `synthgen.sweeping.Result`), and what of them is shown.

    Attributes:
        settings: keys that differ among the rows.
        metrics: those that some row requires.
    """

    rows: Sequence[Mapping[str, Any]]
    settings: Sequence[str]
    metrics: Sequence[str]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> "SweepTable":
        """The table of these results."""
        keys = dict.fromkeys(key for row in rows for key in row["settings"])
        differing = [key for key in keys if len({row["settings"].get(key) for row in rows}) > 1]
        metrics = dict.fromkeys(
            name for row in rows for name, numbers in row["metrics"].items() if numbers["is_required"]
        )
        return cls(rows, differing, list(metrics))


def write_sweep(directory: Path, sweep: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write sweep.html, sweep.csv and sweep.json; the path of the page."""
    from synthgen.reports import write_text

    directory.mkdir(parents=True, exist_ok=True)
    rows = redacted_values(list(rows))
    table = SweepTable.of(rows)
    write_json(directory / "sweep.json", {"sweep": sweep, "runs": rows})
    write_text(directory / "sweep.csv", _as_csv(table))
    write_text(directory / "sweep.html", _as_html(table, sweep, directory))
    return directory / "sweep.html"


def _as_csv(table: SweepTable) -> str:
    names = dict.fromkeys(name for row in table.rows for name in row["metrics"])
    fields = [*_FACTS, *(f"setting.{key}" for key in table.settings)]
    fields += [f"{name}{part}" for name in names for part in ("", ".low", ".high", ".verdict")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    for row in table.rows:
        cells = [row[fact] for fact in _FACTS] + [row["settings"].get(key) for key in table.settings]
        for name in names:
            numbers = row["metrics"].get(name, {})
            cells += [numbers.get(part) for part in ("value", "low", "high", "verdict")]
        writer.writerow([_inert(cell) for cell in cells])
    return text.getvalue()


def _inert(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _as_html(table: SweepTable, sweep: str, directory: Path) -> str:
    from synthgen.reports.page import environment

    template = environment().get_template("sweep.html.jinja")
    heads = [words_of(name).subject for name in table.metrics]
    rows = [_shown(row, table, directory) for row in table.rows]
    return template.render(sweep=sweep, heads=heads, settings=table.settings, rows=rows)


def _shown(row: Mapping[str, Any], table: SweepTable, directory: Path) -> dict[str, Any]:
    verdict = None if row["verdict"] is None else Verdict(row["verdict"])
    # Relative, so that the links hold wherever the workspace is moved to.
    page = None if row["report_html"] is None else quote(os.path.relpath(row["report_html"], directory))
    return {
        "name": row["name"],
        "settings": [str(row["settings"].get(key, "–")) for key in table.settings],
        "symbol": SYMBOLS[verdict] if verdict else "✗",
        "tone": TONES[verdict] if verdict else "fail",
        "verdict": str(verdict) if verdict else "ERROR",
        "state": row["state"],
        "why": row["error"],
        "seconds": row["seconds"],
        "page": page,
        "cells": [_cell(name, row["metrics"].get(name)) for name in table.metrics],
    }


def _cell(metric: str, numbers: Mapping[str, Any] | None) -> dict[str, str]:
    if numbers is None or numbers["value"] is None:
        verdict = numbers["verdict"] if numbers else None
        return {"value": "–", "interval": "", "tone": TONES[Verdict(verdict)] if verdict else "none"}
    unit = words_of(metric).unit
    low, high = (shown_number(numbers[end], unit) for end in ("low", "high"))
    tone = TONES[Verdict(numbers["verdict"])] if numbers["verdict"] else "none"
    return {"value": shown_number(numbers["value"], unit), "interval": f"{low} to {high}", "tone": tone}

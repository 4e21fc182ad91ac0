"""What the shareable page may show of real rows: nothing that rests on fewer than `FEWEST` of them.

The threshold rule of statistical offices (Hundepool 2012, Statistical Disclosure Control, 4.2.1): a cell with few
contributors says something about each of them.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from synthgen.datasets import Index, class_counts
from synthgen.findings import Finding, Report
from synthgen.reports.material import Material
from synthgen.stats import FloatArray

FEWEST = 10
# The only facts about a run that leave the house: no path, no address, no configuration with values in it.
_SHARED_FACTS = (
    "run_id", "name", "started", "synthgen", "git_commit", "versions", "data_sha256", "synthetic_sha256",
    "holdout_sha256", "config_hash", "real_rows", "synthetic_rows", "split_rows", "purpose", "profile", "seed", "unit",
    "model", "differential_privacy",
)  # fmt: skip


def shared_report(report: Report, material: Material) -> Report:
    """The report without facts about machine and files, names of rare classes, and what a few new rows changed."""
    facts = {name: report.provenance[name] for name in _SHARED_FACTS if name in report.provenance}
    rare = {name for name, count in class_counts(material.train).items() if count < FEWEST}
    findings = [_without_rare(finding, rare) for finding in report.findings]
    return replace(report, findings=findings, provenance=facts, drift=None)


def _without_rare(finding: Finding, rare: set[str]) -> Finding:
    if str(finding.detail.get("worst_class")) not in rare:
        return finding
    return replace(finding, detail={name: item for name, item in finding.detail.items() if name != "worst_class"})


def shared_count(rows: int) -> int | None:
    """The number of real rows, None when it is small and not zero."""
    return rows if rows == 0 or rows >= FEWEST else None


def kept_names(counts: Mapping[str, int], *, at_most: int) -> list[str]:
    """The most frequent names, each with at least `FEWEST` rows."""
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    return [name for name in ordered if counts[name] >= FEWEST][:at_most]


def merged_edges(edges: FloatArray, counts: Index) -> FloatArray:
    """The edges of the fewest neighbours to join so that each bin holds `FEWEST` rows; float64 [<= bins + 1]."""
    starts, held = [0], 0
    for position, count in enumerate(counts.tolist(), start=1):
        held += count
        if held >= FEWEST and position < len(counts):
            starts.append(position)
            held = 0
    if held < FEWEST and len(starts) > 1:
        starts.pop()
    return edges[[*starts, len(counts)]]


def rounded_limits(values: FloatArray, bins: int) -> tuple[float, float]:
    """A round number near the value with `FEWEST` rows (or 1 % of them) below it, and one with as many above it.

    Rounded to a fifth of a bin: the exact number would be somebody's.
    """
    level = float(np.clip(FEWEST / max(1, len(values)), 0.01, 0.5))
    low, high = np.quantile(values, [level, 1 - level])
    if low == high:
        return float(low), float(high)
    step = 10.0 ** np.floor(np.log10((high - low) / bins / 5) + 1)
    return float(np.floor(low / step) * step), float(np.ceil(high / step) * step)

"""What curation drew and dropped of each class, and how much of it was added, in the words of a reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthgen.reports.words import shown_number

# Shares of what was drawn; an image can be dropped for more than one of them.
_DROPPED = {
    "exact_copies": "exact copies",
    "near_copies": "near copies",
    "other_class": "seen as another class",
    "out_of_reach": "unlike any real image",
}
_KEPT = {"odd_kept": "kept though odd", "copies_kept": "kept though copies"}


@dataclass(frozen=True)
class ClassCuration:
    """A class: what was drawn, and of what was dropped or kept all the same the text of each column."""

    name: str
    drawn: int
    cells: tuple[str, ...]


def curation_columns(curation: Mapping[str, Any]) -> list[str]:
    """The titles of the columns: what happened to any class."""
    return [title for key, title in (_DROPPED | _KEPT).items() if _happened(curation, key)]


def curation_rows(curation: Mapping[str, Any]) -> list[ClassCuration]:
    """A row for each class of a curation.json."""
    unknown: Sequence[str] = curation.get("unknown_classes", ())
    rows = []
    for name, counts in curation.get("per_class", {}).items():
        drawn = counts.get("drawn", 0)
        cells = [_cell(key, counts, drawn, name in unknown) for key in _DROPPED | _KEPT if _happened(curation, key)]
        rows.append(ClassCuration(name, drawn, tuple(cells)))
    return rows


@dataclass(frozen=True)
class ShareTried:
    """A share of the plan that was tried, what it gained on valid, and whether it was taken."""

    share: str
    gain: str
    interval: str
    roc_auc: str
    taken: bool


@dataclass(frozen=True)
class SharesTried:
    """What `plan: {kind: auto}` tried, and why it took the share that it took, or none."""

    reason: str
    shares: Sequence[ShareTried]


def shares_tried(curation: Mapping[str, Any]) -> SharesTried | None:
    """None for plans that say themselves how much is added."""
    ratio = curation.get("ratio")
    if not ratio:
        return None
    shares = [
        ShareTried(
            share=f"{float(share):.0%}",
            gain=shown_number(gain["value"], "points"),
            interval=f"{shown_number(gain['low'], 'points')} to {shown_number(gain['high'], 'points')}",
            roc_auc=shown_number(gain.get("roc_auc"), "points"),
            taken=float(share) == ratio["share"],
        )
        for share, gain in ratio["gains"].items()
    ]
    return SharesTried(ratio["reason"], shares)


def _happened(curation: Mapping[str, Any], key: str) -> bool:
    looked = key in ("other_class", "out_of_reach") and bool(curation.get("unknown_classes"))
    return looked or any(key in counts for counts in curation.get("per_class", {}).values())


def _cell(key: str, counts: Mapping[str, int], drawn: int, is_unknown: bool) -> str:
    if is_unknown and key in ("other_class", "out_of_reach"):
        return "too few real images to tell"
    count = counts.get(key, 0)
    return f"{count:,} ({count / drawn:.1%})" if key in _DROPPED and drawn else f"{count:,}"

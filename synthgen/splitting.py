"""Train, valid and holdout: stratified by label, whole groups, equal rows never on two sides."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from synthgen.config import SplitConfig
from synthgen.datasets import Data, ImageSet, Ingested, Labels, Splits, Table, class_counts
from synthgen.errors import DataError, name_list
from synthgen.findings import Problem
from synthgen.near_duplicates import nearly_equal

PARTS = ("train", "valid", "holdout")
PART_NAMES = {
    "train": "train", "training": "train",
    "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid",
    "holdout": "holdout", "test": "holdout", "testing": "holdout",
}  # fmt: skip

PartNames = npt.NDArray[np.str_]
Units = npt.NDArray[np.int64]


def standard_parts(names: pd.Series, where: str) -> PartNames:
    """ "train" | "valid" | "holdout" for each row; raises DataError for another name, or when one is missing."""
    standard = names.astype("string").str.strip().str.lower().map(PART_NAMES)
    unknown = int(standard.isna().sum())
    if unknown:
        first = int(names.index[standard.isna()][0]) + 1
        message = f"{where} names no part in {unknown:,} of {len(names):,} rows (the first is row {first})"
        raise DataError(message, where="split.column", hint=f"allowed: {', '.join(PART_NAMES)}")
    return standard.to_numpy(dtype=np.str_)


def split(ingested: Ingested, config: SplitConfig, rng: np.random.Generator) -> Splits:
    """The three parts, rows in their old order; the data's own parts are kept where they have any.

    Raises:
        DataError: the data's own split has no train, no holdout or a group on two sides, or a part stays empty.
    """
    data = ingested.data
    if ingested.parts is None:
        parts = assign_parts(data, config, rng)
    else:
        parts = _complete_parts(data, ingested.parts, config, rng)
    for name in PARTS:
        if not np.any(parts == name):
            message = f"{len(data):,} rows in {len(set(data.labels.tolist()))} classes leave no row for {name}"
            raise DataError(message, where="split", hint="more rows or smaller groups are needed")
    splits = Splits(*(data.take(np.flatnonzero(parts == name)) for name in PARTS))
    if ingested.parts is not None:
        _require_whole_groups(splits)
    return splits


def assign_parts(data: Data, config: SplitConfig, rng: np.random.Generator) -> PartNames:
    """The part of each row, str [n]: of each class the configured shares, within rounding when no rows belong together.

    A class gets a row in every part when it has at least three rows (or groups of rows), and one in train first.
    """
    # holdout before valid: of a class with two units one is learnt and one is judged.
    return _assign(data, {"train": config.train, "holdout": config.holdout, "valid": config.valid}, rng)


def _assign(data: Data, shares: Mapping[str, float], rng: np.random.Generator) -> PartNames:
    units = _units(data)
    sizes = np.bincount(units)
    strata = _strata(units, data.labels)
    chosen = np.zeros(len(sizes), dtype=np.int64)
    for stratum in np.unique(strata):
        # Random order first, then large units before small ones: the small ones fill what the large ones left.
        members = rng.permutation(np.flatnonzero(strata == stratum))
        members = members[np.argsort(-sizes[members], kind="stable")]
        chosen[members] = _allot(sizes[members].tolist(), list(shares.values()))
    return np.asarray(list(shares), dtype=np.str_)[chosen][units]


def _units(data: Data) -> Units:
    """int64 [n]: rows with one number stay together, as they are equal or of one group, or linked by such rows."""
    _, equal = np.unique(data.row_keys(), return_inverse=True)
    groups = group_names(data)
    if groups is None:
        return equal.astype(np.int64)
    codes, _ = pd.factorize(groups, use_na_sentinel=True)
    # A row without a group is a group of its own.
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    size = int(codes.max()) + 1 + int(equal.max()) + 1
    links = coo_array((np.ones(len(codes)), (codes, codes.max() + 1 + equal)), shape=(size, size))
    _, component = connected_components(links, directed=False)
    _, units = np.unique(component[codes], return_inverse=True)
    return units.astype(np.int64)


def group_names(data: Data) -> npt.NDArray[np.object_] | None:
    """The group of each row [n], None where it is missing; None when the data have no groups."""
    if not isinstance(data, Table):
        return None if data.groups is None else data.groups.astype(object)
    if data.schema.group is None or data.schema.group not in data.frame:
        return None
    column = data.frame[data.schema.group]
    return column.astype(object).where(column.notna(), None).to_numpy(dtype=object)


def _strata(units: Units, labels: Labels) -> Units:
    """int64 [units]: the rarest class in each unit, so that rare classes are spread over the parts."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rarity = np.argsort(np.argsort(counts, kind="stable"), kind="stable")[codes]
    strata = np.full(int(units.max()) + 1, len(counts), dtype=np.int64)
    np.minimum.at(strata, units, rarity)
    return strata


def _allot(sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """The part of each unit: the one that lacks most of its own share, but the last units go to parts that have none.

    Of its share, not of rows: else the largest part would get all large units, and the others would look different.
    """
    wanted = [share * sum(sizes) for share in shares]
    lacking = list(wanted)
    empty = set(range(len(shares)))
    chosen = []
    for position, size in enumerate(sizes):
        candidates = sorted(empty) if len(sizes) - position <= len(empty) else range(len(shares))
        part = max(candidates, key=lambda part: lacking[part] / wanted[part])
        lacking[part] -= size
        empty.discard(part)
        chosen.append(part)
    return chosen


def _complete_parts(data: Data, given: PartNames, config: SplitConfig, rng: np.random.Generator) -> PartNames:
    parts = standard_parts(pd.Series(given), "the given split")
    for name in ("train", "holdout"):
        if not np.any(parts == name):
            found = ", ".join(sorted(set(parts.tolist())))
            message = f"the given split has no {name} part (it has {found}), so nothing can be proved"
            raise DataError(message, where="split", hint="name a test part, or leave the split to us")
    if np.any(parts == "valid"):
        return parts
    rows = np.flatnonzero(parts == "train")
    total = config.train + config.valid
    parts[rows] = _assign(data.take(rows), {"train": config.train / total, "valid": config.valid / total}, rng)
    return parts


def split_problems(splits: Splits) -> list[Problem]:
    """Rows on two sides, as the data's own split may have them, and classes that a part lacks."""
    pairs = list(combinations(splits.parts(), 2))
    keys = {name: np.unique(part.row_keys()) for name, part in splits.parts()}
    problems = []
    for (first, _), (second, _) in pairs:
        shared = len(np.intersect1d(keys[first], keys[second]))
        if shared:
            message = f"{shared:,} different rows stand in {first} and in {second}"
            hint = "remove them from one side: a copy of such a row is not a leak, but looks like one"
            problems.append(Problem("rows_on_two_sides", message, "warning", hint=hint))
    return [*problems, *_near_duplicates(splits), *_missing_classes(splits)]


def _near_duplicates(splits: Splits) -> Iterator[Problem]:
    train, holdout = splits.train, splits.holdout
    if isinstance(train, ImageSet) and isinstance(holdout, ImageSet):
        near = int(np.sum(nearly_equal(holdout, train) & ~np.isin(holdout.row_keys(), train.row_keys())))
        if near:
            message = f"{near:,} of {len(holdout):,} images in holdout are near-duplicates of one in train"
            hint = "numbers on such a holdout look better than they are; name the patient or object under source.group"
            yield Problem("near_duplicates", message, "warning", hint=hint)


def _require_whole_groups(splits: Splits) -> None:
    for (first, data), (second, other) in combinations(splits.parts(), 2):
        shared = shared_groups(data, other)
        if shared:
            message = f"{shared:,} groups stand in {first} and in {second} of the given split"
            hint = "leave split.column out: our own split keeps every group on one side"
            raise DataError(message, where="split.column", hint=hint)


def shared_groups(data: Data, other: Data) -> int:
    """How many groups both have; 0 without groups."""
    groups, others = group_names(data), group_names(other)
    if groups is None or others is None:
        return 0
    return len({group for group in groups if group is not None} & set(others))


def _missing_classes(splits: Splits) -> Iterator[Problem]:
    every = {name for _, part in splits.parts() for name in part.labels.tolist()}
    for part_name, part in splits.parts():
        counts = class_counts(part)
        missing = sorted(name for name in every if not counts.get(name))
        if missing:
            message = f"{part_name} has no row of {name_list(missing)}"
            hint = "nothing can be said about a class that is not there"
            yield Problem("class_missing", message, "warning", hint=hint)

"""Train, synthetic and holdout of an audit of images: train's scale, classes and levels of protected attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from synthgen.attributes import UNKNOWN, Attributes
from synthgen.auditing.columns import MARK
from synthgen.config import INDEX_COLUMNS, AuditOptions, ImageSource
from synthgen.datasets import ImageSet
from synthgen.errors import DataError, UsageError, name_list, unknown_name
from synthgen.findings import Problem
from synthgen.sources import read
from synthgen.sources.images import read_listed


@dataclass(frozen=True)
class Given:
    """One set of images as it was given: a folder or archive, or `rows` of the manifest at `path`."""

    path: Path
    rows: pd.DataFrame | None = None
    path_column: str | None = None


def image_sets(given: Mapping[str, Given], options: AuditOptions) -> tuple[dict[str, ImageSet], list[Problem]]:
    """The images by their part in the audit, alike in what their numbers, classes and attributes mean.

    Raises:
        DataError: a file cannot be read, or a set lacks a column or has images or classes that train has not.
        UsageError: an option names what images do not have.
    """
    _refuse_options(given["train"].rows, options)
    own = {name: replace(item, rows=_own_rows(item.rows, name)) for name, item in given.items()}
    _require_columns(own["train"], options)
    carried = {name: _carried(item.rows, name, options.protected) for name, item in own.items()}
    _require_other_groups(own, options.group)
    sets = _on_one_scale({name: _read(item, name, options, carried[name]) for name, item in own.items()})
    problems = _scans_read(sets)
    problems += [problem for name in own if not carried[name] for problem in _not_carried(name, options.protected)]
    for name in list(sets)[1:]:
        sets[name] = _same_classes(sets[name], sets["train"], name)
        sets[name], found = _same_levels(sets[name], sets["train"].attributes, name)
        problems += found
    return sets, problems


def _refuse_options(train: pd.DataFrame | None, options: AuditOptions) -> None:
    allowed = () if train is None else ("label", "group", "protected")
    options_of_columns = ("label", "group", "ids", "drop", "protected", "secrets", "types")
    given = [name for name in options_of_columns if name not in allowed and getattr(options, name)]
    if not given:
        return
    if train is None:
        message = f"images have no columns, but {name_list(given)} was given"
        hint = "a manifest has: a CSV or parquet file of path and label beside the images, given as train and holdout"
        raise UsageError(message, where=given[0], hint=hint)
    message = f"a manifest of images has no use for {name_list(given)}; {name_list(allowed)} are allowed"
    raise UsageError(message, where=given[0], hint="columns that no option names are not looked at")


def _own_rows(rows: pd.DataFrame | None, name: str) -> pd.DataFrame | None:
    """Of the index of an emitted dataset the rows that belong to this set; all rows of another manifest."""
    if rows is None or MARK not in rows or not pd.api.types.is_bool_dtype(rows[MARK].dtype):
        return rows
    made_up = rows[MARK].fillna(False).astype(bool)
    kept = made_up if name == "synthetic" else ~made_up
    if name != "synthetic" and "split" in rows:
        kept &= rows["split"] == name
    if not kept.any():
        wanted = "made up" if name == "synthetic" else f"real and of the split {name!r}"
        raise DataError(f"column {MARK!r} of {name} marks no image that is {wanted}", where=name)
    return rows[kept].reset_index(drop=True)


def _require_columns(train: Given, options: AuditOptions) -> None:
    if train.rows is None:
        return
    columns = [str(name) for name in train.rows.columns]
    if _label(options) not in columns:
        hint = f"--label names the column of classes; --drop {train.path_column!r} makes it a table"
        raise UsageError(unknown_name("label column", _label(options), columns), where="--label", hint=hint)
    for name in options.protected:
        if name not in columns:
            raise UsageError(unknown_name("protected column", name, columns), where="--protected")
        if name in (*INDEX_COLUMNS, _label(options), train.path_column):
            message = f"column {name!r} has another part in a manifest, so it cannot be protected"
            raise UsageError(message, where="--protected", hint="copy it under a name of its own")


def _label(options: AuditOptions) -> str:
    return options.label or str(ImageSource.model_fields["label"].default)


def _carried(rows: pd.DataFrame | None, name: str, protected: Sequence[str]) -> tuple[str, ...]:
    """The protected columns that a set has: all of them, or none where it is the synthetic one."""
    wanted = dict.fromkeys(protected)
    have = tuple(column for column in wanted if rows is not None and column in rows and rows[column].notna().any())
    lacks = [column for column in wanted if column not in have]
    if lacks and (have or name != "synthetic"):
        message = f"{name} lacks column {name_list(lacks)}, which is protected"
        hint = "give it as a manifest with these columns; only synthetic images may do without all of them"
        raise DataError(message, where=name, hint=hint)
    return have


def _not_carried(name: str, protected: Sequence[str]) -> list[Problem]:
    if not protected:
        return []
    message = f"{name} has no column {name_list(protected)}: nothing says which group its images are of"
    hint = "give it as a manifest with these columns; without them only equalized_odds_change is measured of fairness"
    return [Problem("no_attributes", message, "warning", hint=hint)]


def _require_other_groups(given: Mapping[str, Given], group: str | None) -> None:
    if group is None or "holdout" not in given:
        return
    names = []
    for name in ("train", "holdout"):
        rows = given[name].rows
        if rows is None or group not in rows:
            raise DataError(f"{name} lacks the group column {group!r}", where=name)
        # A column of whole numbers with gaps comes as fractions.
        names.append(set(rows[group].dropna().convert_dtypes().astype(str)))
    if shared := names[0] & names[1]:
        message = f"{len(shared):,} groups of column {group!r} stand in train and in holdout"
        hint = "a control of images that belong to training images proves nothing: cut whole groups"
        raise DataError(message, where="holdout", hint=hint)


def _read(given: Given, name: str, options: AuditOptions, attributes: tuple[str, ...]) -> ImageSet:
    # An npz holds volumes or images as they are, and may stand beside series.
    is_npz = given.path.suffix.lower() == ".npz"
    series = {} if options.series is None or is_npz else {"series": options.series}
    source = ImageSource.model_validate({"kind": "images", "path": str(given.path), **series})
    if given.rows is None:
        data = read(source, seed=0).data
    else:
        columns = {
            "label": _label(options),
            "path_column": given.path_column,
            # Synthetic images are of nobody.
            "group": None if name == "synthetic" else options.group,
            "attributes": attributes,
            "protected": attributes,
        }
        data = read_listed(given.rows, source.model_copy(update=columns)).data
    assert isinstance(data, ImageSet)
    return data


def _scans_read(sets: Mapping[str, ImageSet]) -> list[Problem]:
    """How many images of what size were read, where slices could be meant for volumes or volumes for slices."""
    if all(data.scan is None for data in sets.values()):
        return []
    parts = []
    for name, data in sets.items():
        sides = " x ".join(str(side) for side in reversed(data.images.shape[2:]))
        parts.append(f"as {name}: {len(data):,} {'volumes' if data.is_volumes else 'images'} of {sides} px")
    message = f"read {', '.join(parts)}"
    are_slices = any(not data.is_volumes for data in sets.values() if data.scan and data.scan.format == "dicom")
    hint = "--series volume makes one image of each DICOM series of a class folder" if are_slices else ""
    return [Problem("images_read", message, hint=hint)]


def _on_one_scale(sets: Mapping[str, ImageSet]) -> dict[str, ImageSet]:
    """Pixels that mean the same number in every set: each has its own offset where scans have negative numbers."""
    scans = [data.scan for data in sets.values() if data.scan is not None]
    lowest = min((scan.offset for scan in scans), default=0)
    return {name: _shifted(data, lowest) for name, data in sets.items()}


def _shifted(data: ImageSet, offset: int) -> ImageSet:
    own = 0 if data.scan is None else data.scan.offset
    if own == offset or data.images.dtype == np.uint8:
        return data
    # An offset is -32,768 at the least, and then no number is above 32,767.
    images = np.clip(data.images.astype(np.int32) + (own - offset), 0, 65_535).astype(np.uint16)
    return replace(data, images=images, scan=None if data.scan is None else replace(data.scan, offset=offset))


def _same_classes(other: ImageSet, real: ImageSet, name: str) -> ImageSet:
    if other.images.shape[1:] != real.images.shape[1:] or other.images.dtype != real.images.dtype:
        shapes = f"{other.images.dtype} {other.images.shape[1:]}, train {real.images.dtype} {real.images.shape[1:]}"
        raise DataError(f"{name} has images of {shapes} [channels, height, width]; they must be equal", where=name)
    unknown = [item for item in other.classes if item not in real.classes]
    if unknown:
        known = name_list(real.classes)
        raise DataError(f"{name} has class {name_list(unknown)}, which train does not have ({known})", where=name)
    codes = np.array([real.classes.index(item) for item in other.classes], dtype=np.int64)[other.codes]
    return replace(other, codes=codes, classes=real.classes)


def _same_levels(other: ImageSet, real: Attributes | None, name: str) -> tuple[ImageSet, list[Problem]]:
    if other.attributes is None or real is None:
        return other, []
    texts = {column: levels.tolist() for column, levels in other.attributes.texts.items()}
    same = replace(Attributes.of(texts, real.levels), protected=real.protected)
    problems = []
    for column, codes in zip(real.levels, same.codes.T, strict=True):
        if unknown := int(np.sum(codes == UNKNOWN)):
            message = f"{unknown:,} of {len(other):,} images of {name} have a {column!r} that no training image has"
            hint = "they count for no group; write the levels as train writes them"
            problems.append(Problem("unknown_levels", message, "warning", column, hint))
    return replace(other, attributes=same), problems

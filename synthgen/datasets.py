"""Labelled data: `Table`, `ImageSet`, and their three splits."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.attributes import Attributes, joined
from synthgen.config import ColumnKind, Constraint, parse_constraints
from synthgen.scans import Scan

Index = npt.NDArray[np.int64]
Labels = npt.NDArray[np.str_]
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Schema:
    """What the columns of a table are.

    Attributes:
        kinds: every column in order, with its kind.
        label: the column to predict; None only for an audit without one.
        group: rows with the same value stay in one split; never synthesised.
        constraints: what every row keeps, and every synthetic row has to.
        guessed_ids: columns of kind id of which nobody said so.
    """

    kinds: Mapping[str, ColumnKind]
    label: str | None
    group: str | None = None
    protected: Sequence[str] = ()
    secrets: Sequence[str] = ()
    constraints: Sequence[Constraint] = ()
    guessed_ids: Sequence[str] = ()

    def state(self) -> dict[str, Any]:
        """JSON-ready content; constraints and guesses only where there are any, as in files older than these."""
        state = asdict(replace(self, constraints=()))
        late = {"constraints": [constraint.model_dump() for constraint in self.constraints],
                "guessed_ids": self.guessed_ids}  # fmt: skip
        return {name: value for name, value in (state | late).items() if value or name not in late}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Schema":
        """The schema whose `state` this is."""
        roles = {name: tuple(state[name]) for name in ("protected", "secrets")}
        late = {
            "constraints": parse_constraints(state.get("constraints", ())),
            "guessed_ids": tuple(state.get("guessed_ids", ())),
        }
        return cls(**{**state, **roles, **late})

    @property
    def modelled(self) -> list[str]:
        """Columns that a synthesizer learns: all but ids, text and the group."""
        return [name for name, kind in self.kinds.items() if kind not in ("id", "text") and name != self.group]

    @property
    def features(self) -> list[str]:
        """Modelled columns without the label."""
        return [name for name in self.modelled if name != self.label]

    def of_kind(self, *kinds: ColumnKind) -> list[str]:
        """Modelled columns of these kinds."""
        return [name for name in self.modelled if self.kinds[name] in kinds]


@dataclass(frozen=True)
class Table:
    """Labelled rows. `frame` has a RangeIndex and the columns of the schema; synthetic rows have the modelled ones."""

    frame: pd.DataFrame
    schema: Schema

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def labels(self) -> Labels:
        """str [n]; empty strings when the table has no label."""
        if self.schema.label is None:
            return np.full(len(self), "", dtype=np.str_)
        return self.frame[self.schema.label].astype(str).to_numpy(dtype=np.str_)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names, sorted."""
        return tuple(sorted(set(self.labels.tolist())))

    @property
    def modelled(self) -> pd.DataFrame:
        """The columns that a synthesizer learns."""
        return self.frame[self.schema.modelled]

    def take(self, index: Index) -> "Table":
        """The rows at these positions, in this order."""
        return replace(self, frame=self.frame.iloc[index].reset_index(drop=True))

    def row_keys(self) -> Keys:
        """uint64 [n]: equal for rows that are equal in all modelled columns."""
        return np.asarray(pd.util.hash_pandas_object(self.modelled, index=False), dtype=np.uint64)

    def fingerprint(self) -> str:
        """SHA-256 of schema with its roles, column types, and a 64-bit hash of every cell: what a model depends on."""
        return self._digest(self.schema.state())

    def data_sha256(self) -> str:
        """SHA-256 of the data alone: name, kind and cells of each column, whatever roles it has."""
        return self._digest({"kinds": {name: self.schema.kinds[name] for name in self.frame.columns}})

    def _digest(self, header: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(json.dumps(header, sort_keys=True, default=list).encode())
        for name in self.frame.columns:
            column = self.frame[name]
            digest.update(f"\x1e{name}\x1f{column.dtype}\x1f".encode())
            digest.update(column.isna().to_numpy(dtype=bool).tobytes())
            digest.update(np.asarray(pd.util.hash_pandas_object(column, index=False), dtype=np.uint64).tobytes())
        return digest.hexdigest()

    def save(self, directory: Path) -> None:
        """Write rows.parquet and schema.json."""
        directory.mkdir(parents=True, exist_ok=True)
        self.frame.to_parquet(directory / "rows.parquet", index=False)
        (directory / "schema.json").write_text(json.dumps(self.schema.state(), default=list))

    @classmethod
    def load(cls, directory: Path) -> "Table":
        """The table that `save` wrote."""
        raw = json.loads((directory / "schema.json").read_text())
        return cls(pd.read_parquet(directory / "rows.parquet"), Schema.restore(raw))


@dataclass(frozen=True)
class ImageSet:
    """Labelled images, or volumes.

    Attributes:
        images: uint8 or uint16 [n, c, h, w]; c is 1 (grey) or 3 (RGB). Volumes are grey: [n, 1, d, h, w].
        codes: int64 [n], position of the class in `classes`.
        classes: class names; a class may have no image.
        groups: str [n] or None; images of one group (patient) stay in one split.
        mirror_keeps_label: whether a mirrored image still deserves its label; digits and laterality do not.
        scan: what medical images carry besides; None for other images.
        attributes: what is known of each image beside its class; None where nothing is.
    """

    images: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    codes: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    groups: npt.NDArray[np.str_] | None = None
    mirror_keeps_label: bool = False
    scan: Scan | None = None
    attributes: Attributes | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def is_volumes(self) -> bool:
        """Whether each image has a depth."""
        return self.images.ndim == 5

    @property
    def file_format(self) -> str:
        """What they are emitted as unless asked otherwise: scans as they came, volumes as npz, images as PNG files."""
        if self.scan is not None:
            return self.scan.format
        return "npz" if self.is_volumes else "folder"

    @cached_property
    def labels(self) -> Labels:
        """str [n]: the class name of each image."""
        return np.asarray(self.classes, dtype=np.str_)[self.codes]

    @property
    def max_value(self) -> int:
        """Largest value that the dtype can hold: 255 or 65535."""
        return int(np.iinfo(self.images.dtype).max)

    def take(self, index: Index) -> "ImageSet":
        """The images at these positions, in this order."""
        groups = None if self.groups is None else self.groups[index]
        attributes = None if self.attributes is None else self.attributes.take(index)
        return replace(self, images=self.images[index], codes=self.codes[index], groups=groups, attributes=attributes)

    def row_keys(self) -> Keys:
        """uint64 [n]: equal for images that are equal in every pixel."""
        digests = [hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in self.images]
        return np.frombuffer(b"".join(digests), dtype=np.uint64)

    def fingerprint(self) -> str:
        """SHA-256 of shape, classes, labels and all pixels; of scan and attributes where there are any."""
        header: dict[str, Any] = {"shape": self.images.shape, "dtype": str(self.images.dtype), "classes": self.classes}
        header |= {} if self.scan is None else {"scan": self.scan.state()}
        header |= {} if self.attributes is None else {"attributes": self.attributes.state()}
        digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        digest.update(self.codes.tobytes())
        digest.update(self.images.tobytes())
        return digest.hexdigest()

    def data_sha256(self) -> str:
        """SHA-256 of the data alone: as `fingerprint`, whichever attributes are protected."""
        attributes = self.attributes and replace(self.attributes, protected=())
        return replace(self, attributes=attributes).fingerprint()

    def save(self, directory: Path) -> None:
        """Write images.npy, codes.npy and meta.json."""
        directory.mkdir(parents=True, exist_ok=True)
        np.save(directory / "images.npy", self.images, allow_pickle=False)
        np.save(directory / "codes.npy", self.codes, allow_pickle=False)
        groups = None if self.groups is None else self.groups.tolist()
        meta = {"classes": self.classes, "groups": groups, "mirror_keeps_label": self.mirror_keeps_label}
        meta |= {} if self.attributes is None else {"attributes": self.attributes.state()}
        (directory / "meta.json").write_text(json.dumps({**meta, "scan": self.scan and self.scan.state()}))

    @classmethod
    def load(cls, directory: Path) -> "ImageSet":
        """The images that `save` wrote."""
        meta = json.loads((directory / "meta.json").read_text())
        return cls(
            images=np.load(directory / "images.npy", allow_pickle=False),
            codes=np.load(directory / "codes.npy", allow_pickle=False),
            classes=tuple(meta["classes"]),
            groups=None if meta["groups"] is None else np.asarray(meta["groups"], dtype=np.str_),
            mirror_keeps_label=meta["mirror_keeps_label"],
            scan=Scan.restore(meta.get("scan")),
            attributes=Attributes.restore(meta.get("attributes")),
        )


Data = Table | ImageSet


def cell_texts(column: pd.Series) -> npt.NDArray[np.object_]:
    """object [n] of str; None is missing. Equal numbers are equal texts, in whatever dtype: a gap makes 1 a 1.0."""
    texts = np.full(len(column), None, dtype=object)
    there = column.notna().to_numpy(dtype=bool)
    values = column[there].astype(object)
    if pd.api.types.is_float_dtype(column.dtype):
        texts[there] = [str(int(value) if float(value).is_integer() else value) for value in values]
    else:
        texts[there] = values.astype(str)
    return texts


def load_data(directory: Path) -> Data:
    """The table or images that `save` wrote to this directory."""
    return Table.load(directory) if (directory / "schema.json").exists() else ImageSet.load(directory)


def concat(parts: Sequence[Data]) -> Data:
    """All rows of parts of one kind and schema, in order."""
    first = parts[0]
    if isinstance(first, Table):
        frames = [part.frame for part in parts if isinstance(part, Table) and len(part)]
        return replace(first, frame=pd.concat(frames, ignore_index=True) if frames else first.frame)
    images = [part for part in parts if isinstance(part, ImageSet)]
    return replace(
        first,
        images=np.concatenate([part.images for part in images]),
        codes=np.concatenate([part.codes for part in images]),
        groups=None,
        attributes=joined([(part.attributes, len(part)) for part in images]),
    )


def class_counts(data: Data) -> dict[str, int]:
    """Rows of each class, 0 for a class without rows."""
    names, counts = np.unique(data.labels, return_counts=True)
    present = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return {name: present.get(name, 0) for name in data.classes}


def class_rows(data: Data, name: str) -> Index:
    """Positions of the rows of one class."""
    return np.flatnonzero(data.labels == name)


def take_per_class(data: Data, counts: Mapping[str, int], rng: np.random.Generator) -> Data:
    """A random subset with at most counts[class] rows of each class, in random order."""
    picked = [rng.permutation(class_rows(data, name))[:count] for name, count in sorted(counts.items())]
    index = np.concatenate(picked) if picked else np.empty(0, dtype=np.int64)
    return data.take(rng.permutation(index).astype(np.int64))


@dataclass(frozen=True)
class Splits:
    """Train, valid and holdout: disjoint, the third never seen before evaluation."""

    train: Data
    valid: Data
    holdout: Data

    def save(self, directory: Path) -> None:
        """Write each part to its own folder."""
        for name, part in self.parts():
            part.save(directory / name)

    @classmethod
    def load(cls, directory: Path) -> "Splits":
        """The splits that `save` wrote."""
        return cls(*(load_data(directory / name) for name in ("train", "valid", "holdout")))

    def parts(self) -> Iterable[tuple[str, Data]]:
        """Name and data of each part."""
        return (("train", self.train), ("valid", self.valid), ("holdout", self.holdout))


@dataclass(frozen=True)
class Ingested:
    """What a source read.

    Attributes:
        parts: str [n] of "train" | "valid" | "holdout" when the data bring their own split.
        problems: as JSON of findings.Problem, in the order found.
    """

    data: Data
    parts: npt.NDArray[np.str_] | None = None
    problems: Sequence[Mapping[str, str | None]] = field(default_factory=tuple)

    def save(self, directory: Path) -> None:
        """Write data/, parts.json and problems.json."""
        self.data.save(directory / "data")
        parts = None if self.parts is None else self.parts.tolist()
        (directory / "parts.json").write_text(json.dumps(parts))
        (directory / "problems.json").write_text(json.dumps(list(self.problems)))

    @classmethod
    def load(cls, directory: Path) -> "Ingested":
        """What `save` wrote."""
        parts = json.loads((directory / "parts.json").read_text())
        return cls(
            data=load_data(directory / "data"),
            parts=None if parts is None else np.asarray(parts, dtype=np.str_),
            problems=json.loads((directory / "problems.json").read_text()),
        )

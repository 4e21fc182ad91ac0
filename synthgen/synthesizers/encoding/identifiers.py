"""New identifiers in the format of old ones, none of them old.

Ids are never learned: they say who a row is. What a reader of synthetic rows needs is ids that look and join like ids.
Running numbers go on beyond the largest; anything else is drawn place by place, by the characters seen there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgen.datasets import Index, Keys
from synthgen.errors import DataError
from synthgen.synthesizers.encoding.identifier_places import MIN_FIXED_ROWS, Places
from synthgen.synthesizers.encoding.table_state import Cells, DType, dtype_state, restored_dtype

Ids = npt.NDArray[Any]

# Nineteen digits may not fit into int64.
_MAX_DIGITS = 18
_NUMBER = re.compile(f"[0-9]{{1,{_MAX_DIGITS}}}")
# Numbers farther apart than this on average are no counter: they are drawn among all with as many digits.
_SPARSE = 4


@dataclass(frozen=True)
class Numbers:
    """Whole numbers, alone or between fixed texts.

    Attributes:
        first, last: of the numbers to draw from; neither is an id, and the largest id cannot be read from them.
        spacing: mean distance of the old ids if they were running numbers, None if they were not.
        width: digits of a text with leading zeros, 0 without.
    """

    first: int
    last: int
    spacing: float | None
    width: int

    @classmethod
    def fit(cls, numbers: Index, *, width: int, most: int) -> "Numbers":
        """The range beyond these numbers int64 [n], n >= 1, and up to `most`; among them if they are sparse."""
        low, high = int(numbers.min()), int(numbers.max())
        spacing = (high - low + 1) / len(numbers)
        if spacing > _SPARSE and low >= 0:
            first, last = (0 if width else 10 ** (len(str(low)) - 1)), 10 ** len(str(high)) - 1
            return cls(first, min(last if not width else 10**width - 1, most), None, width)
        unit = 10 ** max(len(str(abs(high))) - 2, 1)
        return cls((high // unit + 1) * unit, min(most, 10**width - 1) if width else most, max(spacing, 1.0), width)

    def candidates(self, n: int, used: int, rng: np.random.Generator) -> Index:
        """int64 [<= n + used]: different numbers, ascending where they run."""
        room = max(self.last - self.first + 1, 0)
        wanted = min(n + used, room)
        if self.spacing is None:
            return self.first + rng.choice(room, wanted, replace=False).astype(np.int64)
        window = min(max(int(np.ceil(wanted * self.spacing)), wanted), room)
        return self.first + np.sort(rng.choice(window, wanted, replace=False)).astype(np.int64)


@dataclass(frozen=True)
class IdFormat:
    """How the ids of a column are made up. Holds no id: classes of characters, fixed texts that many ids share, ranges.

    Attributes:
        prefix, suffix: the texts that all ids begin and end with.
        body: what is between them; numbers alone when the column has a type of numbers.
    """

    name: str
    dtype: DType
    prefix: str
    suffix: str
    body: Numbers | Places

    @classmethod
    def fit(cls, column: Cells) -> "IdFormat":
        """The format of the ids that are there.

        Raises:
            DataError: there is none, or they are neither texts nor whole numbers.
        """
        name, ids = str(column.name), column.dropna().unique()
        is_text = pd.api.types.is_string_dtype(column.dtype)
        texts = [str(value) for value in ids if str(value)] if is_text else []
        if len(texts if is_text else ids) == 0:
            raise DataError(f"id column {name!r} has no value to learn a format from", where=name)
        if is_text:
            prefix, suffix = _ends(texts) if len(texts) >= MIN_FIXED_ROWS else ("", "")
            bodies = [text[len(prefix) : len(text) - len(suffix)] for text in texts]
            return cls(name, column.dtype, prefix, suffix, _text_body(bodies))
        if not _is_whole(column):
            message = f"no new ids can be made for id column {name!r} of type {column.dtype}"
            raise DataError(
                message, where=name, hint="name it under drop, or write it as text or whole numbers below 2^63"
            )
        numbers = Numbers.fit(np.asarray(ids).astype(np.int64), width=0, most=_largest(column.dtype))
        return cls(name, column.dtype, "", "", numbers)

    def draw(self, n: int, rng: np.random.Generator, avoid: Keys) -> Cells:
        """n different ids in the format and dtype of the old ones.

        Args:
            avoid: uint64, `id_hashes` of the ids that must not come again.

        Raises:
            DataError: the format has fewer ids left.
        """
        drawn = self.body.candidates(n, len(avoid), rng)
        ids = drawn if pd.api.types.is_numeric_dtype(self.dtype) else self._texts(drawn)
        fresh = ids[~np.isin(_hashed(ids), avoid)][:n]
        if len(fresh) < n:
            message = f"the format of id column {self.name!r} has only {len(fresh):,} ids left, {n:,} are needed"
            raise DataError(message, where=self.name, hint="name it under drop, or ask for fewer rows")
        return pd.Series(fresh).astype(self.dtype).rename(self.name)

    def _texts(self, drawn: Ids) -> Ids:
        width = self.body.width if isinstance(self.body, Numbers) else 0
        texts = [f"{self.prefix}{str(body).zfill(width)}{self.suffix}" for body in drawn.tolist()]
        return np.asarray(texts, dtype=object)

    def state(self) -> dict[str, Any]:
        """JSON-ready content."""
        own = {"name": self.name, "dtype": dtype_state(self.dtype), "prefix": self.prefix, "suffix": self.suffix}
        return {**own, "numbers" if isinstance(self.body, Numbers) else "places": asdict(self.body)}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "IdFormat":
        """The format whose `state` this is."""
        body = Numbers(**state["numbers"]) if "numbers" in state else Places.restore(state["places"])
        return cls(state["name"], restored_dtype(state["dtype"]), state["prefix"], state["suffix"], body)


def id_hashes(column: Cells) -> Keys:
    """uint64 [ids that are there]: equal for equal ids, and not to be turned back without trying all."""
    present = column.dropna()
    is_text = pd.api.types.is_string_dtype(column.dtype)
    return _hashed(np.asarray(present.astype(object) if is_text else present.astype(np.int64)))


def regenerated(column: Cells, n: int, rng: np.random.Generator) -> Cells:
    """n new ids in the format of this column, none of which it has; every row gets one, also where some had none.

    Raises:
        DataError: the column has no format that new ids could follow, or too few ids are left in it.
    """
    return IdFormat.fit(column).draw(n, rng, id_hashes(column))


def _hashed(ids: Ids) -> Keys:
    return np.asarray(pd.util.hash_array(ids, categorize=False), dtype=np.uint64)


def _text_body(bodies: Sequence[str]) -> Numbers | Places:
    is_number = all(_NUMBER.fullmatch(body) for body in bodies)
    is_padded = any(body.startswith("0") and len(body) > 1 for body in bodies)
    if not is_number or (is_padded and len(set(map(len, bodies))) > 1):
        return Places.fit(bodies)
    numbers = np.asarray([int(body) for body in bodies], dtype=np.int64)
    return Numbers.fit(numbers, width=len(bodies[0]) if is_padded else 0, most=10**_MAX_DIGITS - 1)


def _ends(texts: Sequence[str]) -> tuple[str, str]:
    """The beginning and the end that all texts share, up to their digits: those may be a number that goes on."""
    prefix = _beginning(texts).rstrip("0123456789")
    return prefix, _beginning([text[len(prefix) :][::-1] for text in texts])[::-1].lstrip("0123456789")


def _beginning(texts: Sequence[str]) -> str:
    # What the first and the last in order share, all share.
    low, high = min(texts), max(texts)
    same = next((k for k, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:same]


def _is_whole(column: Cells) -> bool:
    if pd.api.types.is_integer_dtype(column.dtype):
        return bool(column.max() <= np.iinfo(np.int64).max)
    if not pd.api.types.is_float_dtype(column.dtype):
        return False
    values = column.dropna().to_numpy(dtype=np.float64)
    return bool((values == np.rint(values)).all() and np.abs(values).max() < 2**53)


def _largest(dtype: DType) -> int:
    if pd.api.types.is_float_dtype(dtype):
        return 2 ** (24 if "32" in str(dtype) else 53) - 1
    return min(int(np.iinfo(str(dtype).lower()).max), 2**63 - 1)

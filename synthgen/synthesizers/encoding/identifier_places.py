"""Texts of given lengths, each place with the characters that may stand there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.datasets import Index

# A character that so many ids share at a place belongs to the format; with fewer it may be one person's.
MIN_FIXED_ROWS = 20
# With so many ids a character that was not seen at a place is not in use there: one of sixteen is missed by chance in
# less than one place in a million.
_ENOUGH_ROWS = 250
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Version and variant of a UUID (RFC 9562): no other characters than those seen.
_UUID_MARKS = (14, 19)
# Numbers below this can be drawn without repetition.
_MAX_NUMBER = 2**62


@dataclass(frozen=True)
class Length:
    """The texts of one length.

    Attributes:
        rows: number of old ids.
        places: the characters allowed at each place.
    """

    rows: int
    places: tuple[str, ...]

    def room(self) -> int:
        """How many texts there are, without the old ones."""
        return prod(map(len, self.places)) - self.rows

    def widened(self) -> "Length":
        """Any digit where there was one: for formats that the old ids nearly fill."""
        return Length(self.rows, tuple(_widened(place) for place in self.places))

    def texts(self, n: int, rng: np.random.Generator) -> list[str]:
        """Different texts, n of them or as many as there are."""
        sizes = [len(place) for place in self.places]
        # Texts that differ in their first places differ; what does not fit into a number any more is free.
        counted = max(k for k in range(len(sizes) + 1) if prod(sizes[:k]) <= _MAX_NUMBER)
        total = prod(sizes[:counted])
        number = rng.choice(total, min(n, total), replace=False).astype(np.int64)
        columns: list[npt.NDArray[np.str_]] = []
        for k, place in enumerate(self.places):
            if k < counted:
                number, character = np.divmod(number, sizes[k])
            else:
                character = rng.integers(0, sizes[k], len(number))
            columns.append(np.asarray(list(place))[character])
        return ["".join(text) for text in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Places:
    """Texts of one or more lengths, drawn as often as they were seen."""

    lengths: tuple[Length, ...]

    @classmethod
    def fit(cls, texts: Sequence[str]) -> "Places":
        """The format of these different texts, at least one."""
        by_length: dict[int, list[str]] = {}
        for text in texts:
            by_length.setdefault(len(text), []).append(text)
        return cls(tuple(_length(by_length[k]) for k in sorted(by_length) if k > 0))

    def candidates(self, n: int, used: int, rng: np.random.Generator) -> npt.NDArray[np.object_]:
        """object [<= n + used]: different texts in random order, of which `used` may be old ones."""
        known = sum(length.rows for length in self.lengths)
        wanted = rng.multinomial(n, np.asarray([length.rows for length in self.lengths]) / known)
        lengths = [
            length if length.room() > 2 * count + length.rows else length.widened()
            for length, count in zip(self.lengths, wanted.tolist(), strict=True)
        ]
        further = max(used - known, 0)
        texts: list[str] = []
        for length, count in zip(lengths, _within_room(wanted, lengths).tolist(), strict=True):
            texts += length.texts(count + (length.rows + further if count else 0), rng)
        return np.asarray(rng.permutation(np.asarray(texts, dtype=object)))

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Places":
        """The places that `asdict` wrote."""
        return cls(tuple(Length(length["rows"], tuple(length["places"])) for length in state["lengths"]))


def _within_room(wanted: Index, lengths: Sequence[Length]) -> Index:
    """How many texts of each length, none more than there are: the others come from where most are left."""
    room = np.asarray([min(length.room(), _MAX_NUMBER // len(lengths)) for length in lengths], dtype=np.int64)
    counts: Index = np.minimum(wanted, room)
    missing = int((wanted - counts).sum())
    for k in np.argsort(-(room - counts), kind="stable").tolist():
        more = min(missing, int(room[k] - counts[k]))
        counts[k] += more
        missing -= more
    return counts


def _length(texts: Sequence[str]) -> Length:
    seen = [set(place) for place in zip(*texts, strict=True)]
    letters = set().union(*seen) - set(digits)
    is_mixed = any(place & set(digits) and place - set(digits) for place in seen)
    is_hex = is_mixed and {letter for letter in letters if letter.isalpha()} <= set("abcdefABCDEF")
    is_uuid = all(_UUID.fullmatch(text) for text in texts)
    kept = _UUID_MARKS if is_uuid else ()
    return Length(len(texts), tuple(_place(k, seen[k], len(texts), is_hex, k in kept) for k in range(len(seen))))


def _place(k: int, seen: set[str], rows: int, is_hex: bool, is_kept: bool) -> str:
    if is_kept or rows >= _ENOUGH_ROWS or (rows >= MIN_FIXED_ROWS and len(seen) == 1):
        return "".join(sorted(seen))
    few = digits if k or "0" in seen else digits[1:]
    return _with_classes(seen, few, 6 if is_hex else 26)


def _widened(place: str) -> str:
    return _with_classes(set(place), digits if "0" in place else digits[1:], 0)


def _with_classes(seen: set[str], some_digits: str, letters: int) -> str:
    """The characters and, for each kind of them that was seen, all others of that kind."""
    every = set(seen)
    for kind in (some_digits, ascii_lowercase[:letters], ascii_uppercase[:letters]):
        every |= set(kind) if seen & set(kind) else set()
    return "".join(sorted(every))

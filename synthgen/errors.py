"""Errors a user can act on: what came, what is allowed, where to look. Never the value of a cell."""

import difflib
import errno
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from synthgen.redaction import redacted


class SynthgenError(Exception):
    """Base of all errors that are shown as one sentence instead of a traceback.

    Args:
        message: one sentence: what came, what is allowed.
        where: the file, config key or column the user should look at.
        hint: what to do next.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = redacted(message)
        super().__init__(self.message)
        self.where = None if where is None else redacted(where)
        self.hint = None if hint is None else redacted(hint)

    @property
    def problems(self) -> Sequence["SynthgenError"]:
        """Each thing that is wrong; the error itself when it is the only one."""
        return (self,)


class UsageError(SynthgenError):
    """The command was called wrongly."""

    exit_code = 2


class ConfigError(SynthgenError):
    """The configuration says something that is not allowed."""

    exit_code = 2


class DataError(SynthgenError):
    """The data cannot be read or cannot be used."""

    exit_code = 2


class DataErrors(DataError):
    """Several things are wrong with the data, found in one reading."""

    def __init__(self, errors: Sequence[SynthgenError]) -> None:
        shown = "; ".join(error.message for error in errors[:3])
        more = f"; and {len(errors) - 3:,} more" if len(errors) > 3 else ""
        first = errors[0]
        super().__init__(f"{len(errors):,} problems: {shown}{more}", where=first.where, hint=first.hint)
        self._errors = tuple(errors)

    @property
    def problems(self) -> Sequence[SynthgenError]:
        """Each thing that is wrong."""
        return self._errors


class Refusals:
    """The errors of one reading, kept so that all can be told at once."""

    def __init__(self) -> None:
        self.errors: list[SynthgenError] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep a DataError that ends the block, and go on after it."""
        try:
            yield
        except DataError as error:
            self.errors += error.problems

    def raise_any(self) -> None:
        """Raise what was kept: the error itself, or DataErrors for several."""
        if self.errors:
            raise self.errors[0] if len(self.errors) == 1 else DataErrors(self.errors)


class ModelError(SynthgenError):
    """A saved model is broken, or does not fit what is asked of it."""

    exit_code = 2


class IntegrityError(SynthgenError):
    """A file does not have the hash that its manifest states."""

    exit_code = 2


class TrainingError(SynthgenError):
    """Training failed although configuration and data are sound."""

    exit_code = 2


class ResourceError(SynthgenError):
    """Disk, memory or device gave out; with more of it the same command goes on where this one stopped."""

    exit_code = 2


class DiskFullError(ResourceError):
    """Nothing more could be written."""


# Libraries (safetensors, torch, sqlite, CUDA) put the system's error into words of their own.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = re.compile(r"no space left|os error (27|28|122)\b|disk is full|file too large|quota exceeded", re.I)
_MEMORY_WORDS = re.compile(r"out of memory|can't allocate memory|bad_alloc|unable to allocate", re.I)
_DEVICE_WORDS = re.compile(r"\b(CUDA|CUDNN|CUBLAS|HIP|MPS|XPU)\w* (error|failure)|driver shutting down", re.I)


def resource_error(error: BaseException, doing: str, where: str) -> ResourceError | None:
    """What `error` says about disk, memory or device, in one sentence; None when it speaks of something else.

    Args:
        doing: what could not be done, such as "stage 'fit'".
    """
    number, words = getattr(error, "errno", None), str(error)
    if number in _FULL or _FULL_WORDS.search(words):
        hint = "free space there or choose another --workspace; the same command goes on after the last finished stage"
        message = f"{doing} stopped: the disk is full, or the file is larger than allowed"
        return DiskFullError(message, where=where, hint=hint)
    if isinstance(error, MemoryError) or _MEMORY_WORDS.search(words):
        hint = "lower synthesizer.batch_size or source.max_rows, or give it more memory; the same command goes on"
        return ResourceError(f"{doing} stopped: out of memory", where=where, hint=hint)
    if isinstance(error, RuntimeError) and _DEVICE_WORDS.search(words):
        hint = "see what nvidia-smi says; once the device answers, the same command goes on from the last checkpoint"
        return ResourceError(f"{doing} stopped: the device is lost or failed", where=where, hint=hint)
    return None


def nearest_name(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most similar to `name`, or None when none is similar."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return matches[0] if matches else None


def name_list(names: Iterable[str], *, at_most: int = 12) -> str:
    """The names quoted and joined; a long list is cut and counted."""
    every = list(names)
    shown = ", ".join(repr(name) for name in every[:at_most])
    return shown if len(every) <= at_most else f"{shown} and {len(every) - at_most} more"


def unknown_name(what: str, name: str, candidates: Iterable[str]) -> str:
    """One sentence that says which name is unknown, which are known, and which was probably meant."""
    known = list(candidates)
    guess = nearest_name(name, known)
    suffix = f"; did you mean {guess!r}?" if guess else ""
    return f"{what} {name!r} is not known (known: {name_list(known)}){suffix}"

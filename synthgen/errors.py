"""Errors a user can act on: what came, what is allowed, where to look. Never the value of a cell."""

import difflib
from collections.abc import Iterable


class SynthgenError(Exception):
    """Base of all errors that are shown as one sentence instead of a traceback.

    Args:
        message: one sentence: what came, what is allowed.
        where: the file, config key or column the user should look at.
        hint: what to do next.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint


class UsageError(SynthgenError):
    """The command was called wrongly."""

    exit_code = 2


class ConfigError(SynthgenError):
    """The configuration says something that is not allowed."""

    exit_code = 2


class DataError(SynthgenError):
    """The data cannot be read or cannot be used."""

    exit_code = 2


class ModelError(SynthgenError):
    """A saved model is broken, or does not fit what is asked of it."""

    exit_code = 2


class IntegrityError(SynthgenError):
    """A file does not have the hash that its manifest states."""

    exit_code = 2


class TrainingError(SynthgenError):
    """Training failed although configuration and data are sound."""


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

"""The table of sources. To add one: a class with its `kind` in config.Source, a function to Ingested, a line here."""

from collections.abc import Callable, Mapping
from typing import Any

from synthgen.config import Source
from synthgen.datasets import Ingested
from synthgen.errors import ConfigError
from synthgen.sources.builtin import read_builtin
from synthgen.sources.coercion import coerce_like
from synthgen.sources.frames import read_frame
from synthgen.sources.images import read_images
from synthgen.sources.proposals import propose
from synthgen.sources.tables import ingest_frame, read_table

__all__ = ["SOURCES", "coerce_like", "ingest_frame", "propose", "read", "read_frame", "read_table"]

# Each gets its own member of Source (the key is its kind), the seed of the run, and split.column.
SOURCES: Mapping[str, Callable[[Any, int, str | None], Ingested]] = {
    "table": lambda source, seed, split_column: read_table(source, seed=seed, split_column=split_column),
    "images": lambda source, _, split_column: read_images(source, split_column=split_column),
    "builtin": lambda source, seed, _: read_builtin(source, seed=seed),
}


def read(source: Source, *, seed: int, split_column: str | None = None) -> Ingested:
    """The labelled data that the config names, checked, with the problems found and its own split if it has one.

    Raises:
        DataError: the data cannot be read or used.
        ConfigError: the config names something that these data do not have.
    """
    if source.kind == "builtin" and split_column is not None:
        raise ConfigError(
            f"split.column is {split_column!r}, but a builtin dataset has no such column", where="split.column"
        )
    return SOURCES[source.kind](source, seed, split_column)

"""Paths of a command that may be addresses (s3://...): inputs are copied here, outputs are copied there when whole."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthgen.errors import UsageError
from synthgen.remote import address_of, exists, is_address, local_copy, require_address, send


def shown(place: Path) -> str:
    """The place as the user gave it: a path object takes slashes away from an address."""
    return address_of(place) if is_address(place) else str(place)


def local_input(place: Path, workspace: Path | None) -> Path:
    """The path, absolute; for an address its copy in the workspace. Raises DataError when nothing can be read there."""
    from pipelines.bootstrap import workspace_at

    return local_copy(place, workspace_at(workspace).downloads).absolute()


@contextmanager
def local_output(place: Path, *, is_new: bool = False) -> Iterator[Path]:
    """The path; for an address one whose content is copied there after the block.

    Args:
        is_new: nothing may lie there yet.

    Raises:
        UsageError: something does.
        DataError: nothing can be written there.
    """
    if not is_address(place):
        yield place
        return
    address = address_of(place)
    if is_new and exists(address):
        raise UsageError(f"{address} exists already", where=address, hint="choose another name with -o")
    with tempfile.TemporaryDirectory(prefix="synthgen-") as scratch:
        local = Path(scratch) / place.name
        yield local
        send(local, address)


def kept_output(place: Path | None, workspace: Path | None, kind: str) -> Path | None:
    """The path; for an address a folder of the workspace that the caller copies there. Raises DataError at once."""
    from pipelines.bootstrap import workspace_at

    if place is None or not is_address(place):
        return place
    require_address(address_of(place))
    return workspace_at(workspace).root / kind / place.name

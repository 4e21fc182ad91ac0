"""Paths of a command that may be addresses (s3://...): inputs are copied here, outputs are copied there when whole."""

from pathlib import Path

from synthgen.remote import address_of, is_address, local_copy, require_address


def local_input(place: Path, workspace: Path | None) -> Path:
    """The path, absolute; for an address its copy in the workspace. Raises DataError when nothing can be read there."""
    from pipelines.bootstrap import workspace_at

    return local_copy(place, workspace_at(workspace).downloads).absolute()


def kept_output(place: Path | None, workspace: Path | None, kind: str) -> Path | None:
    """The path; for an address a folder of the workspace that the caller copies there. Raises DataError at once."""
    from pipelines.bootstrap import workspace_at

    if place is None or not is_address(place):
        return place
    require_address(address_of(place))
    return workspace_at(workspace).root / kind / place.name

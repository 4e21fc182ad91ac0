"""manifest.json of a folder of files: what is in it, and proof that nothing changed since."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthgen.errors import IntegrityError
from synthgen.files import read_json, sha256_file, write_json


def write_manifest(directory: Path, content: Mapping[str, Any]) -> None:
    """manifest.json with path, bytes and SHA-256 of each file below `directory`. Its existence means: complete."""
    files = [
        {"path": str(path.relative_to(directory)), "bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / "manifest.json"
    ]
    write_json(directory / "manifest.json", {**content, "files": files})


def verify_manifest(directory: Path) -> dict[str, Any]:
    """The manifest, after every file was compared with it.

    Raises:
        IntegrityError: a file is missing, added, a link, or has another hash than the manifest states.
    """
    if not (directory / "manifest.json").exists():
        raise IntegrityError(f"{directory} has no manifest.json: it is not a finished dataset", where=str(directory))
    found = {str(path.relative_to(directory)): path for path in directory.rglob("*")}
    for name, path in found.items():
        # What it leads to may lie anywhere, and change after this check.
        if path.is_symlink():
            raise IntegrityError(f"{name!r} is a link; a dataset holds its files itself", where=str(directory))
    try:
        manifest: dict[str, Any] = read_json(directory / "manifest.json")
        stated = {str(item["path"]): item["sha256"] for item in manifest["files"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        message = "manifest.json is damaged: it does not list path and SHA-256 of each file"
        raise IntegrityError(message, where=str(directory)) from None
    present = {name for name, path in found.items() if path.is_file() and name != "manifest.json"}
    for name in sorted(present ^ set(stated)):
        state = "is missing" if name in stated else "is not in the manifest"
        raise IntegrityError(f"file {name!r} {state}", where=str(directory))
    for name, digest in stated.items():
        if sha256_file(directory / name) != digest:
            raise IntegrityError(f"file {name!r} differs from its SHA-256 in the manifest", where=str(directory))
    return manifest

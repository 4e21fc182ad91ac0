"""Small files: JSON that is there whole or not at all, hashes, removal."""

import hashlib
import json
import secrets
import shutil
from pathlib import Path
from typing import Any

from synthgen.retrying import is_busy, retried


def write_json(path: Path, content: Any) -> None:
    """Write through a temporary name: a reader sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        text = json.dumps(content, indent=1, default=str)
        retried(lambda: temporary.write_text(text, encoding="utf-8"), passes=is_busy)
        retried(lambda: temporary.replace(path), passes=is_busy)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_file(path: Path) -> str:
    """SHA-256 of the bytes of one file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_path(path: Path) -> str:
    """SHA-256 of a file, or of all names and bytes below a folder."""
    if path.is_file():
        return sha256_file(path)
    digest = hashlib.sha256()
    for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(f"{file.relative_to(path)}\x1f{sha256_file(file)}\n".encode())
    return digest.hexdigest()


def remove(path: Path) -> None:
    """Remove a file, link or folder, whether it is there or not."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

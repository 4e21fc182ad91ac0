"""Data behind an address such as `s3://bucket/rows.parquet`: read through a local copy, written after the local file.

Any protocol that fsspec knows; nothing is asked of the network but for an address that the user gave.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from synthgen.errors import DataError, SynthgenError, UsageError, unknown_name

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# A path object has lost one of the two slashes. One letter is a drive.
_ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/{1,3}(?=[^/])")
_LAST = "manifest.json"
# Addresses of this machine's own disk.
_HERE = ("file", "local")


def is_address(place: str | Path) -> bool:
    """Whether this is a URL rather than a path of this machine."""
    return _ADDRESS.match(str(place)) is not None


def address_of(place: str | Path) -> str:
    """The URL with the slashes that a path object takes away."""
    found = _ADDRESS.match(str(place))
    assert found is not None
    scheme = found[1].lower()
    return f"{scheme}:{'///' if scheme in _HERE else '//'}{str(place)[found.end() :]}"


def shown(place: str | Path) -> str:
    """The place as the user gave it: a path object takes slashes away from an address."""
    return address_of(place) if is_address(place) else str(place)


def is_elsewhere(place: str | Path) -> bool:
    """Whether this is the address of something that is no file or folder of this machine."""
    return is_address(place) and address_of(place).partition(":")[0] not in _HERE


def local_copy(place: str | Path, cache: Path, only: Collection[str] | None = None) -> Path:
    """The path itself, also for `file://`; for another address a copy in `cache`, fetched when what lies there is new.

    Args:
        only: of a folder these files, by their paths below it.

    Raises:
        DataError: the protocol is not known, or nothing can be read there.
    """
    if not is_address(place):
        return Path(place)
    address = address_of(place)
    files, path = _filesystem(address)
    with _told(address, "read"):
        if not files.exists(path):
            raise DataError(f"{address!r} does not exist", where=address)
        if not is_elsewhere(address):
            return Path(path)
        # Its tag or time and size: what changes with the content, without reading it.
        found = [name for name in sorted(files.find(path)) if only is None or _below(name, path) in only]
        listed = {name: _version(files, name) for name in found}
        digest = hashlib.sha256(repr((address, listed)).encode()).hexdigest()[:24]
        target = cache / digest / PurePosixPath(path).name
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{digest}.lock"):
            if not target.exists():
                _fetch(files, path, list(listed), target)
    return target


def _below(name: str, path: str) -> str:
    return PurePosixPath(name).relative_to(path).as_posix()


def _version(files: "AbstractFileSystem", name: str) -> str:
    info = files.info(name)
    tags = [str(info[key]) for key in ("ETag", "etag", "md5", "mtime", "LastModified", "created") if key in info]
    return " ".join([str(info.get("size")), *tags])


def _fetch(files: "AbstractFileSystem", path: str, names: list[str], target: Path) -> None:
    partial = target.parent.with_name(f"{target.parent.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name in names:
        local = partial / target.name / _below(name, path)
        local.parent.mkdir(parents=True, exist_ok=True)
        files.get_file(name, str(local))
    partial.rename(target.parent)


def read_text(address: str) -> str:
    """The UTF-8 text that lies there; raises DataError when none can be read."""
    files, path = _filesystem(address)
    with _told(address, "read"):
        content: bytes = files.cat_file(path)
        return content.decode("utf-8")


def require_address(address: str) -> None:
    """Raise DataError for a protocol that is not known, or whose package is not installed."""
    _filesystem(address)


def exists(address: str) -> bool:
    """Whether something lies there."""
    files, path = _filesystem(address)
    with _told(address, "read"):
        return bool(files.exists(path))


def send(source: Path, address: str) -> None:
    """Copy a file or all files of a folder there, manifest.json last: its existence means that the rest is whole.

    Raises:
        DataError: the protocol is not known, or nothing can be written there.
    """
    files, path = _filesystem(address)
    found = [source] if source.is_file() else sorted(entry for entry in source.rglob("*") if entry.is_file())
    with _told(address, "written"):
        for local in sorted(found, key=lambda entry: entry.name == _LAST):
            remote = path if local == source else f"{path.rstrip('/')}/{local.relative_to(source).as_posix()}"
            files.makedirs(remote.rsplit("/", 1)[0], exist_ok=True)
            files.put_file(str(local), remote)


@contextmanager
def local_output(place: str | Path, *, is_new: bool = False) -> Iterator[Path]:
    """The path; for an address one whose content is copied there after the block.

    Args:
        is_new: nothing may lie there yet.

    Raises:
        UsageError: something does.
        DataError: nothing can be written there.
    """
    if not is_address(place):
        yield Path(place)
        return
    address = address_of(place)
    if is_new and exists(address):
        raise UsageError(f"{address} exists already", where=address, hint="choose another name with -o")
    with tempfile.TemporaryDirectory(prefix="synthgen-") as scratch:
        local = Path(scratch) / PurePosixPath(address).name
        yield local
        send(local, address)


def _filesystem(address: str) -> "tuple[AbstractFileSystem, str]":
    import fsspec

    scheme = address.partition(":")[0]
    if scheme not in fsspec.available_protocols():
        raise DataError(unknown_name("protocol", scheme, sorted(fsspec.available_protocols())), where=address)
    try:
        files, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        hint = f"install it, for example pip install {_PACKAGES.get(scheme, scheme)}"
        raise DataError(f"protocol {scheme!r} needs a package: {error}", where=address, hint=hint) from None
    except Exception as error:  # each protocol has errors of its own
        raise _refusal(address, "opened", error) from None
    # A listing that is remembered would hide what is new there from a process that lives long.
    files.invalidate_cache()
    return files, str(path)


_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


@contextmanager
def _told(address: str, done: str) -> Iterator[None]:
    try:
        yield
    except SynthgenError:
        raise
    except Exception as error:  # each protocol has errors of its own
        raise _refusal(address, done, error) from error


def _refusal(address: str, done: str, error: Any) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{address!r} does not exist", where=address)
    reason = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, PermissionError) or re.search(r"credential|forbidden|access denied|401|403", reason, re.I):
        message = f"{address!r} cannot be {done}: credentials are missing or do not allow it ({reason})"
        return DataError(message, where=address, hint="set what the protocol reads, such as AWS_ACCESS_KEY_ID for s3")
    return DataError(f"{address!r} cannot be {done}: {reason}", where=address)

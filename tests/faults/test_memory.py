"""Cases 51 and 60: bombs are refused by what they claim, before their memory is taken."""

import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

MOST_GB = 2.0
# The command on each config, and then the most memory that the process held.
MEASURED = """
import resource, sys
from pipelines.cli import _answer
for config in sys.argv[1:]:
    _answer(["check", config, "--json"])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write_zip(path: Path, member: str, start: bytes, gib: int) -> None:
    """A zip of one member: some bytes, then so many GiB of zeros; it takes a second to write."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**26)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed, size = head + block * (16 * gib) + packer.flush(), len(start) + gib * 2**30
    fields = struct.pack("<HHHIII", 8, 0, 33, 0, len(packed), size)
    name = member.encode()
    local = b"PK\x03\x04" + struct.pack("<HH", 20, 0) + fields + struct.pack("<HH", len(name), 0) + name
    entry = (
        b"PK\x01\x02" + struct.pack("<HHH", 20, 20, 0) + fields + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0)
    )
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry + name), len(local + packed), 0)
    path.write_bytes(local + packed + entry + name + b"PK\x05\x06" + end)


def npy_header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def zip_bomb(folder: Path) -> Path:
    write_zip(folder / "set.zip", "u/0.png", b"", 3)
    return folder / "set.zip"


def npz_bomb(folder: Path) -> Path:
    write_zip(folder / "set.npz", "images.npy", npy_header((3 * 2**20, 32, 32)), 3)
    return folder / "set.npz"


def array_that_claims_too_much(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "set.npz", "w") as archive:
        archive.writestr("images.npy", npy_header((2**36, 32, 32)) + bytes(64))
        archive.writestr("labels.npy", npy_header((2**36,)) + bytes(64))
    return folder / "set.npz"


def shared_bytes(folder: Path) -> Path:
    """A thousand members that share their packed bytes (Fifield 2019): each alone is small."""
    with zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("u/0.png", bytes(2**24))
        first = archive.infolist()[0]
        for number in range(1, 1000):
            item = zipfile.ZipInfo(f"u/{number}.png")
            for name in ("header_offset", "compress_type", "compress_size", "file_size", "CRC"):
                setattr(item, name, getattr(first, name))
            archive.filelist.append(item)
        archive._didModify = True
    return folder / "set.zip"


def pixel_bomb(folder: Path) -> Path:
    (folder / "set" / "u").mkdir(parents=True)
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    row = zlib.compress(bytes(60_000 * 3 + 1))
    chunks = [(b"IHDR", head), (b"IDAT", row), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    (folder / "set" / "u" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return folder / "set"


def large_images(folder: Path) -> Path:
    """No bomb: as large as an image may be, and two of them; refused for being too few."""
    for name in ("u", "v"):
        (folder / "set" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((8_000, 8_000, 3), dtype=np.uint8)).save(
            folder / "set" / name / "0.png", compress_level=1
        )
    return folder / "set"


BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "60-zip": (zip_bomb, "zip bomb"),
    "60-npz": (npz_bomb, "zip bomb"),
    "60-npz-that-claims-64-tib": (array_that_claims_too_much, "damaged"),
    "60-zip-of-shared-bytes": (shared_bytes, "zip bomb"),
    "51-pixels": (pixel_bomb, "million pixels"),
    "51-largest-allowed": (large_images, "at least 10 are needed"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Exit code and message of `check` on each bomb, all in one process, and under "KB" the most that it held."""
    configs = []
    for name, (write, _) in BOMBS.items():
        folder = tmp_path_factory.mktemp(name)
        source = {"kind": "images", "path": str(write(folder)), "size": 32, "fit": "resize"}
        (folder / "config.yaml").write_text(yaml.safe_dump({"source": source}))
        configs.append(str(folder / "config.yaml"))
    command = [sys.executable, "-c", MEASURED, *configs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    *lines, kilobytes = done.stdout.splitlines()
    found = {name: json.loads(line) for name, line in zip(BOMBS, lines, strict=True)}
    return {**{name: (item["exit_code"], item["error"]) for name, item in found.items()}, "KB": (int(kilobytes), "")}


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, (_, word) in BOMBS.items()], ids=BOMBS)
def test_a_bomb_is_refused(name: str, word: str, answers: dict[str, tuple[int, str]]) -> None:
    code, message = answers[name]
    assert (code, word in message) == (2, True), message


def test_all_bombs_together_take_little_memory(answers: dict[str, tuple[int, str]]) -> None:
    assert 100_000 < answers["KB"][0] < MOST_GB * 1e6

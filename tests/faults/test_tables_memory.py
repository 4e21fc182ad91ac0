"""Files larger than memory: read in batches, or refused, below 2 GB."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

FILE_BYTES = int(5e9)
LIMIT_KB = 2_000_000


def peak_kb(words: list[str]) -> tuple[int, int]:
    """Exit code and largest resident size of a `synthgen` process."""
    process = subprocess.Popen([sys.executable, "-m", "pipelines.cli", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss


def config(folder: Path) -> str:
    source = {"kind": "table", "path": str(folder / "table.csv"), "label": "class"}
    raw = {"source": source, "synthesizer": {"kind": "marginals"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(raw))
    return str(folder / "config.yaml")


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
def test_a_file_of_five_gigabytes_is_checked_below_two(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(50_000, 6)).round(6)
    block = "".join(f"{','.join(map(str, row))},{'ab'[int(row[0] > 0)]}\n" for row in numbers).encode()
    with (tmp_path / "table.csv").open("wb") as file:
        file.write(b"a,b,c,d,e,f,class\n")
        for _ in range(FILE_BYTES // len(block)):
            file.write(block)
    try:
        code, peak = peak_kb(["check", config(tmp_path)])
    finally:
        (tmp_path / "table.csv").unlink()
    assert code == 0
    assert peak < LIMIT_KB, f"{peak / 1e6:.2f} GB"


@pytest.mark.nightly
def test_41_ten_thousand_and_one_columns_are_refused_in_little_memory(tmp_path: Path) -> None:
    header, row = (",".join(f"{text}{n}" for n in range(10_001)) for text in ("column ", "1"))
    (tmp_path / "table.csv").write_text(f"{header}\n" + f"{row}\n" * 9)
    code, peak = peak_kb(["check", config(tmp_path)])
    assert code == 2
    assert peak < LIMIT_KB / 2, f"{peak / 1e6:.2f} GB"

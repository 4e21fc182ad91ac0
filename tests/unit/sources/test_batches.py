"""Files that are longer than memory: read in batches, a uniform random choice of their rows kept."""

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from synthgen.config import TableSource
from synthgen.datasets import Table
from synthgen.errors import DataError
from synthgen.sources import batches, read, read_frame
from synthgen.sources.batches import batch_rows, take_at_most

N = 5_000


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "row": np.arange(N),
        "amount": np.where(rng.random(N) < 0.1, np.nan, rng.normal(size=N).round(6)),
        "whole": pd.array([None if row % 7 == 0 else row % 100 for row in range(N)], dtype="Int64"),
        "town": rng.choice(np.asarray(["Ulm", "Köln", None], dtype=object), N),
        "ok": rng.random(N) < 0.5,
        "day": pd.date_range("2024-01-01", periods=N, freq="h"),
        "class": rng.choice(["a", "b"], N),
    })  # fmt: skip


def without_nan(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(town=data["town"].where(data["town"].notna(), None))


def written(folder: Path, suffix: str) -> Path:
    path = folder / f"table.{suffix}"
    frame().to_parquet(path, row_group_size=700) if suffix == "parquet" else frame().to_csv(path, index=False)
    return path


@pytest.fixture
def short_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_MAX_BATCH_ROWS", 64)


def numbered(sizes: list[int]) -> Iterator[pa.RecordBatch]:
    start = 0
    for size in sizes:
        yield pa.RecordBatch.from_pydict({"row": np.arange(start, start + size)})
        start += size


def taken(sizes: list[int], max_rows: int | None, seed: int = 0) -> tuple[list[int], int]:
    kept, seen = take_at_most(numbered(sizes), max_rows, np.random.default_rng(seed))
    return [row for batch in kept for row in batch["row"].to_pylist()], seen


@pytest.mark.parametrize(
    ("sizes", "max_rows", "count"),
    [
        ([10, 10, 5], None, 25),
        ([10, 10, 5], 25, 25),
        ([10, 10, 5], 100, 25),
        ([10, 10, 5], 24, 24),
        ([10, 10, 5], 1, 1),
        ([1000] * 20, 300, 300),
        ([7] * 500, 300, 300),
        ([1], 1, 1),
        ([], 5, 0),
    ],
)
def test_so_many_rows_are_kept_in_their_old_order_and_all_are_counted(
    sizes: list[int], max_rows: int | None, count: int
) -> None:
    rows, seen = taken(sizes, max_rows)
    assert seen == sum(sizes)
    assert len(rows) == count
    assert rows == sorted(set(rows))


def test_every_row_is_as_likely_wherever_it_stands() -> None:
    counts = np.zeros(10)
    for seed in range(400):
        rows, _ = taken([13] * 20, 26, seed)
        counts += np.bincount(np.asarray(rows) // 26, minlength=10)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_another_seed_chooses_other_rows_and_the_same_seed_the_same() -> None:
    assert taken([100] * 9, 50, 1) == taken([100] * 9, 50, 1) != taken([100] * 9, 50, 2)


def test_never_more_than_the_chosen_rows_and_two_batches_are_held() -> None:
    alive: list[int] = []

    def watched() -> Iterator[pa.RecordBatch]:
        before = pa.total_allocated_bytes()
        for _ in range(200):
            yield pa.RecordBatch.from_arrays([pa.array(np.arange(1_000))], names=["row"])
            alive.append(pa.total_allocated_bytes() - before)

    kept, _ = take_at_most(watched(), 5_000, np.random.default_rng(0))
    assert sum(map(len, kept)) == 5_000
    assert max(alive) <= (5_000 + 4 * 1_000) * 8 * 1.2


@pytest.mark.parametrize("columns", [1, 20, 10_000, 10_000_000])
def test_a_batch_of_a_wide_table_is_short_but_never_empty(columns: int) -> None:
    assert 1 <= batch_rows(columns) <= max(200_000 // columns, 1)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_batches_change_nothing(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, suffix)
    whole = read_frame(path)
    monkeypatch.setattr(batches, "_MAX_BATCH_ROWS", 64)
    pd.testing.assert_frame_equal(read_frame(path), whole)
    pd.testing.assert_frame_equal(without_nan(whole), without_nan(frame()))


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
@pytest.mark.usefixtures("short_batches")
def test_of_a_longer_file_random_rows_are_used_and_that_is_said(tmp_path: Path, suffix: str) -> None:
    source = TableSource(kind="table", path=str(written(tmp_path, suffix)), label="class", max_rows=500, ids=("row",))
    first, again, other = read(source, seed=1), read(source, seed=1), read(source, seed=2)
    assert isinstance(first.data, Table)
    chosen = first.data.frame
    assert len(chosen) == 500
    assert chosen["row"].is_monotonic_increasing
    pd.testing.assert_frame_equal(chosen, frame().iloc[chosen["row"]].reset_index(drop=True))
    assert first.data.fingerprint() == again.data.fingerprint() != other.data.fingerprint()
    said = [problem for problem in first.problems if problem["kind"] == "sampled_rows"]
    assert said[0]["severity"] == "info"
    assert "has 5,000 rows; a random 500 of them are used" in str(said[0]["message"])
    assert "source.max_rows" in str(said[0]["hint"])


def test_a_file_within_the_limit_is_read_whole_and_nothing_is_said(tmp_path: Path) -> None:
    source = TableSource(kind="table", path=str(written(tmp_path, "csv")), label="class", max_rows=N, ids=("row",))
    ingested = read(source, seed=0)
    assert len(ingested.data) == N
    assert not any(problem["kind"] == "sampled_rows" for problem in ingested.problems)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [("1,2,3", "line 3002 has 3 fields"), ("1", "line 3002 has 1 fields"), ('1,"x', "line 3002: a quote")],
)
@pytest.mark.usefixtures("short_batches")
def test_a_flaw_in_a_late_batch_is_named_by_its_line(tmp_path: Path, flaw: str, message: str) -> None:
    lines = ["a,b", *["1,2"] * 3_000, flaw, *["3,4"] * 100]
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    with pytest.raises(DataError, match=message) as caught:
        read_frame(tmp_path / "t.csv.gz")
    assert str(caught.value.where).endswith(":3002")


def test_line_numbers_count_the_lines_inside_quotes_and_the_blank_ones(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b\n"x\ny",2\n\n1,2\n1,2,3\n')
    with pytest.raises(DataError, match="line 6 has 3 fields"):
        read_frame(tmp_path / "t.csv")


@pytest.mark.parametrize("place", [2**22 - 1, 2**22, 2**22 + 1])
def test_a_character_on_the_edge_of_two_blocks_is_whole(tmp_path: Path, place: int) -> None:
    lines = "a,b\n" + f"{'x' * 1021},1\n" * 4_000
    lines += "x" * (place - len(lines))
    (tmp_path / "t.csv").write_bytes((lines + "é,2\n").encode())
    assert read_frame(tmp_path / "t.csv")["a"].iloc[-1].endswith("xé")
    (tmp_path / "t.csv").write_bytes(lines.encode() + "é".encode()[:1] + b",2\n")
    with pytest.raises(DataError, match=f"byte offset {len(lines)} cannot be decoded"):
        read_frame(tmp_path / "t.csv", encoding="utf-8")


def test_what_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a" * 2**27))
    with pytest.raises(DataError, match="no line break in 68 MiB"):
        read_frame(tmp_path / "t.csv.gz")


@pytest.mark.parametrize("mark", ["", "NA", "N/A", "null", "NULL", "None", "nan", "NaN", "<NA>", "#N/A", "-nan", "n/a"])
def test_the_marks_of_a_missing_value_are_those_of_pandas(tmp_path: Path, mark: str) -> None:
    (tmp_path / "t.csv").write_text(f'a,b\n{mark},1\n"{mark}",2\nx,3\nna,4\n')
    missing = pd.read_csv(tmp_path / "t.csv", dtype=str)["a"].isna().tolist()
    assert read_frame(tmp_path / "t.csv")["a"].isna().tolist() == missing == [True, True, False, False]


_PEAK = """
import sys
from pathlib import Path
from synthgen.config import TableSource
from synthgen.sources import read
source = TableSource(kind="table", path=sys.argv[1], label="class", max_rows=20_000)
read(source, seed=0)
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")).split()[1])
"""


def peak_mb(path: Path) -> float:
    """Largest resident memory of a process that reads the file."""
    done = subprocess.run([sys.executable, "-c", _PEAK, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def long_csv(path: Path, rows: int) -> Path:
    rng = np.random.default_rng(0)
    part = pd.DataFrame({f"real{position}": rng.normal(size=20_000) for position in range(10)})
    part["class"] = rng.choice(["yes", "no"], 20_000)
    lines = part.to_csv(index=False, header=False)
    with path.open("w") as file:
        file.write(f"{','.join(part.columns)}\n")
        file.writelines(lines for _ in range(rows // 20_000))
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("rows", [80_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_longer_file_takes_no_more_memory(tmp_path: Path, rows: int) -> None:
    short, long = long_csv(tmp_path / "short.csv", 20_000), long_csv(tmp_path / "long.csv", rows)
    assert peak_mb(long) - peak_mb(short) < 60

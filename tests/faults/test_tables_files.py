"""Cases 1-6 and 34-41 of tables: files, headers and encodings."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Refused = Callable[..., list[dict[str, Any]]]
SECRET = "Zanzibar-4711"
GOOD = "".join(f"{row / 7:.3f},{['Ulm', SECRET][row % 2]},{'ab'[row % 3 == 0]}\n" for row in range(40))
HEADER = "size,town,class\n"


def csv_file(folder: Path, content: bytes, suffix: str) -> Path:
    path = folder / f"table.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    return path


def lines(*, changed: dict[int, str]) -> bytes:
    """The good table with these lines (from 1, the header) replaced."""
    every = (HEADER + GOOD).splitlines(keepends=True)
    return "".join(changed.get(number, line) for number, line in enumerate(every, start=1)).encode()


TEXT_CASES = {
    "01-empty": (b"", "is empty", None),
    "01-blank": (b" \n\n", "is empty", None),
    "02-header-only": (HEADER.encode(), "has a header but no rows", None),
    "03-one-row": ((HEADER + GOOD[:40].splitlines()[0] + "\n").encode(), "has 1 rows, at least 10", None),
    "05-duplicate-names": (lines(changed={1: "size,size,class\n"}), "more than one column named 'size'", None),
    "06-blank-name": (lines(changed={1: "size,,class\n"}), "column 2 has a blank name", None),
    "06-no-name-at-the-end": (lines(changed={1: "size,class,\n"}), "column 3 has a blank name", None),
    "35-nul-byte": (lines(changed={3: f"1,\0{SECRET},a\n"}), "NUL byte at byte offset 30", None),
    "35-bad-utf8": (lines(changed={3: "1,é,a\n"}) + b"1,\xff,b\n", "byte offset 683 cannot be decoded", None),
    "37-ragged-short": (lines(changed={7: f"1,{SECRET}\n"}), "line 7 has 2 fields, the header has 3", ":7"),
    "37-ragged-long": (lines(changed={7: f"1,{SECRET},a,b\n"}), "line 7 has 4 fields, the header has 3", ":7"),
    "37-two-ragged": (lines(changed={7: "1\n", 9: "1\n"}), "2 lines are ragged: 7, 9", ":7"),
    "38-unclosed-quote": (lines(changed={5: f'1,"{SECRET},a\n'}), "line 5: a quote is not closed", ":5"),
    "39-one-column": (lines(changed={}).replace(b",", b"^"), "has only one column when cut at ','", None),
    "41-too-many-columns": (
        ",".join(f"c{column}" for column in range(10_001)).encode(),
        "10,001 columns; at most 10,000",
        None,
    ),
}


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
@pytest.mark.parametrize(("content", "sentence", "place"), TEXT_CASES.values(), ids=TEXT_CASES)
def test_a_broken_text_file_is_refused_with_its_place(
    content: bytes, sentence: str, place: str | None, suffix: str,
    refused: Refused, config: Callable[..., Path], tmp_path: Path,
) -> None:  # fmt: skip
    path = csv_file(tmp_path, content, suffix)
    problems = refused("check", config(path))
    assert [sentence in problem["problem"] for problem in problems] == [True], problems
    assert path.name in problems[0]["problem"]
    if place is not None:
        assert problems[0]["where"].endswith(place)


def frame(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "size": rng.normal(size=rows), "town": rng.choice(["Ulm", SECRET], rows), "class": rng.choice(["a", "b"], rows)
    })  # fmt: skip


def arrow(names: list[str], rows: int = 40) -> pa.Table:
    return pa.Table.from_arrays([pa.array([row % 7 for row in range(rows)])] * len(names), names=names)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


PARQUET_CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "01-empty": (lambda path: path.write_bytes(b""), "is empty"),
    "02-no-rows": (lambda path: frame(0).to_parquet(path), "has columns but no rows"),
    "03-one-row": (lambda path: frame(1).to_parquet(path), "has 1 rows, at least 10"),
    "05-duplicate-names": (lambda path: pq.write_table(arrow(["a", "a", "class"]), path), "one column named 'a'"),
    "06-blank-name": (lambda path: pq.write_table(arrow(["a", " ", "class"]), path), "column 2 has a blank name"),
    "40-truncated": (lambda path: (frame().to_parquet(path), _cut(path)), "not a whole parquet file"),
    "40-only-magic": (lambda path: path.write_bytes(b"PAR1"), "not a whole parquet file"),
    "40-bytes-within": (
        lambda path: (frame(4000).to_parquet(path), path.write_bytes(path.read_bytes().replace(b"U", b"\xff"))),
        "not a whole parquet file",
    ),
    "41-too-many-columns": (
        lambda path: pq.write_table(arrow([f"c{column}" for column in range(10_001)], 1), path),
        "10,001 columns; at most 10,000",
    ),
}


@pytest.mark.parametrize(("write", "sentence"), PARQUET_CASES.values(), ids=PARQUET_CASES)
def test_a_broken_parquet_file_is_refused(
    write: Callable[[Path], object], sentence: str, refused: Refused, config: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    write(path)
    problems = refused("check", config(path))
    assert [sentence in problem["problem"] for problem in problems] == [True], problems
    assert path.name in problems[0]["problem"]


def test_39_a_wrong_delimiter_in_the_config_names_the_right_one(
    refused: Refused, config: Callable[..., Path], tmp_path: Path
) -> None:
    path = csv_file(tmp_path, lines(changed={}), "csv")
    problems = refused("check", config(path, delimiter=";"))
    assert "only one column when cut at ';'; a comma would give 3" in problems[0]["problem"]
    assert "source.delimiter" in problems[0]["hint"]


NAMES = {"34-right-to-left": "\u05e2\u05d9\u05e8", "34-emoji": "\U0001f600", "34-line-break": "two\nlines",
         "34-escape-sequence": "red\x1b[31m", "34-markup": "[bold]x[/nope]"}  # fmt: skip
READABLE = {
    "36-bom": b"\xef\xbb\xbf" + lines(changed={}),
    "36-utf16": lines(changed={}).decode().encode("utf-16"),
    **{key: lines(changed={1: f'size,"{name}",class\n'}) for key, name in NAMES.items()},
}


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
@pytest.mark.parametrize(("case", "content"), READABLE.items(), ids=READABLE)
def test_an_unusual_text_file_is_read(
    case: str, content: bytes, suffix: str, ask: Callable[..., Any], config: Callable[..., Path], tmp_path: Path
) -> None:
    path = config(csv_file(tmp_path, content, suffix))
    shown, answer = ask("check", path), ask("check", path, "--json")
    assert (shown.code, answer.code) == (0, 0), answer.out
    assert answer.json["columns"]["categorical"] == [NAMES.get(case, "town"), "class"]
    assert "\x1b[31m" not in shown.out + shown.err


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_an_unusual_name_of_a_parquet_column_is_kept(
    name: str, ask: Callable[..., Any], config: Callable[..., Path], tmp_path: Path
) -> None:
    frame().rename(columns={"town": name}).to_parquet(tmp_path / "table.parquet")
    answer = ask("check", config(tmp_path / "table.parquet"), "--json")
    assert answer.code == 0
    assert answer.json["columns"]["categorical"] == [name, "class"]

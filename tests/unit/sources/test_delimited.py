"""CSV files: what is read although it is unusual, and what is refused with byte or line."""

import csv
import gzip
import random
from pathlib import Path

import pandas as pd
import pytest

from synthgen.errors import DataError, Refusals
from synthgen.sources import delimited, read_frame
from synthgen.sources.delimited import Delimited

PLAIN = "name,age\nAda,36\nBob,41\n"
EXPECTED = pd.DataFrame({"name": ["Ada", "Bob"], "age": [36, 41]})

UNQUOTED = ("x", "y", "1.5", "", "ä", "a b", " z", "\u2028", "'", "NA", "\xa0")
QUOTED = ('"q"', '"a,b"', '"two\nlines"', '"say ""so"""')


def written(tmp_path: Path, content: bytes, name: str = "people.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (PLAIN.encode(), "people.csv"),
        (PLAIN.replace(",", ";").encode(), "people.csv"),
        (PLAIN.replace(",", "\t").encode(), "people.tsv"),
        (PLAIN.replace(",", "|").encode(), "people.txt"),
        (PLAIN.replace("\n", "\r\n").encode(), "people.csv"),
        (PLAIN.replace(",", ", ").encode(), "people.csv"),
        (PLAIN.replace("Ada", '"Ada"').encode(), "people.csv"),
        (PLAIN.replace("\nBob", "\n\nBob").encode(), "people.csv"),
        (b"\xef\xbb\xbf" + PLAIN.encode(), "people.csv"),
        (PLAIN.encode("utf-16"), "people.csv"),
        (gzip.compress(PLAIN.encode()), "people.csv.gz"),
        (gzip.compress(PLAIN.encode()), "misnamed.csv"),
    ],
    ids=[
        "comma",
        "semicolon",
        "tab",
        "bar",
        "crlf",
        "spaces",
        "quotes",
        "blank line",
        "bom",
        "utf-16",
        "gzip",
        "gzip-csv",
    ],
)
def test_a_table_is_read_however_it_is_written(tmp_path: Path, content: bytes, name: str) -> None:
    pd.testing.assert_frame_equal(read_frame(written(tmp_path, content, name)), EXPECTED)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("stadt,wert\nMünchen,1\nKöln,2\nDüsseldorf,3\n", "cp1252"),
        ("ville,valeur\nOrléans,1\nBesançon,2\nNîmes,3\nMâcon,4\n", "cp1252"),
        ("город,число\nМосква,1\nКазань,2\nТула,3\nНовосибирск,4\n", "cp1251"),
    ],
)
def test_a_table_that_is_not_utf8_is_read_in_the_likeliest_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    frame = read_frame(written(tmp_path, text.encode(encoding)))
    assert [*frame.columns, *frame.iloc[:, 0]] == [*text.splitlines()[0].split(","), *(
        line.split(",")[0] for line in text.splitlines()[1:]
    )]  # fmt: skip


def test_encoding_and_delimiter_can_be_given(tmp_path: Path) -> None:
    path = written(tmp_path, "a!b\né!1\n".encode("cp1252"))
    assert read_frame(path, delimiter="!", encoding="cp1252").iloc[0].tolist() == ["é", 1]


def test_delimiter_inside_quotes_and_line_breaks_inside_quotes_belong_to_the_text(tmp_path: Path) -> None:
    frame = read_frame(written(tmp_path, b'a,b\n"x, y",1\n"line\nbreak",2\n'))
    assert frame["a"].tolist() == ["x, y", "line\nbreak"]


def test_right_to_left_names_emoji_and_line_breaks_in_a_header_are_kept(tmp_path: Path) -> None:
    frame = read_frame(written(tmp_path, 'עיר,"😀","two\nlines"\n1,2,3\n'.encode()))
    assert frame.columns.tolist() == ["עיר", "😀", "two\nlines"]


def test_formula_cells_are_plain_text(tmp_path: Path) -> None:
    assert read_frame(written(tmp_path, b"a,b\n=cmd|x,1\n@x,2\n+y,3\n"))["a"].tolist() == ["=cmd|x", "@x", "+y"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"a,b\n", "a header but no rows"),
        (b"a,a\n1,2\n", "more than one column named 'a'"),
        (b"a,,c\n1,2,3\n", "column 2 has a blank name"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 fields, the header has 2"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 has 3 fields, the header has 2"),
        (b'a,b\n"x\ny",2\n3\n', "line 4 has 1 fields"),
        (b'a,b\n1,2\n3,"open\n5,6\n', "line 3: a quote is not closed"),
        (b"a\n1\n2\n", "has only one column"),
        (b"a,b\n1,\x002\n", "NUL byte at byte offset 6"),
        (b"a,b\n1,\xff\n", "byte offset 6 cannot be decoded"),
        ("é,b\n".encode() + b"1,\xe9t\xe9\n", "byte offset 7 cannot be decoded"),
        (b"\x1f\x8bnot gzip at all", "cannot be unpacked as gzip"),
        (gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "cannot be unpacked as gzip"),
        (b"PK\x03\x04 a spreadsheet", "neither CSV nor parquet"),
        (b"\x80\x04\x95 a pickle", "neither CSV nor parquet"),
        (b",".join(b"c%d" % column for column in range(10_001)) + b"\n", "10,001 columns"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_file_is_refused_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_frame(written(tmp_path, content))
    assert "people.csv" in str(caught.value)


def test_a_wrong_delimiter_says_which_one_is_right(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"only one column when cut at ';'; a comma would give 2"):
        read_frame(written(tmp_path, PLAIN.encode()), delimiter=";")


@pytest.mark.parametrize(("option", "value"), [("encoding", "latin-99"), ("delimiter", "::")])
def test_an_impossible_option_is_named(tmp_path: Path, option: str, value: str) -> None:
    with pytest.raises(DataError, match=value) as caught:
        read_frame(written(tmp_path, PLAIN.encode()), **{option: value})
    assert caught.value.where == f"source.{option}"


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path) -> None:
    written(tmp_path, PLAIN.encode())
    with pytest.raises(DataError, match=r"does not exist; did you mean 'people.csv'"):
        read_frame(tmp_path / "peple.csv")


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    EXPECTED.to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a whole parquet file"):
        read_frame(path)


def test_a_named_index_of_a_parquet_file_is_a_column(tmp_path: Path) -> None:
    EXPECTED.set_index("name").to_parquet(tmp_path / "people.parquet")
    assert read_frame(tmp_path / "people.parquet").columns.tolist() == ["name", "age"]


@pytest.mark.parametrize("block", [7, 64, 10_000])
@pytest.mark.parametrize("quotes_after", [0, 20, 60])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\r\n\r\n"])
def test_whatever_parser_takes_a_block_its_rows_are_those_of_the_csv_module(
    block: int, quotes_after: int, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_BLOCK_CHARS", block)
    draw, path = random.Random(block), tmp_path / "t.csv"
    pieces = [UNQUOTED if position < quotes_after else UNQUOTED + QUOTED for position in range(60)]
    lines = [f"{draw.choice(some)},{draw.choice(some)}" for some in pieces]
    path.write_text(end.join(["a,b", *lines]) + draw.choice([end, ""]), encoding="utf-8", newline="")
    with path.open(encoding="utf-8", newline="") as file:
        _, *expected = [tuple(row) for row in csv.reader(file, skipinitialspace=True, strict=True) if row]
    batches = [batch.to_pydict() for batch in opened(path).batches(Refusals())]
    assert [row for batch in batches for row in zip(batch["a"], batch["b"], strict=True)] == expected
    assert [number for batch in batches for number in batch[""]] == list(range(60))


def test_a_ragged_row_behind_many_good_ones_is_named_by_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_BLOCK_CHARS", 50)
    path, refusals = written(tmp_path, b"a,b\n" + b"1,2\n" * 100 + b"1,2,3\n" + b"1,2\n" * 100), Refusals()
    numbers = [number for batch in opened(path).batches(refusals) for number in batch[""].to_pylist()]
    assert numbers == [*range(100), *range(101, 201)]
    with pytest.raises(DataError, match="line 102 has 3 fields"):
        refusals.raise_any()


def opened(path: Path) -> Delimited:
    return Delimited.of(path, delimiter=",", encoding="utf-8", refusals=Refusals())

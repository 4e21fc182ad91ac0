"""The formats by themselves: CSV cells, PNG bytes, folder names."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synthgen import __version__
from synthgen.datasets import ImageSet, Schema, Table
from synthgen.errors import DataError
from synthgen.exporters.images import folder_names, write_folder
from synthgen.exporters.parts import Part
from synthgen.exporters.png import decode_png, encode_png
from synthgen.exporters.tables import escape_formula, unescape_formula, write_csv


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+text", "'+text"),
        ("-text", "'-text"),
        ("\t=1", "'\t=1"),
        ("-1.5", "-1.5"),
        ("+1,5", "+1,5"),
        ("plain", "plain"),
        ("", ""),
        ("O'Brien", "O'Brien"),
        ("'tis", "''tis"),
        ("-1+1", "'-1+1"),
    ],
)
def test_only_cells_that_a_spreadsheet_would_run_are_escaped(cell: str, written: str) -> None:
    assert escape_formula(cell) == written
    assert unescape_formula(written) == cell


def test_csv_leaves_numbers_alone_and_tells_missing_from_empty(tmp_path: Path) -> None:
    frame = pd.DataFrame({"=n": [-1.5, np.nan], "t": pd.Series(["", None], dtype=object)})
    table = Table(frame, Schema({"=n": "numeric", "t": "categorical"}, None))
    write_csv([Part("valid", table, np.zeros(2, dtype=bool), "r1")], tmp_path)
    text = (tmp_path / "valid.csv").read_text()
    assert text == '"\'=n","t"\n-1.5,""\n,\n'
    assert next(csv.reader(io.StringIO(text))) == ["'=n", "t"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_comes_back_and_pillow_agrees(channels: int, dtype: type[np.uint8] | type[np.uint16]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, np.iinfo(dtype).max + 1, (channels, 7, 5), dtype=dtype)
    content = encode_png(image, {"Source": "synthetic"})
    np.testing.assert_array_equal(decode_png(content), image)
    opened = Image.open(io.BytesIO(content))
    opened.load()
    assert opened.size == (5, 7)
    assert opened.text["Source"] == "synthetic"  # type: ignore[attr-defined]
    pixels = np.asarray(opened).reshape(7, 5, channels).transpose(2, 0, 1)
    # Pillow reads RGB of 16 bits as its upper 8.
    expected = image >> 8 if channels == 3 and dtype == np.uint16 else image
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + b"\x00" * 40])
def test_what_is_no_png_says_so(content: bytes) -> None:
    with pytest.raises(DataError, match="not a PNG"):
        decode_png(content)


def test_a_cut_off_png_says_so() -> None:
    whole = encode_png(np.zeros((1, 8, 8), dtype=np.uint8), {})
    with pytest.raises(DataError, match="not a PNG"):
        decode_png(whole[:50])


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["cat", "dog"], ["cat", "dog"]),
        (["../up"], ["_up"]),
        (["a/b", "a\\b", "a_b"], ["a_b", "a_b-2", "a_b-3"]),
        (["..", ".", ""], ["_", "_-2", "_-3"]),
        (["con", "NUL.txt", "lpt1"], ["_con", "_NUL.txt", "_lpt1"]),
        (["Cat", "cat"], ["Cat", "cat-2"]),
        (["\u202eevil"], ["_evil"]),
        (["a\x00b\n"], ["a_b_"]),
        (["été"], ["été"]),
        (["x" * 300], ["x" * 60]),
    ],
)
def test_class_names_become_safe_and_different_folders(classes: list[str], names: list[str]) -> None:
    assert list(folder_names(classes).values()) == names


def test_synthetic_files_say_so_and_real_ones_do_not(tmp_path: Path) -> None:
    data = ImageSet(np.zeros((2, 1, 8, 8), dtype=np.uint8), np.array([0, 0]), ("a",))
    write_folder([Part("train", data, np.array([False, True]), "run-7")], tmp_path)
    index = pd.read_parquet(tmp_path / "index.parquet")
    texts = [Image.open(tmp_path / path).text for path in index["path"]]  # type: ignore[attr-defined]
    assert texts[0] == {}
    software = f"synthgen {__version__}"
    assert texts[1] == {"Source": "synthetic", "Software": software, "Comment": "made by synthgen, run run-7"}

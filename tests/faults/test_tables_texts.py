"""Cases 17, 18, 25, 26, 33, 35, 36 and 42 of tables: texts, identifiers, many categories, encodings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen.config import TableSource
from synthgen.datasets import Table
from synthgen.sources import read_frame, read_table

N = 120
SECRET = "Zanzibar-4711"
SUFFIXES = ["csv", "csv.gz", "parquet"]
Config = Callable[..., Path]


def frame(rows: int = N, **columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"size": rng.normal(size=rows).round(3), "class": rng.choice(["a", "b"], rows)}).assign(
        **columns
    )


def written(folder: Path, data: pd.DataFrame, suffix: str) -> Path:
    path = folder / f"table.{suffix}"
    data.to_parquet(path) if suffix == "parquet" else data.to_csv(path, index=False)
    return path


REFUSED = {
    "25-a-name-in-every-row": (
        frame(name=[f"{SECRET} {row}" for row in range(N)]),
        "text column 'name' of 'table.{}' has 120 different values",
    ),
    "25-more-than-90-percent": (
        frame(name=[f"{SECRET} {max(row, 9)}" for row in range(N)]), "has 111 different values in 120 rows"
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("data", "sentence"), REFUSED.values(), ids=REFUSED)
def test_texts_that_are_no_categories_are_refused(
    data: pd.DataFrame, sentence: str, suffix: str,
    refused: Callable[..., list[dict[str, Any]]], config: Config, tmp_path: Path,
) -> None:  # fmt: skip
    problems = refused("check", config(written(tmp_path, data, suffix)))
    assert [sentence.format(suffix) in problem["problem"] for problem in problems] == [True], problems
    assert "drop" in problems[0]["hint"]


def test_26_a_hundred_thousand_categories_are_refused_with_the_count(
    refused: Callable[..., list[dict[str, Any]]], config: Config, tmp_path: Path
) -> None:
    data = frame(112_000, street=[f"{SECRET} {row % 100_000}" for row in range(112_000)])
    sentence = refused("check", config(written(tmp_path, data, "parquet")))[0]["problem"]
    assert sentence == "column 'street' of 'table.parquet' has 100,000 categories; at most 10,000 are allowed"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_25_a_declared_id_is_not_learnt(suffix: str, ask: Callable[..., Any], config: Config, tmp_path: Path) -> None:
    path = written(tmp_path, frame(name=[f"n{row}" for row in range(N)]), suffix)
    answer = ask("check", config(path, ids=["name"]), "--json")
    assert (answer.code, answer.json["columns"]["id"]) == (0, ["name"])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_26_grouped_categories_are_learnt(suffix: str, ask: Callable[..., Any], config: Config, tmp_path: Path) -> None:
    data = frame(20_000, street=[f"s{row % 9_000}" for row in range(20_000)])
    assert ask("check", config(written(tmp_path, data, suffix)), "--json").code == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("texts", "kept"),
    [(["001", "010", "2"], {"001", "010", "2"}), (["=cmd|x", "@x", "+y", "-z"], {"=cmd|x", "@x", "+y", "-z"})],
    ids=["17-leading-zeros", "42-formulas"],
)
def test_texts_are_read_as_they_are(texts: list[str], kept: set[str], suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path, frame(code=(texts * N)[:N]), suffix)
    assert set(read_frame(path)["code"]) == kept


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_18_na_and_null_are_texts_in_parquet_and_missing_in_a_text_file(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path, frame(word=["NA", "null", "None", "x"] * (N // 4)), suffix)
    data = read_table(TableSource(kind="table", path=str(path), label="class"), seed=0, split_column=None).data
    assert isinstance(data, Table)
    missing = int(data.frame["word"].isna().sum())
    assert (set(data.frame["word"].dropna()), missing) == (
        ({"NA", "null", "None", "x"}, 0) if suffix == "parquet" else ({"x"}, N // 4 * 3)
    )


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_36_a_text_file_in_another_encoding_is_read(
    codec: str, ask: Callable[..., Any], config: Config, tmp_path: Path
) -> None:
    data = frame(town=["M\u00fcnchen", "K\u00f6ln"] * (N // 2))
    (tmp_path / "table.csv").write_bytes(data.to_csv(index=False).encode(codec))
    answer = ask("check", config(tmp_path / "table.csv"), "--json")
    assert answer.code == 0
    noted = [problem["message"] for problem in answer.json["problems"] if problem["kind"] == "encoding"]
    assert [message[:-2] for message in noted] == (
        ["'table.csv' is not UTF-8; it was read as cp12"] if codec == "cp1252" else []
    )

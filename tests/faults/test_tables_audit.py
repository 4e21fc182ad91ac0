"""Cases 29, 31 and 32 of tables, and a broken file in each place of an audit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen import audit
from synthgen.auditing.reading import read_inputs
from synthgen.config_reading import parse_audit_options
from synthgen.datasets import Table
from synthgen.errors import DataError

N = 60
SECRET = "Zanzibar-4711"
SUFFIXES = ["csv", "csv.gz", "parquet"]


def frame(seed: int, **columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "size": rng.normal(size=N).round(3), "town": rng.choice(["Ulm", SECRET], N),
        "patient": [f"{seed}-{row // 3}" for row in range(N)], "class": rng.choice(["a", "b"], N),
    }).assign(**columns)  # fmt: skip


def written(folder: Path, suffix: str, **frames: pd.DataFrame) -> list[object]:
    words: list[object] = ["audit", "--label", "class", "-o", folder / "audit"]
    for name, data in frames.items():
        path = folder / f"{name}.{suffix}"
        data.to_parquet(path) if suffix == "parquet" else data.to_csv(path, index=False)
        words += [f"--{name}", path]
    return words


def _unlike(**changes: Callable[[pd.DataFrame], pd.DataFrame]) -> dict[str, pd.DataFrame]:
    frames = {"train": frame(0), "synthetic": frame(1), "holdout": frame(2)}
    return {name: changes.get(name, lambda data: data)(data) for name, data in frames.items()}


REFUSED: dict[str, tuple[dict[str, pd.DataFrame], list[str], str]] = {
    "03-one-synthetic-row": (
        _unlike(synthetic=lambda data: data.head(1)), [], "synthetic has 1 rows, at least 10 are needed"
    ),
    "03-nine-held-out-rows": (
        _unlike(holdout=lambda data: data.head(9)), [], "holdout has 9 rows, at least 10 are needed"
    ),
    "29-group-on-two-sides": (
        _unlike(holdout=lambda data: data.assign(patient=[f"0-{row // 3}" for row in range(N)])),
        ["--group", "patient"],
        "20 groups of column 'patient' stand in train and in holdout",
    ),
    "29-no-group-in-holdout": (
        _unlike(holdout=lambda data: data.drop(columns="patient")),
        ["--group", "patient"],
        "holdout lacks the group column 'patient'",
    ),
    "31-holdout-lacks-a-column": (
        _unlike(holdout=lambda data: data.drop(columns="town")), [], "holdout lacks column 'town', which train has"
    ),
    "31-holdout-has-another": (
        _unlike(holdout=lambda data: data.assign(weight=1.5)), [], "holdout has column 'weight', which train lacks"
    ),
    "31-synthetic-renamed": (
        _unlike(synthetic=lambda data: data.rename(columns={"size": "length"})),
        [],
        "synthetic lacks column 'size', which train has and has column 'length', which train lacks",
    ),
    "31-text-for-numbers": (
        _unlike(holdout=lambda data: data.assign(size=[SECRET, "x"] * 30)),
        [],
        "column 'size' of 'holdout' is declared numeric, but 60 values are not (the first in row 1)",
    ),
    "11-label-missing-in-holdout": (
        _unlike(holdout=lambda data: data.assign(**{"class": ["a", None, "b"] * 20})),
        [],
        "label column 'class' of 'holdout' is missing in 20 of 60 rows",
    ),
    "12-infinity-in-holdout": (
        _unlike(holdout=lambda data: data.assign(size=[*range(59), np.inf])),
        [],
        "1 infinite values (the first in row 60)"
    ),
    "12-infinity-in-synthetic": (
        _unlike(synthetic=lambda data: data.assign(size=[np.inf, *range(59)])),
        [],
        "1 infinite values (the first in row 1)"
    ),
    "15-text-among-numbers-of-train": (
        _unlike(train=lambda data: data.assign(size=[*map(str, range(59)), SECRET])),
        [],
        "column 'size' of 'train.{}' mixes numbers and text: 1 of 60 values are text (the first in row 60)",
    ),
    "15-text-among-repeated-numbers-of-train": (
        _unlike(train=lambda data: data.assign(size=[*map(str, [1, 2, 3] * 19), SECRET, "2", "3"])),
        ["--protected", "size"],
        "column 'size' of 'train.{}' mixes numbers and text: 1 of 60 values are text (the first in row 58)",
    ),
    "16-decimal-comma-in-train": (
        _unlike(train=lambda data: data.assign(size=[f"{row % 9},5" for row in range(60)])),
        [],
        "column 'size' of 'train.{}' holds numbers with a comma as text",
    ),
    "16-decimal-comma-in-every-row-of-train": (
        _unlike(train=lambda data: data.assign(size=[f"{row},5" for row in range(60)])),
        [],
        "column 'size' of 'train.{}' holds numbers with a comma as text",
    ),
    "30-label-absent": (
        _unlike(train=lambda data: data.rename(columns={"class": "clas"})), [], "did you mean 'clas'?"
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("frames", "words", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared_is_refused(
    frames: dict[str, pd.DataFrame], words: list[str], sentence: str, suffix: str,
    refused: Callable[..., list[dict[str, Any]]], tmp_path: Path,
) -> None:  # fmt: skip
    problems = refused(*written(tmp_path, suffix, **frames), *words)
    assert sentence.format(suffix) in problems[0]["problem"]
    assert not (tmp_path / "audit").exists()


def test_26_more_categories_than_allowed_are_refused_though_their_type_is_declared() -> None:
    rows = 12_000
    data = pd.DataFrame({"street": [f"{SECRET} {row % 10_500}" for row in range(rows)], "class": ["a", "b"] * 6_000})
    for types in ({}, {"street": "categorical"}):
        with pytest.raises(DataError, match=r"'street' of 'train' has 10,500 categories; at most 10,000") as refusal:
            read_inputs({"train": data, "synthetic": data}, parse_audit_options({"types": types}))
        assert "--drop street" in str(refusal.value.hint)
        assert SECRET not in f"{refusal.value} {refusal.value.hint}"


@pytest.mark.parametrize(
    ("options", "kind"), [({"types": {"code": "categorical"}}, "categorical"), ({"ids": ["code"]}, "id")]
)
def test_15_numbers_and_texts_are_what_the_user_says(options: dict[str, object], kind: str) -> None:
    data = frame(0).assign(code=[*map(str, range(59)), SECRET])
    with pytest.raises(DataError, match="mixes numbers and text") as refusal:
        read_inputs({"train": data, "synthetic": data}, parse_audit_options({}))
    assert "--type code=categorical" in str(refusal.value.hint)
    train = read_inputs({"train": data, "synthetic": data}, parse_audit_options(options)).train
    assert isinstance(train, Table)
    assert train.schema.kinds["code"] == kind


@pytest.mark.parametrize("place", ["train", "synthetic", "holdout"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b"a,b\n1,2\n3\n", "line 3 has 1 fields"), (b"a,b\n1,\0\n", "NUL byte at byte offset 6")],
    ids=["01-empty", "37-ragged", "35-nul-byte"],
)
def test_a_broken_file_is_refused_in_every_place(
    place: str, content: bytes, sentence: str, refused: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    words = written(tmp_path, "csv", **_unlike())
    (tmp_path / f"{place}.csv").write_bytes(content)
    problems = refused(*words)
    assert sentence in problems[0]["problem"]
    assert f"'{place}.csv'" in problems[0]["problem"]


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_read(
    place: str, refused: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    [problem] = refused("audit", "--train", "gone.csv", "--synthetic", "gone.csv", "-o", tmp_path / place)
    assert "is no folder that a report can be written to" in problem["problem"]
    assert problem["where"] == "-o"
    assert (tmp_path / "file").read_text() == "no folder"


def test_a_folder_for_an_audit_that_is_refused_is_not_left_behind(
    refused: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    refused("audit", "--train", "gone.csv", "--synthetic", "gone.csv", "-o", tmp_path / "kept" / "new" / "audit")
    assert list((tmp_path / "kept").iterdir()) == []


def test_32_columns_in_another_order_are_the_same_table() -> None:
    plain = {name: data.drop(columns="patient") for name, data in _unlike().items()}
    reordered = {name: data[data.columns[::-1]] if name != "train" else data for name, data in plain.items()}
    first, second = (audit(*frames.values(), label="class") for frames in (plain, reordered))
    assert first.findings == second.findings

"""Cases 29, 31 and 32 of tables, and a broken file in each place of an audit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen import audit

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
    assert sentence in problems[0]["problem"]
    assert not (tmp_path / "audit").exists()


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


def test_32_columns_in_another_order_are_the_same_table() -> None:
    plain = {name: data.drop(columns="patient") for name, data in _unlike().items()}
    reordered = {name: data[data.columns[::-1]] if name != "train" else data for name, data in plain.items()}
    first, second = (audit(*frames.values(), label="class") for frames in (plain, reordered))
    assert first.findings == second.findings

"""`check` lists everything that is wrong with a file, not the first thing only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SECRET = "Zanzibar-4711"
N = 100
PLANTED = {
    "blank name": "column 6 has a blank name",
    "duplicate name": "more than one column named 'size'",
    "unknown id": "ids column 'nam' is not in 'table.{}'",
    "unknown protected": "protected column 'agee' is not in 'table.{}'",
    "decimal comma": "column 'comma' of 'table.{}' holds numbers with a comma as text",
    "text among numbers": "column 'mixed' of 'table.{}' mixes numbers and text: 20 of 100 values are text",
    "names": "text column 'name' of 'table.{}' has 100 different values in 100 rows",
    "infinity": "column 'pay' of 'table.{}' has 1 infinite values (the first in row 71)",
    "missing label": "label column 'class' of 'table.{}' is missing in 10 of 100 rows",
}


def planted() -> pd.DataFrame:
    return pd.DataFrame({
        "size": np.arange(N) / 7, "comma": ["1,5", "2,5"] * (N // 2),
        "mixed": [SECRET if row % 5 == 0 else str(row) for row in range(N)],
        "name": [f"{SECRET} {row}" for row in range(N)], "pay": [np.inf if row == 70 else row / 3 for row in range(N)],
        "blank": 1, "class": [None if row % 10 == 0 else "ab"[row % 3 == 0] for row in range(N)], "again": 2.5,
    })  # fmt: skip


def written(folder: Path, suffix: str) -> Path:
    data, path = planted(), folder / f"table.{suffix}"
    names = [*data.columns[:5], " ", "class", "size"]
    if suffix == "parquet":
        columns = [pa.array(data[name], from_pandas=True) for name in data.columns]
        pq.write_table(pa.Table.from_arrays(columns, names=names), path)
    else:
        data.set_axis(names, axis=1).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_every_planted_error_is_listed_once_with_a_hint(
    suffix: str, command: str, ask: Callable[..., Any], config: Callable[..., Path], tmp_path: Path
) -> None:
    path = config(written(tmp_path, suffix), ids=["nam"], protected=["agee"])
    answer = ask(command, path, "--json")
    problems = answer.json["problems"]
    assert answer.code == 2
    for sentence in PLANTED.values():
        found = [problem for problem in problems if sentence.format(suffix) in problem["problem"]]
        assert len(found) == 1, (sentence, problems)
        assert found[0]["hint"]
        assert found[0]["where"]
    assert len(problems) == len(PLANTED)
    assert SECRET not in answer.out + answer.err
    assert not [item for item in (tmp_path / "space").rglob("*") if item.is_file() and item.suffix != ".lock"]


def test_a_person_sees_a_table_with_a_hint_for_each(
    ask: Callable[..., Any], config: Callable[..., Path], tmp_path: Path
) -> None:
    shown = ask("check", config(written(tmp_path, "csv"), ids=["nam"], protected=["agee"]))
    lines = shown.err.splitlines()
    assert lines[0] == f"error: {len(PLANTED)} problems in the data"
    assert lines[1].split() == ["problem", "what", "to", "do"]
    assert [line.split()[0] for line in lines if line[:2].strip().isdigit()] == [
        str(n + 1) for n in range(len(PLANTED))
    ]
    assert "Traceback" not in shown.err


def test_ragged_lines_do_not_hide_what_is_wrong_with_the_columns(
    refused: Callable[..., list[dict[str, Any]]], config: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [f"{row / 7:.3f},{'inf' if row == 50 else row},{'ab'[row % 2]}" for row in range(80)]
    rows[10] = rows[20] = "1"
    (tmp_path / "table.csv").write_text("\n".join(["size,pay,class", *rows]))
    first, second = refused("check", config(tmp_path / "table.csv"))
    assert first["problem"] == "'table.csv' line 12 has 1 fields, the header has 3; 2 lines are ragged: 12, 22"
    # The number of the row in the file, although two rows before it could not be read.
    assert second["problem"] == "column 'pay' of 'table.csv' has 1 infinite values (the first in row 51)"


def test_the_row_is_that_of_the_file_when_only_some_rows_are_drawn(
    refused: Callable[..., list[dict[str, Any]]], config: Callable[..., Path], tmp_path: Path
) -> None:
    data = pd.DataFrame({"pay": [*([1.5] * 900), *([np.inf] * 100)], "class": ["a", "b"] * 500})
    for suffix in ("csv", "parquet"):
        path = tmp_path / f"table.{suffix}"
        data.to_parquet(path) if suffix == "parquet" else data.to_csv(path, index=False)
        sentence = refused("check", config(path, max_rows=100))[0]["problem"]
        assert int(sentence.rstrip(")").rsplit(" ", 1)[1]) > 900

"""Which constraints `synthgen init` finds, and which it leaves alone."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from synthgen.config import TableSource
from synthgen.config_reading import parse_config
from synthgen.datasets import Table
from synthgen.sources import ingest_frame, propose, read
from synthgen.sources.constraint_proposals import propose_constraints

REAL = Path(os.environ.get("SYNTHGEN_TEST_DATA", "../shared/data"))
N = 600


def proposed(frame: pd.DataFrame) -> list[dict[str, object]]:
    label = np.where(np.random.default_rng(9).random(len(frame)) < 0.4, "yes", "no")
    source = TableSource(kind="table", path="rows.csv", label="answer")
    table = ingest_frame(frame.assign(answer=label), source, split_column=None).data
    assert isinstance(table, Table)
    return [item.constraint.model_dump(exclude_defaults=True) for item in propose_constraints(table)]


def unrelated(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "age": rng.integers(17, 90, n),
        "children": rng.poisson(0.3, n),
        "weight": np.round(rng.normal(70, 12, n), 1),
        "income": np.round(np.exp(rng.normal(8, 1, n)), 2),
        "rare": np.where(rng.random(n) < 0.02, "seldom", "often"),
        "city": rng.choice(["north", "south", "west"], n, p=[0.7, 0.2, 0.1]),
        "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
        "member": rng.random(n) < 0.4,
    })  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_proposed_for_unrelated_columns(seed: int) -> None:
    assert proposed(unrelated(seed=seed)) == []


def test_nothing_is_proposed_for_few_rows() -> None:
    frame = unrelated(150)
    assert proposed(frame.assign(total=frame["weight"] * frame["age"])) == []


def planted(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = len(frame)
    match name:
        case "product":
            return frame.assign(**{"to pay": np.round(frame["age"] * frame["weight"], 2)})
        case "sum":
            return frame.assign(total=np.round(frame["income"] + frame["weight"], 2))
        case "copy":
            return frame.assign(again=frame["weight"])
        case "dates":
            return frame.assign(until=frame["since"] + pd.to_timedelta(rng.integers(0, 300, n), unit="D"))
        case "gaps":
            more = np.round(frame["income"] + rng.gamma(1, 500, n), 2)
            return frame.assign(paid=more.mask(rng.random(n) < 0.1))
        case "function":
            return frame.assign(county=frame["city"].map({"north": "A", "south": "B", "west": "B"}))
        case "codes":
            return frame.assign(code=frame["city"].map({"north": 3, "south": 1, "west": 8}))
        case "pairs":
            other = pd.Series(rng.choice(["p", "q"], n)).mask(frame["city"] == "north", "r")
            return frame.assign(other=other.mask(frame["city"].eq("west") & other.eq("q"), "p"))
    no = rng.random(n) < 0.2
    tv, film = (pd.Series(rng.choice(["Yes", "No"], n)).mask(no, "none") for _ in range(2))
    return frame.assign(net=np.where(no, "No", rng.choice(["DSL", "Fibre"], n)), tv=tv, film=film)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("product", {"kind": "formula", "column": "to pay", "formula": "age * weight"}),
        ("sum", {"kind": "formula", "column": "total", "formula": "weight + income"}),
        ("copy", {"kind": "formula", "column": "again", "formula": "weight"}),
        ("dates", {"kind": "inequality", "low": "since", "high": "until"}),
        ("gaps", {"kind": "inequality", "low": "income", "high": "paid"}),
        ("function", {"kind": "fixed_combinations", "columns": ("city", "county")}),
        ("codes", {"kind": "fixed_combinations", "columns": ("city", "code")}),
        ("pairs", {"kind": "fixed_combinations", "columns": ("city", "other")}),
        ("implied", {"kind": "implied", "when": {"net": "No"}, "then": {"tv": "none", "film": "none"}}),
    ],
)
def test_what_was_planted_is_proposed(name: str, expected: dict[str, object]) -> None:
    found = proposed(planted(unrelated(), name))
    assert found[0] == expected
    # A sum is above its parts, too, but nothing else is.
    assert all(item["kind"] == "inequality" and item["high"] == "total" for item in found[1:])


@pytest.mark.parametrize("name", ["product", "sum", "copy", "dates", "gaps", "function", "pairs"])
def test_one_row_against_it_is_enough(name: str) -> None:
    frame = planted(unrelated(), name)
    last = frame.columns[-1]
    spoilt = {"until": pd.Timestamp("2019-01-01"), "county": "C", "other": "r"}.get(last, 1.0)
    rows = np.flatnonzero(frame["city"] == "west") if last in ("county", "other") else np.arange(N)
    frame.loc[rows[7], last] = spoilt
    if last == "other":
        frame.loc[rows[9:40], last] = "q"
    assert proposed(frame) == []


def test_the_proposal_reads_as_config_and_gives_reasons(tmp_path: Path) -> None:
    frame = planted(planted(unrelated(), "implied"), "product")
    frame = frame.assign(answer=np.random.default_rng(0).choice(["yes", "no"], N))
    frame.to_parquet(tmp_path / "rows.parquet")
    text = propose(tmp_path / "rows.parquet", label="answer")
    source = parse_config(yaml.safe_load(text)).source
    assert isinstance(source, TableSource)
    assert {item.kind for item in source.constraints} == {"implied", "formula"}
    assert "rows with this value of 'net' have these values of 'tv', 'film'" in " ".join(text.split())
    assert len(read(source, seed=0).data) == N


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("adult", "income", ["fixed_combinations"]),
        ("telco_churn", "churn", ["fixed_combinations", "implied", "inequality"]),
        ("bank_marketing", "y", ["implied"]),
    ],
)
def test_real_tables_get_the_constraints_that_a_person_would_name(name: str, label: str, expected: list[str]) -> None:
    path = REAL / name / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"needs {path}: set SYNTHGEN_TEST_DATA to the folder of real datasets")
    source = parse_config(yaml.safe_load(propose(path, label=label))).source
    assert isinstance(source, TableSource)
    assert sorted(item.kind for item in source.constraints) == expected

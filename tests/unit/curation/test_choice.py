from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.config import RunConfig
from synthgen.config_reading import parse_config
from synthgen.curation.choice import Arm, Choice, candidates_of, choose, fit_best
from synthgen.datasets import Schema, Table
from synthgen.errors import DataError
from synthgen.files import read_json
from synthgen.reports.choice import arm_rows
from synthgen.synthesizers import load_synthesizer

SCHEMA = Schema({"x": "numeric", "c": "categorical", "y": "categorical"}, label="y")


def people(n: int, seed: int) -> Table:
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.3, "yes", "no")
    c = np.where(rng.random(n) < np.where(y == "yes", 0.7, 0.3), "b", "a")
    x = np.round(rng.normal(np.where(c == "b", 2.0, -2.0), 1.0), 3)
    return Table(pd.DataFrame({"x": x, "c": c, "y": y}), SCHEMA)


def arm(kind: str, c2st: float, **changes: object) -> Arm:
    return replace(Arm(kind, False, c2st, None, 0.01, 0.0, 0.0, None, 1.0, error=0.01), **changes)


@pytest.mark.parametrize(
    ("arms", "winner"),
    [
        ([arm("a", 0.6), arm("b", 0.55)], "b"),
        ([arm("a", 0.6), arm("b", 0.55, formula=0.9)], "a"),
        ([arm("a", 0.6), arm("b", 0.51, reason="names 9.0% of the members")], "a"),
        ([arm("a", 0.6, reason="leaks", membership=0.2), arm("b", 0.9, reason="leaks", membership=0.1)], "b"),
        ([arm("a", 0.55), arm("b", 0.556, share_of_leak=-0.1)], "b"),
        ([arm("a", 0.55), arm("b", 0.561, share_of_leak=-0.1)], "a"),
        ([arm("a", 0.47, share_of_leak=0.2), arm("b", 0.5, share_of_leak=0.1)], "b"),
        ([arm("a", 0.6)], "a"),
    ],
    ids=[
        "least separable",
        "formulas count",
        "a leak is out",
        "all leak: the least",
        "as good and leaks less",
        "leaks less but is worse",
        "below chance is chance",
        "only one",
    ],
)
def test_the_least_separable_arm_that_does_not_leak_is_chosen(arms: list[Arm], winner: str) -> None:
    assert choose(arms).kind == winner


def test_auto_stands_for_four_models_that_share_its_budget() -> None:
    source = {"kind": "builtin", "name": "wine"}
    config = parse_config({"source": source, "synthesizer": {"kind": "auto", "budget_minutes": 10}}).synthesizer
    members = candidates_of(config)
    assert {member.kind for member in members} == {"autoregressive", "ctgan", "cart", "tvae"}
    assert sum(getattr(member, "budget_minutes", 0.0) for member in members) == pytest.approx(10)
    assert candidates_of(members[0]) == [members[0]]


def cart_config(**changes: object) -> RunConfig:
    raw = {"source": {"kind": "builtin", "name": "wine"}, "synthesizer": {"kind": "cart"}, **changes}
    return parse_config(raw)


@pytest.fixture(scope="module")
def parts() -> tuple[Table, Table]:
    return people(900, 1), people(400, 2)


def test_a_single_kind_is_judged_plain_and_calibrated(parts: tuple[Table, Table], tmp_path: Path) -> None:
    fit_best(cart_config(), *parts, tmp_path)
    choice = Choice.load(tmp_path / "choice.json")
    assert [(one.kind, one.calibrated) for one in choice.arms] == [("cart", False), ("cart", True)]
    chosen = [one for one in choice.arms if one.chosen]
    assert len(chosen) == 1
    assert chosen[0].calibrated == choice.calibrate
    assert chosen[0].score == min(one.score for one in choice.arms if not one.reason)
    assert len(load_synthesizer(tmp_path / "model").sample(7, None, np.random.default_rng(0))) == 7


def test_calibration_that_is_off_is_not_tried(parts: tuple[Table, Table], tmp_path: Path) -> None:
    fit_best(cart_config(curation={"calibrate": False}), *parts, tmp_path)
    choice = Choice.load(tmp_path / "choice.json")
    assert [one.calibrated for one in choice.arms] == [False]
    assert not choice.calibrate


def test_a_model_that_was_trained_before_the_kill_is_not_trained_again(
    parts: tuple[Table, Table], tmp_path: Path
) -> None:
    fit_best(cart_config(), *parts, tmp_path)
    model = tmp_path / "checkpoint" / "cart" / "model" / "model.safetensors"
    before = model.stat().st_mtime_ns
    fit_best(cart_config(), *parts, tmp_path)
    assert model.stat().st_mtime_ns == before


def test_a_kind_that_cannot_be_trained_says_why(parts: tuple[Table, Table], tmp_path: Path) -> None:
    bare = [Table(part.frame[["y"]], Schema({"y": "categorical"}, label="y")) for part in parts]
    with pytest.raises(DataError, match="no column to learn"):
        fit_best(cart_config(), *bare, tmp_path)


def test_the_report_lists_the_chosen_arm_first_and_then_the_best(parts: tuple[Table, Table], tmp_path: Path) -> None:
    fit_best(cart_config(), *parts, tmp_path)
    rows = arm_rows(read_json(tmp_path / "choice.json"))
    assert [row.chosen for row in rows] == [True, False]
    assert rows[0].note == "chosen"
    assert float(rows[0].c2st) < 0.9

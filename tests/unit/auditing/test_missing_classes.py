"""A set that lacks a class: told, refused where it is to be shared, and legitimate where it augments."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen import audit
from synthgen.auditing.classes import lost_classes, missing_classes
from synthgen.datasets import Schema, Table
from synthgen.findings import Judgement, Verdict


def table(**rows: int) -> Table:
    """So many rows of each class."""
    labels = np.repeat(list(rows), list(rows.values()))
    return Table(pd.DataFrame({"label": labels}), Schema({"label": "categorical"}, "label"))


@pytest.mark.parametrize(
    ("synthetic", "message"),
    [
        ({"a": 5, "b": 1, "c": 1}, None),
        ({"a": 5, "b": 1}, "classes of train without any synthetic row: 1 of 3"),
        ({"a": 5, "c": 1}, "classes of train without any synthetic row: 1 of 3 ('b')"),
        ({"c": 5}, "classes of train without any synthetic row: 2 of 3 ('a', 'b')"),
    ],
)
def test_missing_classes_are_counted_and_named_unless_they_are_rare(synthetic: dict[str, int], message: str) -> None:
    found = [problem.message for problem in missing_classes(table(a=90, b=30, c=9), table(**synthetic))]
    assert found == ([] if message is None else [message])


@pytest.mark.parametrize(
    ("holdout", "synthetic", "lost"),
    [
        ({"a": 90, "b": 30}, {"a": 100}, ["b"]),
        ({"a": 90, "b": 30}, {"a": 100, "b": 1}, []),
        ({"a": 90, "b": 9}, {"a": 100}, []),
        # Five rows without one of b are no wonder.
        ({"a": 90, "b": 30}, {"a": 5}, []),
        ({"a": 90}, {"a": 100}, []),
    ],
)
def test_a_class_is_lost_when_chance_does_not_explain_it(
    holdout: dict[str, int], synthetic: dict[str, int], lost: list[str]
) -> None:
    assert lost_classes(table(a=90, b=30), table(**synthetic), table(**holdout)) == lost


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, n)
    ill = np.where(rng.random(n) < age / 180, "yes", "no")
    return pd.DataFrame({"age": age, "weight": rng.normal(70, 9, n).round(1), "ill": ill})


def judged(purpose: str) -> tuple[Any, dict[str, Judgement]]:
    synthetic = people(900, 2)
    report = audit(people(600, 0), synthetic[synthetic["ill"] == "no"], people(600, 1), label="ill", purpose=purpose)
    return report, {item.metric: item for item in report.judgements}


def test_a_shared_set_without_a_class_is_refused() -> None:
    report, rules = judged("share")
    assert report.verdict == Verdict.FAIL
    assert rules["beta_recall"].verdict == Verdict.FAIL
    assert rules["c2st_auc"].verdict == rules["pair_trends"].verdict == Verdict.INCONCLUSIVE
    assert "classes without any synthetic row: 1" in rules["c2st_auc"].remark
    assert [problem.kind for problem in report.problems] == ["class_missing"]


def test_a_set_that_augments_some_classes_is_judged_on_these() -> None:
    report, rules = judged("augment")
    assert rules["beta_recall"].verdict == rules["c2st_auc"].verdict == Verdict.PASS
    assert [(problem.kind, problem.severity) for problem in report.problems] == [("class_missing", "warning")]

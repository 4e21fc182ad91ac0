"""Linkability: copies join the halves of a record, fresh rows do so by chance alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgen.config import EvaluationSize
from synthgen.datasets import Schema, Table
from synthgen.gates import rules_for
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.privacy.linkability import column_halves, linkability

SIZE = EvaluationSize(profile="full", max_rows=5_000, utility_seeds=1, bootstrap_rounds=10)
ROWS = 800


def people(n: int, rng: np.random.Generator) -> Table:
    """Six amounts that depend on each other, two categories and a secret."""
    amounts = rng.normal(size=(n, 1)) + rng.normal(size=(n, 6))
    frame = pd.DataFrame(amounts, columns=[f"amount{i}" for i in range(6)])
    frame = frame.assign(city=rng.choice(["L'Aquila", "Rome"], n), ill=rng.choice(["no", "yes"], n))
    kinds = {name: "numeric" if name.startswith("amount") else "categorical" for name in frame}
    return Table(frame, Schema(kinds, "ill", secrets=("city",)))


def evaluation(seed: int, *, share: float = 0.0, holdout: int = ROWS) -> Evaluation:
    """Fresh rows of which that share is replaced by training rows."""
    rng = np.random.default_rng(seed)
    train, control, fresh = people(ROWS, rng), people(holdout, rng), people(ROWS, rng)
    copied = round(share * ROWS)
    frame = pd.concat([train.frame[:copied], fresh.frame[copied:]], ignore_index=True)
    return Evaluation(train, control, replace(fresh, frame=frame), SIZE)


def test_a_copy_of_train_links_its_people():
    finding = linkability(evaluation(0, share=1.0))
    assert finding.low > 0.95
    assert finding.detail["linked_strangers"] < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_five_percent_of_copies_link_as_many(seed):
    finding = linkability(evaluation(10 + seed, share=0.05))
    assert finding.value == pytest.approx(0.05, abs=0.015)
    assert finding.low > 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("holdout", [ROWS, ROWS // 4])
def test_a_fresh_sample_links_members_no_more_than_strangers(seed, holdout):
    finding = linkability(evaluation(20 + seed, holdout=holdout))
    assert finding.low <= 0 <= finding.high
    assert finding.n == holdout
    assert abs(finding.reference) < 0.05


def test_halves_are_dealt_by_number_of_values_and_leave_secrets_out():
    table = Table(
        pd.DataFrame({"a": [1, 2, 3, 4], "b": list("xxyz"), "c": list("xxyy"), "d": [1.0, 2, 3, 5], "s": list("wxyz")}),
        Schema({**dict.fromkeys("abcs", "categorical"), "d": "numeric"}, None, secrets=("s",)),
    )
    assert column_halves(table) == (["a", "b"], ["d", "c"])


def test_one_column_has_no_halves():
    table = people(10, np.random.default_rng(1))
    with pytest.raises(NotApplicable, match="fewer than two columns"):
        column_halves(replace(table, schema=replace(table.schema, secrets=tuple(table.schema.kinds)[1:])))


def test_too_few_people_say_so():
    with pytest.raises(NotMeasurable, match="fewer than 100 different rows"):
        linkability(evaluation(2, holdout=50))


def test_no_default_rule_judges_it():
    assert not {"linkability", "singling_out"} & {rule.metric for rule in rules_for("table", "share", profile="full")}

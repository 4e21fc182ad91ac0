"""Singling out: descriptions of copies fit one member, those of fresh rows fit members and strangers alike."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgen.config import EvaluationSize
from synthgen.datasets import Schema, Table
from synthgen.metrics.evaluation import Evaluation, NotMeasurable
from synthgen.metrics.privacy.singling_out import Predicates, singling_out

SIZE = EvaluationSize(profile="full", max_rows=5_000, utility_seeds=1, bootstrap_rounds=10)
ROWS = 1_000
HIGHEST = 10**9


def people(n: int, rng: np.random.Generator) -> Table:
    """Amounts in whole numbers, some of them missing, and categories whose names hold quotes."""
    amounts = np.round(300 * rng.normal(size=(n, 5)))
    frame = pd.DataFrame(np.where(rng.random((n, 5)) < 0.03, np.nan, amounts), columns=[f"amount{i}" for i in range(5)])
    frame = frame.assign(city=rng.choice(["L'Aquila", 'the "old" town', "Rome"], n), ill=rng.choice(["no", "yes"], n))
    kinds = {name: "numeric" if name.startswith("amount") else "categorical" for name in frame}
    return Table(frame, Schema(kinds, "ill"))


def evaluation(seed: int, *, share: float = 0.0, train: int = ROWS, holdout: int = ROWS) -> Evaluation:
    """Fresh rows of which that share is replaced by training rows."""
    rng = np.random.default_rng(seed)
    known, control, fresh = people(train, rng), people(holdout, rng), people(ROWS, rng)
    copied = round(share * ROWS)
    frame = pd.concat([known.frame[:copied], fresh.frame[copied:]], ignore_index=True)
    return Evaluation(known, control, replace(fresh, frame=frame), SIZE)


@pytest.mark.parametrize("holdout", [ROWS, ROWS // 4])
def test_a_copy_of_train_singles_people_out_whatever_the_size_of_the_holdout(holdout):
    finding = singling_out(evaluation(0, share=1.0, holdout=holdout))
    assert finding.low > 0.8
    assert finding.detail["strangers_singled_out"] < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_ten_percent_of_copies_are_seen(seed):
    finding = singling_out(evaluation(10 + seed, share=0.1))
    assert 0 < finding.low < finding.value < 0.2


@pytest.mark.parametrize("sizes", [(ROWS, ROWS), (3 * ROWS, ROWS // 2), (ROWS // 2, 3 * ROWS)])
def test_fresh_rows_accuse_nobody_at_any_sizes(sizes):
    found = [singling_out(evaluation(seed, train=sizes[0], holdout=sizes[1])) for seed in range(20, 24)]
    for attack in ("one column", "several columns"):
        assert np.mean([finding.detail["attacks"][attack] for finding in found]) == pytest.approx(0, abs=0.03)
    assert sum(finding.low > 0 for finding in found) <= 1


def test_values_with_quotes_single_out_like_others():
    given = evaluation(1)
    for side, kind in (("train", "t"), ("holdout", "h"), ("synthetic", "t")):
        part = getattr(given, side)
        names = [f'O\'Brien "{kind}" {number}' for number in range(len(part))]
        given = replace(given, **{side: replace(part, frame=part.frame.assign(city=names))})
    # Only the names of members are published: a description by name fits one member and no stranger.
    finding = singling_out(given)
    assert finding.detail["attack"] == "one column"
    assert finding.low > 0.2


def test_rows_without_anything_rare_single_nobody_out():
    given = evaluation(2)
    parts = {}
    for side in ("train", "holdout", "synthetic"):
        frame = getattr(given, side).frame
        columns = {name: (frame[name] > 0).map({True: "a", False: "b"}) for name in frame if name.startswith("amount")}
        columns = {**columns, "city": frame["city"], "ill": frame["ill"]}
        schema = Schema(dict.fromkeys(columns, "categorical"), "ill")
        parts[side] = Table(pd.DataFrame(columns), schema)
    with pytest.raises(NotMeasurable, match=r"fewer than 100 (different rows|descriptions)"):
        singling_out(replace(given, **parts))


def test_too_few_people_say_so():
    with pytest.raises(NotMeasurable, match="fewer than 100 different rows"):
        singling_out(evaluation(3, holdout=50))


@pytest.mark.parametrize(
    ("column", "low", "high", "expected"),
    [
        pytest.param([0], [2], [2], 1, id="equal"),
        pytest.param([0], [1], [HIGHEST], 3, id="at least"),
        pytest.param([0], [0], [1], 3, id="at most, missing is not small"),
        pytest.param([0], [-1], [-1], 1, id="missing"),
        pytest.param([0, 1], [1, 5], [HIGHEST, 5], 2, id="two columns"),
        pytest.param([0, 1], [7, 5], [7, 5], 0, id="nobody"),
    ],
)
def test_a_description_fits_the_rows_between_its_bounds(column, low, high, expected):
    rows = np.array([[0, 5], [1, 5], [1, 4], [2, 5], [-1, 5]])
    predicates = Predicates(*(np.array([bound]) for bound in (column, low, high)))
    assert predicates.fitting(rows).tolist() == [expected]

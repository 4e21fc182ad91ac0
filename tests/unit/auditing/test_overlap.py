"""Rows on both sides: a holdout that was trained on is told from one whose rows repeat by nature."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import few_values, people, repeated_rows

from synthgen import audit
from synthgen.auditing.overlap import SEEN, overlap, shared
from synthgen.datasets import ImageSet, Table, concat
from synthgen.findings import Verdict

SIDE = 400


def populations(seed: int, make=people) -> tuple[Table, Table]:
    rng = np.random.default_rng(seed)
    return make(SIDE, rng), make(SIDE, rng)


def with_rows_of(train: Table, holdout: Table, count: int) -> Table:
    """The holdout, its first rows replaced by those of train."""
    both = concat([train.take(np.arange(count)), holdout.take(np.arange(count, SIDE))])
    assert isinstance(both, Table)
    return both


def images(n: int, seed: int) -> ImageSet:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 200, (n, 1, 4, 4), dtype=np.uint8)
    return ImageSet(coarse.repeat(4, axis=2).repeat(4, axis=3), np.arange(n) % 2, ("a", "b"))


@pytest.mark.parametrize("make", [people, few_values])
@pytest.mark.parametrize("seed", range(10))
def test_an_honest_holdout_is_a_control_though_its_rows_repeat(seed, make):
    found = overlap(*populations(seed, make))
    assert (list(found.problems), found.is_no_control) == ([], False)


@pytest.mark.parametrize("seed", range(3))
def test_a_split_that_keeps_equal_rows_together_shares_none(seed):
    train, holdout, _ = repeated_rows(np.random.default_rng(seed))
    assert shared(train, holdout).rows == 0


@pytest.mark.parametrize(
    ("rows", "is_told", "is_no_control"), [(0, False, False), (5, False, False), (40, True, False), (300, True, True)]
)
def test_rows_of_train_in_the_holdout_are_counted_and_most_of_them_leave_no_control(rows, is_told, is_no_control):
    train, holdout = populations(1)
    found = overlap(train, with_rows_of(train, holdout, rows))
    assert found.is_no_control is is_no_control
    messages = [problem.message for problem in found.problems]
    wanted = f"{rows} of 400 rows of holdout stand in train, about {rows} of them beyond coincidence"
    assert [message.startswith(wanted) for message in messages] == [True] * is_told


def test_train_as_its_own_holdout_is_no_control_though_its_rows_repeat():
    train, _ = populations(2, few_values)
    assert shared(train, train).share == 1
    assert overlap(train, train).is_no_control


@pytest.mark.parametrize("given", ["holdout of the class of train only", "one row", "constant"])
def test_sides_without_a_pair_across_share_nothing(given):
    train, holdout = populations(3)
    if given == "one row":
        holdout = holdout.take(np.arange(1))
    if given == "constant":
        train, holdout = (replace(side, frame=side.frame.assign(**train.frame.iloc[0])) for side in (train, holdout))
    if given.startswith("holdout"):
        train, holdout = (side.take(np.flatnonzero(side.labels == "no")) for side in (train, holdout))
    assert overlap(train, holdout).problems == []


def test_equal_and_nearly_equal_images_are_counted_together():
    train, holdout = images(60, 0), images(40, 1)
    assert overlap(train, holdout).problems == []
    pixels = holdout.images.copy()
    pixels[:3], pixels[3:5] = train.images[:3], train.images[3:5] + (np.indices((16, 16)).sum(0) % 3).astype(np.uint8)
    found = overlap(train, replace(holdout, images=pixels))
    [problem] = found.problems
    assert problem.message == "3 of 40 images of holdout equal one of train, and 2 more nearly do"
    assert not found.is_no_control
    assert overlap(train, train).is_no_control


def test_an_audit_with_train_as_the_holdout_audits_nothing():
    frame = pd.DataFrame(populations(4)[0].modelled)
    report = audit(frame, frame, frame, label="ill")
    assert report.verdict == Verdict.NOT_AUDITED
    assert {item.verdict for item in report.judgements} == {Verdict.NOT_AUDITED}
    assert {item.reason for item in report.not_measured} == {SEEN}
    [problem] = report.problems
    assert problem.message.startswith("400 of 400 rows of holdout stand in train")
    assert "holdout_sha256" not in report.provenance

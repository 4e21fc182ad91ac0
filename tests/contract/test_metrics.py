"""What every registered metric must do, on tables and on images. To add a modality: a line in WORLDS."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from synthgen.attributes import Attributes
from synthgen.canaries import Canaries
from synthgen.config import EvaluationSize
from synthgen.datasets import Data, ImageSet, Schema, Table, concat
from synthgen.findings import Finding
from synthgen.metrics import METRICS, Evaluation, NotMeasurable, augmented_images, image_classifier, measure, metrics_of

SIZE = EvaluationSize(max_rows=300, utility_seeds=2, bootstrap_rounds=50)
# Exact counts of what was emitted: they need no sample.
CENSUS = {"validity", "identifier_replay"}
# Metrics that look at a tenth of the people or images, or hold them against each other: how many they need.
PEOPLE = {"membership_rare": 2_000, "membership_share_of_leak": 2_000, "mode_coverage": 1_000}
# What is asked here is the model, not what it made.
OF_THE_MODEL = {"discriminator_membership"}
# Its unit is the leak of 5 % copies, a twentieth of the others', and the controls are drawn anew.
# The largest gap among a few hundred held-out rows, with halves of the training rows drawn anew for its interval.
MOVES_MORE = {"membership_share_of_leak": 2, "equalized_odds_change": 2}


@dataclass(frozen=True)
class World:
    """How to draw independent real data of one modality, and how to spoil or rewrite them.

    Attributes:
        real: n rows or images of one population.
        noisier: the same data, unmistakably less faithful.
        rewritten: the same information in another form: name of the form -> rewriting. Findings must not move by
            more than the number beside it.
    """

    real: Callable[[int, np.random.Generator], Data]
    noisier: Callable[[Data, np.random.Generator], Data]
    rewritten: Mapping[str, tuple[Callable[[Data], Data], float]]


def people(n: int, rng: np.random.Generator) -> Table:
    """A small population: numbers, categories, truth values, dates, missing values, names."""
    health, wealth = rng.normal(size=(2, n))
    frame = pd.DataFrame(
        {
            "name": [f"O'Brien {number}" for number in rng.integers(0, 10**12, n)],
            "height": np.round(170 + 8 * health + 3 * rng.normal(size=n), 1),
            "visits": rng.poisson(np.exp(1 - health)),
            "income": np.where(rng.random(n) < 0.1, np.nan, np.exp(10 + wealth)),
            "city": np.where(wealth + rng.normal(size=n) > 0, "north", np.where(rng.random(n) < 0.5, "south", "west")),
            "smokes": rng.random(n) < 1 / (1 + np.exp(2 * health)),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "ill": np.where(rng.normal(size=n) - 1.5 * health > 1.2, "yes", "no"),
        }
    )
    kinds = dict(
        zip(frame, ["id", "numeric", "integer", "numeric", "categorical", "boolean", "datetime"], strict=False)
    )
    return Table(frame, Schema({**kinds, "ill": "categorical"}, "ill", protected=("smokes",), secrets=("city",)))


def _noisier_people(data: Data, rng: np.random.Generator) -> Table:
    assert isinstance(data, Table)
    frame = data.frame.copy()
    for name in ("height", "city", "smokes", "visits"):
        frame[name] = frame[name].to_numpy()[rng.permutation(len(frame))]
    frame["height"] = np.round(frame["height"] + 30 * rng.normal(size=len(frame)), 1)
    frame["income"] *= np.where(rng.random(len(frame)) < 0.3, np.nan, 3)
    repeated = np.maximum(np.arange(len(frame)) - len(frame) // 5, 0)
    return replace(data, frame=frame.iloc[repeated].reset_index(drop=True))


def _with_columns_turned(data: Data) -> Table:
    assert isinstance(data, Table)
    names = list(data.frame)[::-1]
    return Table(data.frame[names], replace(data.schema, kinds={name: data.schema.kinds[name] for name in names}))


def _in_other_units(data: Data) -> Table:
    assert isinstance(data, Table)
    return replace(
        data, frame=data.frame.assign(height=data.frame["height"] / 2.54, income=data.frame["income"] * 7 + 3)
    )


def bars(n: int, rng: np.random.Generator) -> ImageSet:
    """8x8 images of an upright or a lying soft bar of any place, width and brightness, with noise, from two sites."""
    codes = rng.integers(0, 2, n)
    place, width, light = rng.uniform(1, 6, n), rng.uniform(0.6, 1.6, n), rng.uniform(120, 230, n)
    profile = light[:, None] * np.exp(-(((np.arange(8) - place[:, None]) / width[:, None]) ** 2))
    upright = np.repeat(profile[:, None, :], 8, axis=1)
    pixels = np.where(codes[:, None, None] == 0, upright, upright.transpose(0, 2, 1)) + rng.normal(0, 8, (n, 8, 8))
    attributes = Attributes({"site": ("north", "south")}, rng.integers(0, 2, (n, 1)), protected=("site",))
    images = pixels.clip(0, 255).astype(np.uint8)[:, None]
    return ImageSet(images, codes, ("lying", "upright"), attributes=attributes)


def _paler_bars(data: Data, rng: np.random.Generator) -> ImageSet:
    """All images resemble the first one: less like their class, and like each other."""
    assert isinstance(data, ImageSet)
    return replace(data, images=(0.8 * data.images[:1] + 0.2 * data.images).astype(np.uint8))


def _shuffled(data: Data) -> Data:
    return data.take(np.random.default_rng(99).permutation(len(data)))


WORLDS: Mapping[str, World] = {
    "table": World(
        people,
        _noisier_people,
        # Other units give the rows another canonical order, and so the folds and classifiers another randomness.
        {"rows": (_shuffled, 1e-9), "columns": (_with_columns_turned, 1e-9), "units": (_in_other_units, 0.08)},
    ),
    "images": World(bars, _paler_bars, {"rows": (_shuffled, 1e-9)}),
}
CASES = [pytest.param(modality, name, id=f"{modality}-{name}") for modality in WORLDS for name in METRICS[modality]]


@pytest.fixture(autouse=True, scope="module")
def _short_trainings():
    # Two kinds of bars are told apart after a few steps.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_classifier, "JUDGE", image_classifier.Recipe(steps=40))
        patch.setattr(augmented_images, "RECIPE", image_classifier.Recipe(steps=10))
        yield


def evaluation(
    modality: str, *, train: int = 600, holdout: int = 300, synthetic: int = 400, seed: int = 0
) -> Evaluation:
    """Independent real data on every side."""
    rng = np.random.default_rng(seed)
    parts = [WORLDS[modality].real(n, rng) for n in (train, holdout, synthetic, synthetic)]
    realism = _brightness if modality == "images" else None
    return Evaluation(*parts[:3], size=SIZE, probe=parts[3], canaries=_canaries(parts[0], rng), realism=realism)


def _brightness(data: Data) -> np.ndarray:
    """In place of a discriminator: it tells no member from a stranger."""
    assert isinstance(data, ImageSet)
    return data.images.mean(axis=(1, 2, 3))


def start(modality: str, name: str) -> Evaluation:
    """The evaluation that most tests of the metric start from."""
    if name not in PEOPLE:
        return evaluation(modality)
    rows = PEOPLE[name]
    large = evaluation(modality, train=rows, holdout=rows, synthetic=rows)
    return replace(large, size=SIZE.model_copy(update={"max_rows": rows}))


def _canaries(train: Data, rng: np.random.Generator) -> Canaries | None:
    """The first training rows as planted, as many new ones as held back."""
    if not isinstance(train, Table):
        return None
    count = min(len(train), 60)
    rows = concat([train.take(np.arange(count)), people(count, rng)])
    assert isinstance(rows, Table)
    return Canaries(rows, np.arange(2 * count) < count, np.zeros(2 * count, dtype=bool), len(train))


def _rewritten(canaries: Canaries | None, rewrite: Callable[[Data], Data]) -> Canaries | None:
    if canaries is None:
        return None
    # One by one, as each keeps its coin.
    rows = concat([rewrite(canaries.rows.take(np.array([i]))) for i in range(len(canaries))])
    assert isinstance(rows, Table)
    return replace(canaries, rows=rows)


def found(modality: str, name: str, given: Evaluation) -> Finding:
    """What the metric finds."""
    return METRICS[modality][name].function(given)


@cache
def baseline(modality: str, name: str) -> Finding:
    """What the metric finds on the evaluation that most of its tests start from."""
    return found(modality, name, start(modality, name))


@pytest.mark.parametrize(("modality", "name"), CASES)
def test_finding_is_finite_and_inside_its_interval(modality, name):
    finding = baseline(modality, name)
    assert finding.metric == name
    assert finding.family == METRICS[modality][name].family
    assert np.isfinite([finding.low, finding.value, finding.high]).all()
    assert finding.low <= finding.value <= finding.high
    assert finding.reference is None or np.isfinite(finding.reference)
    assert finding.n > 0


@pytest.mark.parametrize(("modality", "name"), CASES)
def test_finding_can_be_written_to_a_report(modality, name):
    assert json.dumps(dict(baseline(modality, name).detail), allow_nan=False)


@pytest.mark.parametrize(("modality", "name"), CASES)
def test_a_privacy_number_says_who_attacks(modality, name):
    finding = baseline(modality, name)
    assert bool(finding.threat_model) == (finding.family == "privacy")


@pytest.mark.parametrize(("modality", "name"), CASES)
def test_same_seed_gives_the_same_finding(modality, name):
    assert found(modality, name, start(modality, name)) == baseline(modality, name)


@pytest.mark.parametrize(("modality", "name"), CASES)
def test_finding_does_not_depend_on_the_form_of_the_data(modality, name):
    given = start(modality, name)
    expected = baseline(modality, name)
    for form, (rewrite, tolerance) in WORLDS[modality].rewritten.items():
        parts = {side: rewrite(getattr(given, side)) for side in ("train", "holdout", "synthetic", "probe")}
        parts["canaries"] = _rewritten(given.canaries, rewrite)
        finding = found(modality, name, replace(given, **parts))
        numbers = finding.value, finding.low, finding.high
        allowed = tolerance * MOVES_MORE.get(name, 1)
        assert numbers == pytest.approx((expected.value, expected.low, expected.high), abs=allowed), form


@pytest.mark.parametrize(
    ("modality", "name"), [case for case in CASES if METRICS[case.values[0]][case.values[1]].family == "fidelity"]
)
def test_more_noise_is_worse_fidelity(modality, name):
    given = start(modality, name)
    noisier = WORLDS[modality].noisier(given.synthetic, np.random.default_rng(1))
    _assert_worse(found(modality, name, replace(given, synthetic=noisier)), baseline(modality, name))


@pytest.mark.parametrize(
    ("modality", "name"),
    [
        case
        for case in CASES
        if METRICS[case.values[0]][case.values[1]].family == "privacy" and case.values[1] not in OF_THE_MODEL
    ],
)
def test_copies_are_worse_privacy(modality, name):
    given = start(modality, name)
    copied = given.train.take(np.arange(len(given.synthetic)))
    _assert_worse(found(modality, name, replace(given, synthetic=copied)), baseline(modality, name))


def _assert_worse(worse: Finding, better: Finding) -> None:
    # Not only the value: the intervals must lie apart.
    if better.higher_is_better:
        assert worse.high < better.low or (worse.value < better.value and worse.metric in CENSUS)
    else:
        assert worse.low > better.high or (worse.value > better.value and worse.metric in CENSUS)


@pytest.mark.parametrize(("modality", "name"), [case for case in CASES if case.values[1] not in CENSUS])
def test_too_few_rows_say_so(modality, name):
    with pytest.raises(NotMeasurable, match=r"\w"):
        found(modality, name, evaluation(modality, train=8, holdout=6, synthetic=6))


@pytest.mark.parametrize("modality", list(WORLDS))
def test_every_metric_is_either_found_or_has_a_reason(modality):
    findings, missing = measure(evaluation(modality, train=8, holdout=6, synthetic=6), modality)
    assert {item.metric for item in [*findings, *missing]} == set(metrics_of(modality, SIZE.profile))
    assert all(item.reason for item in missing)

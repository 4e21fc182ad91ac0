"""Images that do not look like their class are dropped, real ones are not."""

from dataclasses import replace

import numpy as np
import pytest

from synthgen.config import CurationConfig
from synthgen.curation.looks import UNUSUAL, Looks
from synthgen.curation.selection import MAX_ROUNDS, CurationRecord, Screen, curate
from synthgen.datasets import Data, ImageSet, Labels, class_counts, class_rows
from synthgen.metrics import image_classifier
from synthgen.sources import builtin

CONFIG = CurationConfig()


@pytest.fixture(autouse=True, scope="module")
def _short_training():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_classifier, "JUDGE", image_classifier.Recipe(steps=120))
        yield


@pytest.fixture(scope="module")
def digits() -> dict[str, ImageSet]:
    every = builtin.digits().data
    assert isinstance(every, ImageSet)
    order = np.random.default_rng(0).permutation(len(every))
    return {"train": every.take(order[:700]), "valid": every.take(order[700:1250]), "fresh": every.take(order[1250:])}


@pytest.fixture(scope="module")
def screen(digits) -> Screen:
    return Screen.of(digits["train"], digits["valid"], CONFIG).looking(CONFIG, np.random.default_rng(0))


def test_real_images_are_dropped_as_rarely_as_the_bars_say(digits, screen) -> None:
    for dropped in (screen.looks.of_another_class(digits["fresh"]), screen.looks.out_of_reach(digits["fresh"])):
        # Few images of a class set its bar.
        assert dropped.mean() < 4 * UNUSUAL


def test_images_of_another_class_are_dropped(digits, screen) -> None:
    fresh = digits["fresh"]
    wrong = replace(fresh, codes=(fresh.codes + 3) % 10)
    assert screen.looks.of_another_class(wrong).mean() > 0.9


def test_images_unlike_any_real_one_are_out_of_reach(digits, screen) -> None:
    fresh = digits["fresh"]
    noise = np.random.default_rng(0).integers(0, 255, fresh.images.shape, dtype=np.uint8)
    assert screen.looks.out_of_reach(replace(fresh, images=noise)).mean() > 0.9


def test_a_class_with_few_valid_images_has_no_bar(digits) -> None:
    valid = digits["valid"]
    few = valid.take(np.concatenate([class_rows(valid, "0")[:5], np.flatnonzero(valid.codes != 0)]))
    looks = Looks.of(digits["train"], few, CONFIG, np.random.default_rng(0))
    assert looks is not None
    assert "0" not in looks.chance
    zeros = digits["fresh"].take(class_rows(digits["fresh"], "1"))
    assert not looks.of_another_class(replace(zeros, codes=np.zeros(len(zeros), dtype=np.int64))).any()
    assert Looks.of(digits["train"], few.take(np.arange(5)), CONFIG, np.random.default_rng(0)) is None
    assert (
        Looks.of(digits["train"], few, CurationConfig(labels="keep", outliers="keep"), np.random.default_rng(0)) is None
    )


def test_quotas_are_filled_with_images_of_their_class_and_rates_are_told(digits, screen) -> None:
    fresh = digits["fresh"]
    rng = np.random.default_rng(1)

    def draw(labels: Labels, rng: np.random.Generator) -> Data:
        # One in three shows another class.
        rows = [rng.choice(class_rows(fresh, name)) for name in labels]
        drawn = fresh.take(np.array(rows))
        others = (drawn.codes + rng.integers(1, 10, len(drawn))) % 10
        swapped = fresh.take(np.array([rng.choice(np.flatnonzero(fresh.codes == code)) for code in others]))
        keep = rng.random(len(drawn)) > 1 / 3
        return replace(drawn, images=np.where(keep[:, None, None, None], drawn.images, swapped.images))

    quota = {"2": 30, "7": 12}
    data, record = curate(draw(np.repeat(["2", "7"], [30, 12]), rng), quota, draw, screen, CONFIG, rng)
    assert {name: count for name, count in class_counts(data).items() if count} == quota
    assert record.other_class > 8
    assert record.drawn_per_class["2"] > record.drawn_per_class["7"] > 12
    assert record.other_class == sum(record.other_class_per_class.values())
    assert sum(record.dropped_per_class.values()) >= record.other_class
    assert (record.odd_kept, record.copies_kept) == (0, 0)
    assert screen.looks.of_another_class(data).sum() == 0


def test_what_cannot_be_replaced_is_filled_with_odd_images_before_copies(digits, screen) -> None:
    train, fresh = digits["train"], digits["fresh"]
    ones, copies = class_rows(fresh, "1")[:6], class_rows(train, "0")[:6]

    def draw(labels: Labels, rng: np.random.Generator) -> Data:
        return candidates

    images = np.concatenate([fresh.images[ones], train.images[copies]])
    candidates = ImageSet(images, np.zeros(12, dtype=np.int64), train.classes, mirror_keeps_label=False)
    data, record = curate(candidates, {"0": 7}, draw, screen, CONFIG, np.random.default_rng(0))
    assert (len(data), record.odd_kept, record.copies_kept, record.rounds) == (7, 7, 0, MAX_ROUNDS)
    assert screen.odd(data, CurationRecord()).all()

"""Images that do not look like their class are dropped, real ones are not."""

from dataclasses import replace

import numpy as np
import pytest

from synthgen.config import CurationConfig
from synthgen.curation.looks import UNUSUAL, Looks
from synthgen.curation.selection import MAX_ROUNDS, CurationRecord, Screen, curate
from synthgen.datasets import Data, ImageSet, Labels, class_counts, class_rows
from synthgen.errors import TrainingError
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


def without(images: ImageSet, name: str, kept: int) -> ImageSet:
    """All images of the other classes, and so many of this one."""
    others = np.flatnonzero(images.codes != images.classes.index(name))
    return images.take(np.concatenate([class_rows(images, name)[:kept], others]))


def test_training_images_set_the_bars_of_a_class_with_few_valid_ones(digits) -> None:
    train, valid, fresh = without(digits["train"], "0", 30), without(digits["valid"], "0", 5), digits["fresh"]
    looks = Looks.of(train, valid, CONFIG, np.random.default_rng(0))
    assert looks is not None
    assert looks.unknown == ()
    zeros, ones = (fresh.take(class_rows(fresh, name)) for name in "01")
    as_zeros = replace(ones, codes=np.zeros(len(ones), dtype=np.int64))
    noise = np.random.default_rng(0).integers(0, 255, zeros.images.shape, dtype=np.uint8)
    assert looks.of_another_class(as_zeros).mean() > 0.9
    assert looks.out_of_reach(replace(zeros, images=noise)).mean() > 0.9
    for dropped in (looks.of_another_class(zeros), looks.out_of_reach(zeros)):
        assert dropped.mean() < 8 * UNUSUAL


def test_a_class_with_few_images_has_no_bar_and_is_named(digits) -> None:
    train, valid = without(digits["train"], "0", 10), without(digits["valid"], "0", 5)
    screen = Screen.of(train, valid, CONFIG).looking(CONFIG, np.random.default_rng(0))
    assert screen.looks is not None
    assert "0" not in screen.looks.chance
    ones = digits["fresh"].take(class_rows(digits["fresh"], "1"))
    record = CurationRecord()
    assert not screen.odd(replace(ones, codes=np.zeros(len(ones), dtype=np.int64)), record).any()
    assert record.unknown_classes == ("0",)


def test_a_class_that_train_lacks_sets_no_bar(digits) -> None:
    looks = Looks.of(without(digits["train"], "0", 0), digits["valid"], CONFIG, np.random.default_rng(0))
    assert looks is not None
    assert (set(looks.chance), looks.unknown) == ({str(digit) for digit in range(1, 10)}, ())


def test_bars_are_not_set_where_nothing_can_be_or_is_to_be_looked_at(digits) -> None:
    train, valid, rng = digits["train"], digits["valid"], np.random.default_rng(0)
    looks = Looks.of(train.take(np.arange(30)), valid.take(np.arange(5)), CONFIG, rng)
    assert looks is not None
    assert looks.unknown == tuple(sorted(set(train.labels[:30])))
    assert not (looks.of_another_class(valid) | looks.out_of_reach(valid)).any()
    assert Looks.of(train, valid, CurationConfig(labels="keep", outliers="keep"), rng) is None


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
    of_class = record.per_class
    assert of_class["2"]["drawn"] > of_class["7"]["drawn"] > 12
    assert record.other_class == sum(counts.get("other_class", 0) for counts in of_class.values())
    assert (record.odd_kept, record.copies_kept) == (0, 0)
    assert screen.looks.of_another_class(data).sum() == 0


def test_what_cannot_be_replaced_is_filled_with_odd_images_and_never_with_copies(digits, screen) -> None:
    train, fresh = digits["train"], digits["fresh"]
    ones, copies = class_rows(fresh, "1")[:6], class_rows(train, "0")[:6]

    def draw(labels: Labels, rng: np.random.Generator) -> Data:
        return candidates

    images = np.concatenate([fresh.images[ones], train.images[copies]])
    candidates = ImageSet(images, np.zeros(12, dtype=np.int64), train.classes, mirror_keeps_label=False)
    data, record = curate(candidates, {"0": 7}, draw, screen, CONFIG, np.random.default_rng(0))
    assert (len(data), record.odd_kept, record.copies_kept, record.rounds) == (7, 7, 0, MAX_ROUNDS)
    assert record.per_class["0"]["odd_kept"] == 7
    assert screen.odd(data, CurationRecord()).all()
    rounds = MAX_ROUNDS + 1
    with pytest.raises(TrainingError, match=f"1 of {6 * rounds + 1} are missing .*; {6 * rounds} more copy training"):
        curate(candidates, {"0": 6 * rounds + 1}, draw, screen, CONFIG, np.random.default_rng(0))

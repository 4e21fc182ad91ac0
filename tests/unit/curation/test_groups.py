"""A protected group whose images are dropped more often keeps its share of what is emitted."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthgen import stages
from synthgen.attributes import Attributes
from synthgen.config import CopiesConfig, CurationConfig, ImageGanConfig
from synthgen.config_reading import parse_config
from synthgen.curation.groups import Groups, group_counts
from synthgen.curation.selection import MAX_ROUNDS, Screen, curate
from synthgen.datasets import ImageSet, Labels, Splits, class_rows
from synthgen.synthesizers.copies import Copies
from synthgen.synthesizers.image_gan import ImageGan
from synthgen.workspace import Workspace

CONFIG = CurationConfig(calibrate=False, near_copies="keep")
CLASSES = ("healthy", "ill")
LEVELS = {"sex": ("f", "m"), "site": ("north", "south")}
SETTINGS = {"budget_steps": 2, "batch_size": 8, "width": 4, "latent": 4, "conditioning": "attributes"}
QUOTA = {"healthy": 300, "ill": 100}


def noise(codes: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> ImageSet:
    """Images of these classes and levels, int64 [n] and [n, 2], none like another."""
    pixels = rng.integers(0, 256, (len(codes), 1, 8, 8), dtype=np.uint8)
    return ImageSet(pixels, codes, CLASSES, attributes=Attributes(LEVELS, levels, ("sex",)))


def people(n: int) -> ImageSet:
    rng = np.random.default_rng(n)
    return noise(rng.integers(0, 2, n), rng.integers(0, 2, (n, 2)), rng)


TRAIN = people(400)
SCREEN = Screen.of(TRAIN, people(200), CONFIG)
COPIED = TRAIN.images[[class_rows(TRAIN, name)[0] for name in CLASSES]]


class Leaky(Copies):
    """Draws what it is asked for; of women this share are a training image, of men one in ten."""

    def __init__(self, women: float) -> None:
        super().__init__(CopiesConfig(kind="copies"))
        self.women = women

    def sample(self, n: int, labels: Labels, rng: np.random.Generator) -> ImageSet:
        return self.sample_where(n, labels, {}, rng)

    def sample_where(self, n: int, labels: Labels, where: Mapping[str, object], rng: np.random.Generator) -> ImageSet:
        levels = rng.integers(0, 2, (n, 2))
        for name, level in where.items():
            levels[:, list(LEVELS).index(name)] = LEVELS[name].index(level)
        drawn = noise((labels == "ill").astype(np.int64), levels, rng)
        copied = rng.random(n) < np.where(levels[:, 0] == 0, self.women, 0.1)
        drawn.images[copied] = COPIED[drawn.codes[copied]]
        return drawn


def counts(images: ImageSet) -> dict[tuple[str, str], int]:
    return pd.DataFrame({"class": images.labels, "sex": images.attributes.texts["sex"]}).value_counts().to_dict()


def curated(women: float, *, by_group: bool = True):
    model, rng = Leaky(women), np.random.default_rng(0)
    labels = np.repeat(list(QUOTA), list(QUOTA.values()))
    candidates = model.sample(len(labels), labels, rng)
    groups = Groups.of(model, TRAIN, candidates) if by_group else None
    draw = lambda labels, rng: model.sample(len(labels), labels, rng)  # noqa: E731
    return candidates, *curate(candidates, QUOTA, draw, SCREEN, CONFIG, rng, groups)


def test_what_is_dropped_of_a_group_is_drawn_again_for_it():
    candidates, chosen, record = curated(0.6)
    assert counts(chosen) == counts(candidates)
    assert not np.isin(chosen.row_keys(), TRAIN.row_keys()).any()
    assert (record.copies_kept, record.per_class.keys()) == (0, set(QUOTA))
    # By class alone women lose what they are dropped more often by, and the record says so.
    _, by_class, record = curated(0.6, by_group=False)
    assert record.drawn_per_group.keys() == {"sex: f", "sex: m"}
    rates = {name: record.dropped_per_group[name] / drawn for name, drawn in record.drawn_per_group.items()}
    assert rates == {"sex: f": pytest.approx(0.6, abs=0.1), "sex: m": pytest.approx(0.1, abs=0.05)}
    assert counts(by_class)["healthy", "f"] < 0.8 * counts(candidates)["healthy", "f"]


def test_of_a_group_that_cannot_be_drawn_the_class_is_filled_with_others_before_copies():
    _, chosen, record = curated(1.0)
    assert counts(chosen) == {("healthy", "m"): 300, ("ill", "m"): 100}
    assert record.copies_kept == 0
    assert MAX_ROUNDS <= record.rounds <= 2 * MAX_ROUNDS


def test_without_a_dropped_image_nothing_is_drawn():
    images = people(50)
    groups = Groups.of(Leaky(0), TRAIN, images)
    assert not groups.beyond(images, images.take(np.random.default_rng(0).permutation(50))).any()
    assert groups.beyond(images, images.take(np.arange(10))).sum() == 40


def test_images_are_counted_by_protected_group_and_those_of_none_under_unknown():
    codes = np.array([[0, 0], [0, 1], [-1, 0]])
    images = noise(np.array([0, 1, 1]), codes, np.random.default_rng(0))
    assert group_counts(images, TRAIN) == {"sex: f": 2, "sex: unknown": 1}
    unprotected = replace(TRAIN, attributes=replace(TRAIN.attributes, protected=()))
    bare = replace(images, attributes=None)
    cases = [(images, unprotected), (images, replace(TRAIN, attributes=None)), (bare, TRAIN)]
    assert [group_counts(*case) for case in cases] == [{}, {}, {}]


def test_groups_are_those_of_protected_attributes_that_the_model_can_be_asked_for():
    told, bare = Leaky(0), replace(TRAIN, attributes=None)
    assert Groups.of(told, TRAIN, people(5)).protected == ("sex",)
    unprotected = replace(TRAIN, attributes=replace(TRAIN.attributes, protected=()))
    of_train = Copies(CopiesConfig(kind="copies"))
    for case in [
        (told, unprotected, people(5)),
        (told, bare, people(5)),
        (told, TRAIN, bare),
        (of_train, TRAIN, TRAIN),
    ]:
        assert Groups.of(*case) is None


def test_a_trained_model_draws_two_images_of_the_same_class_and_group_for_each():
    gan = ImageGan(ImageGanConfig(kind="image-gan", **SETTINGS)).fit(TRAIN, people(40), np.random.default_rng(0))
    lacking = people(21)
    groups = Groups.of(gan, TRAIN, gan.sample(4, None, np.random.default_rng(0)))
    again = groups.again(lacking, np.random.default_rng(1))
    assert counts(again) == {cell: 2 * count for cell, count in counts(lacking).items()}


def test_a_run_draws_again_for_the_groups_of_what_it_drops(tmp_path):
    config = parse_config(
        {
            "name": "people",
            "source": {"kind": "images", "path": "people.csv", "label": "class", "attributes": list(LEVELS)}
            | {"protected": ["sex"]},
            "plan": {"kind": "per_class", "per_class": QUOTA},
            "synthesizer": {"kind": "image-gan", **SETTINGS},
            "curation": {"near_copies": "keep", "labels": "keep", "outliers": "keep"},
        }
    )
    space = Workspace(tmp_path)
    splits = space.build("split", {}, Splits(TRAIN, people(200), people(100)).save)
    model = stages.fit(config, space, splits)
    drawn = ImageSet.load(stages.sample(config, space, splits, model).directory / "synthetic")
    women = np.flatnonzero(drawn.attributes.texts["sex"] == "f")[::2]
    drawn.images[women] = COPIED[drawn.codes[women]]
    leaky = space.build("sample", {}, lambda out: drawn.save(out / "synthetic"))
    chosen = ImageSet.load(stages.curate_candidates(config, space, splits, model, leaky).directory / "synthetic")
    assert counts(chosen) == counts(drawn)
    assert not np.isin(chosen.row_keys(), TRAIN.row_keys()).any()

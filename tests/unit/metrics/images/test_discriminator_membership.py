"""What the discriminator gives away: nothing where it has learned nothing, everything where it knows all by heart."""

from dataclasses import replace

import numpy as np
import pytest

from synthgen.config import ImageGanConfig
from synthgen.datasets import ImageSet
from synthgen.metrics.evaluation import NotApplicable
from synthgen.metrics.privacy.image_membership import discriminator_membership
from synthgen.synthesizers.image_gan import ImageGan


def by_chance(data: ImageSet) -> np.ndarray:
    return (data.row_keys() % np.uint64(99_991)).astype(np.float64)


def test_without_a_discriminator_there_is_nothing_to_measure(evaluate, digits) -> None:
    with pytest.raises(NotApplicable, match="no discriminator"):
        discriminator_membership(evaluate(digits["fresh"]))


def test_a_discriminator_that_knows_nothing_names_nobody(evaluate, digits) -> None:
    finding = discriminator_membership(evaluate(digits["fresh"], realism=by_chance))
    assert finding.value < 0.06
    assert finding.low <= 0.01


def test_one_that_knows_the_training_images_by_heart_names_all(evaluate, digits) -> None:
    known = set(digits["train"].row_keys().tolist())

    def by_heart(data: ImageSet) -> np.ndarray:
        # Classes differ by far more than members from strangers do.
        member = np.array([key in known for key in data.row_keys().tolist()])
        return 100.0 * data.codes + member + 0.1 * np.sin(by_chance(data))

    finding = discriminator_membership(evaluate(digits["fresh"], realism=by_heart))
    assert finding.value == 1
    assert finding.low > 0.9
    assert finding.detail["attack"] == "score within the class"


def test_a_gan_scores_the_images_it_was_trained_on_higher(evaluate, digits) -> None:
    # So few that they are learned by heart: more and smaller networks name members or not by chance.
    few = digits["train"].take(np.arange(100))
    config = ImageGanConfig(kind="image-gan", budget_steps=800, batch_size=32, width=8)
    gan = ImageGan(config).fit(few, digits["holdout"], np.random.default_rng(0))
    scores = gan.realism(few), gan.realism(digits["fresh"])
    assert scores[0].shape == (100,)
    assert scores[0].mean() > scores[1].mean()
    finding = discriminator_membership(evaluate(digits["fresh"], train=few, realism=gan.realism))
    assert finding.value > finding.reference
    renamed = replace(few, images=few.images.copy())
    assert np.array_equal(gan.realism(renamed), scores[0])

"""Membership inference on images: can an attacker name which images were in the training data?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from synthgen.datasets import Data, ImageSet, Index, class_counts, concat, take_per_class
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.image_classifier import CLASSIFIER_PX, SmallConvNet, pixels, torch_generator
from synthgen.metrics.image_features import (
    RANDOM_PX,
    FeatureFamily,
    Features,
    ImageSets,
    calibrated_network,
    image_sets,
    standardised_features,
)
from synthgen.metrics.image_judges import cross_fitted
from synthgen.metrics.neighbours import nearest_distances
from synthgen.metrics.privacy.crowd import LEAK_SHARE, MIN_ROWS, NEIGHBOURS, SMALLEST_DISTANCE
from synthgen.metrics.privacy.naming import Hits, hits
from synthgen.stats import FloatArray

Networks = Mapping[FeatureFamily, tuple[SmallConvNet, Mapping[int, int]]]
# Two of each family of features.
ATTACKS = 4

THREAT_MODEL = (
    "An attacker holds an image with its class and all synthetic images, knows the population, and says whether the "
    "image was in the training data; 1 wrong accusation in 100 strangers is accepted."
)


def membership_tpr_at_1pct_fpr(evaluation: Evaluation) -> Finding:
    """Share of members an attacker names when 1 in 100 strangers is named wrongly; 0.01 is blind guessing.

    Members are training images, strangers held-out ones, different ones and equally many of each class. Two attacks
    within the class in two families of features, the strongest counts: distance to the nearest synthetic image
    (Chen 2020, arXiv:1909.03935), and that over the distance to the fifth nearest other candidate, a density ratio
    as in DOMIAS (van Breugel 2023, arXiv:2302.12580). The classifier has seen two thirds of members and of strangers:
    one trained on members alone would draw them together and accuse honest images. Interval: see `hits`.
    Reference: half of the strangers in place of the synthetic images. Controls in the detail: features of which each
    principal component is drawn alone within its class, which cannot leak, and the same with 5 % training images.
    """
    sets, rng = _distinct(image_sets(evaluation)), evaluation.rng("membership")
    members, strangers = _equally_many(sets, evaluation.size.max_rows, rng)
    crowds = _crowds(members, strangers, sets, _networks(evaluation, members, strangers))
    found = _strongest([crowd.attacked(crowd.synthetic) for crowd in crowds])
    fresh = _strongest([crowd.among_halves() for crowd in crowds])
    independent = [crowd.independent(rng) for crowd in crowds]
    leaked = rng.permutation(len(sets.train))[: round(LEAK_SHARE * len(sets.synthetic))]
    control = _strongest([crowd.attacked(points) for crowd, points in zip(crowds, independent, strict=True)])
    known = [points.and_also(crowd.train.take(leaked)) for crowd, points in zip(crowds, independent, strict=True)]
    leak = _strongest([crowd.attacked(points) for crowd, points in zip(crowds, known, strict=True)])
    return Finding(
        metric="membership_tpr_at_1pct_fpr", family="privacy", value=found.rate, low=found.low, high=found.high,
        reference=fresh.rate, higher_is_better=False, n=len(strangers), threat_model=THREAT_MODEL,
        detail={"attack": found.attack, "control_independent": control.rate, "control_leak": leak.rate},
    )  # fmt: skip


MODEL_THREAT = (
    "An attacker holds the saved model with its discriminator and an image with its class, and says whether the image "
    "was in the training data; 1 wrong accusation in 100 strangers is accepted. Emitted datasets hold no discriminator."
)


def discriminator_membership(evaluation: Evaluation) -> Finding:
    """Share of members an attacker names by the discriminator's score at 1 wrong accusation in 100.

    White-box attack of Hayes 2019 (LOGAN, arXiv:1705.07663): who scores as more real was trained on. The stronger of
    two counts: the score, and the score minus the median of its class. Members and strangers as in
    `membership_tpr_at_1pct_fpr`. Reference: every second stranger against the others. The two controls of that attack
    have no place here: they stand in for emitted images, and this one scores the real ones. For information: it says
    what handing on the model would add, not what the emitted images give away.
    """
    if evaluation.realism is None:
        raise NotApplicable("there is no discriminator that one could ask")
    sets = _distinct(image_sets(evaluation))
    people = _equally_many(sets, evaluation.size.max_rows, evaluation.rng("membership"))
    codes = [part.codes for part in people]
    scores = [evaluation.realism(part) for part in people]
    found, fresh = _named(scores, codes), _named([scores[1][::2], scores[1][1::2]], [codes[1][::2], codes[1][1::2]])
    return Finding(
        metric="discriminator_membership", family="privacy", value=found.rate, low=found.low, high=found.high,
        reference=fresh.rate, higher_is_better=False, n=len(people[1]), threat_model=MODEL_THREAT,
        detail={"attack": found.attack},
    )  # fmt: skip


def _named(scores: Sequence[FloatArray], codes: Sequence[Index]) -> Hits:
    """The stronger of the two attacks on members and strangers."""
    both, classes = np.concatenate(list(scores)), np.concatenate(list(codes))
    medians = {code: np.median(both[classes == code]) for code in np.unique(classes)}
    centred = [part - np.array([medians[code] for code in of]) for part, of in zip(scores, codes, strict=True)]
    attacks = {"score": scores, "score within the class": centred}
    return _strongest([replace(hits(*pair, attacks=len(attacks)), attack=name) for name, pair in attacks.items()])


@dataclass(frozen=True)
class Points:
    """Images in a feature space: float64 [n, 64], and int64 [n], the code of the class of each."""

    features: Features
    codes: Index

    def take(self, index: Index) -> "Points":
        """Those at these positions."""
        return Points(self.features[index], self.codes[index])

    def and_also(self, others: "Points") -> "Points":
        """These, then the others."""
        return Points(np.vstack([self.features, others.features]), np.concatenate([self.codes, others.codes]))


@dataclass(frozen=True)
class ImageCrowd:
    """The images an attacker asks about, as points of one family of features, and what they are compared with.

    Attributes:
        members, strangers: equally many of each class, in random order.
    """

    family: str
    members: Points
    strangers: Points
    train: Points
    synthetic: Points

    def attacked(self, published: Points) -> Hits:
        """The stronger of the two attacks, given these published images."""
        people = self.members.and_also(self.strangers)
        near, isolation = np.full((2, len(people.codes)), np.inf)
        for code in np.unique(published.codes):
            here = people.codes == code
            asked = _tensor(people.features[here])
            near[here] = nearest_distances(asked, _tensor(published.features[published.codes == code]), 1)
            isolation[here] = nearest_distances(asked, asked, NEIGHBOURS + 1)
        near = np.log(near + SMALLEST_DISTANCE)
        scores = {"nearest neighbour": -near, "density ratio": np.log(isolation + SMALLEST_DISTANCE) - near}
        count = len(self.members.codes)
        return _strongest(
            [
                replace(hits(score[:count], score[count:], attacks=ATTACKS), attack=f"{name}, {self.family} features")
                for name, score in scores.items()
            ]
        )

    def among_halves(self) -> Hits:
        """The attack with every second stranger published, on the others and as many members."""
        even, odd = np.arange(0, len(self.strangers.codes), 2), np.arange(1, len(self.strangers.codes), 2)
        rest = replace(self, members=self.members.take(odd), strangers=self.strangers.take(odd))
        return rest.attacked(self.strangers.take(even))

    def independent(self, rng: np.random.Generator) -> Points:
        """As many images per class as are published, of members and strangers alike, each component drawn alone."""
        people = self.members.and_also(self.strangers)
        features = np.empty_like(self.synthetic.features)
        for code in np.unique(self.synthetic.codes):
            ours, known = self.synthetic.codes == code, people.features[people.codes == code]
            centre = known.mean(axis=0)
            axes = np.linalg.svd(known - centre, full_matrices=False)[2]
            drawn = rng.integers(0, len(known), (int(ours.sum()), len(axes)))
            features[ours] = np.take_along_axis((known - centre) @ axes.T, drawn, axis=0) @ axes + centre
        return Points(features, self.synthetic.codes)


def _networks(evaluation: Evaluation, members: ImageSet, strangers: ImageSet) -> Networks:
    """A network of each family that knows members and strangers alike, and the size of the images it looks at."""
    judge = cross_fitted(evaluation, image_sets(evaluation)).judges[0]
    generator = torch_generator(evaluation.rng("membership/network"))
    random = calibrated_network(_images(concat([members, strangers])), generator)
    return {"classifier": (judge, CLASSIFIER_PX), "random": (random, RANDOM_PX)}


def _crowds(members: ImageSet, strangers: ImageSet, sets: ImageSets, networks: Networks) -> list[ImageCrowd]:
    people = _images(concat([members, strangers]))
    parts = members, strangers, sets.train, sets.synthetic
    crowds = []
    for family, (network, px) in networks.items():
        # The people first: their mean and deviation are the measure of all.
        _, *features = standardised_features(network, [pixels(part, at_most_px=px) for part in (people, *parts)])
        points = [Points(known, part.codes) for known, part in zip(features, parts, strict=True)]
        crowds.append(ImageCrowd(family, *points))
    return crowds


def _strongest(attacks: Sequence[Hits]) -> Hits:
    return max(attacks, key=lambda one: one.rate)


def _distinct(sets: ImageSets) -> ImageSets:
    """Different images only, of the synthesised classes: a split puts all copies of an image on one side."""
    wanted = np.unique(sets.synthetic.codes)
    parts = []
    for part in (sets.train, sets.holdout, sets.synthetic):
        _, first = np.unique(part.row_keys(), return_index=True)
        first = np.sort(first)
        parts.append(part.take(first[np.isin(part.codes[first], wanted)]))
    return ImageSets(*parts)


def _equally_many(sets: ImageSets, at_most: int, rng: np.random.Generator) -> list[ImageSet]:
    counts = class_counts(sets.train), class_counts(sets.holdout)
    shared = {name: min(count[name] for count in counts) for name in sets.train.classes}
    total = sum(shared.values())
    if total < MIN_ROWS:
        raise NotMeasurable(
            f"{total} different held-out images of the synthesised classes, at least {MIN_ROWS} are needed"
        )
    quota = {name: round(count * min(1.0, at_most / total)) for name, count in shared.items()}
    return [_images(take_per_class(part, quota, rng)) for part in (sets.train, sets.holdout)]


def _images(data: Data) -> ImageSet:
    assert isinstance(data, ImageSet)
    return data


def _tensor(features: Features) -> torch.Tensor:
    return torch.from_numpy(features.astype(np.float32))

"""Attribute inference: what do the synthetic rows tell about a participant that they do not tell about a stranger?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import numpy as np

from synthgen.datasets import Index, Schema
from synthgen.findings import Finding
from synthgen.metrics.classifiers import Examples, Trees, class_probabilities, in_threads
from synthgen.metrics.evaluation import Evaluation, NotApplicable, NotMeasurable
from synthgen.metrics.neighbours import embed, nearest
from synthgen.metrics.privacy.excess import MIN_ROWS, Excess, Flags, drawn_sides, excess_success, matched_success
from synthgen.metrics.table_features import Encoded, encode, independent_columns, joined, tables
from synthgen.stats import FloatArray

Attack = Literal["nearest neighbours", "trained model"]

THREAT_MODEL = (
    "An attacker knows everything about a person but one secret, holds all synthetic rows, and guesses the secret; "
    "what they would guess as well about a stranger does not count."
)
ATTACKS: Sequence[Attack] = get_args(Attack)
# A blind guess at a number is right in 1 of 10, whatever its unit and distribution.
BINS = 10
NEIGHBOURS = 5
# One copy at distance 0 outvotes the other neighbours; columns of the embedding have length 1.
SMALLEST_DISTANCE = 1e-3
# Deep enough to remember single rows: what an attacker learns from may be overfitted.
MODEL = Trees(rounds=20, depth=6, learning_rate=0.3, row_share=1.0)
# Rarer values are left to the neighbours: the cost of the model grows with the number of values.
MODEL_LEVELS = 16
LEAK_SHARE = 0.05


@dataclass(frozen=True)
class Secret:
    """A column whose value is guessed, and the people it is guessed of.

    Attributes:
        people: all their columns, members first; the secret is never missing.
        members: how many of them are members.
        cuts: float64 [k], where a numeric secret is cut into bins; None for a category.
    """

    name: str
    people: Encoded
    members: int
    cuts: FloatArray | None

    @classmethod
    def of(cls, name: str, members: Encoded, strangers: Encoded) -> "Secret":
        """The secret of those whose value is known; raises NotMeasurable when they are too few."""
        asked = [rows.take(np.flatnonzero(_is_known(rows, name))) for rows in (members, strangers)]
        if min(map(len, asked)) < MIN_ROWS // 2:
            raise NotMeasurable(f"secret {name!r} is missing in nearly all rows of one side")
        people = joined(asked[0], asked[1])
        is_number = name in people.numeric_names
        return cls(name, people, len(asked[0]), bin_cuts(_values(people, name)) if is_number else None)

    def answers(self, rows: Encoded) -> Index:
        """int64 [n]: the category, or the bin of the number."""
        values = _values(rows, self.name)
        return (values if self.cuts is None else np.searchsorted(self.cuts, values, "right")).astype(np.int64)


@dataclass(frozen=True)
class Attempt:
    """An attack on a secret with the help of published rows."""

    secret: Secret
    attack: Attack
    published: Encoded

    def excess(self, *, seed: int, tests: int) -> Excess:
        """How much better it works on members, see `excess_success`."""
        secret = self.secret
        truth = secret.answers(secret.people)
        hits = truth == self._guesses(seed)
        return excess_success(*matched_success(hits, truth, secret.members), tests=tests)

    def _guesses(self, seed: int) -> Index:
        name = self.secret.name
        donors = self.published.take(np.flatnonzero(_is_known(self.published, name)))
        if len(donors) == 0:
            return np.full(len(self.secret.people), -1)
        known, shown = _without(self.secret.people, name), _without(donors, name)
        match self.attack:
            case "nearest neighbours":
                return _neighbours_guess(known, shown, self.secret.answers(donors))
            case "trained model":
                return _model_guess(known, shown, self.secret.answers(donors), seed)


def attribute_inference(evaluation: Evaluation) -> Finding:
    """(a - c) / (1 - c) of the secret that leaks most: an attacker is right about a of members and c of strangers.

    The attacker knows all other columns and holds the synthetic rows. Two attacks, the stronger counts: a vote of the
    five nearest synthetic rows by inverse distance, and boosted trees trained on the synthetic rows. A number is hit
    when the guess lies in its tenth of the distribution; missing values are not asked for. Members are training rows,
    strangers holdout rows, different ones and equally many, standardised to the same values of the secret. Interval:
    see `excess_success`; secrets and attacks are corrected for together. Source: Giomi 2023, arXiv:2211.10459.
    Reference: half of the holdout in place of the synthetic rows, the other half as strangers. Controls in the detail:
    independent columns, which cannot leak, and the same with 5 % training rows. All three for the worst secret and
    the stronger attack on it.
    """
    names = emitted_secrets(tables(evaluation)[0].schema)
    rng = evaluation.rng("attribute_inference")
    sides = drawn_sides(evaluation, rng)
    parts = [sides.members, sides.strangers, sides.train, sides.synthetic]
    members, strangers, train, synthetic = encode(parts, sides.train.schema.modelled)
    secrets = [Secret.of(name, members, strangers) for name in names]
    attempts = [Attempt(secret, attack, synthetic) for secret in secrets for attack in ATTACKS]
    found = _excesses(attempts, rng)
    worst = int(np.argmax([excess.value for excess in found]))
    controls = [_fresh(attempts[worst], members, strangers), *_controls(attempts[worst], train, rng)]
    fresh, independent, leak = _excesses(controls, rng)
    return Finding(
        metric="attribute_inference", family="privacy", value=found[worst].value,
        low=max(excess.low for excess in found), high=max(excess.high for excess in found),
        reference=fresh.value, higher_is_better=False, n=len(strangers), threat_model=THREAT_MODEL,
        detail={
            "secret": attempts[worst].secret.name, "attack": attempts[worst].attack,
            "right_about_members": found[worst].members, "right_about_strangers": found[worst].strangers,
            "control_independent": independent.value, "control_leak": leak.value,
            "secrets": _by_secret(attempts, found),
        },
    )  # fmt: skip


def emitted_secrets(schema: Schema) -> list[str]:
    """Declared secrets among the columns that are synthesised, sorted; raises NotApplicable without any."""
    names = sorted(set(schema.secrets) & set(schema.modelled))
    if not names:
        raise NotApplicable("no synthesised column is declared a secret")
    if len(schema.modelled) == 1:
        raise NotApplicable("there is no column beside the secret to infer it from")
    return names


def bin_cuts(values: FloatArray) -> FloatArray:
    """Where numbers are cut into bins, float64 [k]: values held by more than 1 in 10 alone, the rest into tenths."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= BINS:
        return distinct[1:]
    is_frequent = counts > len(values) / BINS
    rest = np.repeat(distinct[~is_frequent], counts[~is_frequent])
    tenths = np.quantile(rest, np.arange(1, BINS) / BINS, method="lower")
    frequent = distinct[is_frequent]
    return np.unique(np.concatenate([frequent, np.nextafter(frequent, np.inf), tenths]))


def _excesses(attempts: Sequence[Attempt], rng: np.random.Generator) -> list[Excess]:
    seed = int(rng.integers(2**31))
    return in_threads([partial(attempt.excess, seed=seed, tests=len(attempts)) for attempt in attempts])


def _fresh(attempt: Attempt, members: Encoded, strangers: Encoded) -> Attempt:
    """The same with half of the strangers in place of the published rows."""
    published, asked = np.split(np.arange(len(strangers)), [len(strangers) // 2])
    secret = Secret.of(attempt.secret.name, members.take(asked), strangers.take(asked))
    return Attempt(secret, attempt.attack, strangers.take(published))


def _controls(attempt: Attempt, train: Encoded, rng: np.random.Generator) -> list[Attempt]:
    """The same with independent rows in place of the published ones, and with 5 % training rows among those."""
    n = len(attempt.published)
    leaked = rng.permutation(len(train))[: round(LEAK_SHARE * n)]
    independent = independent_columns(attempt.secret.people, n, rng)
    leak = joined(train.take(leaked), independent.take(np.arange(len(leaked), n)))
    return [replace(attempt, published=rows) for rows in (independent, leak)]


def _by_secret(attempts: Sequence[Attempt], found: Sequence[Excess]) -> dict[str, dict[str, float]]:
    """Value and interval of the stronger attack on each secret."""
    shown: dict[str, dict[str, float]] = {}
    # The strongest last: it stays.
    for excess, attempt in sorted(zip(found, attempts, strict=True), key=lambda pair: pair[0].value):
        shown[attempt.secret.name] = {"value": excess.value, "low": excess.low, "high": excess.high}
    return shown


def _neighbours_guess(known: Encoded, shown: Encoded, answers: Index) -> Index:
    """int64 [n]: the answer with most votes among the nearest donors, each weighted by its inverse distance."""
    positions, distances = nearest(embed(known, known), embed(shown, known), NEIGHBOURS)
    offered = answers[positions]  # [n, k]
    votes = (offered[:, :, None] == offered[:, None, :]) @ (1 / (distances + SMALLEST_DISTANCE))[:, :, None]
    return np.take_along_axis(offered, votes[:, :, 0].argmax(1)[:, None], axis=1)[:, 0]


def _model_guess(known: Encoded, shown: Encoded, answers: Index, seed: int) -> Index:
    """int64 [n]: the most probable of the frequent answers."""
    levels, counts = np.unique(answers, return_counts=True)
    levels = np.sort(levels[np.argsort(-counts, kind="stable")[:MODEL_LEVELS]])
    if len(levels) == 1:
        return np.full(len(known), levels[0])
    learned = np.isin(answers, levels)
    examples = Examples(shown.matrix()[learned], np.searchsorted(levels, answers[learned]), shown.kinds)
    scores = class_probabilities(examples, known.matrix(), classes=len(levels), trees=MODEL, seed=seed)
    return np.asarray(levels[scores.argmax(1)])


def _values(rows: Encoded, name: str) -> FloatArray:
    if name in rows.numeric_names:
        return rows.numeric[:, rows.numeric_names.index(name)]
    return rows.codes[:, rows.category_names.index(name)].astype(np.float64)


def _is_known(rows: Encoded, name: str) -> Flags:
    values = _values(rows, name)
    return np.isfinite(values) if name in rows.numeric_names else values >= 0


def _without(rows: Encoded, name: str) -> Encoded:
    numbers = [position for position, column in enumerate(rows.numeric_names) if column != name]
    categories = [position for position, column in enumerate(rows.category_names) if column != name]
    return replace(
        rows, numeric=rows.numeric[:, numbers], codes=rows.codes[:, categories],
        numeric_names=tuple(rows.numeric_names[position] for position in numbers),
        category_names=tuple(rows.category_names[position] for position in categories),
        levels=tuple(rows.levels[position] for position in categories),
    )  # fmt: skip

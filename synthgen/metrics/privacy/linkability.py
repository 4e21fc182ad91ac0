"""Linkability: do the synthetic rows join two halves of one person's record?"""

import numpy as np

from synthgen.datasets import Index, Table
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotApplicable
from synthgen.metrics.neighbours import embed, nearest
from synthgen.metrics.privacy.excess import Excess, drawn_sides, excess_success, plain_success
from synthgen.metrics.table_features import Encoded, encode, joined, tables

THREAT_MODEL = (
    "An attacker holds two tables about the same people, one half of the columns in each, and takes two entries for "
    "one person when the same synthetic row is near both."
)
NEIGHBOURS = 1


def linkability(evaluation: Evaluation) -> Finding:
    """(a - c) / (1 - c): the halves of a share a of members are linked by a synthetic row, and of c of strangers.

    A person is linked when the synthetic row nearest to them in one half of the columns is the one nearest in the
    other half (Giomi 2023, arXiv:2211.10459). Columns are dealt to the halves in turn, those with most values first;
    secrets are left out. Members are training rows, strangers holdout rows, different ones and equally many.
    Reference: half of the holdout in place of the synthetic rows, the other half as strangers. For information:
    people alike in few columns are linked by chance, and a copy among many similar rows is not.
    """
    halves = column_halves(tables(evaluation)[0])
    sides = drawn_sides(evaluation, evaluation.rng("linkability"))
    parts = [sides.members, sides.strangers, sides.synthetic]
    encoded = [encode(parts, half) for half in halves]
    members, strangers, synthetic = ([half[part] for half in encoded] for part in range(3))
    found = _excess(members, strangers, synthetic)
    published, asked = np.split(np.arange(len(sides.strangers)), [len(sides.strangers) // 2])
    fresh = _excess(_taken(members, asked), _taken(strangers, asked), _taken(strangers, published))
    return Finding(
        metric="linkability", family="privacy", value=found.value, low=found.low, high=found.high,
        reference=fresh.value, higher_is_better=False, n=len(sides.strangers), threat_model=THREAT_MODEL,
        detail={"linked_members": found.members, "linked_strangers": found.strangers},
    )  # fmt: skip


def column_halves(table: Table) -> tuple[list[str], list[str]]:
    """The columns an attacker knows, dealt in turn by their number of values; raises NotApplicable under two."""
    known = [name for name in table.schema.modelled if name not in table.schema.secrets]
    if len(known) < 2:
        raise NotApplicable("fewer than two columns that are no secrets: no two halves to link")
    ranked = sorted(known, key=lambda name: (-table.frame[name].nunique(), name))
    return ranked[::2], ranked[1::2]


def _excess(members: list[Encoded], strangers: list[Encoded], published: list[Encoded]) -> Excess:
    """Each argument holds the two halves of the same people."""
    near = []
    for half in range(2):
        people = joined(members[half], strangers[half])
        near.append(nearest(embed(people, people), embed(published[half], people), NEIGHBOURS)[0])
    linked = (near[0][:, :, None] == near[1][:, None, :]).any(axis=(1, 2))
    return excess_success(*(plain_success(part) for part in np.split(linked, [len(members[0])])))


def _taken(halves: list[Encoded], index: Index) -> list[Encoded]:
    return [half.take(index) for half in halves]

"""Membership inference on tables: can an attacker name who was in the training data?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from synthgen.datasets import Index
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation
from synthgen.metrics.table_features import Encoded, encode, matched_tables, tables
from synthgen.stats import FloatArray, bootstrap_interval, clopper_pearson

THREAT_MODEL = (
    "An attacker holds a person's full record and all synthetic rows, knows the population, and says whether the "
    "person was in the training data; 1 accusation in 100 of a stranger is accepted."
)
FALSE_POSITIVE_RATE = 0.01
# Below so many non-members, no threshold has a false positive rate of 1 %.
MIN_ROWS = 100
LEAK_SHARE = 0.05
NEIGHBOURS = 5
BLOCK_ROWS = 1_000
# Half of the significance to each of two attacks (Bonferroni).
CONFIDENCE = 0.975


@dataclass(frozen=True)
class Candidates:
    """People the attacker asks about: members, then as many non-members.

    Attributes:
        points: float32 [2 m, d] in the embedding.
        isolation: float64 [2 m], distance to the fifth nearest other candidate.
    """

    points: torch.Tensor
    isolation: FloatArray


def membership_tpr_at_1pct_fpr(evaluation: Evaluation) -> Finding:
    """Share of members an attacker names when 1 in 100 non-members is named wrongly; 0.01 is blind guessing.

    Members are training rows, non-members holdout rows, equally many of each class; the attacker sees all synthetic
    rows. Two attacks, the stronger counts: distance to the nearest synthetic row (Chen 2020), and that distance over
    the distance to the fifth nearest other candidate, a density ratio (DOMIAS, van Breugel 2023). The embedding is
    fitted on members and non-members together. Ties at the threshold are accused by coin.
    Interval: Clopper-Pearson at 1 - .05 / 2 for two attacks, widened by the bootstrap of the threshold.
    Reference: half of the holdout in place of the synthetic rows. Controls: independent columns, which cannot leak,
    and the same with 5 % training rows, a known leak.
    """
    train, holdout, _ = matched_tables(evaluation, at_least=MIN_ROWS)
    everyone, _, synthetic = tables(evaluation)
    members, strangers, pool, published = encode([train, holdout, everyone, synthetic], train.schema.modelled)
    pool = pool.take(np.flatnonzero(np.isin(everyone.labels, synthetic.classes)))

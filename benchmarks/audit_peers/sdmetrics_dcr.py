"""SDMetrics' two privacy metrics on each folder given: one JSON line per folder. Needs sdmetrics.

    python sdmetrics_dcr.py FOLDER...

No threshold is documented for either. DCROverfittingProtection is (1 - share of synthetic rows closer to train than to
validation rows) x 2, cut at 1: read here as "that share is significantly larger than half" (binomial, one-sided,
2.5 %), because an honest sample scores below 1 every other time. DCRBaselineProtection has no control, so nothing to be
significant of; it is asked about 500 rows, twice, by its own options. Categories are given as codes, which leaves the
distances as they are and halves the time.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sdmetrics.single_table import DCRBaselineProtection, DCROverfittingProtection

SIGNIFICANT = 0.025
SDTYPES = {"id": "id", "text": "id", "numeric": "numerical", "integer": "numerical", "categorical": "categorical"}
# The advice on the size of the validation data is part of what the benchmark is about.
warnings.simplefilter("ignore")


def main() -> None:
    """One line per folder."""
    for folder in map(Path, sys.argv[1:]):
        np.random.seed(0)  # noqa: NPY002 - the baseline's missing values come from the global state
        print(json.dumps({"folder": str(folder), "tests": audited(folder)}), flush=True)


def audited(folder: Path) -> dict[str, Any]:
    """What each metric says."""
    parts = {name: pd.read_parquet(folder / name / "rows.parquet") for name in ("synthetic", "train", "holdout")}
    columns = list(parts["synthetic"])
    synthetic, train, holdout = (part[columns].copy() for part in parts.values())
    kinds = json.loads((folder / "train" / "schema.json").read_text())["kinds"]
    for name in (name for name in columns if kinds[name] == "categorical"):
        levels = sorted(set().union(*(part[name].dropna() for part in parts.values())))
        for part in (synthetic, train, holdout):
            part[name] = pd.Categorical(part[name], levels).codes
    metadata = {"columns": {name: {"sdtype": SDTYPES.get(kinds[name], kinds[name])} for name in columns}}
    return {
        "DCR overfitting": tested(lambda: overfitting(train, synthetic, holdout, metadata)),
        "DCR baseline": tested(lambda: baseline(train, synthetic, metadata)),
    }


def tested(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The answer and its cost, or the error."""
    started = time.process_time()
    try:
        found = ask()
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"[:200]}
    return {**found, "cpu_s": time.process_time() - started}


def overfitting(train: pd.DataFrame, synthetic: pd.DataFrame, holdout: pd.DataFrame, metadata: Any) -> dict[str, Any]:
    """The share of rows closer to train."""
    found = DCROverfittingProtection.compute_breakdown(train, synthetic, holdout, metadata, "table")
    share = float(found["synthetic_data_percentages"]["closer_to_training"])
    p_value = stats.binomtest(round(share * len(synthetic)), len(synthetic), alternative="greater").pvalue
    return {"flag": bool(p_value < SIGNIFICANT), "score": share}


def baseline(train: pd.DataFrame, synthetic: pd.DataFrame, metadata: Any) -> dict[str, Any]:
    """How much nearer than random values the rows are."""
    score = DCRBaselineProtection.compute(train, synthetic, metadata, "table", num_rows_subsample=500, num_iterations=2)
    return {"flag": None, "score": -float(score)}


if __name__ == "__main__":
    main()

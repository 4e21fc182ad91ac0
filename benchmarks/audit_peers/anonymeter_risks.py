"""anonymeter on each folder given: one JSON line with what its three evaluators say. Needs anonymeter 1.1.0.

    python anonymeter_risks.py FOLDER...

Defaults throughout: 500 attacks, 3 columns, 95 % intervals. A leak is a residual risk whose interval excludes zero; the
README and the paper give no other threshold. The secret of the inference attack is the label, as in its examples.
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
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator

ATTACKS = 500
# "Attack is as good or worse as baseline" comes with most honest samples.
warnings.simplefilter("ignore")


def main() -> None:
    """One line per folder."""
    for folder in map(Path, sys.argv[1:]):
        np.random.seed(0)  # noqa: NPY002 - anonymeter samples its targets by the global state
        print(json.dumps({"folder": str(folder), **audited(folder)}), flush=True)


def audited(folder: Path) -> dict[str, Any]:
    """Seconds, and what each evaluator says."""
    parts = {name: pd.read_parquet(folder / name / "rows.parquet") for name in ("synthetic", "train", "holdout")}
    columns = list(parts["synthetic"])
    synthetic, train, holdout = (parts[name][columns] for name in ("synthetic", "train", "holdout"))
    label = json.loads((folder / "train" / "schema.json").read_text())["label"]
    others = [name for name in columns if name != label]
    half = len(columns) // 2
    single = {"n_attacks": ATTACKS, "control": holdout, "seed": 0}
    several = {"n_attacks": ATTACKS, "control": holdout}
    evaluators: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
        "singling out": (lambda: SinglingOutEvaluator(train, synthetic, **single), {"mode": "multivariate"}),
        "singling out, one column": (lambda: SinglingOutEvaluator(train, synthetic, **single), {"mode": "univariate"}),
        "linkability": (
            lambda: LinkabilityEvaluator(train, synthetic, (columns[:half], columns[half:]), **several), {"n_jobs": 1}
        ),
        "inference": (lambda: InferenceEvaluator(train, synthetic, others, label, **several), {"n_jobs": 1}),
    }  # fmt: skip
    return {"tests": {name: tested(make, arguments) for name, (make, arguments) in evaluators.items()}}


def tested(make: Callable[[], Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """One evaluator: its residual risk before it is cut to [0, 1], and whether the interval excludes zero."""
    started = time.process_time()
    try:
        evaluator = make()
        evaluator.evaluate(**arguments)
        results = evaluator.results()
        attack, control = results.attack_rate.value, results.control_rate.value
        flag = bool(results.risk().ci[0] > 0)
        score = (attack - control) / (1 - control) if control < 1 else None
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:200], "cpu_s": time.process_time() - started}
    note = named_share(evaluator) if isinstance(evaluator, SinglingOutEvaluator) else {}
    return {"flag": flag, "score": score, "cpu_s": time.process_time() - started, **note}


def named_share(evaluator: SinglingOutEvaluator) -> dict[str, Any]:
    """How many of the successful guesses name a person."""
    guesses = [str(query) for query in evaluator.queries()]
    return {"guesses": len(guesses), "guesses_by_name": sum('col("name")' in query for query in guesses)}


if __name__ == "__main__":
    main()

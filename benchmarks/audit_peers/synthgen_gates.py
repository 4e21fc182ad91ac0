"""Our privacy gates, required as for sharing, on each folder given: one JSON line per folder.

    python synthgen_gates.py FOLDER...

A leak is a FAIL of the default rule.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from synthgen.config import EVALUATION_SIZES
from synthgen.datasets import Table
from synthgen.findings import NotMeasured, Verdict
from synthgen.gates import DEFAULT_RULES, judge
from synthgen.metrics import METRICS, Evaluation, NotApplicable, NotMeasurable


def main() -> None:
    """One line per folder."""
    rules = [rule.metric for rule in DEFAULT_RULES["table"] if METRICS["table"][rule.metric].family == "privacy"]
    quick = [name for name in rules if METRICS["table"][name].profile != "release"]
    for folder in map(Path, sys.argv[1:]):
        parts = [Table.load(folder / name) for name in ("train", "holdout", "synthetic")]
        evaluation = Evaluation(*parts, size=EVALUATION_SIZES["quick"])
        tests = {name: tested(name, evaluation) for name in quick}
        print(json.dumps({"folder": str(folder), "tests": tests}), flush=True)


def tested(name: str, evaluation: Evaluation) -> dict[str, Any]:
    """What the gate of one metric says."""
    started = time.process_time()
    found, missing = [], []
    try:
        found = [METRICS["table"][name].function(evaluation)]
    except NotApplicable:
        return {"flag": False, "score": None, "verdict": "does not apply"}
    except NotMeasurable as reason:
        missing = [NotMeasured(name, "privacy", str(reason))]
    rules = [rule for rule in DEFAULT_RULES["table"] if rule.metric == name]
    verdict = judge(rules, found, missing)[0].verdict
    score = found[0].value if found else None
    cpu_s = time.process_time() - started
    return {"flag": verdict is Verdict.FAIL, "score": score, "verdict": str(verdict), "cpu_s": cpu_s}


if __name__ == "__main__":
    main()

"""mostlyai-qa on each folder given: one JSON line with its three numbers of novelty. Needs mostlyai-qa 1.10.11.

    python mostlyai_distances.py FOLDER...

Its report gives no verdict, but says what a reader should look for: a DCR share "not significantly larger than 50 %",
"about as many identical matches" with training as with holdout rows, an NNDR ratio "close to 1". The first two are read
here as a one-sided test at 2.5 % (binomial, Fisher); what is close to 1 is not said. Only the steps of `qa.report` that
these numbers come from are run: the charts of the report take ten times as long.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mostlyai.qa import _distances as distances
from mostlyai.qa._sampling import prepare_data_for_embeddings
from scipy import stats

SIGNIFICANT = 0.025


def main() -> None:
    """One line per folder."""
    for folder in map(Path, sys.argv[1:]):
        np.random.seed(0)  # noqa: NPY002 - its groups of columns come from the global state
        try:
            found = {"tests": audited(folder)}
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps({"folder": str(folder), **found}), flush=True)


def audited(folder: Path) -> dict[str, Any]:
    """What each of its numbers says."""
    parts = {name: pd.read_parquet(folder / name / "rows.parquet") for name in ("synthetic", "train", "holdout")}
    synthetic, train, holdout = (part[list(parts["synthetic"])] for part in parts.values())
    started = time.process_time()
    embedded = prepare_data_for_embeddings(syn_tgt_data=synthetic, trn_tgt_data=train, hol_tgt_data=holdout)
    names = ("syn_embeds", "trn_embeds", "hol_embeds")
    found = distances.calculate_distances(**dict(zip(names, embedded, strict=True)))
    share = distances.calculate_dcr_share(found["dcr_syn_trn"], found["dcr_syn_hol"])
    matches = [distances.calculate_ims(found[name]) for name in ("dcr_syn_trn", "dcr_syn_hol")]
    ratio = distances.calculate_nndr_ratio(found["nndr_syn_trn"], found["nndr_syn_hol"])
    cpu_s = time.process_time() - started
    # It compares equal numbers of rows.
    n = len(embedded[0])
    counts = [[round(match * n), n - round(match * n)] for match in matches]
    more = stats.fisher_exact(counts, alternative="greater").pvalue
    closer = stats.binomtest(round(share * n), n, alternative="greater").pvalue
    return {
        "DCR share": {"flag": bool(closer < SIGNIFICANT), "score": float(share), "cpu_s": cpu_s},
        "identical matches": {"flag": bool(more < SIGNIFICANT), "score": float(matches[0] - matches[1])},
        "NNDR ratio": {"flag": None, "score": -float(ratio)},
    }


if __name__ == "__main__":
    main()

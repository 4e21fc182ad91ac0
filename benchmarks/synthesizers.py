"""Every kind of synthesizer through the same run: same data, same splits, same judge.

Trained kinds are curated as users get them; the controls (CONTROL_KINDS) are measured as they come.

    python benchmarks/synthesizers.py configs/breast-cancer.yaml ctgan ctgan-library marginals copies --minutes 0.5

prints the table of README as markdown. `real` is each number with held-out real rows in place of the synthetic ones.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from synthgen.augmentation import run_augmentation
from synthgen.config import RunConfig
from synthgen.config_reading import load_config
from synthgen.files import read_json
from synthgen.findings import Finding, Report
from synthgen.workspace import Workspace

TRAINED = ("ctgan", "ctgan-library", "image-gan")
COLUMNS = {
    "table": ("c2st_auc", "column_shapes", "pair_trends", "tstr_gap", "membership_tpr_at_1pct_fpr", "excess_copies"),
    "images": ("frechet_ratio", "class_agreement", "coverage", "intra_class_diversity", "near_copies"),
}


def main() -> None:
    """Run each kind and print one row per kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("kinds", nargs="+")
    parser.add_argument("--minutes", type=float, default=1.0, help="training budget of each kind that is trained")
    parser.add_argument("--set", action="append", default=[], help="key=value, as for synthgen run -s")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = [measured(arguments, kind, Workspace(Path(scratch))) for kind in arguments.kinds]
    metrics = COLUMNS["images" if "image-gan" in arguments.kinds else "table"]
    print(f"| kind | fit s | {' | '.join(metrics)} | augmentation_gain |")
    print("|" + "---|" * (len(metrics) + 3))
    real = {name: shown(rows[0][1].finding(name), "reference") for name in metrics}
    print(f"| *real* | | {' | '.join(real.values())} | |")
    for kind, report, seconds in ((row[0], row[1], row[2]) for row in rows):
        cells = [shown(report.finding(name), "value") for name in metrics]
        print(f"| `{kind}` | {seconds:.0f} | {' | '.join(cells)} | {gain(report.finding('augmentation_gain'))} |")


def measured(arguments: argparse.Namespace, kind: str, workspace: Workspace) -> tuple[str, Report, float]:
    """Kind, report, and seconds of training."""
    config = load_config(arguments.config, [*arguments.set, f"synthesizer={settings(kind, arguments.minutes)}"])
    outcome = run_augmentation(without_tracking_name(config, kind), workspace, force=True)
    record: dict[str, Any] = read_json(Path(outcome.run_dir) / "run.json")
    return kind, Report.from_json(read_json(Path(outcome.report_json))), record["stages"]["fit"]["seconds"]


def settings(kind: str, minutes: float) -> str:
    """The synthesizer section as YAML."""
    return f"{{kind: {kind}, budget_minutes: {minutes}}}" if kind in TRAINED else f"{{kind: {kind}}}"


def without_tracking_name(config: RunConfig, kind: str) -> RunConfig:
    """The config under a name of its own."""
    return config.model_copy(update={"name": f"{config.name}-{kind}"})


def shown(finding: Finding | None, field: str) -> str:
    """One number, or a dash when it was not measured."""
    value = None if finding is None else getattr(finding, field)
    return "–" if value is None else f"{value:.3f}"


def gain(finding: Finding | None) -> str:
    """The gain in points with its interval."""
    if finding is None:
        return "–"
    return f"{100 * finding.value:+.1f} [{100 * finding.low:+.1f}, {100 * finding.high:+.1f}]"


if __name__ == "__main__":
    main()

"""Every kind of table model against ctgan 0.12.1 and real data: same rows, same judge, fresh splits.

    python benchmarks/tabular.py run adult telco_churn --seeds 101 102 --out results.jsonl
    python benchmarks/tabular.py table results.jsonl [--columns C2ST 'TSTR / TRTR'] [--kinds auto ctgan ctgan-library]

`run` takes each dataset as `synthgen init` configures it, cuts it by each seed, and appends one line per model: trained
in a process of its own (CPU and wall seconds, peak memory), its rows as they come and calibrated, judged on held-out
rows that nothing has seen. `auto` is the choice that the product makes on the valid rows. `table` prints Markdown:
the median over seeds of each number, with the range. `summary` prints one line per dataset.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import yaml

from synthgen.config import CONTROL_KINDS, RunConfig, SynthesizerConfig, parse_synthesizer
from synthgen.config_reading import parse_config
from synthgen.curation.calibrate import Real, calibrate
from synthgen.curation.choice import Arm, candidates_of, choose, judged_arms
from synthgen.curation.selection import Screen, candidates_per_row
from synthgen.datasets import Splits, Table, class_counts, take_per_class
from synthgen.metrics import METRICS, Evaluation, NotMeasurable
from synthgen.metrics.classifiers import Examples, Trees, class_probabilities
from synthgen.metrics.table_features import encode
from synthgen.sources import read
from synthgen.sources.proposals import propose
from synthgen.splitting import split
from synthgen.stats import auc_influence, named_rng
from synthgen.synthesizers import create, load_synthesizer

LABELS = {
    "adult": "income", "bank_marketing": "y", "telco_churn": "churn", "hotel_bookings": "is_canceled",
    "mammography": "label", "support2": "hospdead",
}  # fmt: skip
KINDS = ("autoregressive", "ctgan", "cart", "tvae", "ctgan-library", "marginals", "copies")
# Those that `auto` chooses among.
MEMBERS = ("autoregressive", "ctgan", "cart", "tvae")
# The ablation: what carries the quality of the GAN, and of the place inside a bin. Not part of a run unless asked for:
#     python benchmarks/tabular.py run telco_churn --kinds ctgan-critic-0 ctgan-critic-1 ctgan-moments ...
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "ctgan-critic-0": {"kind": "ctgan", "critic_weight": 0.0},
    "ctgan-critic-1": {"kind": "ctgan", "critic_weight": 1.0},
    "ctgan-moments": {"kind": "ctgan", "head": False},
    "ctgan-moments-critic-0": {"kind": "ctgan", "head": False, "critic_weight": 0.0},
    "ctgan-moments-critic-1": {"kind": "ctgan", "head": False, "critic_weight": 1.0},
    "ctgan-uniform": {"kind": "ctgan", "inside": "uniform"},
    "autoregressive-uniform": {"kind": "autoregressive", "inside": "uniform"},
    "cart-uniform": {"kind": "cart", "inside": "uniform"},
}
METRIC_NAMES = (
    "validity", "column_shapes", "pair_trends", "c2st_auc", "tstr_gap", "membership_tpr_at_1pct_fpr", "excess_copies",
)  # fmt: skip
# XGBoost's own defaults: stronger than the judge of the gates, and rewards copies (TABULAR.md, C2s).
STRONG = Trees(rounds=100, depth=6, learning_rate=0.3, row_share=1.0)
STRONG_FOLDS = 3
# Rows that are judged, at most; four times as many are drawn when they are calibrated.
DRAWN_ROWS = 12_000


def main() -> None:
    """Run or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table", "summary"))
    parser.add_argument("names", nargs="+", help="datasets to run, or the file of results to print")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101])
    parser.add_argument("--kinds", nargs="+", default=[*KINDS, "auto"])
    parser.add_argument("--columns", nargs="+", default=list(COLUMNS), help="of the table")
    parser.add_argument("--minutes", type=float, default=4.0, help="the budget of auto; the library gets as much alone")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SYNTHGEN_TEST_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, default=Path("tabular.jsonl"))
    arguments = parser.parse_args()
    if arguments.what != "run":
        lines = [json.loads(line) for name in arguments.names for line in Path(name).read_text().splitlines()]
        if arguments.what == "table":
            print_table([line for line in lines if line["kind"] in arguments.kinds], arguments.columns)
        else:
            print_summary(lines)
        return
    for name in arguments.names:
        for seed in arguments.seeds:
            for line in measured(name, seed, arguments):
                with arguments.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")


def config_of(name: str, seed: int, arguments: argparse.Namespace) -> RunConfig:
    """What `synthgen init` proposes, with this seed."""
    folder = arguments.data / name
    path = next(path for path in sorted(folder.iterdir()) if path.suffix in (".parquet", ".csv"))
    raw = yaml.safe_load(propose(path, label=LABELS[name]))
    # A split that the data bring is the same for every seed, and its column is no feature.
    own = [name for name in (raw.get("split", {}).get("column"),) if name]
    source = {**raw["source"], "drop": [*raw["source"].get("drop", []), *own]}
    return parse_config({**raw, "source": source, "seed": seed, "split": {}})


def measured(name: str, seed: int, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One line for each kind, raw and calibrated, as it comes, and one for `auto`."""
    config = config_of(name, seed, arguments)
    splits = split(read(config.source, seed=seed), config.split, named_rng(seed, "split"))
    train, valid = splits.train, splits.valid
    assert isinstance(train, Table)
    assert isinstance(valid, Table)
    lines: list[dict[str, Any]] = []
    arms: list[Arm] = []
    with tempfile.TemporaryDirectory() as scratch:
        for kind in (kind for kind in arguments.kinds if kind != "auto"):
            print(f"{name} seed {seed}: {kind}", flush=True)
            folder, key = Path(scratch) / kind, {"data": name, "seed": seed, "kind": kind}
            cost = trained(config, section(kind, arguments.minutes), splits, folder)
            if "error" in cost:
                yield {**key, "calibrated": False, **cost}
                continue
            model = load_synthesizer(folder)
            found = [{**key, **cost, **line} for line in judged(kind, model, config, splits)]
            yield from found
            lines += found
            if kind in MEMBERS:
                arms += judged_arms(kind, cost["wall"], model, config, train, valid)
    if len({arm.kind for arm in arms}) == len(MEMBERS):
        best = choose(arms)
        line = next(line for line in lines if (line["kind"], line["calibrated"]) == (best.kind, best.calibrated))
        yield {**line, "kind": "auto", "picked": best.kind, "arms": [asdict(arm) for arm in arms]}


def section(kind: str, minutes: float) -> SynthesizerConfig:
    """The synthesizer section: a member of auto with its part of the budget, the library with all of it."""
    if kind in VARIANTS:
        return parse_synthesizer({"budget_minutes": minutes / 2, **VARIANTS[kind]})
    members = {
        member.kind: member for member in candidates_of(parse_synthesizer({"kind": "auto", "budget_minutes": minutes}))
    }
    if kind in members:
        return members[kind]
    return parse_synthesizer({"kind": kind, **({"budget_minutes": minutes} if kind == "ctgan-library" else {})})


def trained(config: RunConfig, settings: SynthesizerConfig, splits: Splits, folder: Path) -> dict[str, Any]:
    """Seconds and peak memory of training and of drawing as many rows as train has, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(config, settings, splits, folder, sending))
    process.start()
    try:
        cost: dict[str, Any] = receiving.recv()
    except EOFError:
        cost = {"error": "the process ended without a word"}
    process.join()
    return cost


def _train(config: RunConfig, settings: SynthesizerConfig, splits: Splits, folder: Path, out: Any) -> None:
    model = create(settings, splits.train)
    cpu, wall = time.process_time(), time.monotonic()
    try:
        model.fit(splits.train, splits.valid, named_rng(config.seed, "fit"))
    except Exception as error:
        out.send({"error": f"{type(error).__name__}: {error}"})
        return
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    started = time.process_time()
    model.sample(len(splits.train), None, named_rng(config.seed, "rate"))
    rate = len(splits.train) / max(time.process_time() - started, 1e-9)
    model.save(folder)
    out.send({"cpu": cpu, "wall": wall, "rows_per_cpu_second": rate, "peak_rss_mb": peak_megabytes()})


def peak_megabytes() -> float:
    """Largest memory of this process so far, imports included; getrusage would count that of the parent, too."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def judged(kind: str, model: Any, config: RunConfig, splits: Splits) -> list[dict[str, Any]]:
    """The numbers of the rows as they come, and calibrated."""
    train, valid = splits.train, splits.valid
    assert isinstance(train, Table)
    assert isinstance(valid, Table)
    rng = named_rng(config.seed, "benchmark")
    share = min(1.0, DRAWN_ROWS / len(train))
    quota = {name: max(1, round(share * count)) for name, count in class_counts(train).items() if count}
    times = candidates_per_row(sum(quota.values()))
    labels = np.repeat(np.array(list(quota), dtype=np.str_), [times * count for count in quota.values()])
    drawn = model.sample(len(labels), labels, rng)
    if kind not in CONTROL_KINDS:
        drawn = Screen.of(train, valid, config.curation).let_through(drawn, quota)
    plain = take_per_class(drawn, quota, rng)
    assert isinstance(plain, Table)
    lines = [{"calibrated": False, **numbers(plain, config, splits)}]
    if kind not in CONTROL_KINDS:
        started = time.process_time()
        index, diagnostics = calibrate(drawn, Real(train, valid), quota, rng)
        seconds = time.process_time() - started
        lines.append(
            {"calibrated": True, "calibration_cpu": seconds, "effective": diagnostics["effective_sample_size"],
             "applied": diagnostics["applied"], **numbers(drawn.take(index), config, splits)}
        )  # fmt: skip
    return lines


def numbers(rows: Table, config: RunConfig, splits: Splits) -> dict[str, Any]:
    """Every metric of one set of rows."""
    evaluation = Evaluation(
        train=splits.train, holdout=splits.holdout, synthetic=rows, size=config.evaluation_size, seed=config.seed,
        probe=rows,
    )  # fmt: skip
    found: dict[str, Any] = {"strong": strong_c2st(splits.train, rows, config.seed)}
    for name in METRIC_NAMES:
        try:
            finding = METRICS["table"][name].function(evaluation)
        except NotMeasurable:
            continue
        found[name] = {
            "value": finding.value, "low": finding.low, "high": finding.high, "reference": finding.reference,
            "detail": {key: value for key, value in finding.detail.items() if isinstance(value, int | float | None)},
        }  # fmt: skip
    return found


def strong_c2st(train: Any, rows: Table, seed: int) -> float:
    """AUC of XGBoost with its own defaults telling the rows from the training rows; below .5 means near copies."""
    rng = named_rng(seed, "strong")
    n = min(len(train), len(rows), DRAWN_ROWS)
    sides = [part.take(rng.permutation(len(part))[:n]) for part in (train, rows)]
    encoded = encode(sides, train.schema.modelled)
    matrix = np.vstack([side.matrix() for side in encoded])
    target = np.repeat(np.array([0, 1]), n)
    fold = rng.permutation(2 * n) % STRONG_FOLDS
    areas = []
    for k in range(STRONG_FOLDS):
        inside = fold == k
        examples = Examples(matrix[~inside], target[~inside], encoded[0].kinds)
        scores = class_probabilities(examples, matrix[inside], classes=2, trees=STRONG, seed=seed)[:, 1]
        areas.append(auc_influence(scores, target[inside] == 1)[0])
    return float(np.mean(areas))


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "shape error %": ("column_shapes", "value"), "pair error %": ("pair_trends", "value"),
    "C2ST": ("c2st_auc", "value"),
    "C2ST formulas": ("c2st_auc", "detail", "formula_auc"), "C2ST strong": ("strong",),
    "TSTR / TRTR": ("tstr_gap", "detail", "ratio"), "members %": ("membership_tpr_at_1pct_fpr", "value"),
    "zero %": ("membership_tpr_at_1pct_fpr", "detail", "control_independent"),
    "leak %": ("membership_tpr_at_1pct_fpr", "detail", "control_leak"), "copies %": ("excess_copies", "value"),
    "illegal %": ("validity", "value"), "fit CPU s": ("cpu",), "rows / CPU s": ("rows_per_cpu_second",),
    "peak MB": ("peak_rss_mb",),
}  # fmt: skip


SUMMARY = ("C2ST", "C2ST formulas", "TSTR / TRTR", "members %", "fit CPU s")
SUMMARY_ARMS = (("auto", None), ("ctgan", False), ("cart", True), ("ctgan-library", False))


def print_summary(lines: Sequence[Mapping[str, Any]]) -> None:
    """One line per dataset for each of the most telling numbers: medians over the seeds."""
    names = ", ".join(kind + (" calibrated" if calibrated else "") for kind, calibrated in SUMMARY_ARMS)
    print(f"| | data (seeds) | real rows | {names.replace(', ', ' | ')} |\n|{'---|' * (3 + len(SUMMARY_ARMS))}")
    for column in SUMMARY:
        for name in dict.fromkeys(line["data"] for line in lines):
            own = [line for line in lines if line["data"] == name and "error" not in line]
            arms = [
                [line for line in own if line["kind"] == kind and calibrated in (None, line["calibrated"])]
                for kind, calibrated in SUMMARY_ARMS
            ]
            real = list({line["seed"]: line for line in own}.values())
            numbers = [middle(real, column, "reference"), *(middle(arm, column, "value") for arm in arms)]
            print(f"| {column} | {name} ({len(real)}) | {' | '.join(numbers)} |")


def middle(lines: Sequence[Mapping[str, Any]], column: str, part: str) -> str:
    """The median of a number, without its range."""
    return cell(lines, column, part).split(" (")[0]


def print_table(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """One Markdown table per dataset; cells are medians over the seeds, with the range where there are several."""
    for name in dict.fromkeys(line["data"] for line in lines):
        own = [line for line in lines if line["data"] == name]
        seeds = sorted({line["seed"] for line in own})
        print(f"\n**{name}** (seeds {', '.join(map(str, seeds))})\n")
        print(f"| model | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
        real = list({line["seed"]: line for line in own if "error" not in line}.values())
        print(f"| *real rows* | {' | '.join(cell(real, column, 'reference') for column in columns)} |")
        for key in dict.fromkeys((line["kind"], line["calibrated"]) for line in own if line["kind"] != "auto"):
            arm = [line for line in own if (line["kind"], line["calibrated"]) == key]
            print(f"| `{key[0]}`{', calibrated' if key[1] else ''} | {cells(arm, columns)} |")
        auto = [line for line in own if line["kind"] == "auto"]
        if auto:
            picked = ", ".join(f"{line['picked']}{' calibrated' if line['calibrated'] else ''}" for line in auto)
            print(f"| **`auto`** ({picked}) | {cells(auto, columns)} |")


def cells(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The cells of one row, or why there are none."""
    if "error" in lines[0]:
        return f"{lines[0]['error']} |" + " |" * (len(columns) - 2)
    return " | ".join(cell(lines, column, "value") for column in columns)


def cell(lines: Sequence[Mapping[str, Any]], column: str, part: str) -> str:
    """The median of a number over lines, with its range; `part` "reference" takes that of real rows instead."""
    found = [value for value in (number(line, column, part) for line in lines) if value is not None]
    if not found:
        return ""
    digits = 0 if column in ("fit CPU s", "rows / CPU s", "peak MB") else 2 if "%" in column else 3
    middle = f"{np.median(found):,.{digits}f}"
    return middle if len(found) == 1 else f"{middle} ({min(found):,.{digits}f}–{max(found):,.{digits}f})"


def number(line: Mapping[str, Any], column: str, part: str) -> float | None:
    """One number of a line in the unit of its column; None where it was not measured."""
    path = COLUMNS[column]
    if part == "reference":
        if len(path) == 1 or "detail" in path:
            path = ("c2st_auc", "detail", "formula_reference") if column == "C2ST formulas" else ("absent",)
        else:
            path = (path[0], "reference")
    if column == "TSTR / TRTR" and part == "value":
        detail = line.get("tstr_gap", {}).get("detail")
        return detail["trained_on_synthetic"] / detail["trained_on_real"] if detail else None
    value: Any = line
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        return None
    if column in ("shape error %", "pair error %", "illegal %"):
        return 100 * (1 - float(value))
    return 100 * float(value) if "%" in column else float(value)


if __name__ == "__main__":
    main()

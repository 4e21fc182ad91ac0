"""How often the audit sees what was planted, and how often it accuses honest data: docs/power.md.

    python benchmarks/power.py run [independent replay-1% ...] --seeds 100
    python benchmarks/power.py table > docs/power.md

`run` appends one line per experiment and seed to build/power.jsonl and goes on where it stopped; lines of an older
metric, gate or experiment count no more. `table` prints Markdown. The experiments stand in planted.py
and planted_images.py; `make test-power` does both, on all cores.
"""

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypedDict

os.environ.setdefault("OMP_NUM_THREADS", "1")

import planted
import planted_images
from planted import CHANCE, Experiment, Outcome

import synthgen
from synthgen.config import EVALUATION_SIZES
from synthgen.findings import Finding, NotMeasured, Verdict
from synthgen.gates import DEFAULT_RULES, judge
from synthgen.metrics import METRICS, Evaluation, Modality, NotApplicable, NotMeasurable
from synthgen.stats import clopper_pearson, named_rng

HERE = Path(__file__).parent
RESULTS = HERE.parent / "build" / "power.jsonl"
# What a line depends on, beside its name and seed.
SOURCES = ("stats.py", "gates.py", "datasets.py", "metrics/**/*.py")

EXPERIMENTS: dict[str, Experiment] = {**planted.EXPERIMENTS, **planted_images.EXPERIMENTS}

DOES_NOT_APPLY = "does not apply"


class Judged(TypedDict):
    """What the gate of one metric said; the numbers are None where it could not be measured."""

    verdict: str
    value: float | None
    low: float | None
    high: float | None
    beyond_chance: bool
    as_demanded: bool


class Trial(TypedDict):
    """One line of the results."""

    code: str
    experiment: str
    seed: int
    cpu_s: float
    judged: dict[str, Judged]


def main() -> None:
    """Run or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("names", nargs="*", help="all unless given")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_intermixed_args()
    names = arguments.names or list(EXPERIMENTS)
    if unknown := set(names) - set(EXPERIMENTS):
        parser.error(f"unknown experiments {sorted(unknown)}; known: {', '.join(EXPERIMENTS)}")
    if arguments.what == "table":
        lines = read(arguments.results)
        latest = lines[-1]["code"] if lines else code()
        if latest != code():
            print(f"{arguments.results}: measured with other sources than the present ones", file=sys.stderr)
        print("\n".join(document({name: known_trials(name, lines, latest) for name in names})))
        return
    for name in names:
        found = trials(name, range(arguments.seeds), arguments.results, progress=True)
        print(f"{name}: {sum(map(as_demanded, found))} of {len(found)} as demanded", flush=True)


def trial(name: str, seed: int) -> Trial:
    """One experiment with one seed: only what it judges is measured."""
    experiment = EXPERIMENTS[name]
    started = time.process_time()
    sides = experiment.plant(named_rng(seed, f"power/{name}"))
    evaluation = Evaluation(*sides, size=EVALUATION_SIZES["quick"], seed=seed)
    judged = {
        metric: judged_by(metric, outcome, evaluation, experiment.modality)
        for metric, outcome in experiment.expects.items()
    }
    return Trial(code=code(), experiment=name, seed=seed, cpu_s=round(time.process_time() - started, 2), judged=judged)


def judged_by(metric: str, outcome: Outcome, evaluation: Evaluation, modality: Modality) -> Judged:
    """What the default rule of the metric says, and whether it is what was demanded."""
    finding, missing = _measured(metric, evaluation, modality)
    rules = [rule for rule in DEFAULT_RULES[modality] if rule.metric == metric]
    judgements = judge(rules, [finding] if finding else [], [missing] if missing else [])
    verdict = judgements[0].verdict if judgements else None
    return Judged(
        verdict=str(verdict or DOES_NOT_APPLY),
        value=finding.value if finding else None,
        low=finding.low if finding else None,
        high=finding.high if finding else None,
        beyond_chance=finding is not None and finding.low > CHANCE.get(metric, math.inf),
        as_demanded=_holds(outcome, verdict, finding),
    )


def _measured(metric: str, evaluation: Evaluation, modality: Modality) -> tuple[Finding | None, NotMeasured | None]:
    known = METRICS[modality][metric]
    try:
        return known.function(evaluation), None
    except NotMeasurable as reason:
        applies = not isinstance(reason, NotApplicable)
        return None, NotMeasured(metric, known.family, str(reason), applies)


def _holds(outcome: Outcome, verdict: Verdict | None, finding: Finding | None) -> bool:
    match outcome:
        case Outcome.NO_FAIL:
            return verdict is not Verdict.FAIL
        case Outcome.BEYOND_CHANCE:
            return finding is not None and finding.low > CHANCE[finding.metric]
        case Outcome.NEGATIVE:
            return finding is not None and finding.high < 0
        case _:
            return verdict is not None and verdict.value == outcome.value


def as_demanded(line: Trial) -> bool:
    """Whether every metric said what it must."""
    return all(judged["as_demanded"] for judged in line["judged"].values())


def trials(name: str, seeds: Iterable[int], results: Path, *, progress: bool = False) -> list[Trial]:
    """One line for each seed, from the file where it has them; new ones are appended as they come."""
    known = {line["seed"]: line for line in known_trials(name, read(results), code())}
    results.parent.mkdir(parents=True, exist_ok=True)
    wanted = list(seeds)
    for seed in wanted:
        if seed in known:
            continue
        known[seed] = trial(name, seed)
        with results.open("a") as file:
            file.write(json.dumps(known[seed]) + "\n")
        if progress:
            print(f"{name} seed {seed}: {known[seed]['cpu_s']} s, as demanded: {as_demanded(known[seed])}", flush=True)
    return [known[seed] for seed in wanted]


def read(results: Path) -> list[Trial]:
    """All lines of the file, none when there is no file."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def known_trials(name: str, lines: Sequence[Trial], version: str) -> list[Trial]:
    """What the lines have of this experiment and version of the code, by seed."""
    found = [line for line in lines if (line["experiment"], line["code"]) == (name, version)]
    return sorted(found, key=lambda line: line["seed"])


@cache
def code() -> str:
    """Short hash of the source that decides a line."""
    package = Path(synthgen.__path__[0])
    files = [*sorted({path for pattern in SOURCES for path in package.glob(pattern)})]
    files += [HERE / "planted.py", HERE / "planted_images.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def document(results: Mapping[str, Sequence[Trial]]) -> list[str]:
    """docs/power.md, line by line."""
    measured = {EXPERIMENTS[name]: lines for name, lines in results.items() if lines}
    seeds = [len(lines) for lines in measured.values()]
    seconds = sum(line["cpu_s"] for lines in measured.values() for line in lines)
    return [
        *HEAD, "",
        f"{min(seeds, default=0)} to {max(seeds, default=0)} seeds of each, {seconds / 60:.0f} CPU minutes in all.", "",
        "## What must be found", "",
        "Demanded is that the gate says FAIL, or, where it tolerates a leak of that size, that the interval lies",
        "beyond what rows reach that know nothing of train (beyond chance). CPU s: the whole experiment.", "",
        f"| given | metric | must be | detection rate, % | demanded, % | beyond chance | {SAID} | CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *_found_rows(measured), "",
        "## What must not be accused", "",
        "A false alarm is a FAIL; any of them is what a person meets who audits honest rows. Three zeros: no rule",
        "applies.", "",
        f"| given | metric | {SAID} | false alarms, % | allowed, % | CPU s |",
        "|---|---|---|---|---|---|---|---|", *_honest_rows(measured), "",
        "## What must be left open, or turn its sign", "",
        "| given | metric | must be | seeds | rate, % | demanded, % |", "|---|---|---|---|---|---|",
        *_other_rows(measured),
    ]  # fmt: skip


HEAD = (
    "# Does the audit find what is planted?",
    "",
    "Each row plants one failure, or none, into independent samples of a generated population and asks the default",
    "gates about it: 2,000 training rows, 2,000 held-out rows and 2,000 synthetic rows unless said otherwise. Rates",
    "with their Clopper-Pearson interval (95 %). Images: 500 of each class in train, 350 held out, 500 synthetic, of",
    "real sets. The experiments stand in [benchmarks/planted.py](../benchmarks/planted.py) and",
    "[benchmarks/planted_images.py](../benchmarks/planted_images.py); `make test-power` makes this page again.",
)
VERDICTS = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)
SAID = " | ".join(VERDICTS)
Measured = Mapping[Experiment, Sequence[Trial]]


def _verdicts(lines: Sequence[Trial], metric: str) -> Counter[str]:
    return Counter(line["judged"][metric]["verdict"] for line in lines)


def _rate(count: int, trials_: int) -> str:
    low, high = clopper_pearson(count, trials_)
    return f"{100 * count / max(trials_, 1):.0f} [{100 * low:.1f}, {100 * high:.1f}]"


def _seconds(lines: Sequence[Trial]) -> str:
    return f"{sum(line['cpu_s'] for line in lines) / len(lines):.1f}"


def _found_rows(measured: Measured) -> Iterable[str]:
    for experiment, lines in measured.items():
        for metric in _of(experiment, Outcome.FAIL, Outcome.BEYOND_CHANCE):
            found = [line["judged"][metric] for line in lines]
            seen = _verdicts(lines, metric)
            verdicts = " | ".join(str(seen[verdict.value]) for verdict in VERDICTS)
            yield (
                f"| {experiment.title} | `{metric}` | {experiment.expects[metric].value} "
                f"| {_rate(sum(one['as_demanded'] for one in found), len(lines))} | ≥ {100 * experiment.demanded:.0f} "
                f"| {sum(one['beyond_chance'] for one in found)} | {verdicts} | {_seconds(lines)} |"
            )


def _honest_rows(measured: Measured) -> Iterable[str]:
    for experiment, lines in measured.items():
        metrics = _of(experiment, Outcome.NO_FAIL)
        for metric in metrics:
            seen = _verdicts(lines, metric)
            if set(seen) - {DOES_NOT_APPLY} or len(metrics) == 1:
                verdicts = " | ".join(str(seen[verdict.value]) for verdict in VERDICTS)
                rate = _rate(seen[Verdict.FAIL.value], len(lines))
                yield f"| {experiment.title} | `{metric}` | {verdicts} | {rate} | | |"
        if len(metrics) > 1:
            accused = sum(not all(line["judged"][name]["as_demanded"] for name in metrics) for line in lines)
            yield (
                f"| {experiment.title} | **any of them** | {accused} | | | **{_rate(accused, len(lines))}** "
                f"| ≤ {100 - 100 * experiment.demanded:.0f} | {_seconds(lines)} |"
            )


def _other_rows(measured: Measured) -> Iterable[str]:
    for experiment, lines in measured.items():
        for metric in _of(experiment, Outcome.INCONCLUSIVE, Outcome.NEGATIVE):
            count = sum(line["judged"][metric]["as_demanded"] for line in lines)
            yield (
                f"| {experiment.title} | `{metric}` | {experiment.expects[metric].value} | {count} of {len(lines)} "
                f"| {_rate(count, len(lines))} | ≥ {100 * experiment.demanded:.0f} |"
            )


def _of(experiment: Experiment, *outcomes: Outcome) -> list[str]:
    return [name for name, outcome in experiment.expects.items() if outcome in outcomes]


if __name__ == "__main__":
    main()

"""The same planted leaks given to our gates and to other tools: who catches what, at what cost. Result: audit.md.

    python benchmarks/audit.py run --environments build/peers
    python benchmarks/audit.py table      # the tables of audit.md

`run` writes the tables, makes an environment of its own for each peer that needs one (anonymeter 600 MB, mostlyai-qa
6 GB, most of it torch), and appends one line per tool, scenario and seed to build/audit.jsonl; it goes on where it
stopped. A peer is a script in audit_peers/ that reads folders of parquet files and prints one JSON line for each.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from planted import (
    ROWS,
    Leak,
    Plant,
    Population,
    Sides,
    amounts,
    exactly,
    leaking,
    marginals,
    moved,
    people,
    rarest,
)

from synthgen.datasets import Table
from synthgen.stats import named_rng

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"


@dataclass(frozen=True)
class Tool:
    """A script of audit_peers/ and what it needs, beside what this project has; without needs it runs in our own."""

    script: str
    needs: Sequence[str] = ()


TOOLS: Mapping[str, Tool] = {
    "synthgen": Tool("synthgen_gates.py"),
    "SDMetrics": Tool("sdmetrics_dcr.py"),
    "anonymeter": Tool("anonymeter_risks.py", ["anonymeter==1.1.0"]),
    "mostlyai-qa": Tool("mostlyai_distances.py", ["mostlyai-qa==1.10.11"]),
}


@dataclass(frozen=True)
class Scenario:
    """What the tools are given.

    Attributes:
        leaks: whether a tool should find something.
        honest: the scenario with independent samples of the same population and sizes.
    """

    title: str
    plant: Plant
    leaks: bool
    honest: str


def nameless(n: int, rng: np.random.Generator) -> Table:
    """People without their names."""
    table = people(n, rng)
    kinds = {name: kind for name, kind in table.schema.kinds.items() if name != "name"}
    return Table(table.frame[list(kinds)], replace(table.schema, kinds=kinds))


def plainly_named(n: int, rng: np.random.Generator) -> Table:
    """People whose names have no apostrophe."""
    table = people(n, rng)
    return replace(table, frame=table.frame.assign(name=table.frame["name"].str.replace("'", "")))


def given(population: Population, share: float, leak: Leak = exactly, *, holdout: int = ROWS) -> Plant:
    """Independent samples, the synthetic one with that share of leaked rows and all columns."""

    def plant(rng: np.random.Generator) -> Sides:
        train, fresh = population(ROWS, rng), population(ROWS, rng)
        return Sides(train, population(holdout, rng), leaking(fresh, train, share, leak, rng))

    return plant


def columns_alone(rng: np.random.Generator) -> Sides:
    """Columns of train, drawn alone."""
    train = nameless(ROWS, rng)
    return Sides(train, nameless(ROWS, rng), marginals(train, rng))


THIRD = ROWS // 3
SCENARIOS: Mapping[str, Scenario] = {
    "replay-0": Scenario("independent real sample", given(nameless, 0), False, "replay-0"),
    "amounts-0": Scenario("the same, eight amounts", given(amounts, 0), False, "amounts-0"),
    "names-0": Scenario("the same, names like O'Brien", given(people, 0), False, "names-0"),
    "third-0": Scenario("the same, holdout 3x smaller", given(nameless, 0, holdout=THIRD), False, "third-0"),
    "marginals": Scenario("independent columns", columns_alone, False, "replay-0"),
    "replay-0.5": Scenario("0.5 % exact replay", given(nameless, 0.005), True, "replay-0"),
    "replay-1": Scenario("1 % exact replay", given(nameless, 0.01), True, "replay-0"),
    "replay-2": Scenario("2 % exact replay", given(nameless, 0.02), True, "replay-0"),
    "replay-5": Scenario("5 % exact replay", given(nameless, 0.05), True, "replay-0"),
    "rarest-5": Scenario("5 % replay of the rarest rows", given(nameless, 0.05, rarest), True, "replay-0"),
    "jitter-2": Scenario("2 % replay, numbers moved by up to 2 %", given(amounts, 0.02, moved), True, "amounts-0"),
    "jitter-5": Scenario("5 % replay, numbers moved by up to 2 %", given(amounts, 0.05, moved), True, "amounts-0"),
    "names-5": Scenario("5 % replay with names like O'Brien", given(people, 0.05), True, "names-0"),
    "plain-names-5": Scenario("5 % replay with names like OBrien", given(plainly_named, 0.05), True, "names-0"),
    "third-5": Scenario("5 % replay, holdout 3x smaller", given(nameless, 0.05, holdout=THIRD), True, "third-0"),
    "copy": Scenario("copy of train", given(nameless, 1.0), True, "replay-0"),
}


def main() -> None:
    """Run or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), choices=list(TOOLS))
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), choices=list(SCENARIOS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--environments", type=Path, default=BUILD / "peers", help="kept from run to run")
    parser.add_argument("--python", default=sys.executable, help="makes the environments; anonymeter needs 3.9 to 3.12")
    parser.add_argument("--results", type=Path, default=BUILD / "audit.jsonl")
    arguments = parser.parse_args()
    if arguments.what == "table":
        from audit_table import document

        print("\n".join(document([json.loads(line) for line in arguments.results.read_text().splitlines()])))
        return
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    for name in arguments.tools:
        for line in audited(name, arguments):
            with arguments.results.open("a") as file:
                file.write(json.dumps({"tool": name, **line}) + "\n")


def audited(name: str, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One line for each scenario and seed that the file does not have, as it comes."""
    interpreter = sys.executable
    if TOOLS[name].needs:
        try:
            interpreter = str(environment(name, arguments.environments, arguments.python))
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[-1]
            print(f"{name}: not installable: {reason}", flush=True)
            yield {"not_installable": reason}
            return
    asked = folders(name, arguments)
    for line, seconds in printed([interpreter, str(HERE / "audit_peers" / TOOLS[name].script), *asked]):
        scenario, seed = asked.pop(line.pop("folder"))
        print(f"{name} {scenario} seed {seed}: {seconds:.1f} s", flush=True)
        yield {"scenario": scenario, "seed": seed, "wall_s": seconds, **line}


def folders(name: str, arguments: argparse.Namespace) -> dict[str, tuple[str, int]]:
    """Folder, written, of each scenario and seed that the tool has not been asked about."""
    lines = arguments.results.read_text().splitlines() if arguments.results.exists() else []
    known = {(line["tool"], line.get("scenario"), line.get("seed")) for line in map(json.loads, lines)}
    return {
        str(written(scenario, seed, BUILD / "audit" / name)): (scenario, seed)
        # All scenarios of a seed before the next seed.
        for seed in range(arguments.seeds)
        for scenario in arguments.scenarios
        if (name, scenario, seed) not in known
    }


def written(scenario: str, seed: int, directory: Path) -> Path:
    """The folder with train/, holdout/ and synthetic/ of that scenario."""
    folder = directory / scenario / str(seed)
    shutil.rmtree(folder, ignore_errors=True)
    sides = SCENARIOS[scenario].plant(named_rng(seed, f"audit/{scenario}"))
    for part, data in zip(Sides._fields, sides, strict=True):
        data.save(folder / part)
    return folder


def environment(name: str, cache: Path, python: str) -> Path:
    """The interpreter of an environment that has what the tool needs; raises CalledProcessError with pip's words."""
    folder = cache.resolve() / name
    interpreter, done = folder / "bin" / "python", folder / ".installed"
    needs = [*TOOLS[name].needs, "scipy", "pyarrow"]
    if not done.exists() or done.read_text() != " ".join(needs):
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True, text=True)
        pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
        subprocess.run([*pip, *needs], check=True, capture_output=True, text=True)
        done.write_text(" ".join(needs))
    return interpreter


def printed(command: Sequence[str]) -> Iterator[tuple[dict[str, Any], float]]:
    """Each JSON line of the peer and the seconds since the one before; its other words are left out."""
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line), round(time.monotonic() - started, 2)
                started = time.monotonic()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


if __name__ == "__main__":
    main()

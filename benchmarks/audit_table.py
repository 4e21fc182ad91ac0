"""The Markdown of audit.md, from the lines that audit.py wrote."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from audit import SCENARIOS, TOOLS

Line = Mapping[str, Any]
# A tool and one of its tests, or all of them.
Column = tuple[str, str | None]
# Whether a test found something, "error", or None where it says nothing.
Said = bool | str | None
Verdict = Callable[[Line, str | None], Said]


def document(lines: Sequence[Line]) -> list[str]:
    """The tables of audit.md, line by line."""
    ran = [line for line in lines if "scenario" in line]
    tools = sorted({line["tool"] for line in ran}, key=list(TOOLS).index)
    limited = [line for line in ran if SCENARIOS[line["scenario"]].honest != line["scenario"]]
    return [
        *(f"{line['tool']}: not installable: {line['not_installable']}" for line in lines if "not_installable" in line),
        "## Found at each tool's own threshold, by any of its tests", "",
        *table(ran, [(tool, None) for tool in tools], flagged), "",
        "## The same, test by test", "",
        "A dash: the tool says no threshold, or there is nothing to ask. *error*: the test stopped.", "",
        *by_tool(ran, tools, flagged),
        "## Found with the best threshold there could be", "",
        "A test counts when its number is worse than that of every independent real sample of the same population and",
        "sizes in this benchmark. Nobody who audits one dataset has these; it shows what the number can tell.", "",
        *by_tool(limited, tools, beyond_honest(ran)),
        "## Cost and failures", "",
        "| tool | test | CPU s, median | runs | errors | the error |", "|---|---|---|---|---|---|",
        *costs(ran, [(tool, test) for tool in tools for test in tests_of(ran, tool)]), "",
        "## anonymeter's guesses by name", "",
        "| given | attack | successful guesses that use the name | successful guesses |", "|---|---|---|---|",
        *guesses(ran),
    ]  # fmt: skip


def by_tool(lines: Sequence[Line], tools: Sequence[str], verdict: Verdict) -> Iterator[str]:
    """A table of each tool's tests."""
    for tool in tools:
        yield f"**{tool}**"
        yield ""
        yield from table(lines, [(tool, test) for test in tests_of(lines, tool)], verdict)
        yield ""


def tests_of(lines: Iterable[Line], tool: str) -> list[str]:
    """Names of the tests of a tool, in its order."""
    return list(dict.fromkeys(test for line in lines if line["tool"] == tool for test in line.get("tests", ())))


def table(lines: Sequence[Line], columns: Sequence[Column], verdict: Verdict) -> list[str]:
    """Rows: scenarios, honest ones first; cells: in how many of the seeds."""
    runs: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        runs[line["tool"], line["scenario"]].append(line)
    names = [test if test else tool for tool, test in columns]
    head = [f"| given | must be found | {' | '.join(names)} |", "|---|---|" + "---|" * len(columns)]
    present = {line["scenario"] for line in lines}
    return head + [
        f"| {scenario.title} | {'yes' if scenario.leaks else 'no'} | "
        + " | ".join(_cell([verdict(line, test) for line in runs[tool, name]]) for tool, test in columns)
        + " |"
        for name, scenario in SCENARIOS.items()
        if name in present
    ]


def _cell(said: Sequence[Said]) -> str:
    known = [one for one in said if isinstance(one, bool)]
    if not known:
        return "*error*" if "error" in said else "–"
    failed = f", {said.count('error')} *error*" if "error" in said else ""
    return f"{sum(known)} of {len(known)}{failed}"


def flagged(line: Line, test: str | None) -> Said:
    """What the tool says of a leak; without a test: whether any of its tests does."""
    if "error" in line:
        return "error"
    if test is None:
        flags = [one.get("flag") for one in line["tests"].values()]
        return any(flags) if any(flag is not None for flag in flags) else "error"
    found = line["tests"].get(test, {})
    return "error" if "error" in found else found.get("flag")


def beyond_honest(lines: Sequence[Line]) -> Verdict:
    """Whether the number of a test is worse than all those of the honest scenario."""
    honest: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for line in lines:
        for test, found in line.get("tests", {}).items():
            if SCENARIOS[line["scenario"]].honest == line["scenario"] and found.get("score") is not None:
                honest[line["tool"], line["scenario"], test].append(found["score"])

    def verdict(line: Line, test: str | None) -> Said:
        found = line.get("tests", {}).get(test or "", {})
        known = honest[line["tool"], SCENARIOS[line["scenario"]].honest, test or ""]
        if "error" in found or "error" in line:
            return "error"
        return None if found.get("score") is None or not known else bool(found["score"] > max(known))

    return verdict


def costs(lines: Sequence[Line], tests: Sequence[tuple[str, str]]) -> Iterable[str]:
    """Rows: tests; their CPU seconds and errors."""
    for tool, test in tests:
        found = [line["tests"][test] for line in lines if line["tool"] == tool and test in line.get("tests", {})]
        seconds = [one["cpu_s"] for one in found if "cpu_s" in one]
        errors = sorted({one["error"] for one in found if "error" in one})
        count = sum("error" in one for one in found)
        cost = f"{median(seconds):.1f}" if seconds else "with the above"
        yield f"| {tool} | {test} | {cost} | {len(found)} | {count} | {'; '.join(errors)} |"


def guesses(lines: Sequence[Line]) -> Iterable[str]:
    """Rows: how many of the successful guesses of singling out use the name."""
    for name in ("names-0", "names-5", "plain-names-5"):
        for test in ("singling out", "singling out, one column"):
            found = [
                line["tests"][test]
                for line in lines
                if (line["tool"], line["scenario"]) == ("anonymeter", name) and "guesses" in line["tests"].get(test, {})
            ]
            if found:
                named, total = (sum(one[key] for one in found) for key in ("guesses_by_name", "guesses"))
                yield f"| {SCENARIOS[name].title} | {test} | {named} | {total} |"

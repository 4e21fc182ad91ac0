"""The verdict of a run as Markdown, for the Prefect UI."""

from collections.abc import Mapping

from synthgen.downstream import DownstreamOutcome
from synthgen.exporters.card import escape_markdown
from synthgen.findings import Report
from synthgen.reports.words import arm_name


def verdict_markdown(report: Report, places: Mapping[str, str]) -> str:
    """The verdict table, and where things are."""
    cells = [(item.metric, item.rule, str(item.verdict), item.remark) for item in report.judgements]
    rows = [f"| {' | '.join(map(escape_markdown, row))} |" for row in cells]
    where = [f"- {name}: {escape_markdown(value)}" for name, value in places.items()]
    table = ["| gate | limit | verdict | remark |", "|---|---|---|---|", *rows]
    return "\n".join([f"# {report.verdict}", "", *table, "", *where])


def comparison_markdown(outcome: DownstreamOutcome) -> str:
    """Every arm with its score and what the augmented one gains over it."""
    rows = [f"| {' | '.join(map(escape_markdown, row))} |" for row in comparison_rows(outcome)]
    table = [
        "| trained on | balanced accuracy | 95 % interval | gain over it | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([f"# {escape_markdown(conclusion(outcome))}", "", *table, *rows])


def comparison_rows(outcome: DownstreamOutcome) -> list[tuple[str, str, str, str, str]]:
    """Arm, score and interval in percent; points that the augmented arm beside it gains over it, and interval."""
    rows = []
    for name, found in outcome.arms.items():
        score, low, high = (100 * found[f"balanced_accuracy{end}"] for end in ("", ".low", ".high"))
        gain = outcome.gains.get(name)
        gained = (
            ("", "") if gain is None else (_points(gain["value"]), f"{_points(gain['low'])} … {_points(gain['high'])}")
        )
        rows.append((arm_name(name), f"{score:.1f} %", f"{low:.1f} … {high:.1f}", *gained))
    return rows


def class_rows(outcome: DownstreamOutcome, *, at_most: int = 10) -> list[tuple[str, str, str, str, str]]:
    """Class, test rows, share that the real and the augmented arm find, gain; those with the largest change first."""
    ordered = sorted(outcome.classes, key=lambda item: -abs(item["gain"]["value"]))[:at_most]
    return [
        (
            item["name"], f"{item['rows']:,}", f"{100 * item['real']:.1f} %", f"{100 * item['augmented']:.1f} %",
            f"{_points(item['gain']['value'])} ({_points(item['gain']['low'])} … {_points(item['gain']['high'])})",
        )
        for item in ordered
    ]  # fmt: skip


def conclusion(outcome: DownstreamOutcome) -> str:
    """One sentence: whether the synthetic rows help, and what was registered."""
    gain, (real, augmented) = outcome.gain, outcome.compared
    interval = f"{_points(gain['value'])} points ({_points(gain['low'])} … {_points(gain['high'])})"
    kept = f"the classifier trained on {arm_name(outcome.chosen)}"
    where = f"{kept} is registered" if outcome.registered else f"{kept} is kept"
    if outcome.helps:
        rival = outcome.gains[outcome.best_control]
        beaten = "" if rival["low"] > 0 else f", though not beyond {arm_name(outcome.best_control)}"
        return f"Augmentation helps: {interval} over {arm_name(real)}{beaten}; {where}."
    return (
        f"Augmentation does not help beyond chance: {interval} of {arm_name(augmented)} over {arm_name(real)}; {where}."
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"

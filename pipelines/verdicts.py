"""The verdict of a run as Markdown, for the Prefect UI."""

from collections.abc import Mapping

from synthgen.exporters.card import escape_markdown
from synthgen.findings import Report


def verdict_markdown(report: Report, places: Mapping[str, str]) -> str:
    """The verdict table, and where things are."""
    cells = [(item.metric, item.rule, str(item.verdict), item.remark) for item in report.judgements]
    rows = [f"| {' | '.join(map(escape_markdown, row))} |" for row in cells]
    where = [f"- {name}: {escape_markdown(value)}" for name, value in places.items()]
    table = ["| gate | limit | verdict | remark |", "|---|---|---|---|", *rows]
    return "\n".join([f"# {report.verdict}", "", *table, "", *where])

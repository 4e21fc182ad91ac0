"""What is wrong with the data, for a person: errors as a table with a hint for each, warnings as lines."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

# What tells problems of one kind apart.
_NAME = re.compile(r"'[^']*'|\d+")
_FEW = 3

if TYPE_CHECKING:
    from synthgen.findings import Problem


def show_problems(problems: Sequence[Mapping[str, str | None]], console: Console) -> None:
    """One row for each problem; of those that differ in names alone, for the first few."""
    console.print(f"error: {len(problems):,} problems in the data", style="bold red", highlight=False)
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    grid.add_column("", justify="right")
    grid.add_column("problem", ratio=3, overflow="fold")
    grid.add_column("what to do", ratio=2, overflow="fold")
    alike: dict[tuple[str, str | None], list[str]] = {}
    for number, problem in enumerate(problems, start=1):
        said = problem["problem"] or ""
        numbers = alike.setdefault((_NAME.sub("", said), problem["hint"]), [])
        numbers.append(str(number))
        if len(numbers) <= _FEW:
            grid.add_row(str(number), Text(said), Text(problem["hint"] or f"look at {problem['where']}"))
    for numbers in alike.values():
        if len(numbers) > _FEW:
            grid.add_row("", Text(f"and {len(numbers) - _FEW:,} more of the kind of {numbers[0]}"), "")
    console.print(grid)


def show_warnings(problems: Iterable["Problem"], console: Console) -> None:
    """One line for each remark on the data that is more than a notice."""
    for problem in problems:
        if problem.severity != "info":
            hint = f" → {problem.hint}" if problem.hint else ""
            line = f"{problem.severity}: {problem.message}{hint}"
            console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)

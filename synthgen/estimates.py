"""What a run on a table will take, in memory and time, before it is started.

The constants are lines through the numbers that `benchmarks/scale.py` measures; they hold within a factor of two for
one thread of a server core (5,000 to 1,000,000 rows, 10 to 20 columns, 400 to 1,400 levels).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthgen.config import (
    AutoConfig,
    AutoregressiveConfig,
    CartConfig,
    CopiesConfig,
    CtganConfig,
    EvaluationSize,
    MarginalsConfig,
    SynthesizerConfig,
    TvaeConfig,
)
from synthgen.datasets import Table

logger = logging.getLogger(__name__)

_GB = 2**30
# Reading, checking and splitting: 20 s and 1.2 GB for 20 million cells of parquet, twice the time for CSV.
_READ_SECONDS_PER_CELL, _READ_BYTES_PER_CELL = 1.5e-6, 60
# The imports; then what a table in memory takes, and what drawing 16,384 rows takes for each level of their codes.
_BASE_GB, _HELD_BYTES_PER_CELL, _BYTES_PER_LEVEL = 0.45, 30, 850_000
# ctgan holds eight matrices of levels x levels.
_BYTES_PER_LEVEL_PAIR = 32
# Judging takes 0.6 GB: trees on 5,000 rows.
_JUDGE_GB = 0.6
# Encoding and places inside the bins; a step of ctgan (93 ms at 886 levels, 230 ms at 1,395), of the autoregressive
# networks (20 ms for 20 columns), of tvae (47 ms at 886 levels); all trees of cart (2.2 s for 12,000 rows, 31 s for
# 600,000).
_ENCODE_SECONDS_PER_CELL = 0.9e-6
_CTGAN_STEP_SECONDS, _COLUMN_STEP_SECONDS, _LEVEL_STEP_SECONDS = 1.2e-7, 1e-3, 5e-5
_CART_SECONDS_PER_COLUMN, _CART_SECONDS_PER_CELL = 0.08, 1e-6
# Choosing among the models: 3.2 s for each 1,000 rows of valid, 5,000 at most.
_JUDGE_SECONDS_PER_ROW, _JUDGE_SECONDS_PER_COLUMN, _MAX_JUDGED_ROWS = 3.2e-3, 0.1, 5_000
# Drawing (4 microseconds) and calibrating (7) a cell of a candidate; four candidates are drawn for each row.
_DRAW_SECONDS_PER_CELL, _CANDIDATES = 1.1e-5, 4
_EVALUATE_SECONDS_PER_ROW, _EVALUATE_SECONDS_PER_COLUMN = 5e-3, 0.5
# What CART scores in profiles beyond quick (Adult, 26,000 training rows: 40 s beside 95 s of the evaluation).
_CONTROL_SHARE = 0.45
# A measured column has 32 bins, and some values with a level of their own.
_LEVELS_OF_NUMBERS = 40
_TRAIN_SHARE, _JUDGED_SHARE = 0.6, 0.2


@dataclass(frozen=True)
class Size:
    """Of a table: rows, modelled columns, and levels of all columns together as the encoder would make them."""

    rows: int
    columns: int
    levels: int

    @classmethod
    def of(cls, table: Table, rows: int) -> "Size":
        """Columns and levels of the table, which may be a part of all `rows`."""
        levels = 0
        for name in table.schema.modelled:
            different = table.frame[name].nunique()
            is_measured = table.schema.kinds[name] in ("numeric", "integer", "datetime")
            levels += min(different, _LEVELS_OF_NUMBERS) if is_measured else different
        return cls(rows, len(table.schema.modelled), levels)

    @property
    def cells(self) -> int:
        return self.rows * self.columns


@dataclass(frozen=True)
class Estimate:
    """Peak memory in GB, and seconds of each stage at most, on one core."""

    memory_gb: float
    seconds: Mapping[str, float]

    @property
    def minutes(self) -> float:
        return sum(self.seconds.values()) / 60

    @property
    def text(self) -> str:
        """One line for a person."""
        stages = ", ".join(f"{name} {_duration(seconds)}" for name, seconds in self.seconds.items())
        return f"about {self.memory_gb:.1f} GB of memory and at most {_duration(60 * self.minutes)} ({stages})"

    def warning(self, available_gb: float | None) -> str | None:
        """What to say when the machine has too little memory; None when it has enough, or nobody knows."""
        if available_gb is None or self.memory_gb <= available_gb:
            return None
        return (
            f"the run needs about {self.memory_gb:.1f} GB of memory, {available_gb:.1f} GB are available:"
            " lower source.max_rows, or drop columns with many categories"
        )


def estimate(
    size: Size, synthesizers: Sequence[SynthesizerConfig], *, drawn_rows: int, evaluation: EvaluationSize
) -> Estimate:
    """What training all of these and drawing `drawn_rows` takes; minutes of a budget count as used up."""
    judged_rows = _JUDGED_SHARE * size.rows
    judging = _JUDGE_SECONDS_PER_ROW * min(judged_rows, _MAX_JUDGED_ROWS) + _JUDGE_SECONDS_PER_COLUMN * size.columns
    models = sum(4 if isinstance(config, AutoConfig) else 1 for config in synthesizers)
    seconds = {
        "read": _READ_SECONDS_PER_CELL * size.cells,
        "fit": sum(_fit_seconds(size, config) for config in synthesizers) + models * judging,
        "sample": _DRAW_SECONDS_PER_CELL * _CANDIDATES * drawn_rows * size.columns,
        "evaluate": _EVALUATE_SECONDS_PER_ROW * min(judged_rows, evaluation.max_rows)
        + _EVALUATE_SECONDS_PER_COLUMN * size.columns,
    }
    if evaluation.profile != "quick":
        seconds["control"] = _CONTROL_SHARE * seconds["evaluate"] + _fit_seconds(size, CartConfig(kind="cart"))
    held = _HELD_BYTES_PER_CELL * (size.cells + _CANDIDATES * drawn_rows * size.columns)
    model = _BYTES_PER_LEVEL * size.levels + _BYTES_PER_LEVEL_PAIR * size.levels**2
    peak = max(_READ_BYTES_PER_CELL * size.cells, held + max(model, _JUDGE_GB * _GB))
    return Estimate(_BASE_GB + peak / _GB, seconds)


def _fit_seconds(size: Size, config: SynthesizerConfig) -> float:
    """Of one model; `auto` takes its whole budget."""
    train_cells = _TRAIN_SHARE * size.cells
    encoding = _ENCODE_SECONDS_PER_CELL * train_cells
    match config:
        case CopiesConfig() | MarginalsConfig():
            return encoding
        case CartConfig():
            return encoding + _CART_SECONDS_PER_COLUMN * size.columns + _CART_SECONDS_PER_CELL * train_cells
        case CtganConfig():
            step = _CTGAN_STEP_SECONDS * size.levels**2
        case AutoregressiveConfig():
            step = _COLUMN_STEP_SECONDS * size.columns
        case TvaeConfig():
            step = _LEVEL_STEP_SECONDS * size.levels
        case _:
            return encoding + 60 * config.budget_minutes
    steps = config.budget_steps
    trained = 60 * config.budget_minutes if steps is None else min(60 * config.budget_minutes, steps * step)
    return encoding + trained


def announce(estimated: Estimate) -> None:
    """Log the estimate, with a warning if that is more memory than there is."""
    logger.info("expect %s", estimated.text, extra={"note": f"expect {estimated.text}"})
    if warning := estimated.warning(available_gb()):
        logger.warning("expect %s", warning, extra={"note": f"warning: {warning}"})


def available_gb() -> float | None:
    """Memory that the machine can still give, in GB; the limit of a container counts. None where nobody says."""
    found = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        if "MemAvailable" in fields:
            found.append(int(fields["MemAvailable"].split()[0]) / 2**20)
    limit, used = (Path("/sys/fs/cgroup") / f"memory.{name}" for name in ("max", "current"))
    if limit.exists() and used.exists() and limit.read_text().strip().isdigit():
        found.append((int(limit.read_text()) - int(used.read_text())) / _GB)
    return min(found, default=None)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"

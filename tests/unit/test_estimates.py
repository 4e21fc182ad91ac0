"""What a run will take, said before it starts; and that it is not far from what was measured."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from synthgen.config import EVALUATION_SIZES, SynthesizerConfig, parse_synthesizer
from synthgen.datasets import Schema, Table
from synthgen.estimates import Estimate, Size, announce, available_gb, estimate

QUICK = EVALUATION_SIZES["quick"]
REPOSITORY = Path(__file__).parents[2]


def model(kind: str, **keys: object) -> SynthesizerConfig:
    return parse_synthesizer({"kind": kind, **keys})


def estimated(rows: int, columns: int, levels: int, *models: SynthesizerConfig, drawn: int = 5_000) -> Estimate:
    return estimate(Size(rows, columns, levels), models, drawn_rows=drawn, evaluation=QUICK)


def test_the_size_of_a_table_counts_learnt_columns_and_levels() -> None:
    frame = pd.DataFrame({"id": range(200), "real": range(200), "town": ["a", "b"] * 100, "class": ["x"] * 200})
    kinds = {"id": "id", "real": "integer", "town": "categorical", "class": "categorical"}
    assert Size.of(Table(frame, Schema(kinds, "class")), 900) == Size(900, 3, 40 + 2 + 1)


@pytest.mark.parametrize(
    ("kind", "rows", "levels", "fit_s", "peak_gb"),
    [
        # benchmarks/scale.py: 20 columns, 200 steps (300 for the million of ctgan), CPU seconds and GB.
        ("ctgan", 20_000, 886, 21.7, 1.21),
        ("autoregressive", 20_000, 886, 7.1, 1.06),
        ("tvae", 20_000, 886, 12.4, 1.43),
        ("cart", 20_000, 886, 2.2, 1.06),
        ("ctgan", 1_000_000, 1_395, 82.6, 1.67),
        ("autoregressive", 1_000_000, 1_395, 17.4, 1.57),
        ("cart", 1_000_000, 1_395, 30.9, 1.54),
    ],
)
def test_the_estimate_is_within_a_factor_of_two_of_what_was_measured(
    kind: str, rows: int, levels: int, fit_s: float, peak_gb: float
) -> None:
    steps = 300 if (kind, rows) == ("ctgan", 1_000_000) else 200
    config = model(kind) if kind == "cart" else model(kind, budget_steps=steps)
    found = estimated(rows, 20, levels, config)
    judging_s = 3.2 * min(rows / 5, 5_000) / 1_000 + 2
    assert 0.5 < (found.seconds["fit"] - judging_s) / fit_s < 2
    assert 0.7 < found.memory_gb / peak_gb < 2


def test_minutes_of_a_budget_bound_the_steps() -> None:
    short, long = (model("ctgan", budget_minutes=minutes, budget_steps=10**6) for minutes in (1, 50))
    difference = estimated(1_000, 9, 900, long).minutes - estimated(1_000, 9, 900, short).minutes
    assert difference == pytest.approx(49)


def test_auto_takes_its_budget_and_four_judgements() -> None:
    auto, one = estimated(10_000, 9, 300, model("auto")), estimated(10_000, 9, 300, model("ctgan"))
    assert auto.seconds["fit"] - one.seconds["fit"] == pytest.approx(3 * (3.2 * 2 + 0.9))


@pytest.mark.parametrize("kind", ["copies", "marginals", "cart", "ctgan-library", "autoregressive", "tvae", "ctgan"])
def test_more_rows_columns_and_levels_never_take_less(kind: str) -> None:
    small = estimated(1_000, 10, 100, model(kind))
    for rows, columns, levels in ((100_000, 10, 100), (1_000, 100, 100), (1_000, 10, 5_000)):
        large = estimated(rows, columns, levels, model(kind))
        assert large.memory_gb >= small.memory_gb
        assert all(large.seconds[stage] >= small.seconds[stage] for stage in small.seconds)


def test_too_little_memory_is_a_warning_with_what_to_do() -> None:
    found = Estimate(12.0, {"fit": 60.0})
    assert "source.max_rows" in str(found.warning(4.0))
    assert (found.warning(16.0), found.warning(None)) == (None, None)


def test_the_announcement_carries_a_note_for_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "synthgen"):
        announce(Estimate(1e6, {"fit": 90.0, "evaluate": 600.0}))
    notes = [getattr(record, "note", "") for record in caplog.records]
    assert notes[0] == "expect about 1000000.0 GB of memory and at most 12 min (fit 90 s, evaluate 10 min)"
    assert available_gb() is None or notes[1].startswith("warning: the run needs about 1000000.0 GB")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_rows_with_a_thousand_categories_train_and_sample_on_a_laptop() -> None:
    command = ["benchmarks/scale.py", "--rows", "1000000", "--kinds", "ctgan", "--steps", "100", "--no-judge", "--json"]
    done = subprocess.run([sys.executable, *command], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    line = json.loads(done.stdout)
    assert max(line[stage]["peak_gb"] for stage in ("ingest", "split", "fit", "sample")) < 4
    assert line["ingest"]["wall"] + line["split"]["wall"] < 60
    assert 100_000 / line["sample"]["wall"] * 60 > 100_000

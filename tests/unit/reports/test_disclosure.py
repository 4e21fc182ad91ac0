"""Nothing on a shareable page rests on a few real rows."""

import base64
import re
from dataclasses import replace
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import Schema, Table
from synthgen.findings import Finding, Report, Verdict
from synthgen.metrics.evaluation import canonical
from synthgen.reports import Material
from synthgen.reports.columns import MISSING, OTHER, column_fits, pair_fits, sides_of
from synthgen.reports.disclosure import FEWEST, kept_names, merged_edges, rounded_limits, shared_count, shared_report
from synthgen.reports.page import render

NB = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        ({"a": 50, "b": 30, "c": 9}, ["a", "b"]),
        ({"a": 50, "b": 9, "c": 9}, ["a"]),
        ({"a": 50, "b": 30}, ["a", "b"]),
        ({"a": 50, "b": 10, "c": 10, "d": 10}, ["a", "b"]),
        ({"a": 3}, []),
        ({"b": 20, "a": 20}, ["a", "b"]),
        ({}, []),
    ],
)
def test_a_category_is_named_if_ten_rows_have_it(counts: dict[str, int], kept: list[str]) -> None:
    assert kept_names(counts, at_most=2) == kept


@pytest.mark.parametrize(
    ("counts", "edges"),
    [
        ([20, 20, 20], [0, 1, 2, 3]),
        ([1, 20, 20], [0, 2, 3]),
        ([20, 20, 3], [0, 1, 3]),
        ([0, 0, 30, 0, 0], [0, 5]),
        ([4, 4, 4, 4, 4], [0, 5]),
        ([2, 3], [0, 2]),
    ],
)
def test_bins_are_joined_until_each_rests_on_ten_rows(counts: list[int], edges: list[int]) -> None:
    every = np.arange(len(counts) + 1, dtype=np.float64)
    merged = merged_edges(every, np.array(counts, dtype=np.int64))
    assert merged.tolist() == edges


@pytest.mark.parametrize(("rows", "shown"), [(0, 0), (1, None), (9, None), (10, 10)])
def test_a_small_count_is_not_shown_but_none_is(rows: int, shown: int | None) -> None:
    assert shared_count(rows) == shown


@pytest.mark.parametrize("rows", [30, 65, 400, 20_000])
def test_an_axis_ends_at_a_round_number_with_ten_rows_beyond(rows: int) -> None:
    values = np.random.default_rng(rows).normal(size=rows) * 7.1234567
    low, high = rounded_limits(values, 10)
    width = (high - low) / 10
    assert low not in values
    assert high not in values
    assert (values < low + width).sum() >= FEWEST - 1
    assert (values > high - width).sum() >= FEWEST - 1
    assert low > values.min() or rows < 100
    assert high < values.max() or rows < 100


def rare_table(n: int, seed: int) -> Table:
    """Common rows, and three whose every cell is a rare one."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": np.round(rng.gamma(2, 900, n), 3),
            "count": rng.poisson(3, n),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 400, n), "D"),
            "town": rng.choice(["Oslo", "Rome", "Kyiv"], n),
            "group": rng.choice(["blue", "green"], n),
            "label": rng.choice(["yes", "no"], n),
        }
    )
    frame.loc[:2, "town"], frame.loc[:2, "group"] = "Zanzibar", "violet"
    frame.loc[:2, "amount"], frame.loc[:2, "count"] = 987_654.321, 54_321
    frame.loc[:2, "when"], frame.loc[:2, "label"] = pd.Timestamp("1907-03-05"), "quokka"
    frame.loc[3:5, "amount"] = None
    kinds = {"amount": "numeric", "count": "integer", "when": "datetime", "town": "categorical",
             "group": "categorical", "label": "categorical"}  # fmt: skip
    return Table(frame, Schema(kinds, "label", protected=("group",)))  # type: ignore[arg-type]


RARE_CELLS = ("Zanzibar", "violet", "987654", "987,654", "54321", "54,321", "1907", "quokka")


@pytest.fixture
def material(samples: ModuleType) -> Material:
    source = {"kind": "table", "path": "/home/ann/private/people.csv", "label": "label"}
    config = samples.table_config(source=source)
    curation = {
        "drawn": 3,
        "per_class": {"quokka": {"drawn": 1}},
        "unknown_classes": ["quokka"],
        "dropped_per_group": {"group: violet": 1},
    }
    return Material(config, rare_table(600, 0), rare_table(400, 1), rare_table(500, 2), curation=curation)


def text_of(page: str) -> str:
    drawings = " ".join(base64.b64decode(uri).decode() for uri in re.findall(r"svg\+xml;base64,([^\"]+)", page))
    return page + drawings


@pytest.mark.parametrize("has_holdout", [True, False])
def test_no_cell_of_a_rare_row_is_on_the_shareable_page(
    samples: ModuleType, material: Material, has_holdout: bool
) -> None:
    report = samples.table_report()
    worst = Finding("c2st_auc", "fidelity", 0.6, 0.5, 0.7, 0.5, False, 90, detail={"worst_class": "quokka"})
    provenance = {**report.provenance, "files": {"train": "/home/ann/private/people.csv"}, "run_dir": "/home/ann/runs"}
    report = replace(report, findings=[worst, *report.findings[2:]], provenance=provenance)
    shown = replace(material, holdout=material.holdout if has_holdout else None)
    shared = text_of(render(report, shown, shared=True))
    assert not [cell for cell in (*RARE_CELLS, "/home", "people.csv", "kind: table") if cell in shared]
    assert "rows of class yes" in shared
    assert "rarer" in shared
    inside = render(report, shown)
    assert not [text for text in ("quokka", "/home/ann/private", "<bdi>group: violet</bdi> 1") if text not in inside]


def test_every_bar_of_a_shared_column_rests_on_ten_rows_or_none(material: Material) -> None:
    assert isinstance(material.train, Table)
    assert isinstance(material.holdout, Table)
    assert isinstance(material.synthetic, Table)
    sides = sides_of(material.train, material.holdout, material.synthetic)
    for fit in column_fits(sides, shared=True):
        rows = np.bincount(fit.column.codes["real"], minlength=len(fit.column.cells))
        assert np.all((rows == 0) | (rows >= FEWEST) | np.isnan(fit.real)), fit.column.name
        assert np.nansum(fit.real) == pytest.approx(1.0)
        assert set(fit.column.cells) & {OTHER, MISSING}


def test_the_shared_numbers_are_those_of_the_internal_page(material: Material) -> None:
    sides = sides_of(material.train, material.holdout, material.synthetic)  # type: ignore[arg-type]
    internal, shared = column_fits(sides), column_fits(sides, shared=True)
    assert [(fit.column.name, fit.difference, fit.reference) for fit in internal] == [
        (fit.column.name, fit.difference, fit.reference) for fit in shared
    ]


def test_a_cell_of_a_shared_pair_with_few_rows_is_blank(material: Material) -> None:
    sides = sides_of(material.train, material.holdout, material.synthetic)  # type: ignore[arg-type]
    for pair in pair_fits(column_fits(sides), sides, shown=5, shared=True):
        codes = pair.first.codes["real"] * len(pair.second.cells) + pair.second.codes["real"]
        rows = np.bincount(codes, minlength=pair.real.size).reshape(pair.real.shape)
        assert np.isnan(pair.real[rows < FEWEST]).all()
        assert np.isfinite(pair.real[rows >= FEWEST]).all()


def test_a_shared_page_of_images_shows_none(samples: ModuleType) -> None:
    material = samples.image_material(np.random.default_rng(0))
    assert "image/png" in render(samples.image_report(), material)
    assert "image/png" not in render(samples.image_report(), material, shared=True)


@pytest.mark.parametrize(("high", "is_shown"), [(0.8, True), (1.2, False)])
def test_images_of_the_rarer_kind_stay_inside(samples: ModuleType, high: float, is_shown: bool) -> None:
    train, holdout, synthetic = (part.take(np.arange(30)) for part in samples.digit_images(np.random.default_rng(0)))
    name = train.labels[0]
    positions = np.flatnonzero(canonical(train).labels == name).tolist()
    detail = {"worst_class": name, "rarest_kind_train_positions": {name: positions}}
    found = Finding("mode_coverage", "fidelity", 0.4, 0.2, high, 1.0, True, 30, detail=detail)
    report, material = Report(Verdict.FAIL, [found], (), (), (), {}), Material(None, train, holdout, synthetic)
    inside, shared = render(report, material), render(report, material, shared=True)
    assert (f"drawn 0.40{NB}× as often" in inside, "drawn too rarely" in inside) == (is_shown, is_shown)
    assert f"{len(positions)} real training images of class {name}, of the kind" in inside or not is_shown
    assert "drawn too rarely" not in shared
    assert "image/png" not in shared


def test_a_shared_report_keeps_what_identifies_the_data(samples: ModuleType, material: Material) -> None:
    report = samples.table_report()
    kept = shared_report(report, material).provenance
    assert kept["data_sha256"] == report.provenance["data_sha256"]
    assert "platform" not in kept

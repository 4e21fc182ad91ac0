"""The audit sees what is planted and accuses nobody else: a few seeds here, a hundred by `make test-power`."""

from dataclasses import replace

import power
import pytest
from planted import Outcome
from power import EXPERIMENTS, RESULTS, as_demanded, trial, trials

SEEDS = 100
# Four seconds and more each; of images, tests/unit/metrics/images has a short form.
LONG = {"independent-8000", *(name for name, experiment in EXPERIMENTS.items() if experiment.modality == "images")}
# Not reached, as docs/power.md shows: one real scan in twelve has a twin, beside which 5 % of copies often stay open.
MISSED = {"mednist-few"}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in LONG])
def test_the_audit_says_what_it_must(name, seed):
    line = trial(name, seed)
    assert as_demanded(line), line["judged"]


@pytest.mark.power
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(raises=AssertionError, strict=True)) if name in MISSED else name
        for name in EXPERIMENTS
    ],
)
def test_over_many_seeds_the_audit_is_right_as_often_as_demanded(name):
    lines = trials(name, range(SEEDS), RESULTS)
    assert sum(map(as_demanded, lines)) >= EXPERIMENTS[name].demanded * SEEDS


def test_an_honest_sample_does_not_pass_for_a_leak(monkeypatch):
    accused = replace(EXPERIMENTS["independent"], expects={"excess_copies": Outcome.FAIL})
    monkeypatch.setitem(power.EXPERIMENTS, "accused", accused)
    assert not as_demanded(trial("accused", 0))


def test_a_run_goes_on_where_it_stopped(tmp_path):
    results = tmp_path / "power.jsonl"
    first = trials("names", [0], results)
    assert trials("names", [0, 1], results)[0] == first[0]
    assert [line["seed"] for line in power.read(results)] == [0, 1]


def test_lines_of_older_sources_count_no_more(tmp_path):
    results = tmp_path / "power.jsonl"
    trials("names", [0], results)
    results.write_text(results.read_text().replace(power.code(), "older"))
    assert power.known_trials("names", power.read(results), power.code()) == []


def test_the_page_counts_verdicts_of_each_metric(tmp_path):
    results = tmp_path / "power.jsonl"
    page = "\n".join(power.document({"names": trials("names", [0], results)}))
    assert (
        "| three names like O'Brien, copied | `identifier_replay` | FAIL | 100 [2.5, 100.0] | ≥ 95 | 1 | 1 | 0 | 0 |"
        in page
    )

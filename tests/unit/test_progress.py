"""How far long work is: what is counted inside a step of a stage, and how it is shown."""

import logging

import pytest

from pipelines.terminal import LineHandler
from synthgen import progress
from synthgen.metrics.classifiers import in_threads
from synthgen.metrics.image_classifier import in_parallel
from synthgen.progress import Tick, counted, report, within


@pytest.fixture
def ticks(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[Tick]:
    """Fills while the test works; every result is told."""
    monkeypatch.setattr(progress, "_EVERY_S", 0.0)
    caplog.set_level(logging.INFO, "synthgen")
    found: list[Tick] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.tick) if hasattr(record, "tick") else None  # type: ignore[method-assign]
    monkeypatch.setattr(logging.getLogger("synthgen"), "handlers", [handler])
    return found


def test_each_result_is_counted_for_the_innermost_step(ticks: list[Tick]) -> None:
    with within("curate", "choose"):
        with within("curate", "draw again"):
            assert list(counted("abc", "block", 3)) == ["a", "b", "c"]
        list(counted("ab", "classifier", 2))
    assert [(tick.stage, tick.step, tick.unit, tick.done, tick.total, tick.share) for tick in ticks] == [
        *(("curate", "draw again", "block", done, 3, done / 3) for done in (1, 2, 3)),
        *(("curate", "choose", "classifier", done, 2, done / 2) for done in (1, 2)),
    ]
    assert all(tick.rate > 0 for tick in ticks)
    assert [tick.seconds_left == 0 for tick in ticks] == [False, False, True, False, True]


def test_outside_of_a_step_nothing_is_told(ticks: list[Tick]) -> None:
    assert list(counted("abc", "block", 3)) == ["a", "b", "c"]
    assert ticks == []


def test_no_more_than_one_tick_a_second(ticks: list[Tick], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 1.0)
    with within("evaluate", "near_copies"):
        list(counted(range(1_000), "block", 1_000))
    assert ticks == []


@pytest.mark.parametrize("work", [in_threads, in_parallel])
def test_classifiers_are_counted_as_they_are_done(work, ticks: list[Tick]) -> None:  # type: ignore[no-untyped-def]
    with within("evaluate", "augmentation_gain"):
        assert work([lambda n=n: n * n for n in range(5)]) == [0, 1, 4, 9, 16]
    assert [(tick.unit, tick.done, tick.total) for tick in ticks] == [("classifier", n, 5) for n in range(1, 6)]


def test_a_line_says_what_is_done_how_fast_and_how_long_it_takes(
    ticks: list[Tick], capsys: pytest.CaptureFixture[str]
) -> None:
    logger, lines = logging.getLogger("synthgen"), LineHandler()
    logger.addHandler(lines)
    lines._is_due = lambda: True  # type: ignore[method-assign]
    report(Tick("evaluate", "classifier", 7, 30, 7 / 30, 0.5, 46.0, step="augmentation_gain"))
    report(Tick("fit", "image", 3_616, None, 0.46, 446.0, 10.0, {"loss": 1.0}))
    assert capsys.readouterr().err.splitlines() == [
        " evaluate  23% augmentation_gain, 7 of 30 classifiers, 30.0/min, 46 s left",
        "      fit  46% 3,616 images, 446/s, 10 s left",
    ]

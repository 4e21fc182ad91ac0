"""Models in the registry: one version per run, found by name, loaded without pickle, promoted and rolled back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipelines.drawing import Request, draw
from synthgen.config import BuiltinSource, MarginalsConfig
from synthgen.config_reading import parse_config
from synthgen.datasets import Splits, Table
from synthgen.errors import ModelError, UsageError
from synthgen.findings import Report, Verdict
from synthgen.metrics import NotMeasurable
from synthgen.metrics.utility.controls import Gain
from synthgen.registry.promotion import Bar, Comparison, Promotion, consider, rollback
from synthgen.registry.registering import register
from synthgen.registry.versions import Version, find_version, is_model_name, list_versions
from synthgen.runs import Run
from synthgen.sources import read
from synthgen.splitting import split
from synthgen.stats import named_rng
from synthgen.synthesizers import create
from synthgen.tracking import start
from synthgen.workspace import Workspace

CONFIG = parse_config({"name": "wine", "source": {"kind": "builtin", "name": "wine"}})


@pytest.fixture(scope="module")
def wine() -> Splits:
    return split(read(BuiltinSource(kind="builtin", name="wine"), seed=0), CONFIG.split, named_rng(0, "split"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, wine: Splits) -> Path:
    folder = tmp_path_factory.mktemp("model")
    create(MarginalsConfig(kind="marginals"), wine.train).fit(wine.train, wine.valid, named_rng(0, "fit")).save(folder)
    return folder


@pytest.fixture(scope="module")
def registered(space: Workspace, model: Path) -> Callable[..., Version]:
    """Makes a finished run of this name and verdict and registers its model."""

    def make(name: str, verdict: Verdict = Verdict.PASS) -> Version:
        config = CONFIG.model_copy(update={"name": name})
        run = Run.create(space, config, f"{name} {len(list(space.runs.glob('*/*')))}")
        run.adopt(model, "model")
        version = register(name, run, space, start(config, run, space, {}), report(verdict))
        run.update(state="finished")
        run.release()
        assert version is not None
        return version

    return make


def report(verdict: Verdict) -> Report:
    return Report(verdict, [], [], [], [], {})


def gain(low: float, high: float) -> Comparison:
    return lambda champion: {"value": (low + high) / 2, "low": low, "high": high}


NEVER_WORSE = gain(0.0, 0.1)


@pytest.fixture(scope="module")
def judged(space: Workspace, registered: Callable[..., Version]) -> Version:
    """Version 2 of a model whose version 1 is champion."""
    first = consider(space, registered("judged"), gain(-1, -1), Bar(0.01))
    assert (first.promoted, first.before) == (True, None)
    return registered("judged")


def test_the_newest_version_is_the_candidate(registered: Callable[..., Version]) -> None:
    first, second = registered("newest", Verdict.FAIL), registered("newest")
    assert (first.version, second.version) == ("1", "2")
    assert (second.aliases, second.tags["verdict"]) == (["candidate"], "PASS")
    assert first.tags["verdict"] == "FAIL"
    assert second.tags["run_id"] != first.tags["run_id"]


def test_a_run_that_is_gone_on_with_has_one_version(space: Workspace, model: Path) -> None:
    config = CONFIG.model_copy(update={"name": "resumed"})
    for _ in range(2):
        run = Run.create(space, config, "the same")
        run.adopt(model, "model")
        version = register("resumed", run, space, start(config, run, space, {}), report(Verdict.PASS))
        run.release()  # killed here: its state is still "running"
    assert version is not None
    assert [item.version for item in list_versions(space, "resumed")] == ["1"]


@pytest.mark.parametrize(
    ("verdict", "compared", "promoted", "reason"),
    [
        (Verdict.PASS, gain(-0.005, 0.02), True, "not worse than version 1: +0.0075"),
        (Verdict.PASS, gain(-0.01, -0.005), True, "not worse than"),
        (Verdict.PASS, gain(-0.03, 0.02), False, "not proven to lose at most 0.01 against version 1"),
        (Verdict.PASS, gain(-0.08, -0.02), False, "worse than version 1"),
        (Verdict.INCONCLUSIVE, NEVER_WORSE, False, "its gates say INCONCLUSIVE"),
        (Verdict.FAIL, NEVER_WORSE, False, "its gates say FAIL"),
        (Verdict.NOT_AUDITED, NEVER_WORSE, False, "its gates say NOT AUDITED"),
    ],
)
def test_champion_moves_to_what_passes_and_is_not_worse(
    space: Workspace, judged: Version, verdict: Verdict, compared: Comparison, promoted: bool, reason: str
) -> None:
    version = replace(judged, tags={**judged.tags, "verdict": str(verdict)})
    decided = consider(space, version, compared, Bar(0.01))
    champion = find_version(space, "judged@champion").version
    if promoted:  # the next case begins with the first one again
        rollback(space, "judged")
    assert (decided.promoted, decided.before, champion) == (promoted, "1", "2" if promoted else "1")
    assert reason in decided.reason


def test_a_person_may_take_what_is_open_and_not_what_is_worse(space: Workspace, judged: Version) -> None:
    assert not consider(space, judged, gain(-0.08, -0.02), Bar(0.01, unproven=True)).promoted
    assert consider(space, judged, gain(-0.08, 0.02), Bar(0.01, unproven=True)).promoted
    rollback(space, "judged")


@pytest.mark.parametrize(
    ("error", "promoted"),
    [(NotMeasurable("two classes are needed"), False), (ModelError("it draws other columns"), True)],
)
def test_a_champion_that_does_not_fit_the_data_gives_way_and_one_that_cannot_be_compared_stays(
    space: Workspace, judged: Version, error: Exception, promoted: bool
) -> None:
    def failing(champion: Version) -> Gain:
        raise error

    assert consider(space, judged, failing, Bar(0.01)).promoted is promoted
    if promoted:
        rollback(space, "judged")


def test_rollback_goes_back_one_champion_at_a_time(space: Workspace, registered: Callable[..., Version]) -> None:
    for _ in range(3):
        consider(space, registered("back"), NEVER_WORSE, Bar(0.01))
    steps = [rollback(space, "back") for _ in range(2)]
    assert [(step.before, step.version) for step in steps] == [("3", "2"), ("2", "1")]
    with pytest.raises(UsageError, match="had no champion before version 1"):
        rollback(space, "back")
    consider(space, registered("back"), NEVER_WORSE, Bar(0.01))
    assert rollback(space, "back") == Promotion("back", "1", True, "version 4 was rolled back", before="4")
    assert "rolled_back" in find_version(space, "back@3").tags


@pytest.mark.parametrize(
    ("text", "version"),
    [("judged", "2"), ("judged@1", "1"), ("models:/judged/1", "1"), ("models:/judged@candidate", "2")],
)
def test_a_model_is_found_by_name_number_and_alias(space: Workspace, judged: Version, text: str, version: str) -> None:
    assert find_version(space, text).version == version


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("jugded@champion", "no registered model has the name 'jugded'; did you mean 'judged'"),
        ("judged@chammpion", "no version or alias 'chammpion'; it has the aliases 'candidate', 'champion'"),
        ("judged@7", "no version or alias '7'"),
    ],
)
def test_a_name_that_is_not_registered_is_answered_with_what_is(
    space: Workspace, judged: Version, text: str, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        find_version(space, text)


@pytest.mark.parametrize(
    ("text", "is_model"),
    [("adult@3", True), ("models:/adult/3", True), ("adult", False), ("runs/adult/x", False), ("a/b@c", False)],
)
def test_what_can_only_mean_a_model(text: str, is_model: bool) -> None:
    assert is_model_name(text) is is_model


def test_rows_are_drawn_from_a_registered_model(space: Workspace, judged: Version, tmp_path: Path) -> None:
    written, unit = draw(space, "judged@candidate", Request(12, (), (), seed=0), target=tmp_path / "more.parquet")
    assert (written, unit, len(pd.read_parquet(tmp_path / "more.parquet"))) == (12, "rows", 12)


@pytest.mark.filterwarnings("ignore::UserWarning")  # mlflow's own, about type hints, when pyfunc is imported
def test_mlflow_loads_the_model_with_pickle_forbidden(
    space: Workspace, judged: Version, wine: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", space.mlflow_uri)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    import mlflow.pyfunc

    assert isinstance(wine.train, Table)
    loaded = mlflow.pyfunc.load_model(judged.source)
    wanted = pd.DataFrame({"label": ["class_1", "class_0"], "n": [4, 2]})
    rows = loaded.predict(wanted, params={"seed": 3})
    assert rows["cultivar"].tolist() == ["class_1"] * 4 + ["class_0"] * 2
    assert list(rows.columns) == list(wine.train.frame.columns)
    assert rows.equals(loaded.predict(wanted, params={"seed": 3}))
    assert not rows.equals(loaded.predict(wanted, params={"seed": 4}))
    assert len(loaded.predict(pd.DataFrame({"n": [7]}))) == 7


def test_what_lies_in_the_registry_names_no_path_of_this_machine(space: Workspace, judged: Version) -> None:
    folder = Path(judged.source.removeprefix("file://"))
    texts = [path.read_text() for path in folder.iterdir() if path.is_file()]
    assert {path.name for path in folder.iterdir()} >= {"MLmodel", "model_code.py", "requirements.txt", "artifacts"}
    assert not [text for text in texts if str(space.root) in text or "/tmp" in text]


def test_without_tracking_nothing_is_registered_and_nothing_fails(space: Workspace, model: Path) -> None:
    run = Run.create(space, CONFIG, "untracked")
    assert register("wine", run, space, None, report(Verdict.PASS)) is None

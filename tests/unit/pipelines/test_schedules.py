"""When a schedule fires, what is told when it cannot be made, and what the server checks."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from pipelines.cli import _answer
from pipelines.deploy import scheduled_augment
from pipelines.timing import Timing, written
from synthgen.config_reading import load_config
from synthgen.errors import UsageError

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give either --cron or --every"),
        ({"cron": "0 2 * * *", "every": "6h"}, "give either --cron or --every"),
        ({"cron": "0 25 * * *"}, "--cron '0 25 [*] [*] [*]' is not valid"),
        ({"cron": "often"}, "--cron 'often' is not valid"),
        ({"cron": ""}, "--cron '' is not valid"),
        ({"cron": "0 2 * * *", "timezone": "Oslo"}, "--timezone 'Oslo' is not valid"),
        ({"every": "6"}, "--every '6' must read a number and s, m, h, d or w"),
        ({"every": "0h"}, "--every '0h' must read"),
        ({"every": "-1h"}, "--every '-1h' must read"),
        ({"every": "1.5h"}, "--every '1.5h' must read"),
        ({"every": "9999999999999w"}, "--every '9999999999999w' must read"),
    ],
)
def test_a_time_that_cannot_be_read_is_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Timing(**given).schedule()


@pytest.mark.parametrize(
    ("every", "interval"),
    [
        ("10s", timedelta(seconds=10)),
        ("90m", timedelta(minutes=90)),
        ("6h", timedelta(hours=6)),
        ("1d", timedelta(days=1)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_an_interval_is_read_and_written_alike(every: str, interval: timedelta) -> None:
    assert getattr(Timing(every=every).schedule(), "interval") == interval  # noqa: B009 - a union of two classes
    assert written(interval) == every


@pytest.fixture
def wine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYNTHGEN_WORKSPACE", str(tmp_path / "space"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    path = tmp_path / "wine.yaml"
    path.write_text("source: {kind: builtin, name: wine}\n")
    return path


def test_without_a_server_the_answer_names_the_command_that_starts_one(
    wine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _answer(["schedule", str(wine), "--every", "6h"]) == 2
    said = capsys.readouterr().err
    assert "no Prefect server runs for this workspace" in said
    assert "synthgen up" in said


def test_a_server_out_of_reach_is_told_in_one_sentence(
    wine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = "http://127.0.0.1:9/api"
    monkeypatch.setenv("PREFECT_API_URL", nowhere)
    # The environment is read at the first import of Prefect; here another test may have been before.
    with temporary_settings({PREFECT_API_URL: nowhere}):
        assert _answer(["schedules"]) == 2
    assert "the Prefect server at http://127.0.0.1:9/api does not answer" in capsys.readouterr().err


def test_a_config_with_a_password_is_not_sent_to_a_server(wine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wine.write_text("source: {kind: table, path: 's3://user:Zanzibar-4711@store/a.csv', label: y}\n")
    assert _answer(["schedule", str(wine), "--every", "6h"]) == 2
    said = capsys.readouterr().err
    assert "the config holds a password or token" in said
    assert "Zanzibar" not in said


def schema() -> dict[str, Any]:
    return parameter_schema(scheduled_augment).model_dump(exclude_unset=True)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_server_accepts_what_our_configs_say(path: Path) -> None:
    content = load_config(path).model_dump(mode="json")
    assert validate({"config": content, "workspace": "/space"}, schema()) == []


@pytest.mark.parametrize("change", [{"sede": 1}, {"seed": "one"}, {"synthesizer": {"kind": "magic"}}, {"source": {}}])
def test_the_server_refuses_what_our_configs_may_not_say(change: dict[str, Any]) -> None:
    raw = {"source": {"kind": "builtin", "name": "wine"}, **change}
    assert validate({"config": raw, "workspace": "/space"}, schema())

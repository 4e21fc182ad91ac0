"""A sweep: what it runs, that every run ends in a result, and that none is done twice."""

import csv
import json
from pathlib import Path

import pytest

from pipelines.cli import _answer
from pipelines.combinations import combinations, split_at_commas
from pipelines.sweeping import exit_code, sweep_plainly, written
from synthgen.errors import UsageError
from synthgen.files import read_json
from synthgen.runs import list_runs
from synthgen.sweeping import Result, sweep_id
from synthgen.workspace import Workspace

WINE = "source: {kind: builtin, name: wine}\nsynthesizer: {kind: marginals}\nplan: {kind: ratio, ratio: 1}\n"


@pytest.fixture
def wine(tmp_path: Path) -> Path:
    path = tmp_path / "wine.yaml"
    path.write_text(WINE)
    return path


def test_every_config_runs_with_every_seed_and_setting(wine: Path, tmp_path: Path) -> None:
    other = tmp_path / "digits.yaml"
    other.write_text(WINE.replace("wine", "breast-cancer"))
    attempts = combinations([wine, other], seeds="0-1,7", settings=["plan.ratio=0.5,1"])
    assert len(attempts) == 2 * 3 * 2
    assert attempts[0].name == "wine plan.ratio=0.5 seed=0"
    assert {attempt.config["seed"] for attempt in attempts} == {0, 1, 7}
    assert attempts[-1].settings == {"config": "digits", "plan.ratio": "1", "seed": "7"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1,2", ["1", "2"]),
        ("{kind: rows, rows: 5},{kind: auto}", ["{kind: rows, rows: 5}", "{kind: auto}"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("", [""]),
    ],
)
def test_commas_in_brackets_and_quotes_part_nothing(text: str, parts: list[str]) -> None:
    assert split_at_commas(text) == parts


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seeds", "4-1"], "--seeds '4-1' holds no seed: 1 is less than 4"),
        (["--seeds", "one"], "--seeds 'one' must read 0-4 or 0,3,7"),
        (["--seeds", "0-99999"], "more than 10,000 seeds"),
        (["--seeds", "0,0"], "are the same run"),
        (["--seeds", "0", "--set", "seed=1"], "both --seeds and --set seed are given"),
        (["--set", "sede=1,2"], "did you mean 'seed'?"),
        (["--set", "plan.ratio"], "must read KEY=VALUE,VALUE"),
        (["--set", "plan.ratio=1,,2"], "has an empty value"),
        (["--set", "plan.ratio=1", "--set", "plan.ratio=2"], "twice"),
        (["--set", "name=a,b"], "are the same run"),
        (["--set", "synthesizer.kind=ctgam,cart"], "synthesizer.kind is 'ctgam'"),
        (["--runner", "dusk"], "did you mean 'dask'?"),
        (["--runner", "threads", "--dask", "tcp://127.0.0.1:9"], "--runner is 'threads'"),
        (["--dask", "nowhere"], "'nowhere' is no address of a Dask scheduler"),
        (["--dask", "tcp://127.0.0.1:9"], "no Dask scheduler answers at 'tcp://127.0.0.1:9': Connection refused"),
        (["--workers", "0"], "--workers is 0, at least 1 is needed"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_runs(
    words: list[str], sentence: str, wine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space"
    assert _answer(["sweep", str(wine), *words, "--json", "--workspace", str(space)]) == 2
    assert sentence in json.loads(capsys.readouterr().out)["error"]
    assert not (space / "runs").exists()


def test_no_config_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one config"):
        combinations([], seeds=None, settings=[])


def test_a_run_that_fails_ends_no_other_and_none_is_done_twice(wine: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    space = Workspace(tmp_path / "space")
    gone = "{kind: table, path: gone.csv, label: y}"
    attempts = combinations([wine], seeds=None, settings=[f"source={gone},{{kind: builtin, name: wine}}"])
    failed, finished = sweep_plainly(attempts, space, sweep_id(attempts))
    assert (failed.state, failed.exit_code) == ("failed", 2)
    assert "gone.csv" in str(failed.error)
    assert finished.verdict in ("PASS", "FAIL", "INCONCLUSIVE")
    assert exit_code([failed, finished]) == 2
    assert len(list_runs(space)) == 1

    again = sweep_plainly(attempts, space, sweep_id(attempts))
    assert [result.again for result in again] == [False, True]
    assert again[1].run_id == finished.run_id
    assert len(list_runs(space)) == 1

    tags = MlflowClient(space.mlflow_uri).get_run(finished.mlflow_run_id).data.tags
    assert tags["synthgen.sweep"] == sweep_id(attempts)

    page = written(space, "x", again)
    assert "gone.csv" in page.read_text()
    with page.with_suffix(".csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["state"] for row in rows] == ["failed", finished.state]
    assert float(rows[1]["c2st_auc"]) == finished.metrics["c2st_auc"]["value"]
    assert read_json(page.with_suffix(".json"))["runs"][1]["run_id"] == finished.run_id


def test_hostile_names_are_inert_in_every_form_of_the_table(tmp_path: Path) -> None:
    hostile = "=cmd|'/c calc'!A1 <script>alert(1)</script>"
    result = Result(hostile, {"config": hostile}, "failed", 1, error="password=geheim")
    page = written(Workspace(tmp_path), "x", [result, Result("b", {"config": "b"}, "failed", 1, error="-")])
    assert "<script>" not in page.read_text()
    text = page.with_suffix(".csv").read_text()
    assert "\n'=cmd" in text
    assert "geheim" not in text + page.read_text()

"""The command line answers mistakes at once, in one sentence, with the right exit code."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from pipelines.cli import _answer
from pipelines.problems import show_problems
from synthgen.config import MarginalsConfig, TableSource
from synthgen.sources import read
from synthgen.synthesizers import create

AUDIT = ("audit", "--train", "some.csv", "--synthetic", "some.csv")
HEAVY = ("torch", "monai", "ctgan", "mlflow", "prefect", "pandas", "sklearn")


def test_help_imports_no_framework() -> None:
    code = "import sys, pipelines.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: synthgen" in answer.stdout
    assert not [name for name in HEAVY if name in answer.stdout.splitlines()[-1].split()]


def test_help_answers_in_under_a_second_of_cpu() -> None:
    # CPU seconds of a child, best of three: the wall clock of a busy machine says nothing.
    code = "import resource, subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pipelines.cli', '--help'], "
    code += "stdout=subprocess.DEVNULL, check=True)\nu = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
    code += "print(u.ru_utime + u.ru_stime)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 1.0


@pytest.fixture
def wine(tmp_path: Path) -> Path:
    path = tmp_path / "wine.yaml"
    path.write_text("source: {kind: builtin, name: wine}\nsynthesizer: {kind: marginals}\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "nowhere.yaml"], "config file 'nowhere.yaml' does not exist"),
        (["run", "{wine}", "-s", "sede=1"], "key 'sede' is not known; did you mean 'seed'?"),
        (["check", "{wine}", "-s", "synthesizer={kind: image-gan, augmentation: [flip]}"], "augmentation.0 is 'flip'"),
        (["check", "{wine}", "-s", "synthesizer={kind: image-gan, compile: [1]}"], "compile is a list of 1, allowed"),
        (
            ["run", "{wine}", "-s", "plan.kind=per_class", "-s", "plan.per_class={clas_0: 3}"],
            "did you mean 'class_0'?",
        ),
        (["run", "{wine}", "-s", "gates=[{metric: c2st, at_most: 1}]"], "did you mean 'c2st_auc'?"),
        (["run", "{wine}", "-s", "synthesizer.kind=image-gan"], "image-gan"),
        (["check", "{wine}", "-s", "source={kind: table, path: gone.csv, label: y}"], "gone.csv"),
        (["check", "{wine}", "-s", "split.column=part"], "part"),
        (["sample", "no-such-run", "--rows", "3", "-o", "more.csv"], "no run has the id 'no-such-run'"),
        (["verify", "nowhere"], "has no manifest.json"),
        (["init", "nowhere.csv", "--label", "y"], "nowhere.csv"),
        (["audit", "--train", "nowhere.csv", "--synthetic", "nowhere.csv"], "nowhere.csv"),
        (["audit", "--train", "nowhere.csv", "--synthetic", "nowhere.csv", "--track"], "nowhere.csv"),
        ([*AUDIT, "--label", "weihgt"], "did you mean 'weight'?"),
        ([*AUDIT, "--type", "weihgt=numeric"], "did you mean 'weight'?"),
        ([*AUDIT, "--secret", "weihgt"], "did you mean 'weight'?"),
        ([*AUDIT, "--type", "weight"], "--type 'weight' must read COL=KIND"),
        ([*AUDIT, "--type", "weight=metric"], "types.weight"),
        ([*AUDIT, "--gate", "c2st_auc=0.8"], "--gate 'c2st_auc=0.8' must read METRIC<=X"),
        ([*AUDIT, "--gate", "c2st_auc<=1e999"], "--gate 'c2st_auc<=1e999' must read METRIC<=X or METRIC>=X, X finite"),
        ([*AUDIT, "--gate", "c2st<=0.8"], "did you mean 'c2st_auc'?"),
        ([*AUDIT, "--gates", "nowhere.yaml"], "gates file 'nowhere.yaml' does not exist"),
        ([*AUDIT, "--gates", "{wine}"], "must hold a list of gates"),
        ([*AUDIT, "--track", "-o", "here"], "--track and -o exclude each other"),
        (["report", "no-such-run"], "no run has the id 'no-such-run'"),
        (["compare", "no-such-run"], "compare takes two or more runs, 1 given"),
        (["compare", "no-such-run", "nor-such"], "no run has the id 'no-such-run'"),
    ],
)
def test_a_mistake_exits_with_2_and_one_sentence(
    arguments: list[str],
    sentence: str,
    wine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTHGEN_WORKSPACE", str(tmp_path / "space"))
    rows = "\n".join(f"{number},{number % 7}" for number in range(60, 0, -1))
    (tmp_path / "some.csv").write_text(f"weight,size\n{rows}\n")
    code = _answer([argument.replace("{wine}", str(wine)) for argument in arguments])
    shown = capsys.readouterr()
    assert code == 2
    assert sentence in shown.err.replace("\n", " ")
    assert "Traceback" not in shown.err
    assert not (tmp_path / "space" / "runs").exists()


@pytest.mark.parametrize(
    "arguments", [["rum"], ["run"], ["run", "a.yaml", "--frobnicate"], ["ui", "--mlflow-port", "x"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _answer(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_errors_are_json_when_asked(wine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _answer(["check", str(wine), "-s", "sede=1", "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 2
    assert "sede" in answer["error"]
    assert answer["where"] == str(wine)


def test_an_unexpected_error_exits_with_1_and_names_a_log(
    wine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNTHGEN_WORKSPACE", str(tmp_path / "space"))
    monkeypatch.setattr("pipelines.preview.look", lambda *_: 1 / 0)
    assert _answer(["check", str(wine)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err.replace("\n", "")
    assert "1 / 0" in (tmp_path / "space" / "error.log").read_text()


@pytest.mark.parametrize("option", [["--workspace", "{}"], ["--workspace={}"]])
def test_the_log_of_an_unexpected_error_lies_in_the_workspace_of_the_command(
    option: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthgen.runs.list_runs", lambda space: 1 / 0)
    space = tmp_path / "a space"
    assert _answer(["runs", *[word.format(space) for word in option]]) == 1
    assert "1 / 0" in (space / "error.log").read_text()


def test_check_prints_the_plan_and_writes_nothing(
    wine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNTHGEN_WORKSPACE", str(tmp_path / "space"))
    assert _answer(["check", str(wine), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["shape"].startswith("178 rows")
    assert set(plan["classes"]) == {"class_0", "class_1", "class_2"}
    assert not (tmp_path / "space").exists()


def test_no_runs_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _answer(["runs", "--workspace", str(tmp_path)]) == 0
    assert "synthgen run CONFIG" in capsys.readouterr().out


def test_what_is_written_is_said_as_json_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, config, more = (tmp_path / name for name in ("d.csv", "c.yaml", "more.csv"))
    data.write_text("a,label\n" + "".join(f"{n / 7},{'xy'[n % 2]}\n" for n in range(60)))
    assert _answer(["init", str(data), "-o", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": str(config)}
    table = read(TableSource(kind="table", path=str(data), label="label"), seed=0).data
    model = create(MarginalsConfig(kind="marginals"), table)
    model.fit(table, table, np.random.default_rng(0))
    model.save(tmp_path / "model")
    assert _answer(["sample", str(tmp_path / "model"), "--rows", "7", "-o", str(more), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": str(more), "rows": 7}


def test_of_many_problems_of_one_kind_the_first_few_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    alike = [{"problem": f"image 'a/{n}.nii' holds fractions", "where": "x", "hint": "stretch"} for n in range(100)]
    other = {"problem": "image 'b/1.nii' is empty (zero bytes)", "where": "b/1.nii", "hint": None}
    show_problems([*alike, other], Console(stderr=True, width=100))
    lines = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "error: 101 problems in the data",
        "problem what to do",
        *(f"{n + 1} image 'a/{n}.nii' holds fractions stretch" for n in range(3)),
        "101 image 'b/1.nii' is empty (zero bytes) look at b/1.nii",
        "and 97 more of the kind of 1",
    ]

"""The command line in-process, with what it answered and what it left behind."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli import _answer

# Planted in the data; it may stand in no message.
SECRET = "Zanzibar-4711"


@dataclass(frozen=True)
class Answer:
    """Exit code and the two streams of one command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        content = json.loads(self.out)
        assert isinstance(content, dict)
        return content


Ask = Callable[..., Answer]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Call `synthgen` with these words, in a folder and a workspace of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTHGEN_WORKSPACE", str(tmp_path / "space"))

    def call(*words: object) -> Answer:
        capsys.readouterr()
        code = _answer([str(word) for word in words])
        shown = capsys.readouterr()
        return Answer(code, shown.out, shown.err)

    return call


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """A config for a data file; further keys go into `source`."""

    def write(data: Path, **source: object) -> Path:
        whole = {"kind": "table", "path": str(data), "label": "class", **source}
        split = whole.pop("split", {})
        text = yaml.safe_dump({"source": whole, "split": split, "synthesizer": {"kind": "marginals"}})
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def refused(ask: Ask, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """The problems that a command answers with: exit code 2, no traceback, no cell, nothing written."""

    def call(*words: object) -> list[dict[str, Any]]:
        shown, answer = ask(*words), ask(*words, "--json")
        assert (shown.code, answer.code) == (2, 2), f"{shown.err}\n{answer.out}"
        content = answer.json
        assert content["exit_code"] == 2
        assert set(content) == {"error", "where", "hint", "exit_code", "problems"}
        assert shown.err.startswith("error: ")
        assert not shown.out
        for text in (shown.out, shown.err, answer.out, answer.err):
            assert SECRET not in text
            assert "Traceback" not in text
        assert not (tmp_path / "space").exists()
        problems: list[dict[str, Any]] = content["problems"]
        assert all("\n" not in problem["problem"] and problem["where"] for problem in problems), problems
        return problems

    return call

"""Who may decide on what, and for which rows a decision holds."""

from pathlib import Path

import pytest

from synthgen.approval import decide, decision_on
from synthgen.errors import UsageError
from synthgen.files import write_json
from synthgen.runs import WAITING, Run


def waiting_run(folder: Path, **changes: str) -> Run:
    record = {"state": WAITING, "verdict": "PASS", "synthetic_sha256": "a" * 64, **changes}
    write_json(folder / "run.json", record)
    return Run(folder)


def test_a_decision_is_kept_with_who_and_why(tmp_path: Path) -> None:
    run = waiting_run(tmp_path)
    assert decision_on(run) is None
    decided = decide(run, approved=True, by="Ann", reason="seen")
    assert decision_on(run) == decided
    assert (decided.decision, decided.by, decided.reason) == ("approved", "Ann", "seen")


def test_without_a_name_the_user_of_the_system_has_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "carol")
    assert decide(waiting_run(tmp_path), approved=False, by=None, reason="no").by == "carol"


def test_a_decision_holds_only_for_the_rows_it_was_made_on(tmp_path: Path) -> None:
    run = waiting_run(tmp_path)
    decide(run, approved=True, by="Ann", reason="")
    run.update(synthetic_sha256="b" * 64)
    assert decision_on(run) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"verdict": "FAIL"}, "failed its gates, which no approval overrules"),
        ({"state": "finished"}, r"does not wait for approval \(its state: finished\)"),
        ({"state": "running"}, "does not wait for approval"),
    ],
)
def test_only_a_waiting_run_that_did_not_fail_can_be_decided(
    tmp_path: Path, changes: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        decide(waiting_run(tmp_path, **changes), approved=True, by="Ann", reason="")

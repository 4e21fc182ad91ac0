"""A person's yes or no to a run, between the verdict and the dataset.

One mechanism: the file approval.json in the run's folder. Whoever waits for it, a flow or nobody, finds it there.
"""

import getpass
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from synthgen.errors import UsageError
from synthgen.files import read_json, write_json
from synthgen.findings import Verdict
from synthgen.redaction import redacted
from synthgen.runs import WAITING, Run

_FILE = "approval.json"


@dataclass(frozen=True)
class Decision:
    """Who said what about which rows, and why.

    Attributes:
        at: ISO 8601, UTC.
        synthetic_sha256: of the rows that were looked at; the decision holds for no others.
    """

    decision: Literal["approved", "rejected"]
    by: str
    at: str
    reason: str
    synthetic_sha256: str


def decide(run: Run, *, approved: bool, by: str | None, reason: str) -> Decision:
    """Write down the decision on a waiting run; `by` None names the user of this system.

    Raises:
        UsageError: the run does not wait for one, or its gates failed, which no approval overrules.
    """
    record = run.record()
    if record.get("verdict") == Verdict.FAIL:
        message = f"run {run.id!r} has failed its gates, which no approval overrules"
        raise UsageError(message, where=str(run.directory), hint="the report says which gates, and why")
    if record.get("state") != WAITING:
        message = f"run {run.id!r} does not wait for approval (its state: {record.get('state')})"
        raise UsageError(message, where=str(run.directory), hint="`synthgen runs` shows states")
    decision = Decision(
        "approved" if approved else "rejected",
        by=redacted(by or getpass.getuser()),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        reason=redacted(reason),
        synthetic_sha256=str(record["synthetic_sha256"]),
    )
    write_json(run.directory / _FILE, asdict(decision))
    return decision


def decision_on(run: Run) -> Decision | None:
    """The decision on the rows that the run has now; None when there is none yet."""
    path = run.directory / _FILE
    if not path.exists():
        return None
    decision = Decision(**read_json(path))
    return decision if decision.synthetic_sha256 == run.record().get("synthetic_sha256") else None

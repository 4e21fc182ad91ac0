"""What is measured and what is concluded: findings, rules, judgements, problems, the report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from html import escape
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from synthgen.errors import DataError

Family = Literal["fidelity", "privacy", "utility", "fairness"]
Relation = Literal["absolute", "ratio", "difference", "error ratio"]


class Verdict(StrEnum):
    """Outcome of one rule or of a run, best to worst by `SEVERITY`."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_AUDITED = "NOT AUDITED"
    FAIL = "FAIL"


SEVERITY = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.NOT_AUDITED, Verdict.FAIL)
EXIT_CODES: Mapping[Verdict, int] = {
    Verdict.PASS: 0,
    Verdict.FAIL: 3,
    Verdict.INCONCLUSIVE: 4,
    Verdict.NOT_AUDITED: 4,
}


@dataclass(frozen=True)
class Finding:
    """One measured number with its 95 % interval and its control.

    Attributes:
        value: the estimate, inside [low, high].
        reference: the same number with held-out real rows in place of the synthetic ones; None if it has none.
        n: rows (or images) the number rests on, of the smaller side.
        threat_model: what the attacker knows, for a privacy number.
        detail: further JSON-ready numbers for the report; shares and counts, never rows.
    """

    metric: str
    family: Family
    value: float
    low: float
    high: float
    reference: float | None
    higher_is_better: bool
    n: int
    threat_model: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NotMeasured:
    """A metric that could not be computed, and why; never a silent gap.

    Attributes:
        applies: False when there is nothing to measure, such as secrets where none is declared: no rule judges it.
    """

    metric: str
    family: Family
    reason: str
    applies: bool = True


@dataclass(frozen=True)
class Rule:
    """`metric at_most t` or `at_least t`, judged on the bad end of the interval.

    Attributes:
        relation: judge the value itself, its ratio to the reference, its difference from the reference, or the ratio of
            what both lack to 1.
        fail_beyond: FAIL when the whole interval lies beyond this; the threshold itself when None.
        warn_beyond: a value beyond this passes with a remark.
        blocks: a FAIL counts as required, though less does not: harm that is proven, where few sets can prove none.
        asked: the user named it, so it is judged even where there is nothing to measure.
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None
    relation: Relation = "absolute"
    required: bool = True
    fail_beyond: float | None = None
    warn_beyond: float | None = None
    blocks: bool = False
    asked: bool = False

    def __post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"rule on {self.metric!r} needs exactly one of at_most and at_least")

    @property
    def text(self) -> str:
        bound, sign = (self.at_most, "≤") if self.at_most is not None else (self.at_least, "≥")
        match self.relation:
            case "ratio":
                return f"{sign} {bound:g} × real"
            case "error ratio":
                return f"error {sign} {bound:g} × real"
            case "difference" if not bound:
                return f"{sign} real"
            case "difference":
                return f"{sign} real {'+' if (bound or 0) >= 0 else '−'} {abs(bound or 0):g}"
            case _:
                return f"{sign} {bound:g}"


@dataclass(frozen=True)
class Judgement:
    """A rule applied to a finding. `remark` says in one sentence what it means or what would decide it."""

    metric: str
    rule: str
    verdict: Verdict
    required: bool
    remark: str = ""


@dataclass(frozen=True)
class Problem:
    """Something about the data that a person should know. `message` holds names and counts, never values."""

    kind: str
    message: str
    severity: Literal["info", "warning", "error"] = "info"
    column: str | None = None
    hint: str = ""


@dataclass(frozen=True)
class Movement:
    """How far a column moved from one data set to the next.

    Attributes:
        what: its values, or whether they are missing.
        effect: largest difference of the cumulative shares of a number; share of the rows that are in another category;
            difference of the shares that are missing. In [0, 1].
        p: chance of more if nothing had moved, corrected for the number of tests.
        moved: p and effect are both beyond what counts as nothing.
        words: the same for a reader; never a value of the column.
    """

    column: str
    what: Literal["values", "missing"]
    effect: float
    p: float
    moved: bool
    words: str


@dataclass(frozen=True)
class Separation:
    """AUC of a classifier that tells new rows from old ones, n of each; the reference tells two halves of the old."""

    auc: float
    low: float
    high: float
    reference: float
    n: int


@dataclass(frozen=True)
class Drift:
    """What changed in the data since an earlier run of the same name.

    Attributes:
        since: id of that run.
        rows_kept: new rows that were among the old ones; 0 when that cannot be told.
        schema: changes of columns or classes, a sentence each.
        note: what was compared, or why nothing was.
    """

    since: str
    rows_before: int
    rows_now: int
    rows_kept: int
    schema: Sequence[str]
    movements: Sequence[Movement]
    separation: Separation | None
    note: str = ""

    @property
    def moved(self) -> list[str]:
        """Columns that moved, in values or in missing values; those with the largest effect first."""
        return list(dict.fromkeys(item.column for item in self.movements if item.moved))

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Drift":
        """The drift whose `asdict` this is."""
        return TypeAdapter(cls).validate_python(raw)


@dataclass(frozen=True)
class Control:
    """What a classical synthesizer scores, trained on the same rows and measured in the same way; judged by no rule.

    Attributes:
        kind: of the synthesizer.
        learnt_rows, drawn_rows: how many it was trained on and drew; 0 where it failed.
        train_rows, synthetic_rows: how many there are; of more than it takes a sample stands for all.
    """

    kind: str
    learnt_rows: int
    train_rows: int
    drawn_rows: int
    synthetic_rows: int
    findings: Sequence[Finding]
    not_measured: Sequence[NotMeasured]

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Control":
        """The control whose `asdict` this is."""
        return TypeAdapter(cls).validate_python(raw)


@dataclass(frozen=True)
class Report:
    """All that is known about one synthetic dataset.

    Attributes:
        drift: what changed, where an earlier run had other data.
        control: of a table that was measured in a profile more thorough than quick.
    """

    verdict: Verdict
    findings: Sequence[Finding]
    judgements: Sequence[Judgement]
    not_measured: Sequence[NotMeasured]
    problems: Sequence[Problem]
    provenance: Mapping[str, Any]
    drift: Drift | None = None
    control: Control | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of report.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Report":
        """The report that `to_json` wrote; raises DataError for anything else."""
        try:
            return TypeAdapter(cls).validate_python(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "all of it"
            raise DataError(f"report.json is damaged: {place}: {first['msg']}", where=place) from None

    def finding(self, metric: str) -> Finding | None:
        """The finding of that metric, if it was measured."""
        return next((finding for finding in self.findings if finding.metric == metric), None)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(judgement.metric)}</td><td>{_shown(self.finding(judgement.metric))}</td>"
            f"<td>{escape(judgement.rule)}</td><td>{judgement.verdict}</td></tr>"
            for judgement in self.judgements
        )
        header = "<tr><th>metric</th><th>value [95 %]</th><th>rule</th><th>verdict</th></tr>"
        return f"<p><b>{self.verdict}</b></p><table>{header}{rows}</table>"


def _shown(finding: Finding | None) -> str:
    return "–" if finding is None else f"{finding.value:.4g} [{finding.low:.4g}, {finding.high:.4g}]"


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of the verdicts; none at all is NOT AUDITED, never PASS."""
    return max(verdicts, key=SEVERITY.index) if verdicts else Verdict.NOT_AUDITED

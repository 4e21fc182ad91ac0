"""`synthgen audit`: judge anybody's synthetic data."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from pipelines.commands.options import JsonFlag, OutputOption, WorkspaceOption, err, out
from pipelines.places import kept_output
from synthgen.config import AuditConfig, Profile, Purpose
from synthgen.config_reading import load_gates, parse_audit
from synthgen.errors import UsageError
from synthgen.remote import address_of, is_address, send, shown

if TYPE_CHECKING:
    from synthgen.auditing import AuditOutcome
    from synthgen.findings import Report
    from synthgen.workspace import Workspace

_COLUMNS = Group("Columns (guessed unless you say)", sort_key=1)
_RULES = Group("Judgement", sort_key=2)
_TYPE, _ID = (Parameter(name=name, group=_COLUMNS, negative="", show_default=False) for name in ("--type", "--id"))
_LISTED, _LIMIT = (Parameter(group=group, negative="", show_default=False) for group in (_COLUMNS, _RULES))
_GATE = re.compile(r"\s*(\w+)\s*(<=|>=)\s*([-+.\deE]+)\s*")


@Parameter(name="*")
@dataclass(frozen=True)
class Columns:
    """What the columns are.

    Attributes:
        label: column to predict; without it utility is not measured. In a manifest of images it is `label`.
        group: column that names the person, patient or customer; the same one in train and holdout is an error.
        type_: COL=KIND, repeatable: numeric, integer, categorical, boolean, datetime, id or text.
        id_: column that identifies a row or person, repeatable.
        drop: column to leave out of all files, repeatable.
        protected: column whose groups fairness is measured for, repeatable.
        secret: column that an attacker must not learn about a person, repeatable.
        series: what the files of a DICOM series become: slices, an image each (the default), or volume, one image.
    """

    label: Annotated[str | None, Parameter(group=_COLUMNS)] = None
    group: Annotated[str | None, Parameter(group=_COLUMNS)] = None
    type_: Annotated[tuple[str, ...], _TYPE] = ()
    id_: Annotated[tuple[str, ...], _ID] = ()
    drop: Annotated[tuple[str, ...], _LISTED] = ()
    protected: Annotated[tuple[str, ...], _LISTED] = ()
    secret: Annotated[tuple[str, ...], _LISTED] = ()
    series: Annotated[Literal["slices", "volume"] | None, Parameter(group=_COLUMNS, show_default=False)] = None

    def raw(self) -> dict[str, object]:
        """As keys of AuditConfig."""
        listed = {"ids": self.id_, "drop": self.drop, "protected": self.protected, "secrets": self.secret}
        named = {"label": self.label, "group": self.group, "series": self.series}
        return {**named, "types": _types(self.type_), **listed}


@Parameter(name="*")
@dataclass(frozen=True)
class Judging:
    """How much is measured, and what it is held against.

    Attributes:
        purpose: what it has to be fit for, which decides the required gates: share or augment.
        profile: how much is measured: quick, full or release.
        gate: METRIC<=X or METRIC>=X in place of the default limit, repeatable; quote it.
        gates: YAML file with a list of gates, as in a config.
        max_rows: of a longer table so many random rows are used, with a notice.
        seed: of every random choice.
    """

    purpose: Annotated[Purpose, Parameter(group=_RULES)] = "share"
    profile: Annotated[Profile, Parameter(group=_RULES)] = "quick"
    gate: Annotated[tuple[str, ...], _LIMIT] = ()
    gates: Annotated[Path | None, Parameter(group=_RULES)] = None
    max_rows: Annotated[int, Parameter(group=_RULES)] = 1_000_000
    seed: Annotated[int, Parameter(group=_RULES)] = 0

    def raw(self) -> dict[str, object]:
        """As keys of AuditConfig."""
        numbers = {"max_rows": self.max_rows, "seed": self.seed}
        return {"purpose": self.purpose, "profile": self.profile, "gates": _gates(self.gate, self.gates), **numbers}


_ALL_GUESSED, _DEFAULT_RULES = Columns(), Judging()


def audit(  # noqa: PLR0913 - a command line has as many options as it has
    *,
    train: Path,
    synthetic: Path,
    holdout: Path | None = None,
    columns: Columns = _ALL_GUESSED,
    judging: Judging = _DEFAULT_RULES,
    output: OutputOption = None,
    track: Annotated[bool, Parameter(negative="")] = False,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Judge anybody's synthetic data against the real rows it was made from; trains no generator.

    Args:
        train: the real rows that the synthetic ones were made from (CSV, parquet, image folder, npz, zip, or a
            CSV or parquet file that lists images).
        synthetic: the synthetic rows.
        holdout: real rows that the generator has not seen. Without them nothing has a control: NOT AUDITED.
        output: folder for the reports and run.json; default: ./audit. One behind an address is a copy of one here.
        track: make it a run of the workspace, through Prefect and MLflow.
    """
    files = {"train": train, "synthetic": synthetic, **({} if holdout is None else {"holdout": holdout})}
    paths = {name: shown(path if is_address(path) else path.absolute()) for name, path in files.items()}
    config = parse_audit({**paths, **columns.raw(), **judging.raw()})
    if track and output is not None:
        raise UsageError(
            "--track and -o exclude each other: a tracked audit has its report in its run folder",
            hint="`synthgen report RUN -o DIR` writes it to another folder",
        )
    if track:
        outcome = _tracked(config, workspace, shown=not json_)
    else:
        outcome = _plain(config, kept_output(output, workspace, "audits"), workspace, shown=not json_)
    if output is not None and is_address(output):
        send(Path(outcome.run_dir), address_of(output))
    _show(outcome, as_json=json_)
    return outcome.exit_code


def _plain(config: AuditConfig, output: Path | None, workspace: Path | None, *, shown: bool) -> "AuditOutcome":
    from pipelines.bootstrap import workspace_at
    from pipelines.terminal import progress_shown
    from synthgen.auditing import run_audit

    with progress_shown(enabled=shown):
        return run_audit(config, output or Path("audit"), downloads=workspace_at(workspace).downloads)


def _tracked(config: AuditConfig, workspace: Path | None, *, shown: bool) -> "AuditOutcome":
    from pipelines.bootstrap import bootstrap, workspace_at
    from pipelines.orchestration import orchestrated
    from pipelines.terminal import progress_shown
    from synthgen.auditing import check_audit, run_tracked_audit

    space = workspace_at(workspace)
    with progress_shown(enabled=shown):
        # A mistake in the data is answered before any server starts or anything is written.
        check_audit(config, space)
        bootstrap(space)
        return orchestrated(space, lambda: _flow(config, space), lambda: run_tracked_audit(config, space, {}))


def _flow(config: AuditConfig, space: "Workspace") -> "AuditOutcome":
    from pipelines.audit import audit_flow

    return audit_flow(config.model_dump(mode="json"), str(space.root))


def _types(given: Sequence[str]) -> dict[str, str]:
    types: dict[str, str] = {}
    for item in given:
        name, separator, kind = item.rpartition("=")
        if not separator or not name:
            raise UsageError(f"--type {item!r} must read COL=KIND, for example --type age=integer", where="--type")
        types[name] = kind
    return types


def _gates(given: Sequence[str], file: Path | None) -> list[dict[str, object]]:
    found = [] if file is None else [gate.model_dump() for gate in load_gates(file)]
    return found + [_gate(item) for item in given]


def _gate(text: str) -> dict[str, object]:
    parts = _GATE.fullmatch(text)
    try:
        limit = float(parts[3]) if parts else None
    except ValueError:
        limit = None
    if parts is None or limit is None or not math.isfinite(limit):
        message = f"--gate {text!r} must read METRIC<=X or METRIC>=X, X finite, for example --gate 'c2st_auc<=0.8'"
        raise UsageError(message, where="--gate")
    return {"metric": parts[1], "at_most" if parts[2] == "<=" else "at_least": limit}


def _show(outcome: "AuditOutcome", *, as_json: bool) -> None:
    from pipelines.problems import show_warnings
    from pipelines.terminal import print_gates, print_places, verdict_text
    from synthgen.files import read_json
    from synthgen.findings import Report
    from synthgen.reports.headline import headline

    report = Report.from_json(read_json(Path(outcome.report_json)))
    show_warnings(report.problems, err)
    if as_json:
        print(json.dumps({**asdict(outcome), **_table(report)}))
        return
    out.print(verdict_text(report.verdict), headline(report, emitted=None), highlight=False)
    out.print()
    print_gates(out, report)
    for problem in report.problems:
        if problem.severity == "info":
            out.print(f"  note: {problem.message}", style="dim", highlight=False, markup=False)
    out.print()
    places = {"report": outcome.report_html, "to hand on": outcome.report_shareable_html}
    print_places(out, places | ({"run": outcome.run_id} if outcome.mlflow_run_id else {}))


def _table(report: "Report") -> dict[str, object]:
    rows = []
    for judgement in report.judgements:
        finding = report.finding(judgement.metric)
        names = ("value", "low", "high", "reference", "n")
        rows.append({**asdict(judgement), **{name: getattr(finding, name, None) for name in names}})
    ungated = [asdict(item) for item in report.not_measured]
    return {"gates": rows, "not_measured": ungated, "problems": [asdict(item) for item in report.problems]}

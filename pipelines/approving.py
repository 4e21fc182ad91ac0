"""Prefect's pause as a way to wait for a person: the flow stands still until its page or `synthgen approve` say on."""

import logging
from uuid import UUID

import httpx
from prefect.exceptions import FlowPauseTimeout, PrefectException
from prefect.flow_runs import pause_flow_run, resume_flow_run
from prefect.input import RunInput
from prefect.settings import PREFECT_API_URL, temporary_settings

from synthgen.approval import Decision, decide
from synthgen.augmentation import Outcome, StageCaller, conclude
from synthgen.runs import WAITING, Run, find_run
from synthgen.workspace import Workspace

logger = logging.getLogger(__name__)

# After so long the flow ends; the run still waits, and `synthgen approve` still finishes it.
_PATIENCE_S = 7 * 86_400
_POLL_S = 5


class Answer(RunInput):
    """What Prefect's page asks the person who resumes the flow."""

    approved: bool
    by: str = ""
    reason: str = ""


def await_decision(workspace: Workspace, outcome: Outcome, flow_run_id: str, *, call: StageCaller) -> Outcome:
    """Pause the flow that calls this until a person has decided, then finish the run; as it was if nobody does."""
    run = find_run(workspace, outcome.run_id)
    run.update(paused_flow_run={"id": flow_run_id, "api": PREFECT_API_URL.value()})
    note = f"waiting for approval: `synthgen approve {run.id}`, or resume the flow run on Prefect's page"
    logger.info("%s", note, extra={"note": note})
    told = f"Verdict {outcome.verdict}. Report: {outcome.report_html}"
    form = Answer.with_initial_data(description=told, approved=False)
    try:
        answer = pause_flow_run(form, timeout=_PATIENCE_S, poll_interval=_POLL_S, key="approval")
    except FlowPauseTimeout:
        return outcome
    # Where `synthgen approve` has resumed the flow, the decision is written down and the run is finished.
    if run.record().get("state") == WAITING:
        decide(run, approved=answer.approved, by=answer.by or "a user of Prefect's page", reason=answer.reason)
    return conclude(workspace, run, call=call)


def resume_paused_flow(run: Run, decision: Decision) -> None:
    """Let the flow that pauses for this run go on, if there is one and its server answers."""
    paused = run.record().get("paused_flow_run")
    if paused is None:
        return
    answer = {"approved": decision.decision == "approved", "by": decision.by, "reason": decision.reason}
    try:
        with temporary_settings({PREFECT_API_URL: paused["api"]}):
            resume_flow_run(UUID(paused["id"]), run_input=answer)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        note = f"warning: the run is finished, but its paused Prefect flow was not resumed: {type(error).__name__}"
        logger.warning("%s", note, extra={"note": note})

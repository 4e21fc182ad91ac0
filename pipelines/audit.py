"""The audit flow: judge an existing synthetic set against real ones; nothing is trained.

Call `pipelines.bootstrap.bootstrap(workspace)` before this module is imported.
"""

from pathlib import Path
from typing import Any

from prefect import flow, runtime

from pipelines.orchestration import finished
from pipelines.pages import show_verdict
from synthgen.auditing import AuditOutcome, run_tracked_audit
from synthgen.config_reading import parse_audit
from synthgen.runs import Run
from synthgen.workspace import Workspace


@flow(name="audit", persist_result=False, validate_parameters=False)
def audit_flow(config: dict[str, Any], workspace: str) -> AuditOutcome:
    """One audit on the workspace. Both parameters are plain JSON, so a deployment can hold them.

    Args:
        config: content of `synthgen.config.AuditConfig`, such as {"train": "...", "synthetic": "...", "label": "y"}.
        workspace: folder of the runs.
    """
    links = {"prefect.flow_run_id": str(runtime.flow_run.id), "prefect.flow_run_name": str(runtime.flow_run.name)}
    outcome = run_tracked_audit(parse_audit(config), Workspace.at(workspace), links)
    finished(outcome)
    show_verdict(Workspace.at(workspace), Run(Path(outcome.run_dir)))
    return outcome

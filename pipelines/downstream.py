"""The downstream flow: a classifier with and without the synthetic rows of a dataset; the better one is registered.

Call `pipelines.bootstrap.bootstrap(workspace)` before this module is imported.
"""

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact

from pipelines.orchestration import finished
from pipelines.verdicts import comparison_markdown
from synthgen.downstream import DEFAULT_SEEDS, DownstreamOutcome, run_downstream
from synthgen.workspace import Workspace


@flow(name="downstream", persist_result=False, validate_parameters=False)
def downstream_flow(
    dataset: str, workspace: str, seeds: int = DEFAULT_SEEDS, output: str | None = None
) -> DownstreamOutcome:
    """One comparison on the workspace. All parameters are plain JSON, so a deployment can hold them.

    Args:
        dataset: folder or address of an emitted dataset, or of the run that emitted it.
        workspace: folder of the runs and of MLflow's store.
        output: a folder or address to copy the numbers and the chosen classifier to.
    """
    links = {"prefect.flow_run_id": str(runtime.flow_run.id), "prefect.flow_run_name": str(runtime.flow_run.name)}
    outcome = finished(run_downstream(dataset, Workspace.at(workspace), seeds=seeds, output=output, links=links))
    create_markdown_artifact(markdown=comparison_markdown(outcome), key="downstream", description=outcome.run_id)
    return outcome

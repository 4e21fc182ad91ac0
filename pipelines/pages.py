"""What a person finds on the page of a flow run: the verdict, and the way to report, dataset and MLflow run."""

from prefect import get_client, runtime
from prefect.artifacts import create_link_artifact, create_markdown_artifact

from pipelines.commands.options import MLFLOW_PORT
from pipelines.verdicts import verdict_markdown
from synthgen import tracking
from synthgen.files import read_json
from synthgen.findings import Report
from synthgen.runs import WAITING, Run
from synthgen.workspace import Workspace


def show_verdict(workspace: Workspace, run: Run) -> None:
    """Put the verdict of a finished run on the page of this flow run, as tag and as artifacts."""
    record = run.record()
    page = tracking.run_url(workspace, record.get("mlflow_run_id"), local_pages=f"http://127.0.0.1:{MLFLOW_PORT}")
    told = "" if tracking.is_served(workspace) else f"opens while `synthgen ui` serves {workspace.root}"
    places = {
        "report": str(run.report / "report.html"),
        "dataset": record.get("dataset_dir") or _withheld(run),
        "run": str(run.directory),
    }
    text = verdict_markdown(Report.from_json(read_json(run.report / "report.json")), places)
    create_markdown_artifact(markdown=text, key="verdict", description=f"{record.get('verdict')}: run {run.id}")
    if page is not None:
        for key, link in (("mlflow-run", page), ("report", f"{page}/artifacts/report/report.html")):
            create_link_artifact(link=link, link_text=f"{key} of {run.id}", key=key, description=told)
    tag_flow_run(f"verdict:{record.get('verdict')}")


def tag_flow_run(text: str) -> None:
    """Add a tag to this flow run."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(runtime.flow_run.id)
        client.update_flow_run(run.id, tags=sorted({*run.tags, text}))


def _withheld(run: Run) -> str:
    if run.record()["state"] == WAITING:
        return f"none yet: resume this flow run, or synthgen approve {run.id}"
    return "none: the gates or a person refused it"

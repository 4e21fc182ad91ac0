"""The `synthgen` command. Frameworks are imported inside commands: --help and a misspelt key answer at once."""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from synthgen import __version__
from synthgen.config import Profile, RunConfig
from synthgen.config_reading import load_config
from synthgen.errors import SynthgenError, UsageError

if TYPE_CHECKING:
    from synthgen.augmentation import Outcome

app = App(
    name="synthgen",
    version=__version__,
    help="Augment a labelled dataset with a GAN, prove on held-out real data that it is good, safe and useful, "
    "or refuse and say why.",
    help_epilogue="Exit codes: 0 PASS · 1 unexpected error · 2 bad input, config or usage · 3 gate FAIL · "
    "4 INCONCLUSIVE or NOT AUDITED.",
)
out = Console()
err = Console(stderr=True)

WorkspaceOption = Annotated[Path | None, Parameter(name="--workspace", help="Default: $SYNTHGEN_WORKSPACE.")]
JsonFlag = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")]


@app.command
def init(
    data: Path,
    *,
    label: str = "label",
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
) -> int:
    """Look at a table, image folder, npz, zip or manifest and write a commented config for it.

    Args:
        data: the file or folder.
        label: column to predict; image folders and npz need none.
        output: the config to write; default: the data's name with .yaml, in the current folder.
    """
    from synthgen.sources.proposals import propose

    target = output or Path(f"{data.resolve().stem}.yaml")
    if target.exists():
        raise UsageError(f"{target} exists already", where=str(target), hint="choose another name with -o")
    text = propose(data, label=label)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    out.print(f"wrote {target}", highlight=False, soft_wrap=True)
    out.print(
        f"next: read it, then `synthgen check {target}` and `synthgen run {target}`", highlight=False, soft_wrap=True
    )
    return 0


@app.command
def check(
    config: Path,
    *,
    set_: Annotated[list[str] | None, Parameter(name=["-s", "--set"], help="key.sub=value, repeatable.")] = None,
    json_: JsonFlag = False,
) -> int:
    """Validate config and data and print the plan; trains nothing and writes nothing."""
    from pipelines import preview

    plan = preview.look(load_config(config, set_ or ()))
    if json_:
        print(json.dumps(plan.to_json()))
    else:
        preview.show(plan, out)
    return 0


@app.command
def run(
    config: Annotated[list[Path], Parameter(help="One or more YAML files; several run one after the other.")],
    *,
    set_: Annotated[list[str] | None, Parameter(name=["-s", "--set"], help="key.sub=value, repeatable.")] = None,
    force: Annotated[bool, Parameter(negative="", help="Emit even on FAIL, marked as not passed.")] = False,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """The whole flow, once: from config to an augmented dataset with a verdict, or a refusal that says why."""
    from pipelines.bootstrap import bootstrap, workspace_at

    configs = [load_config(path, set_ or ()) for path in config]
    space = workspace_at(workspace)
    bootstrap(space)
    codes = []
    for path, loaded in zip(config, configs, strict=True):
        outcome = _run_one(loaded, space, force=force, progress=not json_)
        if json_:
            print(json.dumps(asdict(outcome)), flush=True)
        else:
            _show_outcome(loaded, outcome, path)
        codes.append(outcome.exit_code)
    return max(codes, key=(0, 4, 3).index)


def _run_one(config: RunConfig, space: Any, *, force: bool, progress: bool) -> "Outcome":
    from pipelines import preview
    from pipelines.terminal import progress_shown
    from synthgen import stages

    with progress_shown(enabled=progress):
        # A mistake in the data is answered before any server starts or anything is written but the cache.
        fresh = stages.preflight(config, space)
        preview.announce_run(config, space)
        from pipelines.augment import augment_flow

        return augment_flow(config.model_dump(mode="json"), str(space.root), force=force, fresh=fresh)


def _show_outcome(config: RunConfig, outcome: "Outcome", path: Path) -> None:
    from pipelines.terminal import print_gates, print_places, verdict_text
    from synthgen.findings import Report
    from synthgen.reports.headline import headline
    from synthgen.runs import read_json

    report = Report.from_json(read_json(Path(outcome.report_json)))
    out.print()
    out.print(
        f"[bold]{config.name}[/bold]:", verdict_text(report.verdict), f"in {outcome.seconds:.0f} s", highlight=False
    )
    out.print(headline(report, emitted=outcome.dataset_dir is not None), highlight=False)
    out.print()
    print_gates(out, report)
    out.print()
    dataset = outcome.dataset_dir or "none: the gates refused it"
    places = {
        "report": outcome.report_html,
        "dataset": dataset,
        "mlflow": f"run {outcome.mlflow_run_id}, see synthgen ui",
    }
    print_places(out, places)
    suffix = ".npz" if config.modality == "images" else ".parquet"
    steps = {
        "next": "synthgen ui                    the pages of Prefect and MLflow",
        "": f"synthgen sample {outcome.run_id} --rows 1000 -o more{suffix}",
        " ": f"synthgen run {path} -s seed={config.seed + 1}",
    }
    print_places(out, steps)


@app.command
def audit(
    *,
    train: Path,
    synthetic: Path,
    holdout: Path | None = None,
    label: str | None = None,
    profile: Profile = "quick",
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
    json_: JsonFlag = False,
) -> int:
    """Judge anybody's synthetic data against the real rows it was made from; trains no generator.

    Args:
        train: the real rows that the synthetic ones were made from (CSV, parquet, image folder, npz, zip).
        synthetic: the synthetic rows.
        holdout: real rows that the generator has not seen. Without them nothing has a control: NOT AUDITED.
        label: column to predict; without it utility is not measured.
        profile: how much is measured: quick, full or release.
        output: folder for report.html and report.json; default: ./audit.
    """
    from pipelines.terminal import print_gates, print_places, progress_shown, verdict_text
    from synthgen.auditing import audit_data
    from synthgen.findings import EXIT_CODES
    from synthgen.reports import write_report
    from synthgen.reports.headline import headline

    with progress_shown(enabled=not json_):
        report, material = audit_data(train, synthetic, holdout, label=label, profile=profile)
    target = output or Path("audit")
    write_report(target, report, material)
    page = str((target / "report.html").absolute())
    if json_:
        facts = {"verdict": str(report.verdict), "exit_code": EXIT_CODES[report.verdict], "report_html": page}
        print(json.dumps({**facts, "report_json": page.replace(".html", ".json")}))
    else:
        out.print(verdict_text(report.verdict), headline(report, emitted=None), highlight=False)
        out.print()
        print_gates(out, report)
        out.print()
        print_places(out, {"report": page})
    return EXIT_CODES[report.verdict]


@app.command
def sample(
    model: Annotated[str, Parameter(help="A run id (or its beginning), a run folder, or a model folder.")],
    *,
    rows: int | None = None,
    per_class: Annotated[list[str] | None, Parameter(help="LABEL=N, repeatable.")] = None,
    where: Annotated[list[str] | None, Parameter(help="COLUMN=VALUE that every row has, repeatable; tables.")] = None,
    seed: int = 0,
    output: Annotated[Path, Parameter(name=["-o", "--output"])],
    workspace: WorkspaceOption = None,
) -> int:
    """Draw more from a trained model: .parquet or .csv for a table, .npz or a folder for images.

    These rows are as the model draws them: not curated and not judged.
    """
    from pipelines.bootstrap import workspace_at
    from pipelines.drawing import Request, draw

    request = Request(rows=rows, per_class=per_class or (), where=where or ())
    written = draw(workspace_at(workspace), model, request, seed=seed, target=output)
    out.print(f"wrote {written:,} rows to {output}", highlight=False, soft_wrap=True)
    return 0


@app.command
def verify(dataset: Path, *, json_: JsonFlag = False) -> int:
    """Compare every file of an emitted dataset with the hash in its manifest."""
    from synthgen.runs import verify_manifest

    folder = dataset / "dataset" if (dataset / "dataset" / "manifest.json").exists() else dataset
    manifest = verify_manifest(folder)
    if json_:
        print(json.dumps({"dataset": str(folder), "files": len(manifest["files"]), "verdict": manifest.get("verdict")}))
    else:
        out.print(
            f"✓ {len(manifest['files'])} files as in the manifest; verdict {manifest.get('verdict')}", highlight=False
        )
    return 0


@app.command
def runs(*, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """What has run, newest first, with state and verdict."""
    from pipelines.bootstrap import workspace_at
    from pipelines.overview import runs_table
    from synthgen.runs import list_runs

    records = list_runs(workspace_at(workspace))
    if json_:
        print(json.dumps(records))
    elif not records:
        out.print("no runs yet; `synthgen run CONFIG` makes one", highlight=False)
    else:
        out.print(runs_table(records))
    return 0


@app.command
def ui(*, workspace: WorkspaceOption = None, prefect_port: int = 4200, mlflow_port: int = 5000) -> int:
    """Serve the Prefect and the MLflow pages of this workspace until Ctrl-C."""
    from pipelines.bootstrap import bootstrap, workspace_at
    from pipelines.servers import serve_pages

    space = workspace_at(workspace)
    bootstrap(space)
    return serve_pages(space, prefect_port=prefect_port, mlflow_port=mlflow_port)


@app.command
def doctor(*, workspace: WorkspaceOption = None, json_: JsonFlag = False) -> int:
    """Check the installation and the workspace."""
    from pipelines.bootstrap import bootstrap, workspace_at
    from pipelines.overview import checks_table, examine

    space = workspace_at(workspace)
    bootstrap(space)
    checks = examine(space)
    if json_:
        print(json.dumps([asdict(item) for item in checks]))
    else:
        out.print(checks_table(checks))
    return 0 if all(item.fine for item in checks) else 1


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code; no traceback for a mistake of the user."""
    tokens = sys.argv[1:] if arguments is None else arguments
    sys.exit(_answer(tokens))


def _answer(tokens: list[str]) -> int:
    as_json = "--json" in tokens
    try:
        code = app(tokens, exit_on_error=False, print_error=not as_json, result_action="return_value")
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        # cyclopts has printed it, with the usage, unless JSON was asked for.
        return _report_error(
            {"error": str(error), "where": None, "hint": "synthgen --help", "exit_code": 2}, as_json, False
        )
    except SynthgenError as error:
        content = {"error": error.message, "where": error.where, "hint": error.hint, "exit_code": error.exit_code}
        return _report_error(content, as_json, True)
    except KeyboardInterrupt:
        content = {"error": "interrupted", "where": None, "hint": "the same command continues", "exit_code": 1}
        return _report_error(content, as_json, True)
    except Exception as error:  # the last resort of a command line: say it shortly, keep the traceback in a file
        return _report_error(_unexpected(error), as_json, True)


def _report_error(content: Mapping[str, Any], as_json: bool, shown: bool) -> int:
    if as_json:
        print(json.dumps(content))
    elif shown:
        err.print(f"error: {content['error']}", style="bold red", highlight=False, markup=False, soft_wrap=True)
        if content["hint"]:
            err.print(f"hint: {content['hint']}", highlight=False, markup=False, soft_wrap=True)
    return int(content["exit_code"])


def _unexpected(error: Exception) -> dict[str, Any]:
    from pipelines.bootstrap import workspace_at

    log = workspace_at(None).root / "error.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    logging.getLogger(__name__).debug("unexpected error", exc_info=error)
    name = type(error).__name__
    return {
        "error": f"unexpected {name}: {error}",
        "where": str(log),
        "hint": f"the traceback is in {log}",
        "exit_code": 1,
    }


if __name__ == "__main__":
    main()

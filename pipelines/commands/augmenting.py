"""`synthgen init`, `check` and `run`: from data to a config, and from a config to an augmented dataset."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipelines.commands.options import JsonFlag, OutputOption, RunnerOptions, WorkspaceOption, out
from synthgen.config import RunConfig
from synthgen.config_reading import load_config
from synthgen.errors import UsageError
from synthgen.remote import address_of, is_address, local_copy, local_output, shown

if TYPE_CHECKING:
    from pipelines.runners import Runner
    from synthgen.augmentation import Outcome
    from synthgen.workspace import Workspace


def init(
    data: Path,
    *,
    label: str = "label",
    output: OutputOption = None,
    json_: JsonFlag = False,
) -> int:
    """Look at a table, image folder, npz, zip or manifest and write a commented config for it.

    Args:
        data: the file or folder.
        label: column to predict; image folders and npz need none.
        output: the config to write; default: the data's name with .yaml, in the current folder.
    """
    target = output or Path(f"{data.resolve().stem}.yaml")
    if target.exists():
        raise UsageError(f"{target} exists already", where=str(target), hint="choose another name with -o")
    with local_output(target, is_new=True) as place:
        text = _proposed(data, label)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    name = shown(target)
    if json_:
        print(json.dumps({"written": str(name)}))
        return 0
    out.print(f"wrote {name}", highlight=False, soft_wrap=True)
    out.print(f"next: read it, then `synthgen check {name}` and `synthgen run {name}`", highlight=False, soft_wrap=True)
    return 0


def _proposed(data: Path, label: str) -> str:
    from synthgen.sources.proposals import propose

    if not is_address(data):
        return propose(data, label=label)
    with tempfile.TemporaryDirectory() as scratch:
        copy = local_copy(data, Path(scratch))
        # The config names the address, of which a run makes a copy of its own.
        return (
            propose(copy, label=label)
            .replace(str(copy.absolute()), address_of(data))
            .replace(str(copy), address_of(data))
        )


def check(
    config: Path,
    *,
    set_: Annotated[list[str] | None, Parameter(name=["-s", "--set"], help="key.sub=value, repeatable.")] = None,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """Validate config and data and print the plan; trains nothing and writes nothing."""
    from pipelines import preview
    from synthgen.workspace import Workspace

    plan = preview.look(load_config(config, set_ or ()), Workspace.at(workspace))
    if json_:
        print(json.dumps(plan.to_json()))
    else:
        preview.show(plan, out)
    return 0


def run(
    config: Annotated[list[Path], Parameter(help="One or more YAML files; several run one after the other.")],
    *,
    set_: Annotated[list[str] | None, Parameter(name=["-s", "--set"], help="key.sub=value, repeatable.")] = None,
    force: Annotated[bool, Parameter(negative="", help="Emit even on FAIL, marked as not passed.")] = False,
    processes: Annotated[int | None, Parameter(help="So many train the GAN together; as by torchrun.")] = None,
    on: RunnerOptions | None = None,
    workspace: WorkspaceOption = None,
    json_: JsonFlag = False,
) -> int:
    """The whole flow, once: from config to an augmented dataset with a verdict, or a refusal that says why.

    With a runner, large draws and the metrics are worked on side by side; the result is the same.
    """
    from pipelines.bootstrap import bootstrap, workspace_at
    from pipelines.helping import helped

    configs = [load_config(path, set_ or ()) for path in config]
    space = workspace_at(workspace)
    bootstrap(space)
    runner = on.chosen() if on else None
    codes = []
    with helped(processes):
        for path, loaded in zip(config, configs, strict=True):
            outcome = _run_one(loaded, space, runner, force=force, progress=not json_)
            if json_:
                print(json.dumps(asdict(outcome)), flush=True)
            else:
                _show_outcome(loaded, outcome, path)
            codes.append(outcome.exit_code)
    return max(codes, key=(0, 4, 3).index)


def _run_one(
    config: RunConfig, space: "Workspace", runner: "Runner | None", *, force: bool, progress: bool
) -> "Outcome":
    from pipelines import preview
    from pipelines.orchestration import orchestrated
    from pipelines.terminal import progress_shown
    from synthgen import stages
    from synthgen.synthesizers.assisting import warn_of_idlers
    from synthgen.team import Team

    with progress_shown(enabled=progress):
        # A mistake in the data is answered before any server starts or anything is written but the cache.
        fresh = stages.preflight(config, space)
        preview.announce_run(config, space)
        warn_of_idlers(config, Team.current())
        return orchestrated(
            space,
            lambda: _flow(config, space, runner, force=force, fresh=fresh),
            lambda: _plainly(config, space, runner, force=force, fresh=fresh),
        )


def _flow(
    config: RunConfig, space: "Workspace", runner: "Runner | None", *, force: bool, fresh: list[str]
) -> "Outcome":
    from pipelines.augment import augment_flow

    raw = config.model_dump(mode="json")
    return augment_flow(raw, str(space.root), force=force, fresh=fresh, runner=asdict(runner) if runner else None)


def _plainly(
    config: RunConfig, space: "Workspace", runner: "Runner | None", *, force: bool, fresh: list[str]
) -> "Outcome":
    from pipelines.runners import spreading
    from synthgen.augmentation import run_augmentation

    with spreading(runner) as spread:
        return run_augmentation(config, space, force=force, fresh=fresh, spread=spread)


def _show_outcome(config: RunConfig, outcome: "Outcome", path: Path) -> None:
    from rich.text import Text

    from pipelines.terminal import print_gates, print_places, verdict_text
    from synthgen.files import read_json
    from synthgen.findings import Report
    from synthgen.reports.headline import headline
    from synthgen.runs import WAITING

    report = Report.from_json(read_json(Path(outcome.report_json)))
    out.print()
    name = Text(f"{config.name}:", style="bold")
    out.print(name, verdict_text(report.verdict), f"in {outcome.seconds:.0f} s", highlight=False)
    out.print(headline(report, emitted=outcome.dataset_dir is not None), highlight=False)
    out.print()
    print_gates(out, report)
    out.print()
    dataset = outcome.dataset_dir or "none: the gates refused it"
    if outcome.state == WAITING:
        dataset = f"none yet: synthgen approve {outcome.run_id}, or reject with --reason"
    places = {
        "report": outcome.report_html,
        "dataset": dataset,
        **({"copied to": outcome.exported_to} if outcome.exported_to else {}),
        "mlflow": _tracked_at(outcome),
        **({"model": f"{outcome.model}; champion: {outcome.promotion}"} if outcome.model else {}),
    }
    print_places(out, places)
    suffix = ".npz" if config.modality == "images" else ".parquet"
    steps = {
        "next": "synthgen ui                    the pages of Prefect and MLflow",
        "": f"synthgen sample {outcome.run_id} --rows 1000 -o more{suffix}",
        " ": f"synthgen run {shown(path)} -s seed={config.seed + 1}",
    }
    print_places(out, steps)


def _tracked_at(outcome: "Outcome") -> str:
    if outcome.not_tracked:
        return f"not, or not whole: {outcome.not_tracked}"
    return f"run {outcome.mlflow_run_id}, see synthgen ui"

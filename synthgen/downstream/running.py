"""One comparison of a classifier with and without the synthetic rows: measured, tracked, the better one registered."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from synthgen.datasets import Table
from synthgen.downstream.images import image_bench
from synthgen.downstream.reading import Material, read_material
from synthgen.downstream.scores import Result, gain, gains_by_class
from synthgen.downstream.tables import table_bench
from synthgen.downstream.training import measured, place_of
from synthgen.errors import UsageError
from synthgen.files import read_json, sha256_file, write_json
from synthgen.metrics.utility.controls import Gain
from synthgen.remote import exists, is_address, local_copy, local_output, shown
from synthgen.tracking_downstream import Comparison, track_comparison
from synthgen.workspace import Workspace

DEFAULT_SEEDS = 5


@dataclass(frozen=True)
class DownstreamOutcome:
    """What a comparison came to; the content of `synthgen downstream --json`.

    Attributes:
        arms: of each arm, its scores on the holdout and what was chosen for it on valid.
        compared: the arm of real rows alone and the augmented one that differ in nothing else.
        gain: of the second over the first, in balanced accuracy.
        gains: over every control, of the arm beside which it stands.
        classes: of the compared arms, the share of right answers in each class.
        helps: whether the whole interval of the gain is above 0.
        registered: name and version of the model in MLflow's registry; None when MLflow was out of reach.
        chosen: the arm whose classifier is in `model_dir`.
    """

    dataset: str
    run_id: str
    data_sha256: str
    verdict: str
    modality: str
    seeds: int
    arms: Mapping[str, Mapping[str, Any]]
    compared: tuple[str, str]
    gain: Gain
    gains: Mapping[str, Gain]
    best_control: str
    classes: list[Mapping[str, Any]]
    helps: bool
    chosen: str
    model_dir: str
    report: str | None
    reused: bool
    seconds: float
    registered: Mapping[str, str] | None = None
    mlflow_run_id: str | None = None
    not_tracked: str | None = None
    exit_code: int = 0


def run_downstream(
    dataset: Path | str,
    workspace: Workspace,
    *,
    seeds: int = DEFAULT_SEEDS,
    output: Path | str | None = None,
    links: Mapping[str, str] | None = None,
) -> DownstreamOutcome:
    """Train, compare, track, register; a rerun of the same comparison goes on where it stopped, or trains nothing.

    Args:
        dataset: an emitted dataset, or the run that emitted it; a folder, or an address such as `s3://`.
        seeds: paired trainings of each arm.
        output: a folder or address to copy downstream.json and the chosen classifier to.
        links: tags for the tracked run.

    Raises:
        UsageError: there is no dataset, fewer than two seeds, or something stands at `output`.
        DataError, IntegrityError: see `read_material`.
    """
    started = time.monotonic()
    material = check_downstream(dataset, workspace, seeds, output)
    manifest = sha256_file(material.folder / "manifest.json")
    built = workspace.build(
        "downstream", {"manifest": manifest, "seeds": seeds}, lambda out: _compare(material, seeds, out)
    )
    found = read_json(built.directory / "downstream.json")
    found["compared"] = tuple(found["compared"])
    outcome = DownstreamOutcome(
        **_facts(material), **found, seeds=seeds, model_dir=str(built.directory / "model"), reused=built.reused,
        seconds=round(time.monotonic() - started, 1),
    )  # fmt: skip
    comparison = _comparison(outcome, built.key, material.manifest)
    comparison = replace(comparison, tags={**comparison.tags, **(links or {})})
    outcome = replace(outcome, **asdict(track_comparison(comparison, workspace)))
    if output is not None:
        outcome = replace(outcome, model_dir=f"{shown(output)}/model")
        with local_output(output) as folder:
            shutil.copytree(built.directory / "model", folder / "model")
            write_json(folder / "downstream.json", asdict(outcome))
    return outcome


def check_downstream(
    dataset: Path | str, workspace: Workspace, seeds: int, output: Path | str | None = None
) -> Material:
    """The material, with every mistake answered before anything is trained."""
    if seeds < 2:
        raise UsageError(f"--seeds is {seeds}; an interval needs at least 2", where="--seeds")
    model = None if output is None else f"{shown(output)}/model"
    if model is not None and (exists(model) if is_address(model) else Path(model).exists()):
        raise UsageError(f"{model} exists already", where=shown(str(output)), hint="choose another folder with -o")
    return read_material(local_copy(dataset, workspace.downloads))


def _compare(material: Material, seeds: int, out: Path) -> None:
    bench = table_bench(material) if isinstance(material.train, Table) else image_bench(material)
    kept = out / "checkpoint"
    results = measured(bench, seeds, kept)
    real, augmented = max(bench.pairs, key=lambda pair: results[pair[0]].valid_score)
    gains = {control: gain(results[ours], results[control]) for control, ours in bench.beside.items()}
    ours = gain(results[augmented], results[real])
    helps = ours["low"] > 0
    controls = [name for name in bench.beside if name != real]
    content = {
        "arms": {name: _arm(result) for name, result in results.items()},
        "compared": (real, augmented),
        "gain": ours,
        "gains": gains,
        "best_control": min(controls, key=lambda name: gains[name]["value"]),
        "classes": [asdict(item) for item in gains_by_class(results[augmented], results[real])],
        "helps": helps,
        "chosen": augmented if helps else real,
    }
    shutil.copytree(place_of(bench, str(content["chosen"]), kept), out / "model")
    write_json(out / "downstream.json", content)


def _arm(result: Result) -> dict[str, Any]:
    return {**result.numbers(), "setting": result.answers.setting, "tilt": result.tilt}


def _facts(material: Material) -> dict[str, Any]:
    manifest, page = material.manifest, material.folder.parent / "report" / "report.html"
    return {
        "dataset": str(material.folder),
        "run_id": str(manifest["run_id"]),
        "data_sha256": str(manifest["data_sha256"]),
        "verdict": str(manifest["verdict"]),
        "modality": str(manifest["modality"]),
        "report": str(page) if page.exists() else None,
    }


def _comparison(outcome: DownstreamOutcome, key: str, manifest: Mapping[str, Any]) -> Comparison:
    numbers = {name: _flat(f"gain_over.{name}", item) for name, item in outcome.gains.items()}
    flat = {key: value for group in numbers.values() for key, value in group.items()}
    lineage = {
        "data_sha256": outcome.data_sha256,
        "dataset_run_id": outcome.run_id,
        "dataset_manifest_sha256": sha256_file(Path(outcome.dataset) / "manifest.json"),
        "synthesizer": str(manifest.get("synthesizer")),
        "verdict": outcome.verdict,
        "report": outcome.report or "",
        "augmentation_helps": str(outcome.helps).lower(),
    }
    choices = ("setting", "tilt")
    return Comparison(
        key=key,
        name=str(manifest["name"]),
        arms={
            arm: {name: value for name, value in found.items() if name not in choices}
            for arm, found in outcome.arms.items()
        },
        settings={arm: {name: found[name] for name in choices} for arm, found in outcome.arms.items()},
        metrics={**_flat("gain", outcome.gain), **flat},
        tags={f"synthgen.{name}": value for name, value in lineage.items()},
        chosen=outcome.chosen,
        model=Path(outcome.model_dir),
    )


def _flat(prefix: str, item: Gain) -> dict[str, float]:
    # A metric's name takes no plus.
    name = prefix.replace("+", " and ")
    return {name: item["value"], f"{name}.low": item["low"], f"{name}.high": item["high"]}

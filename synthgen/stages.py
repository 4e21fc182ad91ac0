"""The stages of a run: plain functions that read earlier artifacts by reference and write their own."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthgen.canaries import Canaries, Watch, planted_among, toss
from synthgen.config import AutoPlan, BuiltinSource, RunConfig, SynthesizerConfig, TableSource
from synthgen.curation.choice import Choice, fit_best
from synthgen.curation.groups import Groups
from synthgen.curation.plan import planned_counts, present_classes, quotas_of
from synthgen.curation.ratio import keep_best_share
from synthgen.curation.selection import CurationRecord, Screen, candidates_per_row, curate
from synthgen.datasets import Data, Ingested, Labels, Splits, Table, load_data
from synthgen.exporters import chosen_formats
from synthgen.exporters.parts import require_free_mark
from synthgen.files import read_json, sha256_file, sha256_path, write_json
from synthgen.findings import Finding, NotMeasured
from synthgen.gates import rules_of
from synthgen.metrics import Modality
from synthgen.notifying import notify, reason_of
from synthgen.progress import within
from synthgen.remote import is_address, require_address
from synthgen.runs import Run
from synthgen.shards import Compared, Spread, Wanted, drawn, in_turn, measured_apart
from synthgen.sources import read
from synthgen.sources.layouts import local_source, source_files
from synthgen.splitting import split, split_problems
from synthgen.stats import named_rng
from synthgen.synthesizers import PICTURES, Synthesizer, create, load_synthesizer
from synthgen.synthesizers.origin import located, origin_inputs
from synthgen.workspace import Ref, Workspace, content_key

logger = logging.getLogger(__name__)


def modality_of(data: Data) -> Modality:
    """Which metrics and gates apply."""
    return "table" if isinstance(data, Table) else "images"


def with_local_source(config: RunConfig, cache: Path) -> RunConfig:
    """The config with its source on this machine: what lies behind an address is read through a copy in `cache`."""
    if isinstance(config.source, BuiltinSource) or not is_address(config.source.path):
        return config
    path = str(local_source(config.source.path, cache))
    return config.model_copy(update={"source": config.source.model_copy(update={"path": path})})


def ingest(config: RunConfig, workspace: Workspace) -> Ref:
    """Read and check the source. Artifact: data/, parts.json, problems.json, fingerprint.json."""
    config = with_local_source(config, workspace.downloads)

    def write(out: Path) -> None:
        ingested = read(config.source, seed=config.seed, split_column=config.split.column)
        ingested.save(out)
        write_json(out / "fingerprint.json", {"sha256": ingested.data.data_sha256(), "rows": len(ingested.data)})

    return workspace.build("ingest", _source_inputs(config), write)


def _source_inputs(config: RunConfig) -> dict[str, Any]:
    source = config.source
    inputs: dict[str, Any] = {"source": source.model_dump(exclude={"path"}), "column": config.split.column}
    if isinstance(source, BuiltinSource):
        return {**inputs, "seed": config.seed}
    if isinstance(source, TableSource) and source.max_rows is not None:
        # The seed chooses the rows of a file that has more.
        inputs["seed"] = config.seed
    path = Path(source.path)
    if source.kind == "images":
        files = source_files(source, config.split.column)
        content = [(name, sha256_file(file) if file.is_file() else "absent") for name, file in files]
        return {**inputs, "content": content, "file": path.name}
    return {**inputs, "content": sha256_path(path) if path.exists() else "absent", "file": path.name}


def split_data(config: RunConfig, workspace: Workspace, data: Ref) -> Ref:
    """Cut train, valid and holdout. Artifact: one folder each, problems.json."""

    def write(out: Path) -> None:
        ingested = Ingested.load(data.directory)
        splits = split(ingested, config.split, named_rng(config.seed, "split"))
        splits.save(out)
        found = [asdict(problem) for problem in split_problems(splits)]
        write_json(out / "problems.json", [*ingested.problems, *found])

    return workspace.build("split", {"data": data, "split": config.split.model_dump(), "seed": config.seed}, write)


def preflight(config: RunConfig, workspace: Workspace) -> list[str]:
    """Answer every mistake in data, plan, gates and synthesizer before training; the stages that this built."""
    try:
        return _looked_over(config, workspace)
    except Exception as error:
        notify(config.notify, "error", {"name": config.name, "reason": reason_of(error)})
        raise


def _looked_over(config: RunConfig, workspace: Workspace) -> list[str]:
    data = ingest(config, workspace)
    splits = split_data(config, workspace, data)
    train = load_data(splits.directory / "train")
    require_free_mark(train)
    rules_of(config)
    planned_counts(config.plan, present_classes(train))
    create(located(config.synthesizer, workspace), train)
    chosen_formats(config.export.formats, train)
    if config.export.to is not None:
        require_address(config.export.to)
    return [ref.stage for ref in (data, splits) if not ref.reused]


def plant(config: RunConfig, workspace: Workspace, splits: Ref) -> Ref:
    """Make up canaries and toss the coin that plants each among the training rows. Artifact: rows, canaries.json."""
    delta = config.privacy.delta if config.privacy else 0.0

    def write(out: Path) -> None:
        rng = named_rng(config.seed, "plant")
        toss(Splits.load(splits.directory), config.canaries, rng, delta=delta).save(out)

    inputs = {"splits": splits, "canaries": config.canaries, "delta": delta, "seed": config.seed}
    planted = workspace.build("plant", inputs, write)
    message = Canaries.load(planted.directory).note().message
    logger.info("plant %s", message, extra={"note": message})
    return planted


def _learnt(config: RunConfig, splits: Ref, canaries: Ref | None) -> Splits:
    """What the model may look at: the canaries that were planted stand among the training rows."""
    parts = Splits.load(splits.directory)
    if canaries is None:
        return parts
    assert isinstance(parts.train, Table)
    planted = planted_among(parts.train, Canaries.load(canaries.directory), named_rng(config.seed, "plant/order"))
    return replace(parts, train=planted)


def fit(
    config: RunConfig, workspace: Workspace, splits: Ref, canaries: Ref | None = None, start: Path | None = None
) -> Ref:
    """Train the synthesizer, continuing from a checkpoint if one is there. Artifact: model/, history.json.

    Args:
        start: folder of an earlier model to begin with where it fits.
    """
    synthesizer = located(config.synthesizer, workspace)

    def write(out: Path) -> None:
        parts = _learnt(config, splits, canaries)
        if isinstance(parts.train, Table) and isinstance(parts.valid, Table) and config.is_curated:
            fit_best(config, parts.train, parts.valid, out, start=start)
        else:
            _fit_one(config, synthesizer, parts, out, start=start)

    curation = config.curation.model_dump() if config.modality == "table" else {}
    inputs = {"splits": splits, "synthesizer": config.synthesizer.model_dump(), "seed": config.seed, **curation}
    inputs |= origin_inputs(synthesizer)
    # Without canaries or an earlier model the key is that of runs that know of none.
    further = {"canaries": canaries, "start": None if start is None else sha256_path(start)}
    return workspace.build("fit", {**inputs, **{key: item for key, item in further.items() if item is not None}}, write)


def _fit_one(
    config: RunConfig, synthesizer: SynthesizerConfig, parts: Splits, out: Path, *, start: Path | None
) -> None:
    model = create(synthesizer, parts.train, start=start)
    model.fit(parts.train, parts.valid, named_rng(config.seed, "fit"), checkpoint=out / "checkpoint")
    model.save(out / "model")
    if (pictures := out / "checkpoint" / PICTURES).exists():
        # The checkpoint goes when the stage is done.
        pictures.rename(out / PICTURES)
    write_json(out / "history.json", list(model.history))
    write_json(out / "choice.json", asdict(Choice(config.synthesizer.kind, calibrate=False, arms=[])))


def sample(config: RunConfig, workspace: Workspace, splits: Ref, model: Ref, spread: Spread = in_turn) -> Ref:
    """Draw candidates for the plan, and a probe with train's class frequencies. Artifact: candidates/, probe/."""

    def write(out: Path) -> None:
        train, rng = load_data(splits.directory / "train"), named_rng(config.seed, "sample")
        for name, quota in quotas_of(config, train).items():
            labels = _repeated(quota, candidates_per_row(sum(quota.values())) if _choice(model).calibrate else 1)
            wanted, scratch = Wanted(len(labels), labels), out / "checkpoint" / name
            drawn(model.directory / "model", wanted, rng, scratch=scratch, spread=spread).save(out / name)

    return workspace.build("sample", {"model": model, **_draw_inputs(config)}, write)


def _draw_inputs(config: RunConfig) -> dict[str, Any]:
    size = config.evaluation_size.max_rows
    return {"plan": config.plan.model_dump(), "probe": size, "seed": config.seed}


def _choice(model: Ref) -> Choice:
    return Choice.load(model.directory / "choice.json")


def _repeated(quota: Mapping[str, int], times: int) -> Labels:
    return np.repeat(np.array(list(quota), dtype=np.str_), [count * times for count in quota.values()])


def curate_candidates(
    config: RunConfig, workspace: Workspace, splits: Ref, model: Ref, candidates: Ref, canaries: Ref | None = None
) -> Ref:
    """Choose what is emitted. Artifact: synthetic/, probe/ (tables), canaries/ (where planted), curation.json."""

    def write(out: Path) -> None:
        parts = Splits.load(splits.directory)
        record = CurationRecord()
        if config.is_curated or canaries is not None:
            record = _curate(config, splits, model, candidates, canaries, out)
        else:
            for name in quotas_of(config, parts.train):
                load_data(candidates.directory / name).save(out / name)
        if isinstance(config.plan, AutoPlan):
            with within("curate", "the share that helps"):
                record.ratio = keep_best_share(parts, out / "synthetic", named_rng(config.seed, "curate"))
        write_json(out / "curation.json", asdict(record))

    return workspace.build("curate", {"candidates": candidates, "curation": config.curation.model_dump()}, write)


def _curate(
    config: RunConfig, splits: Ref, model: Ref, candidates: Ref, canaries: Ref | None, out: Path
) -> CurationRecord:
    # Planted canaries are training rows here too: what calibration gives away of them is a leak like any other.
    learnt = _learnt(config, splits, canaries)
    screen = Screen.open(learnt)
    if config.is_curated:
        with within("curate", "what real ones look like"):
            screen = Screen.of(learnt.train, learnt.valid, config.curation)
            screen = screen.looking(config.curation, named_rng(config.seed, "looks"))
    watch = Watch(None if canaries is None else Canaries.load(canaries.directory))
    synthesizer, rng = load_synthesizer(model.directory / "model"), named_rng(config.seed, "curate")
    draw = watch.over(_drawing(synthesizer))
    curation = config.curation.model_copy(update={"calibrate": _choice(model).calibrate})
    records = {}
    for name, quota in quotas_of(config, load_data(splits.directory / "train")).items():
        drawn = watch.without_copies(load_data(candidates.directory / name))
        groups = Groups.of(synthesizer, learnt.train, drawn)
        with within("curate", f"choose {name}"):
            chosen, records[name] = curate(drawn, quota, draw, screen, curation, rng, groups)
        chosen.save(out / name)
    if watch.canaries is not None:
        watch.canaries.save(out / "canaries")
    return replace(records["synthetic"], canary_copies=watch.dropped)


def _drawing(synthesizer: Synthesizer) -> Callable[[Labels, np.random.Generator], Data]:
    return lambda labels, rng: synthesizer.sample(len(labels), labels, rng)


def evaluate(
    config: RunConfig,
    workspace: Workspace,
    splits: Ref,
    synthetic: Ref,
    spread: Spread = in_turn,
    model: Ref | None = None,
) -> Ref:
    """Measure the curated rows, and what the model gives away, against held-out real rows. Artifact: findings.json."""

    def write(out: Path) -> None:
        modality = modality_of(load_data(splits.directory / "holdout"))
        # Only models of images keep what can be asked about members.
        saved = str(model.directory / "model") if model is not None and modality == "images" else None
        compared = Compared(splits.path, synthetic.path, config.evaluation_size.profile, config.seed, saved)
        findings, missing = measured_apart(compared, modality, spread=spread)
        write_json(out / "findings.json", {"findings": _plain(findings), "not_measured": _plain(missing)})

    inputs = {"synthetic": synthetic, "size": config.evaluation_size.model_dump(), "seed": config.seed}
    return workspace.build("evaluate", inputs, write)


def _plain(items: list[Finding] | list[NotMeasured]) -> list[dict[str, Any]]:
    return [asdict(item) for item in items]


def describe_model(run: Run, model: Ref) -> None:
    """Record which model was chosen, and what it promises about privacy."""
    saved = read_json(model.directory / "model" / "synthesizer.json")
    described = saved.get("model")
    promise = described.get("privacy") if isinstance(described, Mapping) else None
    facts = {"model": _choice(model).kind, "differential_privacy": promise}
    # What came of the earlier model that a warm start was to begin with: `warm`, or why not.
    run.update(**facts, **({"start": saved["start"]} if "start" in saved else {}))


def config_hash(config: RunConfig) -> str:
    """Hash of what decides the content of a run, not where it is tracked, who is told or what becomes of its model."""
    return content_key("judge", config.model_dump(mode="json", exclude={"tracking", "name", "promotion", "notify"}))

"""The registry's part of a run, and the same by hand."""

from dataclasses import asdict

from synthgen import tracking
from synthgen.config import RunConfig
from synthgen.config_reading import load_config
from synthgen.datasets import Splits, load_data
from synthgen.errors import UsageError
from synthgen.findings import Report
from synthgen.metrics.utility.controls import Gain
from synthgen.registry import promotion, registering
from synthgen.registry.comparison import gain_over
from synthgen.registry.promotion import Bar, Comparison, Promotion
from synthgen.registry.versions import Version, fetched, find_version, is_model_name, list_versions, version_of_run
from synthgen.run_artifacts import built_artifacts
from synthgen.runs import Run, find_run
from synthgen.workspace import Ref, Workspace


def register_model(
    config: RunConfig, run: Run, workspace: Workspace, mlflow_run_id: str | None, report: Report
) -> Version | None:
    """The version of the run's model, named as the config; None when tracking is out of reach."""
    return registering.register(config.name, run, workspace, mlflow_run_id, report)


def promote_model(
    config: RunConfig, run: Run, workspace: Workspace, version: Version | None, splits: Ref, synthetic: Ref
) -> Promotion | None:
    """Champion, if gates passed and it is not worse than the champion; None when there is no registry to say so."""
    if version is None:
        return None
    with tracking.safely(run, "`champion` has not moved"):
        compare = _comparison(config, workspace, version, splits, synthetic)
        decided = promotion.consider(workspace, version, compare, Bar(config.promotion.margin))
        run.update(promotion=asdict(decided))
        return decided
    return None


def promote_by_name(workspace: Workspace, text: str, *, unproven: bool = False) -> Promotion:
    """The run or registered version that `text` means, as champion; raises UsageError when it does not become that."""
    version = _version_meant(workspace, text)
    run = find_run(workspace, version.tags["run_id"])
    config = load_config(run.directory / "config.yaml")

    def compare(champion: Version) -> Gain:
        built = built_artifacts(run, workspace)
        return _comparison(config, workspace, version, built["split"], built["curate"])(champion)

    decided = promotion.consider(workspace, version, compare, Bar(config.promotion.margin, unproven))
    if not decided.promoted:
        message = f"{version.text} does not become champion: {decided.reason}"
        raise UsageError(message, hint="see promotion in docs/registry.md")
    return decided


def _version_meant(workspace: Workspace, text: str) -> Version:
    known = {version.name for version in list_versions(workspace)}
    if is_model_name(text) or text in known:
        return find_version(workspace, text)
    return version_of_run(workspace, find_run(workspace, text).id)


def _comparison(config: RunConfig, workspace: Workspace, version: Version, splits: Ref, synthetic: Ref) -> Comparison:
    def compare(champion: Version) -> Gain:
        parts, labels = Splits.load(splits.directory), load_data(synthetic.directory / "synthetic").labels
        with fetched(workspace, version) as ours, fetched(workspace, champion) as theirs:
            return gain_over(config, parts, labels, candidate=ours, champion=theirs)

    return compare

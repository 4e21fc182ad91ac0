"""A classifier with and without the synthetic rows of a dataset: what is measured, what is chosen, what is kept."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen.datasets import ImageSet, Schema, Splits, Table
from synthgen.downstream import DownstreamOutcome, check_downstream, run_downstream
from synthgen.downstream.scores import TILTS, Answers, Result, Truth, gain
from synthgen.errors import DataError, IntegrityError, ModelError, UsageError
from synthgen.exporters import emit_dataset
from synthgen.files import read_json
from synthgen.metrics.saved_classifier import load_classifier
from synthgen.workspace import Workspace

FACTS = {
    "run_id": "r1", "name": "shop", "verdict": "PASS", "passed": True, "forced": False, "data_sha256": "ab",
    "synthesizer": "ctgan",
}  # fmt: skip
KINDS = {"person": "id", "size": "numeric", "colour": "categorical", "day": "datetime", "buys": "categorical"}


def shoppers(counts: dict[str, int], seed: int) -> Table:
    """Buyers are larger and like blue; a few sizes are missing."""
    rng = np.random.default_rng(seed)
    buys = np.repeat(list(counts), list(counts.values()))
    n, buyer = len(buys), np.repeat(list(counts), list(counts.values())) == "yes"
    size = rng.normal(size=n) + 1.2 * buyer
    size[rng.random(n) < 0.05] = np.nan
    frame = pd.DataFrame(
        {
            "person": [f"p{seed}-{row}" for row in range(n)],
            "size": size,
            "colour": np.where(rng.random(n) < 0.3 + 0.4 * buyer, "blue", "red"),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
            "buys": buys,
        }
    )
    return Table(frame, Schema(KINDS, "buys"))  # type: ignore[arg-type]


def shop(target: Path, synthetic: Table, **facts: Any) -> Path:
    parts = [shoppers({"no": n, "yes": n // 10}, seed) for seed, n in enumerate((150, 200, 300))]
    made = Table(synthetic.modelled, synthetic.schema)
    purpose = facts.pop("purpose", "augment")
    emit_dataset(target, Splits(*parts), made, purpose=purpose, formats=["parquet"], facts={**FACTS, **facts})
    return target


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downstream")


@pytest.fixture(scope="module")
def outcome(folder: Path, space: Workspace) -> DownstreamOutcome:
    """Synthetic buyers that are as good as real ones, ten times as many as there are."""
    dataset = shop(folder / "dataset", shoppers({"yes": 400, "no": 300}, 7))
    return run_downstream(dataset, space, seeds=3, output=folder / "out")


def test_fresh_rows_help_and_every_control_stands_beside(outcome: DownstreamOutcome) -> None:
    assert set(outcome.arms) == {"real", "class weights", "random oversampling", "SMOTE", "synthetic"}
    assert set(outcome.gains) == set(outcome.arms) - {"synthetic"}
    assert outcome.compared == ("real", "synthetic")
    assert outcome.gain == outcome.gains["real"]
    assert outcome.gain["low"] < outcome.gain["value"] < outcome.gain["high"]
    assert outcome.gain["value"] > 0
    assert outcome.chosen == ("synthetic" if outcome.gain["low"] > 0 else "real")
    assert [item["name"] for item in outcome.classes] == ["no", "yes"]
    assert [item["rows"] for item in outcome.classes] == [300, 30]
    assert outcome.exit_code == 0
    gains = {name: gain["value"] for name, gain in outcome.gains.items() if name != "real"}
    assert gains[outcome.best_control] == min(gains.values())


def test_the_gain_of_the_classes_is_the_gain(outcome: DownstreamOutcome) -> None:
    assert np.mean([item["gain"]["value"] for item in outcome.classes]) == pytest.approx(outcome.gain["value"])
    score = outcome.arms["synthetic"]["balanced_accuracy"] - outcome.arms["real"]["balanced_accuracy"]
    assert score == pytest.approx(outcome.gain["value"])


def test_the_kept_classifier_scores_what_is_printed(outcome: DownstreamOutcome, folder: Path) -> None:
    kept = load_classifier(folder / "out" / "model")
    holdout = pd.read_parquet(folder / "dataset" / "holdout.parquet")
    found = kept.predict(holdout)
    recalls = [(found[holdout["buys"] == name] == name).mean() for name in ("no", "yes")]
    # One of three seeds, whose mean is printed.
    assert np.mean(recalls) == pytest.approx(outcome.arms[outcome.chosen]["balanced_accuracy"], abs=0.06)
    assert read_json(folder / "out" / "downstream.json")["chosen"] == outcome.chosen


def test_a_row_with_an_unknown_category_and_nothing_else_is_classified(outcome: DownstreamOutcome) -> None:
    row = pd.DataFrame({"size": [np.nan], "colour": ["mauve"], "day": [pd.NaT]})
    assert load_classifier(Path(outcome.model_dir)).predict(row)[0] in ("no", "yes")


# What mlflow says of itself when its pyfunc is imported.
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
def test_mlflow_has_a_run_for_each_arm_and_a_model_that_loads_without_pickle(
    outcome: DownstreamOutcome, folder: Path, space: Workspace
) -> None:
    import mlflow
    from mlflow import MlflowClient

    uri = space.mlflow_uri
    client = MlflowClient(uri)
    assert outcome.mlflow_run_id is not None
    assert outcome.registered == {"name": "shop-classifier", "version": "1"}
    parent = client.get_run(outcome.mlflow_run_id)
    query = f"tags.`mlflow.parentRunId` = '{outcome.mlflow_run_id}'"
    children = client.search_runs([parent.info.experiment_id], query)
    scores = {run.data.tags["synthgen.arm"]: run.data.metrics["balanced_accuracy"] for run in children}
    assert scores == pytest.approx({arm: found["balanced_accuracy"] for arm, found in outcome.arms.items()})
    assert parent.data.metrics["gain.low"] == pytest.approx(outcome.gain["low"])
    tags = client.get_model_version("shop-classifier", "1").tags
    assert (tags["synthgen.data_sha256"], tags["synthgen.dataset_run_id"]) == ("ab", "r1")
    assert (tags["synthgen.synthesizer"], tags["synthgen.verdict"]) == ("ctgan", "PASS")
    assert tags["synthgen.arm"] == outcome.chosen
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(uri)
        loaded = mlflow.pyfunc.load_model("models:/shop-classifier/1")
        mlflow.set_tracking_uri(before)
    holdout = pd.read_parquet(folder / "dataset" / "holdout.parquet")
    found = loaded.predict(holdout)
    assert found["prediction"].tolist() == load_classifier(Path(outcome.model_dir)).predict(holdout).tolist()
    assert found[["no", "yes"]].sum(axis=1).to_numpy() == pytest.approx(1)


def test_the_same_comparison_trains_and_registers_nothing_again(
    outcome: DownstreamOutcome, folder: Path, space: Workspace
) -> None:
    again = run_downstream(folder / "dataset", space, seeds=3)
    assert again.reused
    assert (again.gain, again.mlflow_run_id, again.registered) == (
        outcome.gain, outcome.mlflow_run_id, outcome.registered,
    )  # fmt: skip


def test_a_comparison_that_was_stopped_goes_on_after_the_last_arm(
    folder: Path, outcome: DownstreamOutcome, space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthgen.downstream import training

    trained: list[str] = []
    before = training._trained

    def stopped(bench: Any, arm: str, seeds: int) -> Any:
        trained.append(arm)
        if arm == "SMOTE" and len(trained) == 4:
            raise KeyboardInterrupt
        return before(bench, arm, seeds)

    monkeypatch.setattr(training, "_trained", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_downstream(folder / "dataset", space, seeds=2)
    settings = {arm: found["setting"] for arm, found in outcome.arms.items()}
    resumed = run_downstream(folder / "dataset", space, seeds=2)
    assert {arm: found["setting"] for arm, found in resumed.arms.items()} == settings
    assert trained == ["real", "class weights", "random oversampling", "SMOTE", "SMOTE", "synthetic"]


def test_wrong_labels_do_not_help_and_the_real_classifier_is_kept(tmp_path: Path, space: Workspace) -> None:
    wrong = shoppers({"no": 400, "yes": 400}, 8)
    flipped = Table(wrong.frame.assign(buys=wrong.frame["buys"].map({"no": "yes", "yes": "no"})), wrong.schema)
    found = run_downstream(shop(tmp_path / "dataset", flipped), space, seeds=2)
    assert found.gain["high"] < 0
    assert (found.helps, found.chosen) == (False, "real")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"purpose": "share"}, DataError, "holds no real rows"),
        ({"seeds": 1}, UsageError, "at least 2"),
        ({"break": True}, IntegrityError, "differs"),
        ({"few": True}, DataError, "20 rows are needed"),
    ],
)
def test_what_cannot_be_compared_is_told_before_training(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    made = shoppers({"no": 20, "yes": 20}, 3)
    target = tmp_path / "dataset"
    if "few" in change:
        parts = [shoppers({"no": n, "yes": n}, n) for n in (30, 30, 5)]
        emit_dataset(
            target, Splits(*parts), Table(made.modelled, made.schema), purpose="augment", formats=[], facts=FACTS
        )
    else:
        shop(target, made, purpose=change.get("purpose", "augment"))
    if "break" in change:
        with (target / "valid.parquet").open("ab") as file:
            file.write(b"x")
    with pytest.raises(error, match=message):
        check_downstream(target, Workspace(tmp_path), change.get("seeds", 5))


def test_a_damaged_classifier_is_named(outcome: DownstreamOutcome, tmp_path: Path) -> None:
    copied = shutil.copytree(outcome.model_dir, tmp_path / "model")
    (copied / "trees.ubj").write_bytes(b"{")
    with pytest.raises(ModelError, match="not whole"):
        load_classifier(copied)


def test_a_threshold_moved_on_valid_is_no_gain() -> None:
    """An arm whose probabilities only lean further towards the rare class predicts the same once both are tilted."""
    rng = np.random.default_rng(0)
    target = (rng.random(400) < 0.2).astype(np.int64)
    odds = np.exp(2 * rng.normal(size=400) + 3 * target - 3)
    frequency = np.array([0.8, 0.2])

    def result(lean: float, share: np.ndarray) -> Result:
        chance = lean * odds / (1 + lean * odds)
        both = np.stack([np.column_stack([1 - chance, chance])] * 2)
        return Result.of("arm", Answers(both, both, "", share), Truth(target, target, ("no", "yes")))

    plain, leaning = result(1.0, frequency), result(4.0, np.array([0.5, 0.5]))
    assert plain.tilt in TILTS[1:]
    assert abs(gain(leaning, plain)["value"]) < 0.02
    assert result(1.0, np.array([0.5, 0.5])).correct.mean() > plain.correct.mean() - 0.2


def pictures(n: int, seed: int, size: tuple[int, ...]) -> ImageSet:
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 2
    images = rng.integers(0, 90, (n, 1, *size), dtype=np.uint8)
    images[codes == 1, ..., 2:6, 2:6] += 60
    return ImageSet(images, codes, ("blank", "square"), mirror_keeps_label=True)


@pytest.mark.parametrize(("size", "form"), [((8, 8), "folder"), ((7, 8, 8), "npz")])
def test_images_have_arms_with_classic_augmentation(
    tmp_path: Path, space: Workspace, monkeypatch: pytest.MonkeyPatch, size: tuple[int, ...], form: str
) -> None:
    from synthgen.downstream import images

    monkeypatch.setattr(images, "SETTINGS", {"short": images.Recipe(steps=15)})
    splits = Splits(*(pictures(n, seed, size) for seed, n in enumerate((60, 40, 60), start=1)))
    target = tmp_path / "dataset"
    emit_dataset(target, splits, pictures(40, 4, size), purpose="augment", formats=[form], facts=FACTS)
    found = run_downstream(target, space, seeds=2)
    assert set(found.gains) == {"real", "class weights", "classic", "duplicated"}
    assert set(found.arms) == {*found.gains, "synthetic", "synthetic+classic"}
    assert found.compared in (("real", "synthetic"), ("classic", "synthetic+classic"))
    assert found.not_tracked is None
    kept = load_classifier(Path(found.model_dir))
    assert kept.predict(pictures(50, 5, size).images).shape == (50,)
    assert (kept.predict(splits.holdout.images) == splits.holdout.labels).mean() > 0.6  # type: ignore[union-attr]

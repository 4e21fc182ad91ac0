"""Cases 67 to 70 without orchestrator: disk, numbers, memory, device, tracking, and two at once."""

import json
import logging
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from synthgen import concluding, stages
from synthgen.augmentation import Outcome, run_augmentation
from synthgen.config import RunConfig
from synthgen.config_reading import parse_config
from synthgen.errors import DiskFullError, ResourceError, TrainingError, resource_error
from synthgen.files import read_json, sha256_path
from synthgen.manifests import verify_manifest
from synthgen.progress import Tick
from synthgen.workspace import Ref, Workspace


def config(kind: str = "ctgan", name: str = "faults", **changes: Any) -> RunConfig:
    source = {"kind": "builtin", "name": "digits" if kind == "image-gan" else "wine"}
    budget = {} if kind == "marginals" else {"budget_steps": 100}
    synthesizer = {"kind": kind, **budget, **changes}
    return parse_config(
        {"name": name, "source": source, "synthesizer": synthesizer, "plan": {"kind": "ratio", "ratio": 1}}
    )


def fit(settings: RunConfig, space: Workspace) -> Ref:
    return stages.fit(settings, space, stages.split_data(settings, space, stages.ingest(settings, space)))


def weights(model: Ref) -> str:
    return sha256_path(model.directory / "model" / "model.safetensors")


def unfinished(space: Workspace) -> list[Path]:
    return list(space.root.rglob("*.partial"))


@contextmanager
def at_ticks(act: Callable[[Tick], None]) -> Iterator[None]:
    """Something happens in the middle of a training, whenever it reports."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            act(record.__dict__["tick"])

    logger, handler = logging.getLogger("synthgen.progress"), Listener()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "kind",
    ["image-gan", *(pytest.param(kind, marks=pytest.mark.nightly) for kind in ("ctgan", "tvae", "autoregressive"))],
    ids=[f"67-disk-full-{kind}" for kind in ("image-gan", "ctgan", "tvae", "autoregressive")],
)
def test_a_full_disk_ends_the_stage_removes_its_folder_and_says_what_to_do(kind: str, tmp_path: Path) -> None:
    space, settings = Workspace(tmp_path), config(kind)
    stages.split_data(settings, space, stages.ingest(settings, space))
    with (
        no_file_larger_than(20_000),
        pytest.raises(DiskFullError, match="stage 'fit' stopped: the disk is full") as told,
    ):
        fit(settings, space)
    assert told.value.exit_code == 2
    assert "free space" in str(told.value.hint)
    assert unfinished(space) == []
    assert not fit(settings, space).reused


@pytest.mark.nightly
def test_67_on_a_disk_that_is_full_a_run_leaves_no_half_dataset_and_no_traceback(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system of 2 MB may not be mounted here")
    path = tmp_path / "wine.yaml"
    path.write_text("source: {kind: builtin, name: wine}\nsynthesizer: {kind: ctgan, budget_steps: 50}\n")
    try:
        command = [sys.executable, "-m", "pipelines.cli", "run", str(path), "--workspace", str(disk / "space")]
        answer = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
        assert "Traceback" not in answer.stdout + answer.stderr
        assert answer.returncode == 2, answer.stderr
        assert "disk is full" in json.loads(answer.stdout)["error"]
        for dataset in disk.glob("space/runs/*/*/dataset"):
            verify_manifest(dataset)
        assert not list(disk.glob("space/artifacts/*/*.partial"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


FAULTS = {
    "69-memory": (MemoryError("Unable to allocate 9 GiB"), "stage 'fit' stopped: out of memory"),
    "69-memory-of-a-gpu": (torch.OutOfMemoryError("CUDA out of memory. Tried"), "stage 'fit' stopped: out of memory"),
    "69-memory-of-torch": (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory"),
    "69-device-lost": (RuntimeError("CUDA error: unspecified launch failure"), "the device is lost or failed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_69_each_fault_is_told_from_others(fault: str) -> None:
    error, words = FAULTS[fault]
    assert words in str(resource_error(error, "stage 'fit'", "here"))
    assert resource_error(RuntimeError("shape mismatch"), "stage 'fit'", "here") is None


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of a training that nothing has disturbed."""
    return weights(fit(config(), Workspace(tmp_path_factory.mktemp("straight"))))


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=[] if name == "69-memory" else pytest.mark.nightly) for name in FAULTS]
)
def test_what_the_machine_lacks_is_said_in_a_sentence_and_the_training_goes_on(
    fault: str, straight: str, tmp_path: Path
) -> None:
    error, words = FAULTS[fault]
    shares: list[float] = []

    def fail(tick: Tick) -> None:
        if tick.share >= 0.5:
            raise error

    with at_ticks(fail), pytest.raises(ResourceError, match=words) as told:
        fit(config(), Workspace(tmp_path))
    assert told.value.exit_code == 2
    assert "the same command goes on" in str(told.value.hint)
    with at_ticks(lambda tick: shares.append(tick.share)):
        resumed = fit(config(), Workspace(tmp_path))
    assert min(shares) >= 0.45, "it began anew"
    assert weights(resumed) == straight


def test_68_images_whose_losses_explode_end_with_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At every rate: allowed ones learn in the end, as below.
    monkeypatch.setattr("synthgen.gan.training.train_step", lambda *_: torch.tensor([torch.inf, 0.0, 0.5]))
    with pytest.raises(TrainingError, match=r"after 3 rollbacks .* 0\.1, 0\.05, 0\.025, 0\.0125") as told:
        fit(config("image-gan", learning_rate=0.1), Workspace(tmp_path))
    assert (told.value.exit_code, told.value.where) == (2, "synthesizer.learning_rate")


def test_68_images_whose_losses_explode_at_a_high_rate_are_learned_at_a_lower_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fitted = fit(config("image-gan", learning_rate=0.1, penalty_gamma=1000), Workspace(tmp_path))
    assert "roll back training reason=diverged" in caplog.text
    last = read_json(fitted.directory / "history.json")[-1]
    assert last["images"] == 100 * 32
    assert last["diversity"] > 1e-3


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """All stages of the runs below, built once."""
    return Workspace(tmp_path_factory.mktemp("space"))


def said(outcome: Outcome, caplog: pytest.LogCaptureFixture) -> str:
    assert outcome.dataset_dir is not None
    verify_manifest(Path(outcome.dataset_dir))
    assert Path(outcome.report_html).exists()
    assert read_json(Path(outcome.run_dir) / "run.json")["state"] == "finished"
    assert outcome.not_tracked
    return caplog.text


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:9", "sqlite:////dev/null/mlflow.db", "nonsense://x", "damaged"],
    ids="70-mlflow-{}".format,
)
def test_mlflow_out_of_reach_costs_no_data_and_the_message_says_what_is_missing(
    address: str, space: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if address == "damaged":
        (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 1000)
        address = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    outcome = run_augmentation(config("marginals"), space, force=True)
    assert "it will not be in MLflow" in said(outcome, caplog)
    assert outcome.mlflow_run_id is None


@pytest.mark.nightly
def test_70_two_at_once_on_an_empty_workspace_build_each_stage_once(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from synthgen.augmentation import run_augmentation
from synthgen.config_reading import parse_config
from synthgen.workspace import Workspace
config = parse_config({config("marginals").model_dump(mode="json")!r})
print(run_augmentation(config, Workspace(Path({str(tmp_path)!r}))).run_id)
"""
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    ids = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(ids) == 2
    assert len(list(tmp_path.glob("artifacts/*/*/artifact.json"))) == 6
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)] * 2
    store.close()


def test_70_a_tracking_store_that_dies_midway_costs_no_data(
    space: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")

    def call(stage: Callable[..., Any], settings: RunConfig, /, *args: Any, **options: Any) -> Any:
        if stage is concluding.emit:
            store.write_bytes(b"this is no database" * 1000)
        return stage(settings, *args, **options)

    outcome = run_augmentation(config("marginals"), space, force=True, call=call)
    assert "metrics, verdict and report are not all in MLflow" in said(outcome, caplog)

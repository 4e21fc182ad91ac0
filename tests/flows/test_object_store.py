"""A whole run over S3's protocol, against a server of this machine: `pip install s3fs 'moto[s3]' flask-cors`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from pipelines.cli import _answer
from synthgen.augmentation import run_augmentation
from synthgen.config_reading import load_config
from synthgen.errors import DataError
from synthgen.exporters import load_dataset
from synthgen.remote import local_copy
from synthgen.workspace import Workspace

s3fs = pytest.importorskip("s3fs", reason="pip install s3fs, which speaks S3's protocol")
moto = pytest.importorskip("moto.server", reason="pip install 'moto[s3]' flask-cors, an S3 server of this machine")

CONFIG = """
name: breast
source: {kind: table, path: 's3://clinic/data/rows.csv', label: target}
synthesizer: {kind: ctgan, budget_steps: 30, batch_size: 100}
export: {to: 's3://clinic/out'}
"""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The files of a server with one bucket, `clinic`, as another machine sees them."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "word", "AWS_DEFAULT_REGION": "us-east-1"}
    places = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "MLFLOW_DEFAULT_ARTIFACT_ROOT": "s3://clinic/mlflow"}
    own = {"SYNTHGEN_WORKSPACE": str(tmp_path_factory.mktemp("space"))}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**keys, **places, **own}.items():
            environment.setenv(name, value)
        files = s3fs.S3FileSystem(skip_instance_cache=True)
        files.mkdir("clinic")
        yield files
    # A file system that is remembered knows the address of this server.
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.flow
@pytest.mark.slow
def test_data_config_dataset_report_and_model_of_a_run_lie_in_a_bucket(
    bucket: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = load_breast_cancer(as_frame=True).frame[["mean radius", "mean texture", "target"]]
    bucket.pipe("clinic/data/rows.csv", frame.to_csv(index=False).encode())
    bucket.pipe("clinic/breast.yaml", CONFIG.encode())
    space = Workspace.at()
    outcome = run_augmentation(load_config(Path("s3://clinic/breast.yaml")), space, force=True)
    assert outcome.not_tracked is None
    place = f"s3://clinic/out/breast/{outcome.run_id}"
    assert outcome.exported_to == place
    with pytest.warns(UserWarning, match=f"dataset '{place}' did not pass"):
        rows = load_dataset(place)
    assert outcome.dataset_dir is not None
    pd.testing.assert_frame_equal(rows, pd.read_parquet(Path(outcome.dataset_dir) / "train.parquet"))
    tracked = {name.partition("/artifacts/")[2] for name in bucket.find(f"clinic/mlflow/{outcome.mlflow_run_id}")}
    assert {"report/report.html", "model/artifacts/synthesizer/model.safetensors"} <= tracked
    assert not (space.root / "mlflow-artifacts").exists()
    # The registry's model, whose files lie in the bucket alone.
    assert _answer(["sample", "breast@1", "--rows", "7", "-o", "s3://clinic/more.csv"]) == 0
    assert len(bucket.cat_file("clinic/more.csv").decode().splitlines()) == 8
    capsys.readouterr()
    assert _answer(["verify", place, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dataset"] == f"{place}/dataset"


def test_what_is_new_in_a_bucket_is_seen_by_the_process_that_read_the_old(bucket: Any, tmp_path: Path) -> None:
    for text in ("old", "new"):
        bucket.pipe("clinic/data/rows.csv", text.encode())
        assert local_copy("s3://clinic/data/rows.csv", tmp_path).read_text() == text
        assert local_copy("s3://clinic/data", tmp_path).joinpath("rows.csv").read_text() == text


def test_a_bucket_that_is_not_there_is_one_sentence(bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'s3://nothing/rows.csv' does not exist"):
        local_copy("s3://nothing/rows.csv", tmp_path)

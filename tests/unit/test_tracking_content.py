from pathlib import Path

import numpy as np
from PIL import Image

from synthgen.gan.networks import Generator
from synthgen.gan.pictures import Album
from synthgen.gan.spec import NetworkSpec
from synthgen.provenance import synthetic_text
from synthgen.tracking import client_of, experiment_of
from synthgen.tracking_content import log_pictures
from synthgen.workspace import Workspace


def test_pictures_over_time_keep_their_pixels_and_what_they_say_of_themselves_in_mlflow(tmp_path: Path) -> None:
    spec = NetworkSpec(size=(8, 8), channels=1, classes=2, architecture="dcgan", width=4, latent=4)
    generator = Generator(spec).eval()
    album = Album.of(tmp_path / "pictures", generator, [0, 1])
    for images in (0, 640):
        album.keep(generator, images)
    workspace = Workspace(tmp_path / "space")
    client = client_of(workspace)
    run_id = client.create_run(experiment_of(client, workspace, "demo")).info.run_id
    log_pictures(client, run_id, tmp_path / "pictures")
    assert "mlflow.loggedImages" in client.get_run(run_id).data.tags
    logged = sorted(item.path for item in client.list_artifacts(run_id, "images") if item.path.endswith(".png"))
    # The names that MLflow's page takes key and step from.
    assert [path.split("+timestamp+")[0] for path in logged] == ["images/training+step+0", "images/training+step+640"]
    for path, original in zip(logged, sorted((tmp_path / "pictures").glob("*.png")), strict=True):
        with Image.open(client.download_artifacts(run_id, path, str(tmp_path))) as copy, Image.open(original) as first:
            assert copy.text == synthetic_text()  # type: ignore[attr-defined]  # of a PNG
            np.testing.assert_array_equal(np.asarray(copy), np.asarray(first))

"""The grids that are drawn while a model trains."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from synthgen import __version__
from synthgen.config import ImageGanConfig
from synthgen.gan.augment import Policy
from synthgen.gan.pictures import Album
from synthgen.gan.spec import NetworkSpec
from synthgen.gan.state import TrainingState


@pytest.mark.parametrize(("size", "channels"), [((8, 8), 1), ((8, 8), 3), ((8, 8, 8), 1)])
def test_a_grid_says_that_it_shows_synthetic_images(tmp_path: Path, size: tuple[int, ...], channels: int) -> None:
    spec = NetworkSpec(size=size, channels=channels, classes=2, architecture="dcgan", width=4, latent=4)
    config = ImageGanConfig(kind="image-gan", batch_size=8, budget_steps=20)
    state = TrainingState.initial(spec, config, policy=Policy(0.3), seed=0, device=torch.device("cpu"))
    Album.of(tmp_path, state.average, [0, 1]).keep(state.average.eval(), 640)
    [path] = tmp_path.iterdir()
    with Image.open(path) as image:
        image.load()
        assert image.size == (48, 16)
        assert image.text == {  # type: ignore[attr-defined]
            "Source": "synthetic",
            "Software": f"synthgen {__version__}",
            "Comment": "made by synthgen",
        }

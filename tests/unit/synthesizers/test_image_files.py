import numpy as np
import pytest
import torch

from synthgen.attributes import Attributes
from synthgen.config import ImageGanConfig, ImageVaeConfig
from synthgen.datasets import ImageSet
from synthgen.errors import ModelError
from synthgen.synthesizers import load_synthesizer
from synthgen.synthesizers.image_gan import ImageGan
from synthgen.synthesizers.image_vae import ImageVae
from synthgen.synthesizers.model_files import read_model, write_model

SMALL = {"budget_steps": 2, "batch_size": 4, "width": 4, "latent": 4}
SCAN = {"format": "nifti", "dtype": "int16", "offset": -1024, "modality": "MR", "affine": None, "axes": [2, 1, 0]}


def images(size=8):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 1, size, size)).astype(np.uint8)
    attributes = Attributes({"site": ("x", "y")}, rng.integers(0, 2, (24, 1)))
    return ImageSet(pixels, np.arange(24) % 3, ("A", "B", "C"), attributes=attributes)


def gan(data, **changes):
    return ImageGan(ImageGanConfig(kind="image-gan", **SMALL, **changes)).fit(data, data, np.random.default_rng(0))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders of models by name."""
    folder, data = tmp_path_factory.mktemp("models"), images()
    models = {
        "gan": gan(data),
        "told": gan(data, conditioning="attributes"),
        "maps": gan(images(16), space="latent"),
        "vae": ImageVae(ImageVaeConfig(kind="image-vae", **SMALL)).fit(data, data, np.random.default_rng(0)),
    }
    for name, model in models.items():
        model.save(folder / name)
    return folder


@pytest.fixture
def load_changed(saved, tmp_path):
    """Loads the model whose file says something else, with a hash that fits."""

    def load(name, section, **changes):
        meta, arrays = read_model(saved / name)
        meta[section] = {**meta[section], **changes}
        for path in (saved / name).glob("*.safetensors"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        write_model(tmp_path, meta, arrays)
        return load_synthesizer(tmp_path)

    return load


@pytest.mark.parametrize(
    ("name", "changes"),
    [("gan", {"width": 10**7}), ("gan", {"latent": 10**10}), ("told", {"classes": 10**10}), ("vae", {"latent": 10**9})],
    ids=str,
)
def test_networks_larger_than_their_weights_are_refused_before_they_take_memory(load_changed, name, changes):
    with pytest.raises(ModelError, match=r"has shape \(.*\) in the file, and \(.*\) in the networks described"):
        load_changed(name, "network", **changes)


@pytest.mark.parametrize(
    ("maps", "says"),
    [
        ({"width": 10**7}, r"has shape \(.*\) in the file"),
        ({"size": [10**9, 10**9]}, "networks are of size .4, 4., and maps of"),
        ({"depth": 5}, "networks are of size"),
        ({"factor": 0}, "zero"),
        ({"channels": True}, "a size of its networks is no whole number"),
        ({"size": [16, 16.0]}, "a size of its networks is no whole number"),
    ],
    ids=str,
)
def test_maps_that_are_not_those_of_the_networks_are_refused(load_changed, saved, maps, says):
    known = read_model(saved / "maps")[0]["network"]["maps"]
    with pytest.raises(ModelError, match=says):
        load_changed("maps", "network", maps={**known, **maps})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classes": list("ABCDE")}, "data.classes names 5, and the networks know 3"),
        ({"classes": [1, 2, 3]}, "hold text alone"),
        ({"dtype": "object"}, "data.dtype is 'object', and uint8 and uint16 are allowed"),
        ({"dtype": "float64"}, "data.dtype is 'float64'"),
        ({"pixel_range": [0, 100_000]}, r"data.pixel_range is \[0, 100000\], and uint8 has 0 to 255"),
        ({"pixel_range": [-1, 255]}, r"data.pixel_range is \[-1, 255\]"),
        ({"pixel_range": [9, 8]}, r"data.pixel_range is \[9, 8\]"),
        ({"counts": [0, 0, 0]}, "data.counts is not 3 numbers of images, at least one above 0"),
        ({"counts": [8, -8, 8]}, "data.counts is not"),
        ({"counts": [8, 8, 8, 8]}, "data.counts is not"),
        ({"counts": [0.5, 8, 8]}, "data.counts is not"),
        ({"counts": [2**70, 8, 8]}, "data.counts is not"),
        ({"combinations": [[7, 9, 9, 3]]}, "data.combinations are not those"),
        ({"levels": {"ward": ["x", "y", "z"]}}, "data.levels and network.attributes differ"),
        ({"scan": {**SCAN, "offset": -3}}, "what no files could have"),
        ({"scan": {**SCAN, "dtype": "float32"}}, "what no files could have"),
        ({"scan": {**SCAN, "axes": [0, 1, 1]}}, "what no files could have"),
        ({"scan": {**SCAN, "affine": [[1, 0, 0], [0, 1, 0]]}}, "what no files could have"),
        ({"scan": {**SCAN, "bare_spacing_mm": [1, float("nan"), 1]}}, "a length is no number"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["gan", "told", "vae"])
def test_images_that_the_networks_cannot_have_learned_from_are_refused(load_changed, name, changes, says):
    with pytest.raises(ModelError, match=says):
        load_changed(name, "data", **changes)


@pytest.mark.parametrize(
    "rows",
    [[], [[0, 0, 8]], [[0, 2, 8], [1, 0, 8], [2, 0, 8]], [[0, -1, 8], [1, 0, 8], [2, 0, 8]],
     [[0, 0, 8], [0, 1, 0], [1, 0, 8], [2, 0, 8]], [[0, 8], [1, 8], [2, 8]]],
    ids=["none", "a class without", "unknown level", "negative level", "never seen", "without the level"],
)  # fmt: skip
def test_combinations_that_cannot_be_drawn_are_refused(load_changed, rows):
    with pytest.raises(ModelError, match=r"data.combinations are not those of data.levels and data.counts"):
        load_changed("told", "data", combinations=rows)


@pytest.mark.parametrize("name", ["gan", "told", "maps", "vae"])
def test_loading_leaves_the_global_random_state_alone(saved, name):
    before = torch.get_rng_state()
    load_synthesizer(saved / name)
    assert torch.equal(torch.get_rng_state(), before)

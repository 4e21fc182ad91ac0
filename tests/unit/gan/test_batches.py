import numpy as np
import pytest
import torch

from synthgen.datasets import ImageSet
from synthgen.gan.batches import Batches

CPU = torch.device("cpu")


def imbalanced(dtype=np.uint8):
    codes = np.repeat([0, 2], [900, 100]).astype(np.int64)
    images = np.broadcast_to(codes[:, None, None, None], (1000, 1, 2, 2)).astype(dtype)
    return ImageSet(images, codes, ("a", "absent", "b"))


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("dtype", "value", "pixel_range", "expected"),
    [
        (np.uint8, 0, (0, 255), -1.0),
        (np.uint8, 255, (0, 255), 1.0),
        (np.uint16, 65535, (0, 65535), 1.0),
        (np.uint16, 40000, (30000, 50000), 0.0),
        (np.uint8, 7, (7, 7), -1.0),
    ],
)
def test_pixel_range_becomes_minus_one_to_one(dtype, value, pixel_range, expected):
    data = ImageSet(np.full((3, 1, 2, 2), value, dtype=dtype), np.zeros(3, dtype=np.int64), ("a",))
    images, _ = Batches.of(data, pixel_range, CPU).draw(4, seeded())
    assert images.dtype == torch.float32
    assert images.unique().tolist() == pytest.approx([expected], abs=1e-6)


def test_each_image_keeps_its_label():
    images, codes = Batches.of(imbalanced(), (0, 2), CPU).draw(500, seeded())
    assert torch.equal(images[:, 0, 0, 0] + 1, codes.float())


def test_rare_classes_are_drawn_as_often_as_frequent_ones_and_empty_ones_never():
    _, codes = Batches.of(imbalanced(), (0, 2), CPU).draw(20_000, seeded())
    assert (codes.bincount() / 20_000).tolist() == pytest.approx([0.5, 0.0, 0.5], abs=0.015)


def test_every_image_of_a_class_is_as_likely():
    data = ImageSet(np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1), np.zeros(20, dtype=np.int64), ("a",))
    images, _ = Batches.of(data, (0, 255), CPU).draw(40_000, seeded())
    _, counts = images.unique(return_counts=True)
    assert len(counts) == 20
    assert (counts / 2000 - 1).abs().max() < 0.1

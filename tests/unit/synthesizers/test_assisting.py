"""What a run by several processes says of a model that one process trains."""

import logging

import pytest

from synthgen.config_reading import parse_config
from synthgen.synthesizers.assisting import warn_of_idlers
from synthgen.team import Team

DP = {"kind": "ctgan", "dp": {"epsilon": 3}}


def said(synthesizer: dict[str, object], size: int, caplog: pytest.LogCaptureFixture) -> list[str]:
    plan = {"kind": "per_class", "per_class": {"class_0": 5}}
    raw = {"source": {"kind": "builtin", "name": "wine"}, "synthesizer": synthesizer, "plan": plan}
    with caplog.at_level(logging.WARNING):
        warn_of_idlers(parse_config(raw), Team(size=size))
    return [record.note for record in caplog.records]


@pytest.mark.parametrize("kind", ["image-vae", "cart", "tvae", "autoregressive", "copies"])
def test_processes_that_will_idle_are_told_of(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    assert said({"kind": kind}, 3, caplog) == [
        f"warning: {kind} is trained by one process, 2 of 3 will idle;"
        " several processes train 'auto', 'ctgan', 'image-gan', without dp"
    ]


def test_a_private_model_is_named_as_such(caplog: pytest.LogCaptureFixture) -> None:
    (note,) = said(DP, 2, caplog)
    assert note.startswith("warning: ctgan with dp is trained by one process, 1 of 2 will idle")


@pytest.mark.parametrize(
    ("synthesizer", "size"),
    [({"kind": "ctgan"}, 2), ({"kind": "image-gan"}, 2), ({"kind": "auto"}, 2), ({"kind": "cart"}, 1), (DP, 1)],
    ids=str,
)
def test_where_nobody_idles_nothing_is_said(
    synthesizer: dict[str, object], size: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert said(synthesizer, size, caplog) == []

"""What `synthgen check` says of a training, and where it finds the model to go on from."""

from pathlib import Path

import pytest

from pipelines.preview import look
from synthgen.config import RunConfig
from synthgen.config_reading import parse_config
from synthgen.errors import ConfigError, UsageError
from synthgen.stages import fit, ingest, split_data
from synthgen.workspace import Workspace


def config(**changes: object) -> RunConfig:
    section = {"kind": "image-gan", "batch_size": 8, "width": 4, **changes}
    return parse_config({"source": {"kind": "builtin", "name": "digits"}, "synthesizer": section})


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"budget_images": 2_000}, "2,000 images"),
        ({"budget_steps": 50, "budget_images": 2_000}, "50 steps or 2,000 images"),
        ({"budget_minutes": 3}, "at most 3 minutes"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["image-gan", "image-vae"])
def test_the_budget_is_told_in_its_own_unit(kind: str, budget: dict[str, int], said: str, tmp_path: Path) -> None:
    assert look(config(kind=kind, **budget), Workspace(tmp_path)).training == said


def test_a_run_to_go_on_from_is_found_by_its_id(tmp_path: Path) -> None:
    space, first = Workspace(tmp_path), config(budget_steps=2)
    model = fit(first, space, split_data(first, space, ingest(first, space))).directory / "model"
    run = space.runs / "digits" / "2026-a1"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    model.rename(run / "model")
    assert look(config(budget_steps=2, init_from="2026-a1", freeze=1), space).training == "2 steps"
    with pytest.raises(ConfigError, match="freeze is 9"):
        look(config(budget_steps=2, init_from="2026-a1", freeze=9), space)
    with pytest.raises(UsageError, match="no run has the id 'nobody'"):
        look(config(budget_steps=2, init_from="nobody"), space)

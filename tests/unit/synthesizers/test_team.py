"""A table GAN trained by two processes: one training, not two; by one, what it always was."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from synthgen.config import CtganConfig
from synthgen.synthesizers.codes import CodeRows, Layout
from synthgen.synthesizers.ctgan.model import Ctgan
from synthgen.team import Team

ROWS = 600


def rows(seed: int) -> tuple[CodeRows, Layout]:
    """Three columns of which the third is mostly the first, and two classes."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 5, ROWS), rng.integers(0, 4, ROWS)
    third = np.where(rng.random(ROWS) < 0.9, first, rng.integers(0, 5, ROWS))
    layout = Layout(("a", "b", "c"), (5, 4, 5), (None, None, None), 2)
    return CodeRows(np.column_stack([first, second, third]), (first + second > 4).astype(np.int64)), layout


def trained(out: Path, steps: int, head: bool, checkpoint: Path | None) -> None:
    """Train on what `rows` gives, and write the weights and the history."""
    config = CtganConfig(kind="ctgan", budget_steps=steps, batch_size=100, width=32, head=head)
    (train, layout), (valid, _) = rows(0), rows(1)
    model = Ctgan(config).fit(train, valid, layout, np.random.default_rng(0), checkpoint=checkpoint)
    drawn = model.draw(np.arange(2_000) % 2, {}, np.random.default_rng(1)).codes
    weights = {name: torch.from_numpy(array) for name, array in model.state()[1].items()}
    from safetensors.torch import save_file

    save_file({**weights, "drawn": torch.from_numpy(drawn), "steps": torch.tensor(len(model.history))}, out)


def _main(out: str, steps: str, head: str, checkpoint: str) -> None:
    from synthgen.synthesizers.assisting import help_out
    from synthgen.team import joined, place_in_environment

    torch.set_num_threads(1)
    if not place_in_environment().leads:
        help_out()
        return
    with joined():
        trained(Path(out), int(steps), head == "head", Path(checkpoint))
        # A second training of the same team.
        trained(Path(out).with_suffix(".again"), int(steps), head == "head", Path(f"{checkpoint}-again"))


def by_two(tmp_path: Path, steps: int, head: bool) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    words = [str(tmp_path / "two"), str(steps), "head" if head else "moments", str(tmp_path / "checkpoint")]
    started = [
        subprocess.Popen([sys.executable, __file__, *words], env={**shared, "RANK": rank}, stderr=subprocess.PIPE)
        for rank in "01"
    ]
    for process in started:
        _, said = process.communicate(timeout=250)
        assert process.returncode == 0, said.decode()
    found = load_file(tmp_path / "two")
    again = load_file(tmp_path / "two.again")
    assert all(torch.equal(found[name], again[name]) for name in found)
    return found


def agreement(drawn: torch.Tensor) -> float:
    """How often the third column is the first; .92 in the real rows."""
    return float((drawn[:, 0] == drawn[:, 2]).double().mean())


@pytest.mark.parametrize("head", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_does_with_the_same_total_batch(tmp_path: Path, head: bool) -> None:
    from safetensors.torch import load_file

    trained(tmp_path / "one", 150, head, None)
    one, two = agreement(load_file(tmp_path / "one")["drawn"]), agreement(by_two(tmp_path, 150, head)["drawn"])
    assert one > 0.7
    assert two == pytest.approx(one, abs=0.08)


def test_alone_nothing_is_sent_or_changed() -> None:
    team, values = Team.current(), torch.ones(3)
    assert team.leads
    assert team.average(values) is values
    assert team.agreed(1.5) == 1.5
    assert team.tell({"a": 1}) == {"a": 1}


if __name__ == "__main__":
    _main(*sys.argv[1:])

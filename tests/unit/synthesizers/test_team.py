"""A table GAN trained by two processes: one training, not two; by one, what it always was."""

import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from synthgen.config import CtganConfig
from synthgen.synthesizers.codes import CodeRows, Layout
from synthgen.synthesizers.ctgan.model import Ctgan
from synthgen.team import Team
from tests.unit.synthesizers.two_processes import free_port, require_parted, run_both

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
    if place_in_environment().leads:
        with joined():
            trained(Path(out), int(steps), head == "head", Path(checkpoint))
            # A second training of the same team.
            trained(Path(out).with_suffix(".again"), int(steps), head == "head", Path(f"{checkpoint}-again"))
    else:
        help_out()
    require_parted()


def by_two(tmp_path: Path, steps: int, head: bool) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    run_both(
        "tests.unit.synthesizers.test_team",
        *(str(tmp_path / "two"), str(steps), "head" if head else "moments", str(tmp_path / "checkpoint")),
    )
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


SPAWN = multiprocessing.get_context("forkserver")
STEPS = 100


def member(rank: str, port: str, out: Path, checkpoint: Path) -> None:
    """One of two processes, as `torchrun` starts them, in one training."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "RANK": rank}
    os.environ.update(place)
    from synthgen.synthesizers.assisting import help_out
    from synthgen.team import joined

    # What the one that is left says of the other's death.
    with out.with_suffix(f".{rank}.log").open("w") as said:
        os.dup2(said.fileno(), 2)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    torch.set_num_threads(1)
    if rank != "0":
        help_out()
        return
    with joined():
        trained(out, STEPS, True, checkpoint)


def two(out: Path, checkpoint: Path) -> list[BaseProcess]:
    port = str(free_port())
    started: list[BaseProcess] = [SPAWN.Process(target=member, args=(rank, port, out, checkpoint)) for rank in "01"]
    for process in started:
        process.start()
    return started


def saved_step(checkpoint: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(checkpoint / "training.safetensors", framework="pt") as file:
            return int(json.loads(file.metadata()["state"])["step"])
    except (OSError, SafetensorError):
        return 0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    SPAWN.set_forkserver_preload(["synthgen.synthesizers.ctgan.model", "torch.distributed", "torch._dynamo"])
    out = tmp_path_factory.mktemp("team") / "straight"
    for process in two(out, out.with_suffix(".checkpoint")):
        process.join(120)
        assert process.exitcode == 0
    return out


@pytest.mark.parametrize(("victim", "step"), [(0, 20), pytest.param(1, 70, marks=pytest.mark.slow)])
def test_a_team_of_which_one_is_killed_ends_and_the_next_goes_on_as_if_nothing_had_happened(
    uninterrupted: Path, tmp_path: Path, victim: int, step: int
) -> None:
    from safetensors.torch import load_file

    out, checkpoint = tmp_path / "out", tmp_path / "checkpoint"
    started, until = two(out, checkpoint), time.monotonic() + 120
    while saved_step(checkpoint) < step:
        assert time.monotonic() < until
        time.sleep(0.002)
    pid = started[victim].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for process in started:
        process.join(60)
    # The other sees that it is alone, and ends.
    assert started[victim].exitcode == -signal.SIGKILL
    assert started[1 - victim].exitcode == 1
    assert not out.exists()
    stood_at = saved_step(checkpoint)
    assert step <= stood_at < STEPS
    for process in two(out, checkpoint):
        process.join(120)
        assert process.exitcode == 0
    assert f"resume training step={stood_at}" in out.with_suffix(".0.log").read_text()
    found, expected = load_file(out), load_file(uninterrupted)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_alone_nothing_is_sent_or_changed() -> None:
    team, values = Team.current(), torch.ones(3)
    assert team.leads
    assert team.average(values) is values
    assert team.agreed(1.5) == 1.5
    assert team.tell({"a": 1}) == {"a": 1}


if __name__ == "__main__":
    _main(*sys.argv[1:])

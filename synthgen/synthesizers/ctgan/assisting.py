"""A table GAN trained by several processes: what the leader tells the others, and what they do."""

from typing import Any

import numpy as np
import torch

from synthgen.config import CtganConfig
from synthgen.datasets import Index
from synthgen.synthesizers.codes import CodeRows, Layout
from synthgen.synthesizers.ctgan.material import Material
from synthgen.synthesizers.ctgan.training import State, Task, budget_of, train_networks
from synthgen.team import Team


def material_of(train: CodeRows, sizes: tuple[int, ...], config: CtganConfig, team: Team) -> Material:
    """The material of one process: its share of every batch."""
    return Material.of(train.codes, train.classes, sizes, batch_size=max(config.batch_size // team.size, 1))


def call_for_help(state: State, train: CodeRows, layout: Layout, config: CtganConfig, team: Team) -> None:
    """Give the others everything that the leader starts from."""
    if team.size == 1:
        return
    start = {"step": state.step, "seconds": state.seconds, "numbers": state.numbers}
    seed = state.rng.initial_seed()
    sizes, config_json = list(layout.sizes), config.model_dump(mode="json")
    team.tell({"job": "ctgan", "config": config_json, "sizes": sizes, "seed": seed, **start})
    team.share({"codes": torch.from_numpy(train.codes), "classes": torch.from_numpy(train.classes)})
    team.share(state.parts().tensors())


def assist(job: dict[str, Any], team: Team) -> None:
    """Train beside the leader; what is learnt stays with it."""
    config, sizes = CtganConfig(**job["config"]), tuple(job["sizes"])
    rows = team.share()
    codes: Index = rows["codes"].numpy().astype(np.int64)
    material = material_of(CodeRows(codes, rows["classes"].numpy().astype(np.int64)), sizes, config, team)
    # The columns' names and orders only matter at the start, and the leader's weights replace it.
    layout = Layout(tuple(map(str, sizes)), sizes, tuple(None for _ in sizes), material.class_count)
    state = State.fresh(config, layout, material, torch.Generator(material.device).manual_seed(job["seed"]))
    state.parts().fill(team.share())
    state.step, state.seconds, state.numbers = job["step"], job["seconds"], job["numbers"]
    budget = budget_of(config, len(codes), is_warm="is_warm" in state.numbers)
    train_networks(state, Task(material, config, team=team), budget, lambda _: None)

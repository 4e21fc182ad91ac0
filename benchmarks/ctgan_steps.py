"""One training step of the same maths: our parts against the inner loop of `CTGAN.fit` of the ctgan package.

Both: the package's networks of (256, 256), batch 500, packs of 10, Wasserstein loss with gradient penalty, one critic
step, one generator step, Adam, tanh and Gumbel-softmax spans as the package encodes a table such as Adult, a condition
on one level of one column, and its cross-entropy. Ours: softmax of all columns at once, penalty in closed form, fakes
without gradient in the critic's step, fused Adam; in `shared`, one batch of fakes serves both steps.

    OMP_NUM_THREADS=1 python benchmarks/ctgan_steps.py

prints milliseconds of process CPU time per step, medians of interleaved blocks, and the ratios.
"""

import argparse
import time
import warnings
from collections.abc import Iterator

import ctgan.synthesizers.ctgan as package
import numpy as np
import pandas as pd
import torch
from ctgan.data_transformer import SpanInfo
from torch import Tensor
from torch.nn import functional

from synthgen.synthesizers.ctgan.groups import Groups
from synthgen.synthesizers.ctgan.losses import critic_loss, critic_scores
from synthgen.synthesizers.ctgan.package import build_critic, build_generator

BATCH, LATENT, WIDTH, RATE = 500, 128, 256, 2e-4
MODES = (10,) * 6
LEVELS = (9, 16, 7, 15, 6, 5, 2, 42, 2)
ROWS = 10 * BATCH


class StubTransformer:
    """In place of the package's: the matrix is already encoded. Preprocessing is not what is measured."""

    output_info_list = ([SpanInfo(1, "tanh"), SpanInfo(10, "softmax")],) * 6 + tuple(
        [SpanInfo(levels, "softmax")] for levels in LEVELS
    )
    output_dimensions = sum(MODES) + len(MODES) + sum(LEVELS)

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def fit(self, data: object, discrete: object) -> None:
        """Nothing to learn."""

    def transform(self, data: object) -> np.ndarray:
        """The matrix."""
        return self.matrix


class Epochs:
    """In place of tqdm: notes the CPU time at each epoch, so that set-up is not counted."""

    times: list[float] = []  # noqa: RUF012 - one list for the only run

    def __init__(self, epochs: range, disable: bool = True) -> None:
        self.epochs = epochs

    def __iter__(self) -> Iterator[int]:
        for epoch in self.epochs:
            Epochs.times.append(time.process_time())
            yield epoch


def encoded(rng: np.random.Generator) -> np.ndarray:
    """Rows in the package's layout: per quantity a value and its mode, per category its level."""
    spans = []
    for modes in MODES:
        spans += [rng.uniform(-1, 1, (ROWS, 1)), np.eye(modes)[rng.integers(0, modes, ROWS)]]
    return np.hstack([*spans, *(np.eye(levels)[rng.integers(0, levels, ROWS)] for levels in LEVELS)])


def theirs(matrix: np.ndarray) -> float:
    """Milliseconds per step; the first epoch warms up."""
    package.DataTransformer = lambda: StubTransformer(matrix)
    package.tqdm, Epochs.times = Epochs, []
    frame = pd.DataFrame({f"c{j}": np.zeros(ROWS) for j in range(len(MODES) + len(LEVELS))})
    model = package.CTGAN(epochs=3, batch_size=BATCH, enable_gpu=False)
    model.fit(frame)
    return (Epochs.times[2] - Epochs.times[1]) / (ROWS // BATCH) * 1e3


class Ours:
    """The same step from the parts of our training loop."""

    def __init__(self, matrix: np.ndarray, *, is_shared: bool) -> None:
        self.is_shared = is_shared
        self.rng = torch.Generator().manual_seed(0)
        values = np.cumsum([0, *(1 + modes for modes in MODES)])[:-1]
        # Values first, then all softmax spans side by side.
        order = np.concatenate([values, np.setdiff1d(np.arange(matrix.shape[1]), values)])
        self.rows = torch.from_numpy(matrix[:, order]).float()
        self.groups = Groups.of((*MODES, *LEVELS), torch.device("cpu"))
        self.conditional = sum(LEVELS)
        width = self.rows.shape[1]
        self.generator = build_generator(LATENT + self.conditional, WIDTH, width, self.rng)
        self.critic = build_critic(width + self.conditional, WIDTH, self.rng)
        self.optimizers = [
            torch.optim.Adam(net.parameters(), lr=RATE, betas=(0.5, 0.9), weight_decay=1e-6, fused=True)
            for net in (self.generator, self.critic)
        ]

    def milliseconds(self, steps: int) -> float:
        """Per step."""
        started = time.process_time()
        for _ in range(steps):
            self._step()
        return (time.process_time() - started) / steps * 1e3

    def _step(self) -> None:
        real, condition = self._conditioned()
        logits, fake = self._fakes(condition)
        loss = critic_loss(self.critic, torch.cat([real, condition], 1), fake.detach(), self.rng)
        self._descend(1, loss)
        if not self.is_shared:
            _, condition = self._conditioned()
            logits, fake = self._fakes(condition)
        self.critic.requires_grad_(False)
        met = self.groups.softmax(logits[:, len(MODES) :])[:, sum(MODES) :]
        missed = -torch.log((met * condition).sum(dim=1) + 1e-12).mean()
        self._descend(0, missed - critic_scores(self.critic, fake, self.rng).mean())
        self.critic.requires_grad_(True)

    def _conditioned(self) -> tuple[Tensor, Tensor]:
        row = torch.randint(ROWS, (BATCH,), generator=self.rng)
        column = torch.randint(len(MODES), len(MODES) + len(LEVELS), (BATCH,), generator=self.rng)
        real = self.rows[row]
        chosen = functional.one_hot(column, len(self.groups.sizes)).float() @ self.groups.membership.T
        return real, (real[:, len(MODES) :] * chosen)[:, sum(MODES) :]

    def _fakes(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        noise = torch.randn(BATCH, LATENT, generator=self.rng)
        logits = self.generator(torch.cat([noise, condition], dim=1))
        values = torch.tanh(logits[:, : len(MODES)])
        levels = self.groups.gumbel_softmax(logits[:, len(MODES) :], 0.2, self.rng)
        return logits, torch.cat([values, levels, condition], dim=1)

    def _descend(self, which: int, loss: Tensor) -> None:
        self.optimizers[which].zero_grad()
        loss.backward()
        self.optimizers[which].step()


def main() -> None:
    """Measure in turns, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    matrix = encoded(np.random.default_rng(0))
    fresh, shared = Ours(matrix, is_shared=False), Ours(matrix, is_shared=True)
    for ours in (fresh, shared):
        ours.milliseconds(3)
    taken = [(theirs(matrix), fresh.milliseconds(10), shared.milliseconds(10)) for _ in range(rounds)]
    of_package, of_fresh, of_shared = np.median(taken, axis=0)
    print(f"package {of_package:.1f} ms  ours {of_fresh:.1f} ms ({of_package / of_fresh:.2f}x)", end="  ")
    print(f"one batch of fakes {of_shared:.1f} ms ({of_package / of_shared:.2f}x)")


if __name__ == "__main__":
    main()

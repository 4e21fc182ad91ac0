"""What the generator and the critic are trained for."""

import torch
from torch import Tensor, nn

from synthgen.synthesizers.ctgan.groups import Groups
from synthgen.synthesizers.ctgan.package import PAC, critic_layers

_SLOPE, _KEEP = 0.2, 0.5
_PENALTY_WEIGHT = 10.0


def cooccurrence(rows: Tensor, counts: list[int]) -> Tensor:
    """[s, d, d]: in each stratum, how often two levels come together.

    Args:
        rows: [n, d], one-hot rows or probabilities, strata one after another.
        counts: rows of each stratum.

    Given the noise, the generator's columns are independent: the product of two probabilities is the probability of
    the pair, so the moments of probabilities are exact where those of drawn rows would only be estimates.
    """
    return torch.stack([part.T @ part / max(len(part), 1) for part in torch.split(rows, counts)])


def log_loss(groups: Groups, logits: Tensor, codes: Tensor) -> Tensor:
    """Mean negative log-likelihood of rows, in nats: of codes int [n, columns] under the softmax of each column."""
    probability = groups.softmax(logits).gather(1, codes.long() + groups.offsets)
    return -torch.log(probability.clamp(min=1e-12)).sum(dim=1).mean()


def critic_scores(critic: nn.Module, rows: Tensor, rng: torch.Generator) -> Tensor:
    """[n / PAC, 1]; dropout draws from `rng` instead of the global random state."""
    *hidden, last = critic_layers(critic)
    x = rows.reshape(-1, hidden[0].in_features)
    for layer in hidden:
        pre = layer(x)
        x = pre * _slopes(pre, rng)
    score: Tensor = last(x)
    return score


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """10 x mean of (|gradient| - 1)^2 of the critic between real and fake packs (WGAN-GP, Gulrajani 2017).

    The critic is piecewise linear: its gradient by the rows is a product of its weights and the slopes of its units,
    so no second backward pass is needed.
    """
    share = torch.rand(len(real) // PAC, 1, 1, generator=rng, device=real.device)
    share = share.expand(-1, PAC, 1).reshape(-1, 1)
    *hidden, last = critic_layers(critic)
    x = (fake + share * (real - fake)).reshape(-1, hidden[0].in_features)
    slopes = []
    with torch.no_grad():
        for layer in hidden:
            pre = layer(x)
            slopes.append(_slopes(pre, rng))
            x = pre * slopes[-1]
    gradient = last.weight.expand(len(x), -1)
    for layer, slope in zip(reversed(hidden), reversed(slopes), strict=True):
        gradient = (gradient * slope) @ layer.weight
    excess: Tensor = gradient.norm(2, dim=1) - 1
    return _PENALTY_WEIGHT * (excess**2).mean()


def critic_loss(critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Wasserstein loss with gradient penalty; real and fake [n, row], n a multiple of PAC, without gradient."""
    scores = critic_scores(critic, torch.cat([real, fake]), rng)
    packs = len(real) // PAC
    return scores[packs:].mean() - scores[:packs].mean() + gradient_penalty(critic, real, fake, rng)


def _slopes(pre: Tensor, rng: torch.Generator) -> Tensor:
    # Dropout and LeakyReLU in one factor per unit: both only scale.
    with torch.no_grad():
        kept = torch.empty_like(pre).bernoulli_(_KEEP, generator=rng) / _KEEP
        return kept * torch.where(pre > 0, 1.0, _SLOPE)

"""The generator of an earlier GAN in the place of an untrained one, where levels have come and gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.datasets import Index
from synthgen.synthesizers.ctgan.network import CodeGenerator
from synthgen.synthesizers.ctgan.package import output_layer


@dataclass(frozen=True)
class Start:
    """Weights to begin with, and of each column the code that each code was, int64 [size], -1 for a new one."""

    earlier: CodeGenerator
    codes: Sequence[Index]

    @torch.no_grad()
    def give(self, network: CodeGenerator) -> None:
        """Give an untrained network of the same columns these weights; new levels keep their own."""
        triples = [(j, new, old) for j, codes in enumerate(self.codes) for new, old in enumerate(codes.tolist())]
        column, level, before = torch.tensor([triple for triple in triples if triple[2] >= 0]).T
        mine = network.groups.offsets.cpu()[column] + level
        theirs = self.earlier.groups.offsets.cpu()[column] + before
        for own, given in zip(_by_level(network), _by_level(self.earlier), strict=True):
            own[mine] = given[theirs]
        if network.head is not None and self.earlier.head is not None:
            network.head.outer[column, :, level] = self.earlier.head.outer[column, :, before]
        levelled = {id(part) for part in (*_by_level(network), *([network.head.outer] if network.head else []))}
        named = self.earlier.state_dict()
        for name, own in [*network.named_parameters(), *network.named_buffers()]:
            if id(own) not in levelled and name in named:
                own.copy_(named[name])

    def tensors(self) -> Mapping[str, Tensor]:
        """All that decides what `give` gives."""
        codes = {f"codes.{j}": torch.from_numpy(part) for j, part in enumerate(self.codes)}
        return {**self.earlier.state_dict(), **codes}


def _by_level(network: CodeGenerator) -> list[Tensor]:
    """What has a row for each level of each column."""
    last = output_layer(network.generator)
    return [last.weight, last.bias, *([network.head.embedding] if network.head else [])]

"""The one door to the ctgan package (BUSL-1.1): everything of it that is used is imported here."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from ctgan.data_sampler import DataSampler
from ctgan.data_transformer import DataTransformer
from ctgan.synthesizers.ctgan import CTGAN, Discriminator, Generator
from ctgan.synthesizers.tvae import Decoder, Encoder
from torch import Tensor, nn

from synthgen.synthesizers.model_files import below

__all__ = [
    "CTGAN",
    "PAC",
    "build_critic",
    "build_decoder",
    "build_encoder",
    "build_generator",
    "critic_layers",
    "output_layer",
    "restored_ctgan",
    "stored_ctgan",
]

Arrays = Mapping[str, npt.NDArray[Any]]

# Rows that the critic judges together (PacGAN, Lin 2018): it then sees when a generator repeats itself.
PAC = 10


def build_generator(input_dim: int, width: int, output_dim: int, rng: torch.Generator) -> nn.Module:
    """ctgan's generator on the device of `rng`: two residual blocks of `width`, then logits."""
    with torch.device("meta"):
        network = Generator(input_dim, (width, width), output_dim)
    return _initialised(network, rng)


def build_critic(row_dim: int, width: int, rng: torch.Generator) -> nn.Module:
    """ctgan's discriminator on the device of `rng`: a score for each PAC rows."""
    with torch.device("meta"):
        network = Discriminator(row_dim, (width, width), pac=PAC)
    return _initialised(network, rng)


def build_encoder(row_dim: int, width: int, latent: int, rng: torch.Generator) -> nn.Module:
    """ctgan's variational encoder on the device of `rng`: mean, deviation and log variance, each [n, latent]."""
    with torch.device("meta"):
        network = Encoder(row_dim, (width, width), latent)
    return _initialised(network, rng)


def build_decoder(input_dim: int, width: int, output_dim: int, rng: torch.Generator) -> nn.Module:
    """ctgan's variational decoder on the device of `rng`, without the noise of real values: codes have none."""
    with torch.device("meta"):
        network = Decoder(input_dim, (width, width), output_dim)
    return _initialised(network.seq, rng)


def output_layer(generator: nn.Module) -> nn.Linear:
    """The layer that writes the logits."""
    return [layer for layer in generator.modules() if isinstance(layer, nn.Linear)][-1]


def critic_layers(critic: nn.Module) -> list[nn.Linear]:
    """The linear layers, between which stand LeakyReLU(0.2) and Dropout(0.5)."""
    return [layer for layer in critic.modules() if isinstance(layer, nn.Linear)]


def _initialised(network: nn.Module, rng: torch.Generator) -> nn.Module:
    # Built on `meta` and filled from our generator, because the constructors draw from the global random state.
    network.to_empty(device=rng.device)
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            _fill(layer.weight, bound, rng)
            _fill(layer.bias, bound, rng)
        elif isinstance(layer, nn.BatchNorm1d):
            layer.reset_parameters()
    return network


def _fill(parameter: Tensor, bound: float, rng: torch.Generator) -> None:
    with torch.no_grad():
        parameter.uniform_(-bound, bound, generator=rng)


def stored_ctgan(model: CTGAN) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """JSON and arrays of a fitted CTGAN: what sampling needs, none of the row numbers that its own pickle holds."""
    transformer, sampler = model._transformer, model._data_sampler
    arrays = {f"generator.{name}": t.cpu().numpy() for name, t in model._generator.state_dict().items()}
    arrays["sampler"] = sampler._discrete_column_category_prob
    columns = []
    for j, info in enumerate(transformer._column_transform_info_list):
        fields = {"name": info.column_name, "levels": None}
        if info.column_type == "discrete":
            fields["levels"] = list(info.transform.dummies)
        else:
            mixture, valid = info.transform._bgm_transformer, info.transform.valid_component_indicator
            arrays |= {f"{j}.means": mixture.means_, f"{j}.covariances": mixture.covariances_, f"{j}.valid": valid}
        columns.append(fields)
    return {"columns": columns}, arrays


def restored_ctgan(meta: Mapping[str, Any], arrays: Arrays) -> CTGAN:
    """The CTGAN that `stored_ctgan` described, with the package's default sizes; it can sample and no more."""
    model, transformer = CTGAN(), DataTransformer()
    infos = [_restored_info(transformer, fields, arrays, j) for j, fields in enumerate(meta["columns"])]
    transformer._column_transform_info_list = infos
    transformer.output_info_list = [info.output_info for info in infos]
    transformer.output_dimensions = sum(info.output_dimensions for info in infos)
    transformer.dataframe = True
    dtypes = {fields["name"]: "float64" if fields["levels"] is None else "object" for fields in meta["columns"]}
    transformer._column_raw_dtypes = pd.Series(dtypes)
    # One dummy row gives the sampler its shape; the frequencies then come from the file.
    sampler = DataSampler(np.ones((1, transformer.output_dimensions)), transformer.output_info_list, True)
    sampler._discrete_column_category_prob = arrays["sampler"]
    with torch.device("meta"):
        inputs = model._embedding_dim + sampler.dim_cond_vec()
        generator = Generator(inputs, model._generator_dim, transformer.output_dimensions)
    weights = {name: torch.from_numpy(array) for name, array in below("generator.", arrays).items()}
    generator.to_empty(device=model._device).load_state_dict(weights)
    model._transformer, model._data_sampler, model._generator = transformer, sampler, generator
    return model


def _restored_info(transformer: DataTransformer, fields: Mapping[str, Any], arrays: Arrays, position: int) -> Any:
    if fields["levels"] is not None:
        # The encoder numbers levels as they first appear: fitted on the levels themselves it is the same again.
        return transformer._fit_discrete(pd.DataFrame({fields["name"]: fields["levels"]}))
    means, covariances, valid = (arrays[f"{position}.{part}"] for part in ("means", "covariances", "valid"))
    info = transformer._fit_continuous(pd.DataFrame({fields["name"]: [0.0, 1.0]}))
    info.transform._bgm_transformer = SimpleNamespace(means_=means, covariances_=covariances)
    info.transform.valid_component_indicator = valid
    spans = [info.output_info[0], info.output_info[1]._replace(dim=int(valid.sum()))]
    return info._replace(output_info=spans, output_dimensions=1 + int(valid.sum()))

"""What ctgan 0.12.1 does wrong, shown on the package, and that our table GAN passes the same check."""

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ctgan import CTGAN
from safetensors.numpy import load_file
from torch.optim.optimizer import register_optimizer_step_pre_hook

from synthgen.config import CtganConfig
from synthgen.datasets import Schema, Table
from synthgen.errors import ModelError
from synthgen.synthesizers import create, load_synthesizer
from synthgen.synthesizers.table_model import TableModel

# A prime: no array of a model has this length by chance.
ROWS = 397
TEXTS = ["first", "second", "y"]


def frame(n: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    first = np.where(rng.random(n) < 0.05, "rare", "common")
    second = np.where(rng.random(n) < 0.05, "rare", "common")
    age = np.clip(np.rint(rng.exponential(20, n)), 0, 90).astype(np.int64)
    return pd.DataFrame({"first": first, "second": second, "age": age, "y": rng.choice(["no", "yes"], n)})


def table(rows: pd.DataFrame) -> Table:
    kinds = {name: "categorical" if name in TEXTS else "numeric" for name in rows}
    return Table(rows, Schema({**kinds, **({"day": "datetime"} if "day" in rows else {})}, label="y"))


def library(**changes: object) -> CTGAN:
    model = CTGAN(**{"epochs": 1, "batch_size": 100, "enable_gpu": False, **changes})
    model.set_random_state(0)
    return model


def library_fit(model: CTGAN, rows: pd.DataFrame) -> CTGAN:
    with warnings.catch_warnings():
        # Its mixtures do not converge, and say so.
        warnings.simplefilter("ignore")
        model.fit(rows, TEXTS)
    return model


def ours_fit(rows: pd.DataFrame, checkpoint: Path | None = None, **changes: object) -> TableModel:
    small = {"kind": "ctgan", "batch_size": 100, "width": 16, "latent": 8, "budget_steps": 20, "critic_weight": 0.2}
    data = table(rows)
    model = create(CtganConfig.model_validate({**small, **changes}), data)
    assert isinstance(model, TableModel)
    return model.fit(data, data, np.random.default_rng(1), checkpoint=checkpoint)


def ours_draw(model: TableModel, n: int, **where: object) -> pd.DataFrame:
    return model.sample_where(n, None, where, np.random.default_rng(2)).frame


@pytest.fixture(scope="module")
def theirs() -> CTGAN:
    return library_fit(library(), frame())


@pytest.fixture(scope="module")
def ours() -> TableModel:
    return ours_fit(frame())


def test_a_condition_on_the_second_column_is_one_on_the_first(theirs: CTGAN, ours: TableModel) -> None:
    sampler, transformer = theirs._data_sampler, theirs._transformer
    conditions = [
        sampler.generate_cond_from_condition_column_info(transformer.convert_column_name_value_to_id(name, "rare"), 1)
        for name in ("first", "second")
    ]
    assert np.array_equal(*conditions)
    for name in ("first", "second"):
        assert set(ours_draw(ours, 200, **{name: "rare"})[name]) == {"rare"}


def test_a_condition_that_all_rows_share_is_normalised_away(theirs: CTGAN, ours: TableModel) -> None:
    def is_seen(generator: torch.nn.Module, latent: int) -> bool:
        """Whether the first block of units differs between two conditions, in the mode in which rows are drawn."""
        block = generator.seq[0]
        noise = torch.randn(100, block.fc.in_features, generator=torch.Generator().manual_seed(0))
        hidden = []
        for position in (0, 1):
            noise[:, latent:] = 0.0
            noise[:, latent + position] = 1.0
            hidden.append(block.bn(block.fc(noise)))
        return not torch.allclose(*hidden, atol=1e-4)

    theirs.sample(100, "first", "rare")
    assert not is_seen(theirs._generator, theirs._embedding_dim)
    theirs._generator.eval()
    assert is_seen(theirs._generator, theirs._embedding_dim)
    theirs._generator.train()
    assert is_seen(ours.codes._network.generator, 8)
    assert (ours_draw(ours, 200, first="rare")["first"] == "rare").all()


def test_a_generated_row_depends_on_the_rows_beside_it(theirs: CTGAN, ours: TableModel) -> None:
    def depends(generator: torch.nn.Module) -> bool:
        width = generator.seq[0].fc.in_features
        rows = torch.randn(50, width, generator=torch.Generator().manual_seed(0))
        return not torch.allclose(generator(rows)[:10], generator(rows[:10]), atol=1e-4)

    assert depends(theirs._generator)
    assert not depends(ours.codes._network.generator)


def test_free_sampling_follows_logarithms_of_frequencies(theirs: CTGAN, ours: TableModel) -> None:
    real = (frame()["first"] == "rare").mean()
    np.random.seed(0)  # noqa: NPY002 - the package draws from the global state
    conditions = theirs._data_sampler.sample_original_condvec(20_000)
    position = theirs._transformer.convert_column_name_value_to_id("first", "rare")["value_id"]
    asked = conditions[:, :2].sum(axis=0)
    assert asked[position] / asked.sum() > 4 * real
    assert (ours_draw(ours, 4_000)["first"] == "rare").mean() == pytest.approx(real, abs=0.03)


def test_numbers_leave_their_range_and_their_decimals() -> None:
    rows = frame()[["age", "y"]].assign(price=np.round(np.random.default_rng(1).gamma(2.0, 10.0, ROWS), 2))
    model = library()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows, ["y"])
    theirs, own = model.sample(2_000), ours_draw(ours_fit(rows), 2_000)
    for drawn, is_legal in ((theirs, False), (own, True)):
        inside = drawn["age"].between(rows["age"].min(), rows["age"].max())
        cents = drawn["price"] * 100
        assert inside.all() == is_legal
        assert bool((np.abs(cents - cents.round()) < 1e-6).all()) == is_legal


def missing() -> pd.DataFrame:
    rows = frame()
    return rows.assign(age=rows["age"].astype("float64").mask(rows.index < 40))


def dated() -> pd.DataFrame:
    return frame().assign(day=pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS), unit="D"))


@pytest.mark.parametrize(
    ("rows", "settings"),
    [(missing, {}), (dated, {}), (frame, {"batch_size": 124})],
    ids=["missing number", "datetime", "batch no multiple of pac"],
)
def test_common_tables_and_settings_are_errors(rows: Callable[[], pd.DataFrame], settings: dict[str, int]) -> None:
    with pytest.raises((Exception, AssertionError)):
        library_fit(library(**settings), rows())
    drawn = ours_draw(ours_fit(rows(), **settings), 100)
    assert drawn.dtypes.to_dict() == rows().dtypes.to_dict()


def test_training_has_neither_budget_nor_checkpoint_and_starts_anew(theirs: CTGAN, tmp_path: Path) -> None:
    knobs = {*inspect.signature(CTGAN).parameters, *inspect.signature(CTGAN.fit).parameters}
    assert not [knob for knob in knobs if any(word in knob for word in ("budget", "minutes", "checkpoint", "valid"))]
    model = library_fit(library(), frame())
    before = model._generator
    library_fit(model, frame())
    assert model._generator is not before
    first = ours_fit(frame(), tmp_path, budget_steps=20)
    assert 0 < first.history[-1]["step"] <= 20
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    # From the finished checkpoint there is nothing left to train: even the times of its ticks are the same.
    assert list(ours_fit(frame(), tmp_path, budget_steps=20).history) == list(first.history)
    assert ours_fit(frame(), budget_steps=10**6, budget_minutes=0.005).history[-1]["step"] < 10**6


def test_sampling_builds_a_graph_for_gradients(theirs: CTGAN, ours: TableModel) -> None:
    def builds_graph(network: torch.nn.Module, sample: Callable[[], object]) -> bool:
        seen: list[bool] = []
        layers = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
        hooks = [layer.register_forward_hook(lambda _, __, out: seen.append(out.requires_grad)) for layer in layers]
        sample()
        for hook in hooks:
            hook.remove()
        assert seen
        return any(seen)

    assert builds_graph(theirs._generator, lambda: theirs.sample(100))
    assert not builds_graph(ours.codes._network, lambda: ours_draw(ours, 100))


def test_a_saved_model_gives_the_training_rows_away(theirs: CTGAN, ours: TableModel, tmp_path: Path) -> None:
    theirs.save(tmp_path / "theirs.pt")
    sampler = CTGAN.load(tmp_path / "theirs.pt")._data_sampler
    rebuilt = np.empty((ROWS, len(TEXTS)), dtype=np.int64)
    for column, categories in enumerate(sampler._rid_by_cat_cols):
        for category, numbers in enumerate(categories):
            rebuilt[numbers, column] = category
    codes = [pd.factorize(frame()[name])[0] for name in TEXTS]
    assert all(np.array_equal(rebuilt[:, column], codes[column]) for column in range(len(TEXTS)))
    ours.save(tmp_path / "ours")
    arrays = load_file(tmp_path / "ours" / "model.safetensors")
    assert not [name for name, array in arrays.items() if ROWS in array.shape]


class _Touch:
    """Creates an empty file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_loading_a_file_executes_it(ours: TableModel, tmp_path: Path) -> None:
    torch.save(_Touch(tmp_path / "executed"), tmp_path / "model.pt")
    with pytest.raises(AttributeError):
        CTGAN.load(tmp_path / "model.pt")
    assert (tmp_path / "executed").exists()
    (tmp_path / "executed").unlink()
    for name in ("model.safetensors", "synthesizer.json"):
        ours.save(tmp_path / "ours")
        (tmp_path / "ours" / name).write_bytes((tmp_path / "model.pt").read_bytes())
        with pytest.raises(ModelError):
            load_synthesizer(tmp_path / "ours")
    assert not (tmp_path / "executed").exists()


def test_the_step_of_the_critic_goes_back_through_the_generator() -> None:
    def reaches_others(fit: Callable[[], object]) -> bool:
        """Whether the gradients of one optimizer's weights change before a step of another."""
        left: dict[int, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
        found: list[bool] = []

        def look(optimizer: torch.optim.Optimizer, *_: object) -> None:
            for other, (weights, gradients) in left.items():
                if other != id(optimizer):
                    pairs = zip(weights, gradients, strict=True)
                    found.append(any(not torch.equal(weight.grad, gradient) for weight, gradient in pairs))
            weights = [
                weight for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None
            ]
            left[id(optimizer)] = (weights, [weight.grad.clone() for weight in weights])

        hook = register_optimizer_step_pre_hook(look)
        fit()
        hook.remove()
        assert found
        return any(found)

    assert reaches_others(lambda: library_fit(library(), frame()))
    assert not reaches_others(lambda: ours_fit(frame()))

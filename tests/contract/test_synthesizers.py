"""What every synthesizer promises, run over the registry; to add one is to pass this file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from synthgen.config import SynthesizerConfig
from synthgen.config_reading import parse_config
from synthgen.datasets import Data, ImageSet, Schema, Table
from synthgen.errors import ConfigError, ModelError
from synthgen.synthesizers import SYNTHESIZERS, ConditionalSynthesizer, Synthesizer, create, load_synthesizer

# Small settings; those with budget_steps are trained and have a history.
TINY: dict[str, dict[str, int]] = {
    "ctgan": {"budget_steps": 25, "batch_size": 60, "width": 16},
    "autoregressive": {"budget_steps": 25, "batch_size": 60, "width": 16},
    "cart": {"leaf_rows": 20},
    "tvae": {"budget_steps": 25, "batch_size": 60, "width": 16},
    "ctgan-library": {"budget_steps": 5, "epochs": 20},
    "image-gan": {"budget_steps": 20, "batch_size": 16, "width": 4},
    "image-vae": {"budget_steps": 20, "batch_size": 16, "width": 4},
}
CASES = [(kind, modality) for kind, entry in SYNTHESIZERS.items() for modality in entry.modalities]
ROWS = 300


def config_of(kind: str) -> SynthesizerConfig:
    source = {"kind": "builtin", "name": "wine"}
    return parse_config({"source": source, "synthesizer": {"kind": kind, **TINY.get(kind, {})}}).synthesizer


def mixed_table() -> Table:
    rng = np.random.default_rng(5)
    label = np.where(rng.random(ROWS) < 0.3, "yes", "no")
    shift = np.where(label == "yes", 3, 0)
    price = np.round(rng.gamma(2.0, 10.0, ROWS) + shift, 2)
    price[rng.random(ROWS) < 0.1] = np.nan
    count = pd.Series(rng.poisson(3 + shift), dtype="Int64").mask(rng.random(ROWS) < 0.1)
    city = pd.Series(rng.choice(["Ål", "Bergen", "Oslo"], ROWS)).mask(rng.random(ROWS) < 0.05, None)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, ROWS),
            "big": 2**60 + rng.integers(0, 1_000, ROWS),
            "price": price,
            "count": count,
            "city": city,
            "size": pd.Categorical(rng.choice(["S", "M", "L"], ROWS), ["S", "M", "L", "XL"], ordered=True),
            "member": rng.random(ROWS) < 0.4,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, ROWS), unit="D"),
            "answer": label,
            "note": [f"row {i}" for i in range(ROWS)],
        }
    )
    kinds = {"age": "integer", "big": "integer", "price": "numeric", "count": "integer", "city": "categorical"}
    more = {"size": "categorical", "member": "boolean", "since": "datetime", "answer": "categorical", "note": "id"}
    return Table(frame, Schema({**kinds, **more}, label="answer"))  # type: ignore[dict-item]


def digit_images() -> ImageSet:
    digits = load_digits()
    keep = np.flatnonzero(digits.target < 3)[:ROWS]
    images = np.rint(digits.images[keep] * 15.9375).astype(np.uint8)[:, None]
    return ImageSet(images, digits.target[keep].astype(np.int64), ("0", "1", "2"))


DATA: dict[str, Data] = {"table": mixed_table(), "images": digit_images()}
_FITTED: dict[tuple[str, str], Synthesizer] = {}


def fitted(kind: str, modality: str) -> Synthesizer:
    if (kind, modality) not in _FITTED:
        data = DATA[modality]
        _FITTED[kind, modality] = create(config_of(kind), data).fit(data, data, np.random.default_rng(1))
    return _FITTED[kind, modality]


def sampled(synthesizer: Synthesizer, n: int = 60, seed: int = 2) -> Data:
    return synthesizer.sample(n, None, np.random.default_rng(seed))


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


def test_schema_dtypes_and_number_of_rows_are_kept(case: tuple[str, str]) -> None:
    data, drawn = DATA[case[1]], sampled(fitted(*case), 61)
    assert len(drawn) == 61
    if isinstance(data, Table):
        assert isinstance(drawn, Table)
        assert drawn.schema == data.schema
        assert drawn.frame.columns.tolist() == data.schema.modelled
        assert drawn.frame.dtypes.to_dict() == data.modelled.dtypes.to_dict()
        assert isinstance(drawn.frame.index, pd.RangeIndex)
        return
    assert isinstance(data, ImageSet)
    assert isinstance(drawn, ImageSet)
    assert (drawn.images.shape[1:], drawn.images.dtype) == (data.images.shape[1:], data.images.dtype)
    assert drawn.classes == data.classes


def test_label_quotas_are_exact_row_by_row(case: tuple[str, str]) -> None:
    classes = DATA[case[1]].classes
    labels = np.asarray([classes[i] for i in np.random.default_rng(0).integers(0, len(classes), 47)], dtype=np.str_)
    drawn = fitted(*case).sample(47, labels, np.random.default_rng(3))
    assert drawn.labels.tolist() == labels.tolist()


def test_an_empty_quota_gives_no_rows(case: tuple[str, str]) -> None:
    assert len(fitted(*case).sample(0, np.empty(0, dtype=np.str_), np.random.default_rng(3))) == 0


def test_a_class_that_training_did_not_have_is_refused(case: tuple[str, str]) -> None:
    with pytest.raises(ModelError, match="class 'nobody' is not known"):
        fitted(*case).sample(1, np.asarray(["nobody"]), np.random.default_rng(3))


def test_same_seed_gives_same_bytes_and_another_seed_others(case: tuple[str, str]) -> None:
    data = DATA[case[1]]
    again = create(config_of(case[0]), data).fit(data, data, np.random.default_rng(1))
    assert sampled(again).fingerprint() == sampled(fitted(*case)).fingerprint()
    assert sampled(again, seed=9).fingerprint() != sampled(again).fingerprint()


def test_a_loaded_model_draws_the_same_sample(case: tuple[str, str], tmp_path: Path) -> None:
    synthesizer = fitted(*case)
    synthesizer.save(tmp_path / "model")
    loaded = load_synthesizer(tmp_path / "model")
    assert sampled(loaded).fingerprint() == sampled(synthesizer).fingerprint()
    assert list(loaded.history) == list(synthesizer.history)


def test_sample_before_fit_says_so(case: tuple[str, str], tmp_path: Path) -> None:
    synthesizer = create(config_of(case[0]), DATA[case[1]])
    with pytest.raises(ModelError, match="not been fitted"):
        sampled(synthesizer)
    with pytest.raises(ModelError, match="not been fitted"):
        synthesizer.save(tmp_path / "model")


def test_global_random_states_are_untouched(case: tuple[str, str]) -> None:
    data = DATA[case[1]]
    np.random.seed(7)  # noqa: NPY002 - the global state is what this test is about
    torch.manual_seed(7)
    before = (np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes())  # noqa: NPY002
    synthesizer = create(config_of(case[0]), data).fit(data, data, np.random.default_rng(1))
    sampled(synthesizer)
    assert (np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()) == before  # noqa: NPY002


def test_saved_files_execute_nothing_and_hold_no_training_row(case: tuple[str, str], tmp_path: Path) -> None:
    if case[0] == "copies":
        pytest.skip("copies is made of training rows by nature: a control, and the one exception")
    fitted(*case).save(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    content = b"".join(path.read_bytes() for path in files)
    data = DATA[case[1]]
    if isinstance(data, ImageSet):
        assert not [i for i in range(len(data)) if data.images[i].tobytes() in content]
        return
    assert b"row 17" not in content
    numbers = data.frame[["age", "big"]].to_numpy(dtype=np.int64)
    assert not [row for row in numbers if row.tobytes() in content]
    assert not [row for row in numbers if json.dumps(row.tolist())[1:-1].encode() in content]


def test_history_counts_steps_and_seconds(case: tuple[str, str]) -> None:
    history = fitted(*case).history
    assert bool(history) == ("budget_steps" in TINY.get(case[0], {}))
    steps = [tick["step"] for tick in history]
    assert steps == sorted(steps)
    assert all(tick["seconds"] >= 0 for tick in history)


@pytest.mark.parametrize("kind", [kind for kind, entry in SYNTHESIZERS.items() if "table" in entry.modalities])
def test_values_of_a_table_are_legal(kind: str) -> None:
    real = mixed_table().frame
    drawn = sampled(fitted(kind, "table"), 500)
    assert isinstance(drawn, Table)
    frame = drawn.frame
    for name in ("age", "big", "price", "count", "since"):
        assert frame[name].min() >= real[name].min(), name
        assert frame[name].max() <= real[name].max(), name
    cents = frame["price"].dropna().to_numpy() * 100
    assert np.abs(cents - np.rint(cents)).max() < 1e-9
    assert (frame["since"] == frame["since"].dt.normalize()).all()
    assert set(frame["city"].dropna()) <= {"Ål", "Bergen", "Oslo"}
    assert set(frame["size"].unique()) <= {"S", "M", "L"}
    assert not frame[["age", "big", "member", "since", "answer", "size"]].isna().any().any()


CONDITIONAL = [kind for kind, entry in SYNTHESIZERS.items() if entry.over_codes]


@pytest.mark.parametrize("kind", CONDITIONAL)
@pytest.mark.parametrize(
    "where",
    [
        {"city": "Oslo"},
        {"city": "Bergen", "member": True, "size": "M"},
        {"price": None, "since": pd.Timestamp("2020-05-05")},
        {"age": 40, "answer": "yes"},
        {"count": 3, "city": None, "age": 33},
    ],
    ids=lambda where: "+".join(where),
)
def test_any_combination_of_values_is_drawn_exactly(kind: str, where: dict[str, object]) -> None:
    model = fitted(kind, "table")
    assert isinstance(model, ConditionalSynthesizer)
    drawn = model.sample_where(53, None, where, np.random.default_rng(0))
    assert len(drawn) == 53
    assert drawn.frame.dtypes.to_dict() == mixed_table().modelled.dtypes.to_dict()
    for name, value in where.items():
        column = drawn.frame[name]
        assert (column.isna() if value is None else column == value).all(), name


@pytest.mark.parametrize("kind", CONDITIONAL)
def test_values_may_be_given_as_text(kind: str) -> None:
    model = fitted(kind, "table")
    assert isinstance(model, ConditionalSynthesizer)
    where = {"age": "40", "member": "False", "since": "2020-05-05", "city": "Oslo"}
    frame = model.sample_where(11, None, where, np.random.default_rng(0)).frame
    assert (frame["age"] == 40).all()
    assert not frame["member"].any()
    assert (frame["since"] == pd.Timestamp("2020-05-05")).all()


@pytest.mark.parametrize("kind", CONDITIONAL)
def test_quotas_and_values_together_are_exact(kind: str) -> None:
    model = fitted(kind, "table")
    assert isinstance(model, ConditionalSynthesizer)
    labels = np.repeat(np.asarray(["yes", "no"]), [7, 30])
    drawn = model.sample_where(37, labels, {"city": "Oslo"}, np.random.default_rng(0))
    assert drawn.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("kind", CONDITIONAL)
def test_a_class_of_a_handful_of_rows_is_drawn_to_any_quota(kind: str) -> None:
    table = mixed_table()
    answers = table.frame["answer"].where(np.arange(ROWS) >= 5, "perhaps")
    rare = Table(table.frame.assign(answer=answers), table.schema)
    model = create(config_of(kind), rare).fit(rare, rare, np.random.default_rng(1))
    drawn = model.sample(400, np.full(400, "perhaps"), np.random.default_rng(2))
    assert isinstance(drawn, Table)
    assert (drawn.labels == "perhaps").all()
    # Not five rows over and over.
    assert len(np.unique(drawn.row_keys())) > 300


@pytest.mark.parametrize("kind", CONDITIONAL)
@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"cty": "Oslo"}, "column 'cty' is not known.*'city'"),
        ({"city": "Paris"}, "column 'city' has no value 'Paris'"),
        ({"age": 7}, "column 'age' has no value 7"),
        ({"price": 10.005}, "column 'price' has no value"),
        ({"age": None}, "column 'age' has no value None"),
        ({"since": "never"}, "column 'since' has no value 'never'"),
    ],
)
def test_a_condition_that_training_did_not_have_is_named(kind: str, where: dict[str, object], message: str) -> None:
    model = fitted(kind, "table")
    assert isinstance(model, ConditionalSynthesizer)
    with pytest.raises(ModelError, match=message):
        model.sample_where(3, None, where, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("kind", "modality"), [("ctgan", "images"), ("ctgan-library", "images"), ("image-gan", "table")]
)
def test_a_kind_that_does_not_fit_the_data_is_a_config_error(kind: str, modality: str) -> None:
    with pytest.raises(ConfigError, match=f"{kind!r} does not make {modality}"):
        create(config_of(kind), DATA[modality])


@pytest.mark.parametrize(("modality", "name"), [("table", "TableModel"), ("images", "ImageGan")])
def test_auto_resolves_by_what_the_data_are(modality: str, name: str) -> None:
    assert type(create(config_of("auto"), DATA[modality])).__name__ == name


def test_a_table_run_never_imports_the_image_networks() -> None:
    code = (
        "import sys, synthgen.synthesizers as s;"
        "from synthgen.datasets import Schema, Table;"
        "assert 'torch' not in sys.modules;"
        "from synthgen.config import AutoConfig; import pandas as pd;"
        "s.create(AutoConfig(), Table(pd.DataFrame(), Schema({}, None)));"
        "assert 'torch' in sys.modules and 'monai' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no synthesizer.json"), ("{", "not JSON"), ('{"kind": "ctgam"}', "did you mean 'ctgan'")],
)
def test_a_folder_that_holds_no_model_says_so(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "synthesizer.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        load_synthesizer(tmp_path)

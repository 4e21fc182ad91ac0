"""What a configuration may say, and how a mistake is answered."""

import datetime as dt
from pathlib import Path

import pytest
import yaml

from synthgen.config import RunConfig, TableSource
from synthgen.config_reading import load_config, parse_config
from synthgen.errors import ConfigError

WINE = {"source": {"kind": "builtin", "name": "wine"}}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "key 'source' is missing"),
        ({**WINE, "sede": 1}, "key 'sede' is not known; did you mean 'seed'?"),
        ({"source": {"kind": "tabel"}}, "source.kind is 'tabel', allowed: 'table', 'images', 'builtin'"),
        ({"source": {"name": "wine"}}, "key 'source.kind' is missing"),
        (
            {"source": {"kind": "table", "path": "x", "lable": "y"}},
            "key 'source.lable' is not known; did you mean 'label'?",
        ),
        (
            {**WINE, "synthesizer": {"kind": "ctgan", "bin": 3}},
            "key 'synthesizer.bin' is not known; did you mean 'bins'?",
        ),
        ({**WINE, "plan": {"kind": "balance", "shar": 1}}, "key 'plan.shar' is not known; did you mean 'share'?"),
        ({**WINE, "split": {"train": 0.9}}, "split: train + valid + holdout must be 1, they are 1.3"),
        ({**WINE, "seed": -1}, "seed is -1, allowed: a whole number (at least 0, at most 4,294,967,295)"),
        ({**WINE, "seed": "many"}, "seed is 'many', allowed: a whole number"),
        ({**WINE, "purpose": "shore"}, "purpose is 'shore', allowed: 'augment', 'share'; did you mean 'share'?"),
        ({**WINE, "name": "../up"}, "name is '../up', allowed: a text (matching ^[A-Za-z0-9]"),
        ({**WINE, "gates": [{"metric": "c2st_auc"}]}, "a gate needs at_most, at_least or required"),
        ({**WINE, "gates": [{"metric": "x", "at_most": 1, "at_least": 0}]}, "at_most or at_least, not both"),
    ],
)
def test_a_mistake_names_the_key_and_what_is_allowed(raw: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    assert message in caught.value.message


KINDS = (
    "'auto', 'ctgan', 'autoregressive', 'cart', 'tvae', 'ctgan-library', 'image-gan', 'image-vae',"
    " 'copies', 'marginals'"
)
ARCHITECTURES = "'dcgan', 'residual', 'residual-attention', 'progressive', 'style', 'auto'"
AUGMENTATIONS = "'brightness', 'contrast', 'translation', 'mirror'"
GAN_MISTAKES = {
    "loss": ("wgan", "'relativistic', 'hinge', 'wasserstein', 'nonsaturating', 'least_squares'"),
    "architecture": ("stylegan", f"{ARCHITECTURES}; did you mean 'style'?"),
    "penalty": ("r3", "'gp', 'r1', 'r1r2', 'auto', 'none'"),
    "compile": ("maybe", "true, false, 'auto'"),
    "augmentation": ("mirror", f"a list (each: {AUGMENTATIONS}) or 'auto'; did you mean [mirror]?"),
    "batch_size": (1, "a whole number (at least 2, at most 1,024)"),
    "budget_images": (0, "a whole number (at least 1) or null"),
    "learning_rate": (0, "a number (above 0, at most 0.1)"),
    "init_from": (3, "a text or null"),
    "warm_start": ("perhaps", "true, false"),
}


@pytest.mark.parametrize(("key", "came", "allowed"), [(key, *rest) for key, rest in GAN_MISTAKES.items()])
def test_all_that_is_allowed_is_named_beside_what_came(key: str, came: object, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({**WINE, "synthesizer": {"kind": "image-gan", key: came}})
    assert caught.value.message == f"synthesizer.{key} is {came!r}, allowed: {allowed}"


TABLE = {"kind": "table", "path": "x", "label": "y"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"synthesizer": {"kind": "image-gan", "augmentation": ["mirror", "flip"]}},
         f"synthesizer.augmentation.1 is 'flip', allowed: {AUGMENTATIONS}"),
        ({"synthesizer": {"kind": "image-gan", "augmentation": ["flop", "flip"]}},
         f"synthesizer.augmentation.0 is 'flop', allowed: {AUGMENTATIONS} (1 more after this one)"),
        ({"synthesizer": {"kind": "image-gan", "compile": [1]}},
         "synthesizer.compile is a list of 1, allowed: true, false, 'auto'"),
        ({"synthesizer": {"kind": "ctgan", "dp": 3}},
         "synthesizer.dp is 3, allowed: keys and values ('epsilon', 'delta') or null"),
        ({"synthesizer": {"kind": "ctgan", "dp": {"epsilon": 0}}},
         "synthesizer.dp.epsilon is 0, allowed: a number (above 0, at most 1,000)"),
        ({"synthesizer": "image-gan"},
         f"synthesizer is 'image-gan', allowed: keys and values with kind {KINDS}; did you mean {{kind: image-gan}}?"),
        ({"synthesizer": {"width": 8}}, f"key 'synthesizer.kind' is missing; allowed: {KINDS}"),
        ({"synthesizer": {"kind": None}}, f"synthesizer.kind is null, allowed: {KINDS}"),
        ({"plan": {"kind": "row"}},
         "plan.kind is 'row', allowed: 'balance', 'rows', 'per_class', 'ratio', 'auto'; did you mean 'rows'?"),
        ({"plan": {"kind": "per_class", "per_class": {"sick": "many"}}},
         "plan.per_class.sick is 'many', allowed: a whole number (at least 0)"),
        ({"split": 3}, "split is 3, allowed: keys and values ('train', 'valid', 'holdout', 'column')"),
        ({"source": {**TABLE, "types": {"age": "numerical"}}},
         "source.types.age is 'numerical', allowed: 'numeric', 'integer', 'categorical', 'boolean', 'datetime', 'id',"
         " 'text'; did you mean 'numeric'?"),
        ({"source": {**TABLE, "ids": "patient"}}, "source.ids is 'patient', allowed: a list (each: a text)"),
        ({"source": {**TABLE, "constraints": [{"kind": "unique", "columns": []}]}},
         "source.constraints.0.columns is [], allowed: a list (each: a text) (length at least 1)"),
        ({"source": {**TABLE, "constraints": [{"kind": "implied", "when": {"a": [1]}, "then": {"b": 1}}]}},
         "source.constraints.0.when.a is a list of 1,"
         " allowed: a whole number or a number or a text or true, false, null"),
        ({"source": {**TABLE, "constraints": [{"kind": "implied", "when": {}, "then": {"b": 1}}]}},
         "source.constraints.0.when is {}, allowed: keys and values (length at least 1)"),
        ({"curation": {"labels": True}}, "curation.labels is true, allowed: 'drop', 'keep'"),
        ({"evaluation": {"profile": "fast"}}, "evaluation.profile is 'fast', allowed: 'quick', 'full', 'release'"),
        ({"gates": {"c2st_auc": 0.8}}, "gates is keys and values, allowed: a list (each: keys and values ('metric',"
         " 'at_most', 'at_least', 'required'))"),
        ({"gates": [{"metric": "c2st_auc", "at_most": float("nan")}]},
         "gates.0.at_most is nan, allowed: a number (finite) or null"),
        ({"export": {"formats": ["parket"]}},
         "export.formats.0 is 'parket', allowed: 'parquet', 'csv', 'folder', 'npz', 'dicom', 'nifti';"
         " did you mean 'parquet'?"),
        ({"notify": {"events": ["passed"]}},
         "notify.events.0 is 'passed', allowed: 'pass', 'inconclusive', 'fail', 'error', 'waiting';"
         " did you mean 'pass'?"),
        ({"promotion": {"margin": 2}}, "promotion.margin is 2, allowed: a number (at least 0, at most 0.5)"),
        ({"approval": None}, "approval is null, allowed: 'none', 'required'"),
        ({"tracking": {"experiment": dt.date(2026, 1, 1)}}, "tracking.experiment is a date, allowed: a text or null"),
        ({"seed": "9" * 100}, f"seed is '{'9' * 60}…', allowed: a whole number (at least 0, at most 4,294,967,295)"),
        ({"seed": 1 << 20_000}, "seed is a number of too many digits, allowed: a whole number"
         " (at least 0, at most 4,294,967,295)"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_answered_with_one_sentence(raw: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({**WINE, **raw})
    assert caught.value.message == message


@pytest.mark.parametrize(
    "raw",
    [
        {"notify": {"webhook": "example.org/T0/SECRET"}},
        {"notify": "https://example.org/T0/SECRET"},
        {"export": {"to": "me:SECRET@store/bucket"}},
        {"export": "s3://me:SECRET@bucket"},
        {"source": f"s3://me:{'x' * 80}SECRET@bucket"},
        {"seed": "https://hooks.slack.com/services/SECRET"},
    ],
    ids=str,
)
def test_what_may_hold_a_secret_is_not_told(raw: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="allowed") as caught:
        parse_config({**WINE, **raw})
    assert "SECRET" not in str(caught.value)
    assert "[hidden]" in str(caught.value)


def test_every_key_but_source_has_a_default() -> None:
    config = parse_config(WINE)
    assert (config.seed, config.purpose, config.plan.kind, config.synthesizer.kind) == (0, "augment", "balance", "auto")


def test_a_resolved_config_reads_as_itself() -> None:
    config = parse_config({**WINE, "gates": [{"metric": "c2st_auc", "at_most": 0.8}]})
    assert RunConfig.model_validate(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config


def test_overrides_reach_nested_keys_and_keep_types(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("source: {kind: builtin, name: wine}\n")
    config = load_config(path, ["seed=7", "plan.kind=rows", "plan.rows=50", "source.thin={class_0: 9}"])
    assert (config.name, config.seed, config.plan.model_dump()) == ("mine", 7, {"kind": "rows", "rows": 50})


@pytest.mark.parametrize("override", ["seed", "=1", "name.x=1"])
def test_an_override_that_is_none_says_so(tmp_path: Path, override: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: a\nsource: {kind: builtin, name: wine}\n")
    with pytest.raises(ConfigError, match=r"override|section"):
        load_config(path, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "is not plain YAML"),
        ("- 1", "must hold keys and values"),
        ("x: !!python/object/apply:os.system ['true']", "is not plain YAML"),
        ("", "must hold keys and values"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert "broken.yaml" in caught.value.message


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml' does not exist"):
        load_config(tmp_path / "nowhere.yaml")


def test_a_data_path_is_found_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,y\n")
    path = tmp_path / "mine.yaml"
    path.write_text("source: {kind: table, path: rows.csv, label: y}\n")
    source = load_config(path).source
    assert isinstance(source, TableSource)
    assert Path(source.path) == tmp_path / "rows.csv"

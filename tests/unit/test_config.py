"""What a configuration may say, and how a mistake is answered."""

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
        ({**WINE, "seed": -1}, "seed: input should be greater than or equal to 0"),
        ({**WINE, "seed": "many"}, "seed: input should be a valid integer"),
        ({**WINE, "purpose": "fun"}, "purpose: input should be 'augment' or 'share'"),
        ({**WINE, "name": "../up"}, "name: string should match pattern"),
        ({**WINE, "gates": [{"metric": "c2st_auc"}]}, "a gate needs at_most, at_least or required"),
        ({**WINE, "gates": [{"metric": "x", "at_most": 1, "at_least": 0}]}, "at_most or at_least, not both"),
    ],
)
def test_a_mistake_names_the_key_and_what_is_allowed(raw: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    assert message in caught.value.message


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

"""What an audit takes a column for, what its options change, and what it says about files that do not fit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.auditing.reading import Inputs, read_inputs
from synthgen.config import EVALUATION_SIZES, AuditOptions
from synthgen.config_reading import parse_audit_options
from synthgen.datasets import Table
from synthgen.errors import ConfigError, DataError, SynthgenError, UsageError
from synthgen.files import write_json
from synthgen.findings import Finding
from synthgen.metrics.evaluation import Evaluation, NotApplicable
from synthgen.metrics.privacy.identifiers import identifier_replay
from synthgen.metrics.table_features import texts


def people(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": np.arange(1, n + 1),
            "name": [f"person {number:09d}" for number in rng.integers(0, 10**9, n)],
            "age": rng.integers(18, 90, n),
            "code": rng.integers(0, 4, n),
            "city": rng.choice(["Oslo", "Rome", "Kyiv"], n),
            "ill": rng.choice(["yes", "no"], n),
        }
    )


def opened(train: pd.DataFrame, synthetic: pd.DataFrame, **options: object) -> Inputs:
    return read_inputs({"train": train, "synthetic": synthetic}, parse_audit_options(options))


def replayed(inputs: Inputs) -> Finding:
    assert inputs.holdout is not None
    return identifier_replay(Evaluation(inputs.train, inputs.holdout, inputs.synthetic, EVALUATION_SIZES["quick"]))


def numbered(ids: object, seed: int) -> pd.DataFrame:
    return people(300, seed).drop(columns=["id", "name"]).assign(patient_id=ids)


@pytest.mark.parametrize("options", [{}, {"ids": ["patient_id"]}])
@pytest.mark.parametrize("form", ["csv", "Int64", "float64"])
def test_copied_numbers_of_people_are_found_though_one_is_missing(
    options: dict[str, object], form: str, tmp_path: Path
) -> None:
    numbers = np.random.default_rng(0).permutation(np.arange(100_000, 900_000))
    gappy = pd.Series(numbers[:300], dtype="Int64" if form == "csv" else form).where(np.arange(300) != 7)
    synthetic = tmp_path / ("synthetic.csv" if form == "csv" else "synthetic.parquet")
    frame = numbered(gappy, 3)
    frame.to_csv(synthetic, index=False) if form == "csv" else frame.to_parquet(synthetic)
    items = {"train": numbered(numbers[:300], 1), "holdout": numbered(numbers[300:600], 2), "synthetic": synthetic}
    finding = replayed(read_inputs(items, parse_audit_options(options)))
    assert (finding.low, finding.reference) == (299, 0)


def test_a_declared_category_of_numbers_is_the_same_with_a_gap() -> None:
    gappy = people(60, 1).assign(code=[None, *[1, 2, 3] * 19, 1, 2])
    inputs = opened(people(80), gappy, types={"code": "categorical"})
    assert isinstance(inputs.synthetic, Table)
    assert set(texts(inputs.synthetic.frame, "code")) == {None, "1", "2", "3"}


def test_a_guess_that_recurs_by_chance_is_no_identifier_and_a_declared_one_is() -> None:
    rng = np.random.default_rng(0)
    parts = {
        name: people(400, seed).drop(columns=["id", "name"]).assign(
            income=[f"$ {value}" for value in rng.integers(0, 9_000, 400)]
        )
        for seed, name in enumerate(["train", "synthetic", "holdout"])
    }  # fmt: skip
    with pytest.raises(NotApplicable, match="'income' was taken for an id, but its values recur by chance"):
        replayed(read_inputs(parts, AuditOptions()))
    assert replayed(read_inputs(parts, AuditOptions(ids=("income",)))).low > 0


def kinds(inputs: Inputs) -> dict[str, str]:
    assert isinstance(inputs.train, Table)
    return dict(inputs.train.schema.kinds)


def test_column_types_are_guessed_and_the_guess_of_an_id_is_told() -> None:
    inputs = opened(people(80), people(60, 1), label="ill")
    assert kinds(inputs) == {
        "id": "id", "name": "id", "age": "integer", "code": "integer", "city": "categorical", "ill": "categorical",
    }  # fmt: skip
    (problem,) = inputs.problems
    assert "'id', 'name'" in problem.message


def test_options_overrule_the_guess() -> None:
    inputs = opened(
        people(80), people(60, 1), types={"code": "categorical", "id": "integer"}, ids=["age"], drop=["name"],
        protected=["city"], secrets=["code"], label="ill",
    )  # fmt: skip
    assert kinds(inputs) == {
        "id": "integer", "age": "id", "code": "categorical", "city": "categorical", "ill": "categorical",
    }  # fmt: skip
    assert isinstance(inputs.synthetic, Table)
    assert inputs.synthetic.schema.protected == ("city",)
    assert inputs.synthetic.schema.secrets == ("code",)
    assert not inputs.problems


@pytest.mark.parametrize("role", ["label", "ids", "drop", "protected", "secrets", "types"])
def test_a_misspelt_column_is_answered_with_the_nearest(role: str) -> None:
    value: object = {"label": "citty", "types": {"citty": "categorical"}}.get(role, ["citty"])
    with pytest.raises(UsageError, match=r"'citty' is not known .* did you mean 'city'"):
        opened(people(80), people(60, 1), **{role: value})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"label": "ill", "drop": ["ill"]}, "column 'ill' is dropped, so it cannot be label"),
        ({"ids": ["city"], "protected": ["city"]}, "column 'city' is an id, so it cannot be protected"),
        ({"types": {"city": "text"}, "secrets": ["city"]}, "column 'city' is an id, so it cannot be secret"),
    ],
)
def test_roles_that_exclude_each_other_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        opened(people(80), people(60, 1), **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"protcted": ["city"]}, "key 'protcted' is not known; did you mean 'protected'"),
        ({"types": {"city": "categoric"}}, "types.city"),
        ({"gates": [{"metric": "c2st_auc", "at_most": float("inf")}]}, r"at_most is inf, allowed: a number \(finite\)"),
        ({"gates": [{"metric": "c2st_auc"}]}, "a gate needs at_most, at_least or required"),
    ],
)
def test_a_misspelt_option_is_answered(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_audit_options(options)


@pytest.mark.parametrize(
    ("synthetic", "sentence"),
    [
        (people(60).assign(extra=1), "synthetic has column 'extra', which train lacks"),
        (people(60).drop(columns="age"), "synthetic lacks column 'age', which train has"),
        (
            people(60).rename(columns={"age": "Age"}),
            "synthetic lacks column 'age', which train has and has column 'Age'",
        ),
        (people(60).iloc[:0], "synthetic has no rows"),
        (people(60).assign(age=np.inf), "infinite"),
    ],
)
def test_columns_that_do_not_fit_get_one_sentence(synthetic: pd.DataFrame, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        opened(people(80), synthetic)


@pytest.mark.parametrize(
    "synthetic", [people(60).assign(extra=1), people(60).drop(columns="age"), people(60).drop(columns=["id", "name"])]
)
def test_a_column_can_be_left_out_of_all_files_and_ids_may_be_absent(synthetic: pd.DataFrame) -> None:
    dropped = [name for name in ("extra", "age") if (name in synthetic) != (name in people(3))]
    inputs = opened(people(80), synthetic, drop=dropped)
    assert isinstance(inputs.synthetic, Table)
    assert not {"extra", *dropped} & set(inputs.synthetic.frame)


def test_a_set_is_known_by_its_data_whatever_its_columns_are_asked_for() -> None:
    plain = opened(people(80), people(60, 1), label="ill").hashes()
    asked = opened(people(80), people(60, 1), label="ill", protected=["city"], secrets=["code"]).hashes()
    assert plain == asked
    assert set(plain) == {"data_sha256", "synthetic_sha256"}
    assert opened(people(80, 2), people(60, 1), label="ill").hashes()["data_sha256"] != plain["data_sha256"]


def marked() -> pd.DataFrame:
    return pd.concat([people(80).assign(synthetic=False), people(60, 1).assign(synthetic=True)], ignore_index=True)


def test_of_an_emitted_train_file_only_the_real_rows_are_real() -> None:
    inputs = opened(marked(), people(60, 1))
    assert len(inputs.train) == 80
    assert "synthetic" not in kinds(inputs)
    assert "column 'synthetic' of train marks 60 rows as synthetic: they were left out" in [
        problem.message for problem in inputs.problems
    ]


def test_of_an_emitted_train_file_as_the_synthetic_one_only_the_made_up_rows_are_judged() -> None:
    inputs = opened(people(80), marked())
    assert len(inputs.synthetic) == 60


def test_a_file_without_a_real_row_is_no_training_file() -> None:
    with pytest.raises(DataError, match="column 'synthetic' of train marks no row as real"):
        opened(people(80).assign(synthetic=True), people(60))


def test_a_column_of_ones_own_may_be_called_synthetic() -> None:
    tables = [people(n, n).assign(synthetic=np.arange(n) % 2 == 0) for n in (80, 60)]
    inputs = opened(*tables, types={"synthetic": "boolean"})
    assert len(inputs.train) == 80
    assert kinds(inputs)["synthetic"] == "boolean"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_of_a_file_beyond_the_cap_a_seeded_sample_is_read_with_a_notice(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"train{suffix}"
    frame = people(500)
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    first, again, other = (
        read_inputs({"train": path, "synthetic": people(60, 1)}, AuditOptions(max_rows=100, seed=seed))
        for seed in (0, 0, 1)
    )
    assert len(first.train) == 100
    assert first.train.fingerprint() == again.train.fingerprint() != other.train.fingerprint()
    notice = first.problems[0]
    assert f"'train{suffix}' has 500 rows; a random 100 of them are used" in notice.message
    assert "--max-rows" in notice.hint
    assert notice.severity == "warning"


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ({"train": people(60), "synthetic": "folder"}, "train is a table, but synthetic is a set of images"),
        ({"train": "folder", "synthetic": people(60)}, "train is a set of images, but synthetic is a table"),
    ],
)
def test_tables_and_images_are_not_mixed(items: dict[str, pd.DataFrame | str], sentence: str) -> None:
    with pytest.raises(SynthgenError, match=sentence):
        read_inputs(items, AuditOptions())


def test_images_have_no_columns_to_name() -> None:
    with pytest.raises(UsageError, match="images have no columns, but 'drop' was given"):
        read_inputs({"train": "a", "synthetic": "b"}, AuditOptions(drop=("x",)))


@pytest.mark.parametrize(("name", "strays"), [("train", "4 synthetic"), ("synthetic", "9 real")])
def test_a_folder_of_real_and_synthetic_images_is_neither_set(tmp_path: Path, name: str, strays: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "other").mkdir()
    write_json(tmp_path / "manifest.json", {"parts": {"train": {"real": 9, "synthetic": 4}}})
    with pytest.raises(DataError, match=f"holds {strays} images beside the"):
        read_inputs(
            {"train": tmp_path / "other", "synthetic": tmp_path / "other"} | {name: tmp_path / "train"}, AuditOptions()
        )

"""Labelled tables: roles of columns, what is refused, what is remarked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.config import TableSource
from synthgen.datasets import Ingested, Table
from synthgen.errors import DataError
from synthgen.sources import ingest_frame, read, read_table

N = 200


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "age": rng.integers(20, 60, N),
        "pay": rng.normal(100, 10, N),
        "town": rng.choice(["Ulm", "Bonn"], N),
        "note": [f"text {row}" for row in range(N)],
        "class": rng.choice(["yes", "no"], N),
    })  # fmt: skip


def ingest(data: pd.DataFrame, *, split_column: str | None = None, **keys: object) -> Ingested:
    source = TableSource.model_validate(
        {"kind": "table", "path": "t.parquet", "label": "class", "drop": ["note"], **keys}
    )
    return ingest_frame(data, source, split_column=split_column)


def the_table(ingested: Ingested) -> Table:
    assert isinstance(ingested.data, Table)
    return ingested.data


def test_roles_become_the_schema() -> None:
    table = the_table(ingest(frame(), drop=["pay"], ids=["note"], group="town", protected=["age"], secrets=["age"]))
    assert table.schema.kinds == {"age": "integer", "town": "categorical", "note": "id", "class": "categorical"}
    assert (table.schema.modelled, table.schema.features) == (["age", "class"], ["age"])
    assert (table.schema.protected, table.schema.secrets) == (("age",), ("age",))


def test_missing_values_stay_missing() -> None:
    data = frame()
    data.loc[:9, ["pay", "town"]] = None
    assert the_table(ingest(data)).frame[["pay", "town"]].isna().sum().tolist() == [10, 10]


@pytest.mark.parametrize(
    ("label", "dtype", "kind"),
    [
        (np.arange(N) % 2, "int64", "categorical"),
        (np.arange(N) % 2 == 0, "bool", "boolean"),
        ((np.arange(N) % 3).astype(float), "float64", "categorical"),
        (pd.array(np.arange(N) % 2, dtype="Int64"), "Int64", "categorical"),
    ],
)
def test_a_label_keeps_its_dtype_and_names_classes(label: object, dtype: str, kind: str) -> None:
    table = the_table(ingest(frame().assign(**{"class": label})))
    assert (str(table.frame["class"].dtype), table.schema.kinds["class"]) == (dtype, kind)


def test_declared_types_overrule_what_was_found() -> None:
    table = the_table(ingest(frame(), types={"age": "categorical", "note": "id"}, drop=[]))
    assert (table.schema.kinds["age"], table.schema.kinds["note"]) == ("categorical", "id")


def test_leading_zeros_of_a_csv_stay_text_and_na_is_missing(tmp_path: Path) -> None:
    rows = "".join(f"00{row % 7},{'NA' if row % 5 == 0 else row % 3},{'ab'[row % 2]}\n" for row in range(50))
    (tmp_path / "t.csv").write_text("code,size,class\n" + rows)
    table = the_table(
        read_table(TableSource(kind="table", path=str(tmp_path / "t.csv"), label="class"), seed=0, split_column=None)
    )
    assert (table.schema.kinds["code"], table.frame["code"].iloc[1]) == ("categorical", "001")
    assert (str(table.frame["size"].dtype), int(table.frame["size"].isna().sum())) == ("Int64", 10)


def test_na_and_null_as_text_in_parquet_are_categories(tmp_path: Path) -> None:
    frame().assign(town=["NA", "null", "None", ""] * (N // 4)).to_parquet(tmp_path / "t.parquet")
    source = TableSource(kind="table", path=str(tmp_path / "t.parquet"), label="class", drop=("note",))
    assert sorted(the_table(read(source, seed=0)).frame["town"].unique()) == ["", "NA", "None", "null"]


def test_a_split_column_gives_the_parts_and_is_not_learnt() -> None:
    ingested = ingest(frame().assign(split=["train", "train", "test", "val"] * (N // 4)), split_column="split")
    assert ingested.parts is not None
    assert ingested.parts[:4].tolist() == ["train", "train", "holdout", "valid"]
    assert "split" not in the_table(ingested).frame


@pytest.mark.parametrize(
    ("change", "keys", "message"),
    [
        (lambda data: data, {"label": "clas"}, r"label column 'clas' is not in 't.parquet' .*mean 'class'\?"),
        (lambda data: data, {"group": "twon"}, "group column 'twon' .* did you mean 'town'"),
        (lambda data: data, {"ids": ["nte"]}, "ids column 'nte'"),
        (lambda data: data, {"drop": ["nte"]}, "drop column 'nte'"),
        (lambda data: data, {"protected": ["sex"]}, "protected column 'sex'"),
        (lambda data: data, {"secrets": ["pays"]}, "secrets column 'pays'"),
        (lambda data: data, {"types": {"agee": "integer"}}, "types column 'agee'"),
        (lambda data: data, {"split_column": "fold"}, "split.column column 'fold'"),
        (lambda data: data, {"drop": ["class"]}, "'class' is named under drop and under label"),
        (lambda data: data, {"group": "class"}, "both label and group"),
        (lambda data: data, {"drop": ["note", "age"], "protected": ["age"]}, "under drop and under protected"),
        (lambda data: data, {"drop": []}, "text column 'note' of 't.parquet' has 200 different values in 200 rows"),
        (lambda data: data, {"types": {"town": "text"}}, "'town' of 't.parquet' is free text"),
        (lambda data: data, {"types": {"town": "numeric"}}, "declared numeric, but 200 values are not"),
        (lambda data: data, {"label": "pay"}, "200 different values of kind numeric"),
        (lambda data: data, {"drop": ["age", "pay", "town", "note"]}, "no column to learn besides the label"),
        (lambda data: data.assign(**{"class": "yes"}), {}, "one class only"),
        (lambda data: data.assign(**{"class": [None] * 7 + ["a", "b"] * 96 + ["a"]}), {}, "missing in 7 of 200 rows"),
        (lambda data: data.head(1), {}, "has 1 rows, at least 10"),
        (lambda data: data.assign(pay=[np.inf, -np.inf, *range(N - 2)]), {}, "2 infinite values .the first in row 1"),
        (lambda data: data.assign(pay=[0.0, 1e308, *range(N - 2)]), {}, r"1 values above 1e\+150 .the first in row 2"),
        (lambda data: data.assign(town=["1,5", "2,25"] * (N // 2)), {}, "numbers with a comma as text"),
        (lambda data: data.assign(town=["12", "?", "13", "14"] * (N // 4)), {}, "50 of 200 values are text .*row 2"),
        (lambda data: data.assign(town=[1, "x"] * (N // 2)), {}, "'town' of 't.parquet' holds int and str"),
        (lambda data: data.assign(town=[f"a{row % 11_000}" for row in range(N)]), {}, "200 different values"),
        (lambda data: data.set_axis(["age", "age", "town", "note", "class"], axis=1), {}, "one column named 'age'"),
        (lambda data: data.rename(columns={"pay": " "}), {}, "column 2 has a blank name"),
    ],
)  # fmt: skip
def test_an_unusable_table_is_refused_in_one_sentence(
    change: Callable[[pd.DataFrame], pd.DataFrame], keys: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        ingest(change(frame()), **keys)
    assert "\n" not in str(caught.value)


def test_a_hundred_thousand_categories_are_refused_with_the_count() -> None:
    data = pd.DataFrame({"street": [f"s{row // 2}" for row in range(60_000)], "class": ["a", "b"] * 30_000})
    with pytest.raises(DataError, match=r"'street' of 't.parquet' has 30,000 categories"):
        ingest(data, drop=[])


@pytest.mark.parametrize("label", ["class", "town"])
def test_no_cell_is_quoted_in_an_error(label: str) -> None:
    data = frame().assign(pay=["Dr Secret", *map(str, range(N - 1))])
    with pytest.raises(DataError) as caught:
        ingest(data, label=label)
    assert "Secret" not in f"{caught.value.message} {caught.value.hint} {caught.value.where}"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda data: pd.concat([data, data.head(3)]), "duplicate_rows", "3 of 203 rows repeat an earlier row"),
        (lambda data: data.assign(town="Ulm"), "constant_column", "column 'town' has one value in all rows"),
        (lambda data: data.assign(pay=None), "all_missing", "column 'pay' has no value at all"),
        (lambda data: data.assign(age=range(N)), "id_like", "every row has its own whole number in column 'age'"),
        (lambda data: data.assign(town=["Köln", "Ko\u0308ln"] * (N // 2)), "unicode_twins", "'town' has categories"),
        (lambda data: data.assign(**{"class": ["c"] * 4 + ["a", "b"] * 98}), "tiny_class", "class 'c' has 4 of 200"),
        (lambda data: data.assign(town=data["class"] + "!"), "leak", "column 'town' alone tells the class"),
    ],
)  # fmt: skip
def test_a_usable_table_with_a_flaw_is_read_and_the_flaw_is_remarked(
    change: Callable[[pd.DataFrame], pd.DataFrame], kind: str, message: str
) -> None:
    found = [problem for problem in ingest(change(frame())).problems if problem["kind"] == kind]
    assert len(found) == 1
    assert message in str(found[0]["message"])


def test_a_sound_table_has_no_problems() -> None:
    assert list(ingest(frame()).problems) == []

"""What a notebook calls: augment and audit."""

from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from synthgen import audit, augment
from synthgen.errors import DataError
from synthgen.findings import Verdict


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    data = load_breast_cancer(as_frame=True).frame.iloc[:, [0, 1, 4, 7, 20, -1]]
    return data.astype({"target": str}).sample(frac=1, random_state=0, ignore_index=True)


@pytest.mark.filterwarnings("ignore:dataset .* did not pass its audit")
def test_augment_gives_training_rows_and_a_report(frame: pd.DataFrame, tmp_path: Path) -> None:
    rows, report = augment(frame, label="target", workspace=tmp_path, synthesizer={"kind": "marginals"})
    assert report.finding("c2st_auc") is not None
    assert (rows is None) == (report.verdict == Verdict.FAIL)
    if rows is not None:
        assert rows.columns.tolist() == [*frame.columns, "synthetic"]
        assert rows.loc[rows["synthetic"], "target"].nunique() == 1


def test_augment_names_the_nearest_label(frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="did you mean 'target'"):
        augment(frame, label="targt")


def test_an_audit_without_holdout_is_not_audited(frame: pd.DataFrame) -> None:
    report = audit(frame.iloc[:300], frame.iloc[300:], label="target")
    assert report.verdict == Verdict.NOT_AUDITED
    assert not report.findings


def test_an_audit_finds_copies(frame: pd.DataFrame) -> None:
    train, holdout = frame.iloc[:300], frame.iloc[300:]
    report = audit(train, train, holdout, label="target")
    verdicts = {judgement.metric: judgement.verdict for judgement in report.judgements}
    assert report.verdict == Verdict.FAIL
    assert verdicts["excess_copies"] == Verdict.FAIL


def test_an_audit_of_files_names_a_missing_column(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "train.csv", index=False)
    frame.drop(columns="mean area", errors="ignore").iloc[:, 1:].to_csv(tmp_path / "synthetic.csv", index=False)
    with pytest.raises(DataError, match="mean radius"):
        audit(tmp_path / "train.csv", tmp_path / "synthetic.csv", tmp_path / "train.csv", label="target")

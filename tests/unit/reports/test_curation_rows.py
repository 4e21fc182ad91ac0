"""What curation drew and dropped of each class, as the report tells it."""

from synthgen.reports.curation import ClassCuration, ShareTried, curation_columns, curation_rows, shares_tried

CURATION = {
    "unknown_classes": ["owl"],
    "per_class": {
        "cat": {"drawn": 200, "near_copies": 3, "other_class": 10},
        "owl": {"drawn": 20, "odd_kept": 2},
    },
}


def test_each_class_has_its_counts_and_shares() -> None:
    assert curation_columns(CURATION) == [
        "near copies", "seen as another class", "unlike any real image", "kept though odd",
    ]  # fmt: skip
    cat, _ = curation_rows(CURATION)
    assert cat == ClassCuration("cat", 200, ("3 (1.5%)", "10 (5.0%)", "0 (0.0%)", "0"))


def test_a_class_that_nobody_could_look_at_has_no_zero_for_it() -> None:
    unknown = "too few real images to tell"
    _, owl = curation_rows(CURATION)
    assert owl.cells == ("0 (0.0%)", unknown, unknown, "2")


def test_without_classes_there_is_no_table() -> None:
    assert curation_rows({}) == []
    assert curation_columns({"per_class": {"cat": {"drawn": 5}}}) == []


def test_shares_of_the_plan_that_were_tried():
    gains = {"0.05": {"value": -0.006, "low": -0.03, "high": 0.02}, "1.0": {"value": 0.02, "low": 0.01, "high": 0.03}}
    found = shares_tried({"ratio": {"share": 1.0, "gains": gains, "reason": "the largest gain"}})
    assert found is not None
    assert found.reason == "the largest gain"
    assert found.shares == [
        ShareTried("5%", "−0.6", "−3.0 to +2.0", "–", taken=False),
        ShareTried("100%", "+2.0", "+1.0 to +3.0", "–", taken=True),
    ]


def test_another_plan_tried_no_shares():
    assert shares_tried({"ratio": {}}) is None
    assert shares_tried({}) is None

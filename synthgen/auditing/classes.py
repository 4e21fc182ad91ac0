"""Classes of train that a synthetic set does not have."""

from collections.abc import Iterator

from scipy import stats as scipy_stats

from synthgen.datasets import Data, class_counts
from synthgen.errors import name_list
from synthgen.findings import Problem

# A class of fewer rows has no name here, as on the shareable page; one of fewer held-out rows proves nothing.
MIN_ROWS = 10
# Of calling a class lost that an honest set lacks by chance; shared among the classes.
FALSE_ALARM = 1e-3


def missing_classes(train: Data, synthetic: Data) -> Iterator[Problem]:
    """A notice when a class of train has no synthetic row, with the names of those that are no rarity."""
    real, made = ({name: n for name, n in class_counts(data).items() if n} for data in (train, synthetic))
    missing = [name for name in real if name not in made]
    if missing:
        frequent = [name for name in missing if real[name] >= MIN_ROWS]
        names = f" ({name_list(frequent)})" if frequent else ""
        message = f"classes of train without any synthetic row: {len(missing):,} of {len(real):,}{names}"
        hint = "numbers by class are of the others alone; --purpose augment judges a set that is meant for some classes"
        yield Problem("class_missing", message, "warning", hint=hint)


def lost_classes(train: Data, synthetic: Data, holdout: Data | None) -> list[str]:
    """Classes of train with at least 10 held-out rows of which so many synthetic rows have none but by design.

    By chance: the hypergeometric probability that all real rows of the class fall among the real ones when real and
    synthetic rows are mixed.
    """
    if holdout is None:
        return []
    trained, held, made = (class_counts(data) for data in (train, holdout, synthetic))
    real, everything = len(train) + len(holdout), len(train) + len(holdout) + len(synthetic)
    lost = []
    for name, count in trained.items():
        if count and held.get(name, 0) >= MIN_ROWS and not made.get(name):
            chance = scipy_stats.hypergeom.pmf(0, everything, count + held[name], everything - real)
            lost += [name] if chance < FALSE_ALARM / len(trained) else []
    return lost

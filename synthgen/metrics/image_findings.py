"""A number of one class, and the finding that the worst class makes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from synthgen.findings import Finding
from synthgen.stats import FloatArray


@dataclass(frozen=True)
class ClassNumber:
    """What was measured on one class, as in Finding."""

    value: float
    low: float
    high: float
    reference: float
    n: int

    @classmethod
    def of_rounds(cls, values: FloatArray, references: FloatArray, n: int) -> "ClassNumber":
        """Median and 95 % range over random halves, float64 [rounds]; see `ClassRows.halves`."""
        low, value, high = np.quantile(values, [0.025, 0.5, 0.975]).tolist()
        return cls(value, low, high, float(np.median(references)), n)


def worst_class(
    metric: str, numbers: Mapping[str, ClassNumber], *, higher_is_better: bool, detail: Mapping[str, object]
) -> Finding:
    """The finding of the class with the worst value: a good mean must not hide a class that failed."""
    sign = 1 if higher_is_better else -1
    name = min(numbers, key=lambda key: sign * numbers[key].value)
    worst = numbers[name]
    return Finding(
        metric=metric,
        family="fidelity",
        value=worst.value,
        low=worst.low,
        high=worst.high,
        reference=worst.reference,
        higher_is_better=higher_is_better,
        n=worst.n,
        detail={"worst_class": name, "per_class": {key: asdict(one) for key, one in numbers.items()}, **detail},
    )

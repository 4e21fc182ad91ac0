"""What every part of the configuration is."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen part of the configuration that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# Truth values before numbers: True must not become 1. None stands for a missing value.
Scalar = bool | int | float | str | None


def different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a column is named twice; different columns are needed")
    return names

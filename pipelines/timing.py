"""When a schedule fires, as a person writes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cyclopts import Parameter
from pydantic import ValidationError

from synthgen.errors import UsageError

if TYPE_CHECKING:
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

_EVERY = re.compile(r"(\d{1,4})([smhdw])")
_UNITS: Mapping[str, str] = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


@Parameter(name="*")
@dataclass(frozen=True)
class Timing:
    """When a schedule fires.

    Attributes:
        cron: minute hour day month weekday, such as "0 2 * * *".
        every: instead of --cron: a number and s, m, h, d or w, such as 6h.
        timezone: of --cron, such as Europe/Oslo.
    """

    cron: str | None = None
    every: str | None = None
    timezone: str = "UTC"

    def schedule(self) -> "CronSchedule | IntervalSchedule":
        """What Prefect is given.

        Raises:
            UsageError: none or both are given, or one of them cannot be read.
        """
        match self.cron, self.every:
            case str(cron), None:
                return _cron(cron, self.timezone)
            case None, str(every):
                return _interval(every)
            case _:
                raise UsageError("give either --cron or --every", hint="--cron '0 2 * * *', or --every 6h")


def _cron(cron: str, timezone: str) -> "CronSchedule":
    from prefect.client.schemas.schedules import CronSchedule

    try:
        return CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        name, given = ("--timezone", timezone) if error.errors()[0]["loc"] == ("timezone",) else ("--cron", cron)
        hint = "a name such as Europe/Oslo" if name == "--timezone" else "minute hour day month weekday: '0 2 * * *'"
        raise UsageError(f"{name} {given!r} is not valid", where=name, hint=hint) from None


def _interval(every: str) -> "IntervalSchedule":
    from prefect.client.schemas.schedules import IntervalSchedule

    parts = _EVERY.fullmatch(every)
    if parts is None or int(parts[1]) == 0:
        message = f"--every {every!r} must read a number and s, m, h, d or w, for example 6h"
        raise UsageError(message, where="--every")
    return IntervalSchedule(interval=timedelta(**{_UNITS[parts[2]]: int(parts[1])}))


def written(interval: timedelta) -> str:
    """The interval as `--every` takes it."""
    seconds = int(interval.total_seconds())
    for unit, name in _UNITS.items():
        size = int(timedelta(**{name: 1}).total_seconds())
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"

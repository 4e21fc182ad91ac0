"""Which version is in use: `champion` moves when gates pass and the new one is not worse, and can go back."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from filelock import FileLock

from synthgen.errors import ModelError, SynthgenError, UsageError
from synthgen.findings import Verdict
from synthgen.metrics import NotMeasurable
from synthgen.metrics.utility.controls import Gain
from synthgen.registry.versions import CHAMPION, PREFIX, Version, list_versions, shown_time
from synthgen.tracking import client_of
from synthgen.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

Comparison = Callable[[Version], Gain]
# A tag of MLflow holds 5,000 characters, an event 60.
_EVENTS = 60
_HISTORY = f"{PREFIX}champions"


@dataclass(frozen=True)
class Promotion:
    """Whether a version is the champion now, and why, in one sentence.

    Attributes:
        before: the version that was champion; None when there was none.
        gain: balanced accuracy over the champion's, where both were compared.
    """

    model: str
    version: str
    promoted: bool
    reason: str
    before: str | None = None
    gain: Gain | None = None


@dataclass(frozen=True)
class Bar:
    """What a version has to show against the champion.

    Attributes:
        margin: what it may lose at most, at the low end of the interval of balanced accuracy.
        unproven: a person takes it where the interval leaves open whether it loses more.
    """

    margin: float
    unproven: bool = False

    def reached(self, gain: Gain) -> tuple[bool, str]:
        """Whether the gain is enough, and what it shows."""
        if gain["low"] >= -self.margin:
            return True, "not worse than"
        if gain["high"] < 0:
            return False, "worse than"
        return self.unproven, f"not proven to lose at most {self.margin:g} against"


def consider(workspace: Workspace, version: Version, compare: Comparison, bar: Bar) -> Promotion:
    """Make the version champion if its gates passed and it is not worse than the champion; what came of it.

    Args:
        compare: balanced accuracy with the version's rows minus with those of the given champion.
    """
    # One at a time: else two that are compared with the same champion would both replace it.
    with FileLock(workspace.root / f".champion-{version.name}.lock"):
        client = client_of(workspace)
        champion = _champion(workspace, version.name)
        decided = _vetoed(version, champion) or _compared(version, champion, compare, bar)
        if decided.promoted:
            _move(client, version)
        if champion is None or champion.version != version.version:
            client.set_model_version_tag(version.name, version.version, f"{PREFIX}promotion", decided.reason[:500])
        logger.info("promote model=%s promoted=%s reason=%s", version.text, decided.promoted, decided.reason)
        return decided


def rollback(workspace: Workspace, name: str) -> Promotion:
    """Give `champion` back to the version that had it before; raises UsageError when there is none."""
    with FileLock(workspace.root / f".champion-{name}.lock"):
        client, versions = client_of(workspace), list_versions(workspace, name)
        champion = _champion(workspace, name)
        there = {version.version: version for version in versions}
        stack = [number for number in _stack(client, name) if number in there]
        before = _below(stack, champion.version) if champion is not None else []
        if champion is None or not before:
            state = "has no champion" if champion is None else f"had no champion before version {champion.version}"
            raise UsageError(f"model {name!r} {state}", hint="`synthgen models` lists versions and aliases")
        target = there[before[-1]]
        client.set_model_version_tag(name, champion.version, f"{PREFIX}rolled_back", shown_time())
        client.set_registered_model_alias(name, CHAMPION, target.version)
        _note(client, name, "rollback", target.version)
        reason = f"version {champion.version} was rolled back"
        return Promotion(name, target.version, True, reason, before=champion.version)


def _vetoed(version: Version, champion: Version | None) -> Promotion | None:
    """What needs no comparison; None when the version and the champion have to be compared."""
    before = champion.version if champion else None
    stays = Promotion(version.name, version.version, False, "it is the champion already", before)
    if before == version.version:
        return stays
    verdict, approval = version.tags.get("verdict"), version.tags.get("approval")
    if verdict != Verdict.PASS:
        return replace(stays, reason=f"its gates say {verdict}, and only PASS is promoted")
    if approval == "rejected":
        return replace(stays, reason="a person rejected its run")
    return None


def _compared(version: Version, champion: Version | None, compare: Comparison, bar: Bar) -> Promotion:
    if champion is None:
        return Promotion(version.name, version.version, True, "its gates passed, and there was no champion")
    stays = Promotion(version.name, version.version, False, "", champion.version)
    try:
        gain = compare(champion)
    except NotMeasurable as error:
        return replace(stays, reason=f"it cannot be compared with version {champion.version}: {error}")
    except ModelError as error:
        # Of no use for the data of today, whatever the new one is worth.
        reason = f"its gates passed, and version {champion.version} does not fit these data: {error.message}"
        return replace(stays, promoted=True, reason=reason)
    reaches, word = bar.reached(gain)
    shown = f"{gain['value']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}] balanced accuracy"
    return replace(stays, promoted=reaches, reason=f"it is {word} version {champion.version}: {shown}", gain=gain)


def _champion(workspace: Workspace, name: str) -> Version | None:
    return next((version for version in list_versions(workspace, name) if CHAMPION in version.aliases), None)


def _move(client: "MlflowClient", version: Version) -> None:
    # Noted first: after a kill in between the next promotion or rollback finds the alias where it was.
    _note(client, version.name, "promote", version.version)
    client.set_model_version_tag(version.name, version.version, f"{PREFIX}champion_since", shown_time())
    client.set_registered_model_alias(version.name, CHAMPION, version.version)


def _events(client: "MlflowClient", name: str) -> list[list[str]]:
    raw = client.get_registered_model(name).tags.get(_HISTORY, "[]")
    try:
        return [[str(part) for part in event] for event in json.loads(raw)]
    except (ValueError, TypeError):
        raise SynthgenError(
            f"tag {_HISTORY!r} of model {name!r} is not what synthgen wrote", hint="set it to [] in MLflow"
        ) from None


def _below(stack: Sequence[str], champion: str) -> Sequence[str]:
    """Who was champion before; all of the stack where the champion was made by hand."""
    if champion not in stack:
        return stack
    last = len(stack) - 1 - stack[::-1].index(champion)
    return [number for number in stack[:last] if number != champion]


def _note(client: "MlflowClient", name: str, what: str, number: str) -> None:
    events = [*_events(client, name), [shown_time(), what, number]]
    client.set_registered_model_tag(name, _HISTORY, json.dumps(events[-_EVENTS:]))


def _stack(client: "MlflowClient", name: str) -> list[str]:
    """Versions that were champion and were not rolled back, oldest first."""
    stack: list[str] = []
    for _, what, number in _events(client, name):
        if what == "promote":
            stack.append(number)
        elif stack:
            stack.pop()
    return stack

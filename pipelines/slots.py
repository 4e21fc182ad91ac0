"""GPU slots: how many trainings go at once over all that share a Prefect server, as a global concurrency limit."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Concatenate, ParamSpec, TypeVar

import httpx
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.context import TagsContext
from prefect.exceptions import PrefectException

from synthgen.config import RunConfig

# Below the logger that the terminal listens to.
logger = logging.getLogger("synthgen.slots")
P = ParamSpec("P")
R = TypeVar("R")

# `prefect gcl create synthgen-gpu --limit N` makes it; without it nobody waits.
LIMIT = "synthgen-gpu"
# The slot of a process that was killed is free again after so long; at Prefect's 300 s a queue would stand still, and
# fewer seconds it does not take.
_LEASE_S = 60.0
_TRAINS = "fit"


def untagged() -> TagsContext:
    """A block whose tasks do not inherit the tags of their flow run: for each tag a task asks the server for a slot."""
    return TagsContext(current_tags=set())


def call_with_slot(stage: Callable[Concatenate[RunConfig, P], R], config: RunConfig, /, *a: P.args, **k: P.kwargs) -> R:
    """The stage, called when a slot is free if it is the one that trains."""
    if stage.__name__ != _TRAINS:
        return stage(config, *a, **k)
    with gpu_slot():
        return stage(config, *a, **k)


@contextmanager
def gpu_slot() -> Iterator[None]:
    """Hold a slot inside the block; at once where there is no such limit, or no server to ask."""
    with ExitStack() as stack:
        if (free := _free_slots()) is not None:
            if free < 1:
                note = f"waiting for a slot of {LIMIT}: all are taken by other trainings"
                logger.info("wait limit=%s", LIMIT, extra={"note": note})
            # A server that is away for a moment must not cost hours of training.
            held = concurrency(LIMIT, occupy=1, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False)
            stack.enter_context(held)
        yield


def _free_slots() -> float | None:
    try:
        with get_client(sync_client=True) as client:
            limit = client.read_global_concurrency_limit_by_name(LIMIT)
    except (httpx.HTTPError, PrefectException):
        return None
    return limit.limit - limit.active_slots

"""The augmentation flow on a schedule: a run when data or config are new, the last verdict when they are not."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import httpx
from filelock import FileLock
from prefect import flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions, State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Completed
from prefect.utilities.callables import parameter_schema

from pipelines.bootstrap import bootstrap
from pipelines.timing import Timing
from synthgen import __version__
from synthgen.config import RunConfig
from synthgen.errors import ConfigError, UsageError, unknown_name
from synthgen.redaction import redacted, redacted_values
from synthgen.workspace import Workspace

_FLOW = "augment"
_MOST = 200


@flow(name=_FLOW, persist_result=False)
def scheduled_augment(config: RunConfig, workspace: str) -> State[None]:
    """Augment a labelled dataset with a GAN, prove it good on held-out real data, or refuse and say why.

    Data and config that a finished run has seen end as "Unchanged" with its verdict; nothing is trained.

    Args:
        config: content of a run's YAML.
        workspace: folder of the runs, as the machine that runs this knows it.
    """
    space = Workspace.at(workspace)
    bootstrap(space)
    # These read the settings when they are imported.
    from pipelines.augment import augmented
    from pipelines.orchestration import TAG, registered
    from pipelines.pages import show_verdict, tag_flow_run
    from synthgen import stages
    from synthgen.augmentation import finished_before

    # `doctor` sees by it whether the process of a run that seems to be at work still lives.
    tag_flow_run(f"{TAG}{registered(space)}")
    fresh = stages.preflight(config, space)
    known = finished_before(config, space)
    if known is not None:
        show_verdict(space, known)
        message = f"{known.record()['verdict']}: data and config are those of run {known.id}"
        return Completed(name="Unchanged", message=message)
    outcome = augmented(config, space, fresh=fresh)
    return Completed(message=f"{outcome.verdict}: run {outcome.run_id}")


def deploy(config: RunConfig, workspace: Workspace, timing: Timing, *, name: str, pool: str | None) -> UUID:
    """Create the deployment, or replace the one with this name; its id.

    Raises:
        ConfigError: the config holds a password or token.
        UsageError: the name is taken in another workspace, the pool is not known, the server refuses or is silent.
    """
    parameters = {"config": _without_secrets(config), "workspace": str(workspace.root)}
    schedule = DeploymentScheduleCreate(schedule=timing.schedule(), active=True)
    with prefect_client() as client:
        _check_free(client, name, workspace)
        return client.create_deployment(
            flow_id=client.create_flow_from_name(_FLOW),
            name=name,
            parameters=parameters,
            schedules=[schedule],
            paused=False,
            work_pool_name=_existing(client, pool) if pool else own_pool(client, workspace),
            **_in_common(),
        )


def _in_common() -> dict[str, Any]:
    """What all our deployments say."""
    return {
        "version": __version__,
        "description": (scheduled_augment.description or "").strip(),
        "tags": ["synthgen"],
        "concurrency_limit": 1,
        # Not Prefect's default: a run that comes too early waits.
        "concurrency_options": ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
        # The code that is installed where the run takes place, not a path of this machine.
        "entrypoint": f"{__name__}.{scheduled_augment.fn.__name__}",
        "pull_steps": [],
        "parameter_openapi_schema": parameter_schema(scheduled_augment).model_dump(exclude_unset=True),
        "enforce_parameter_schema": True,
        "job_variables": {"env": {"PREFECT_LOGGING_EXTRA_LOGGERS": "synthgen"}},
    }


def _check_free(client: SyncPrefectClient, name: str, workspace: Workspace) -> None:
    with suppress(ObjectNotFound):
        owner = client.read_deployment_by_name(f"{_FLOW}/{name}").parameters.get("workspace")
        if owner != str(workspace.root):
            message = f"the schedule {name!r} belongs to the workspace {owner}"
            raise UsageError(message, where="--name", hint="choose another with --name")


def _without_secrets(config: RunConfig) -> dict[str, Any]:
    content = config.model_dump(mode="json")
    if redacted_values(content) != content:
        message = "the config holds a password or token, and who reaches the Prefect server can read a deployment"
        raise ConfigError(message, where="config", hint="give it to the worker by its environment")
    return content


def _existing(client: SyncPrefectClient, pool: str) -> str:
    known = [item.name for item in client.read_work_pools()]
    if pool not in known:
        hint = f"`prefect work-pool create {pool} --type process` makes it"
        message = unknown_name("work pool", pool, known) if known else f"there is no work pool {pool!r}, and no other"
        raise UsageError(message, where="--pool", hint=hint)
    return pool


def own_pool(client: SyncPrefectClient, workspace: Workspace) -> str:
    """The work pool of this workspace, which `synthgen serve` works on; made when it is missing."""
    place = workspace.root / "prefect" / "pool"
    with FileLock(f"{place}.lock"):
        if not place.exists():
            place.write_text(f"synthgen-{secrets.token_hex(3)}", encoding="utf-8")
    name = place.read_text(encoding="utf-8")
    pool = WorkPoolCreate(name=name, type="process", description=f"`synthgen serve` on {workspace.root}")
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(pool)
    return name


def deployments(client: SyncPrefectClient, workspace: Workspace) -> list[DeploymentResponse]:
    """The deployments of a workspace by name."""
    ours = FlowFilter(name=FlowFilterName(any_=[_FLOW]))
    every = client.read_deployments(flow_filter=ours, limit=_MOST, sort=DeploymentSort.NAME_ASC)
    return [item for item in every if item.parameters.get("workspace") == str(workspace.root)]


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """A client of the server of this workspace; what fails inside is told in one sentence.

    Raises:
        UsageError: there is no server, it does not answer, or it refuses.
    """
    address = os.environ.get("PREFECT_API_URL")
    if address is None:
        raise UsageError("no Prefect server runs for this workspace", hint="`synthgen up` starts one")
    hint = "`synthgen up` starts one for this workspace; PREFECT_API_URL names another"
    try:
        with get_client(sync_client=True) as client:
            yield client
    except PrefectHTTPStatusError as error:
        message = f"the Prefect server at {redacted(address)} refused it: {redacted(error.response.text)[:300]}"
        raise UsageError(message, where="PREFECT_API_URL") from error
    except httpx.TransportError as error:
        message = f"the Prefect server at {redacted(address)} does not answer ({type(error).__name__})"
        raise UsageError(message, where="PREFECT_API_URL", hint=hint) from error

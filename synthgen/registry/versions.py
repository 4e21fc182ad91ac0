"""Registered versions: found by name, number, alias or run, and fetched."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.errors import ModelError, UsageError, name_list, nearest_name
from synthgen.redaction import redacted
from synthgen.tracking import client_of
from synthgen.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

CANDIDATE, CHAMPION = "candidate", "champion"
PREFIX = "synthgen."
_HINT = "`synthgen models` lists them"
_MODEL = re.compile(r"(?:models:/)?(?P<name>[^@/]+)(?:[@/](?P<which>[^@/]+))?")


@dataclass(frozen=True)
class Version:
    """One version of a registered model.

    Attributes:
        created: ISO 8601, UTC.
        aliases: such as `candidate` and `champion`.
        tags: without the prefix `synthgen.`: verdict, data_sha256, run_id and what happened to the version.
        source: address of the model's folder.
    """

    name: str
    version: str
    created: str
    aliases: Sequence[str]
    source: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Name and number, as `synthgen sample` takes it."""
        return f"{self.name}@{self.version}"


def shown_time() -> str:
    """Now, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def is_model_name(text: str) -> bool:
    """Whether the text can only mean a registered model: `models:/name/3`, `models:/name@champion`, `name@3`."""
    return text.startswith("models:/") or ("@" in text and "/" not in text)


def list_versions(workspace: Workspace, name: str | None = None) -> list[Version]:
    """Every version of every synthesizer (or of the one with that name), newest first."""
    client = client_of(workspace)
    names = [model.name for model in _synthesizers(client)] if name is None else [name]
    return [version for known in sorted(names) for version in _versions(client, known)]


def find_version(workspace: Workspace, text: str, *, default: str = CANDIDATE) -> Version:
    """The version that `name@alias`, `name@number`, `models:/name/number` or a name alone (its `default` alias) means.

    Raises:
        UsageError: there is no such model, alias or version.
    """
    client = client_of(workspace)
    parts = _MODEL.fullmatch(text)
    names = [model.name for model in _synthesizers(client)]
    if parts is None or parts["name"] not in names:
        name = text if parts is None else parts["name"]
        guess = nearest_name(name, names)
        known = f"did you mean {guess!r}?" if guess else f"registered: {name_list(names) or 'none'}"
        raise UsageError(f"no registered model has the name {name!r}; {known}", hint=_HINT)
    which = parts["which"] or default
    versions = _versions(client, parts["name"])
    for version in versions:
        if which == version.version or which in version.aliases:
            return version
    aliases = sorted({alias for version in versions for alias in version.aliases})
    known = f"it has the aliases {name_list(aliases) or 'none'} and the versions {_span(versions)}"
    raise UsageError(f"model {parts['name']!r} has no version or alias {which!r}; {known}", hint=_HINT)


def version_of_run(workspace: Workspace, run_id: str) -> Version:
    """The version that this run registered; raises UsageError when it has none."""
    for version in list_versions(workspace):
        if version.tags.get("run_id") == run_id:
            return version
    message = f"run {run_id!r} has registered no model"
    raise UsageError(message, hint="a finished run that MLflow could track registers one; `synthgen runs` shows states")


@contextmanager
def fetched(workspace: Workspace, version: Version) -> Iterator[Path]:
    """The folder of the version's synthesizer, on this disk inside the block; raises ModelError when it is gone."""
    client_of(workspace)  # settings before the import
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as scratch:
        try:
            # The file of a registry on this disk is where it is, any other is copied to `scratch`.
            where = download_artifacts(
                artifact_uri=f"{version.source}/artifacts/synthesizer",
                dst_path=None if version.source.startswith(("file:", "/")) else scratch,
                tracking_uri=workspace.mlflow_uri,
            )
        except Exception as error:  # every store has errors of its own
            reason = redacted(str(error) or type(error).__name__).splitlines()[0]
            message = f"the files of model {version.text} cannot be fetched: {reason}"
            raise ModelError(message, where=redacted(version.source)) from None
        yield Path(where)


def known_versions(client: "MlflowClient", name: str) -> "list[Any]":
    """MLflow's records of all versions of the name."""
    quoted = name.replace("'", "''")
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{quoted}'", page_token=token)
        found += list(page)
        token = page.token
        if not token:
            return found


def existing(client: "MlflowClient", name: str, number: str) -> Version:
    """This version, which is known to be there."""
    return next(version for version in _versions(client, name) if version.version == number)


def _versions(client: "MlflowClient", name: str) -> list[Version]:
    aliases: dict[str, list[str]] = {}
    for alias, number in client.get_registered_model(name).aliases.items():
        aliases.setdefault(str(number), []).append(alias)
    found = [_version(raw, aliases.get(str(raw.version), ())) for raw in known_versions(client, name)]
    return sorted(found, key=lambda version: int(version.version), reverse=True)


def _version(raw: Any, aliases: Sequence[str]) -> Version:
    tags = {key.removeprefix(PREFIX): value for key, value in raw.tags.items() if key.startswith(PREFIX)}
    created = datetime.fromtimestamp(raw.creation_timestamp / 1000, UTC).isoformat(timespec="seconds")
    return Version(raw.name, str(raw.version), created, sorted(aliases), str(raw.source), tags)


def _synthesizers(client: "MlflowClient") -> "list[Any]":
    found, token = [], None
    while True:
        page = client.search_registered_models(page_token=token)
        found += [model for model in page if model.tags.get(f"{PREFIX}kind") == "synthesizer"]
        token = page.token
        if not token:
            return found


def _span(versions: Sequence[Version]) -> str:
    return f"{versions[-1].version} to {versions[0].version}" if versions else "none"

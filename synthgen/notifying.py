"""A webhook that is told how a run ended. It never fails the run, and never holds a value of a cell."""

import json
import logging
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from synthgen.config import NotifyConfig, NotifyEvent
from synthgen.errors import SynthgenError
from synthgen.redaction import redacted, redacted_values
from synthgen.retrying import retried

logger = logging.getLogger(__name__)

_TIMEOUT_S = 5.0
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def notify(config: NotifyConfig, event: NotifyEvent, facts: Mapping[str, Any]) -> None:
    """POST the event with its facts as JSON, if the config wants to hear of it.

    `text` says it in one line, which is what Slack, Mattermost and Teams show.
    """
    if config.webhook is None or event not in config.events:
        return
    told = redacted_values({name: value for name, value in facts.items() if value is not None})
    text = f"synthgen {told.get('name')}: {event}. {told.get('reason', '')}".strip()
    try:
        _post(_address(config.webhook), {"event": event, **told, "text": text})
        logger.info("notify event=%s", event)
    except (OSError, ValueError) as error:
        # Neither the address nor what it answered: both may hold a secret.
        number = f" {error.code}" if isinstance(error, urllib.error.HTTPError) else ""
        note = f"warning: the webhook was not told of {event}: {type(error).__name__}{number}"
        logger.warning("%s", note, extra={"note": note})


def reason_of(error: BaseException) -> str:
    """What may be told of an error: our own sentence, or the name of any other, whose text may quote a cell."""
    return redacted(error.message) if isinstance(error, SynthgenError) else f"unexpected {type(error).__name__}"


def _address(webhook: str) -> str:
    named = _VARIABLE.fullmatch(webhook)
    if named is None:
        return webhook
    if named[1] not in os.environ:
        raise ValueError(f"{named[1]} is not set")
    return os.environ[named[1]]


def _post(address: str, content: Mapping[str, Any]) -> None:
    if not address.startswith(("http://", "https://")):
        raise ValueError("the address of a webhook begins with http:// or https://")
    body = json.dumps(content, default=str).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310 - http(s) only

    def send() -> None:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 - http(s) only
            pass

    retried(send, passes=_may_pass)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code == 429 or error.code >= 500
    return isinstance(error, OSError)

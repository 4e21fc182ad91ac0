"""A webhook hears how a run ended: JSON without secrets, tried again where that may help, never the end of a run."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from synthgen.config import NotifyConfig
from synthgen.config_reading import parse_config
from synthgen.errors import ConfigError, DataError
from synthgen.notifying import notify, reason_of

FACTS = {"name": "adult", "run_id": "r1", "verdict": "FAIL", "reason": "FAIL: c2st_auc", "report": None}


class Hook:
    """A web server that keeps what it is told and answers with the given codes, then 200."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.codes: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.told.append(json.loads(body))
                self.send_response(hook.codes.pop(0) if hook.codes else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_webhook_hears_verdict_run_and_reason(hook: Hook) -> None:
    notify(NotifyConfig(webhook=hook.address), "fail", FACTS)
    (told,) = hook.told
    assert told == {
        "event": "fail",
        "name": "adult",
        "run_id": "r1",
        "verdict": "FAIL",
        "reason": "FAIL: c2st_auc",
        "text": "synthgen adult: fail. FAIL: c2st_auc",
    }


def test_only_the_events_that_are_asked_for_are_told(hook: Hook) -> None:
    notify(NotifyConfig(webhook=hook.address, events=("error",)), "fail", FACTS)
    notify(NotifyConfig(), "fail", FACTS)
    assert hook.told == []


def test_the_address_may_stand_in_the_environment(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_HOOK", hook.address)
    notify(NotifyConfig(webhook="$OUR_HOOK"), "fail", FACTS)
    notify(NotifyConfig(webhook="${OUR_HOOK}"), "fail", FACTS)
    assert len(hook.told) == 2


@pytest.mark.parametrize(("codes", "tries"), [([500, 429], 3), ([503, 503, 503], 3), ([404], 1), ([200], 1)])
def test_what_may_pass_is_tried_again_and_what_cannot_is_not(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, codes: list[int], tries: int
) -> None:
    monkeypatch.setattr("synthgen.retrying.time.sleep", lambda seconds: None)
    hook.codes = codes
    notify(NotifyConfig(webhook=hook.address), "fail", FACTS)
    assert len(hook.told) == tries


@pytest.mark.parametrize("webhook", ["http://127.0.0.1:9/token=abc123", "$NOT_SET_ANYWHERE"])
def test_a_webhook_out_of_reach_is_a_warning_without_its_address(
    webhook: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("synthgen.retrying.time.sleep", lambda seconds: None)
    notify(NotifyConfig(webhook=webhook), "fail", FACTS)
    assert "the webhook was not told of fail" in caplog.text
    assert "abc123" not in caplog.text


def test_secrets_are_redacted(hook: Hook) -> None:
    notify(
        NotifyConfig(webhook=hook.address), "error", {**FACTS, "reason": "s3://user:hunter2@bucket password=hunter2"}
    )
    assert "hunter2" not in json.dumps(hook.told)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DataError("column 'age' is empty"), "column 'age' is empty"),
        (ValueError("could not convert 'Jane Doe'"), "unexpected ValueError"),
    ],
)
def test_the_text_of_an_unexpected_error_is_not_told(error: Exception, told: str) -> None:
    assert reason_of(error) == told


@pytest.mark.parametrize("webhook", ["ftp://somewhere", "nonsense", "file:///etc/passwd"])
def test_a_webhook_is_a_web_address_or_the_name_of_a_variable(webhook: str) -> None:
    with pytest.raises(ConfigError, match=r"notify\.webhook"):
        parse_config({"source": {"kind": "builtin", "name": "wine"}, "notify": {"webhook": webhook}})

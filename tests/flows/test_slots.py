"""GPU slots: trainings that share a Prefect server go one after another where there is one slot."""

import threading
import time
from collections.abc import Iterator

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.testing.utilities import prefect_test_harness

from pipelines.slots import LIMIT, call_with_slot
from synthgen.config import RunConfig
from synthgen.config_reading import parse_config

pytestmark = [pytest.mark.flow, pytest.mark.slow]
CONFIG = parse_config({"source": {"kind": "builtin", "name": "wine"}})


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


class Together:
    """Stages that note how many of them run at once."""

    def __init__(self) -> None:
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def fit(self, config: RunConfig) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(1.0)
        with self.lock:
            self.now -= 1

    def at_once(self) -> int:
        """The most that ran at once when two were called."""
        threads = [threading.Thread(target=call_with_slot, args=(self.fit, CONFIG)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.most


def test_without_a_limit_nobody_waits_and_with_one_slot_they_queue() -> None:
    assert Together().at_once() == 2
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT, limit=1))
    assert Together().at_once() == 1
    with get_client(sync_client=True) as client:
        assert client.read_global_concurrency_limit_by_name(LIMIT).active_slots == 0


def test_other_stages_take_no_slot() -> None:
    def sample(config: RunConfig) -> str:
        return config.name

    assert call_with_slot(sample, CONFIG) == "run"

"""A sensor whose connection cannot be read at first, on a worker and in every mode."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from tests.airflow_driver import attempt, new_context
from tests.contract.sensors.test_missing_runs import RUN_ID, SENSORS, after, sensor

__all__ = ["after"]

every_mode = pytest.mark.parametrize("mode", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=str)
LASTING = 10_000


@pytest.fixture
def failing(monkeypatch):
    """Return a function that lets the next reads of the connection fail."""
    read = TallyfyHook.get_connection

    def fail(error: Exception, times: int) -> list[Exception]:
        failures = [error] * times

        def get_connection(conn_id: str):
            if failures:
                raise failures.pop()
            return read(conn_id)

        monkeypatch.setattr(TallyfyHook, "get_connection", staticmethod(get_connection))
        return failures

    return fail


@every_mode
@pytest.mark.parametrize("kind", ["run", "runs"])
def test_a_connection_that_cannot_be_read_for_a_moment_is_read_again(tallyfy, failing, after, kind, mode):
    tallyfy.add_run(id=RUN_ID, status="complete")
    failures = failing(RuntimeError("the API server is down"), 3)
    assert attempt(lambda: sensor(kind, **mode).execute(new_context())).state == "success"
    assert failures == []


@pytest.mark.parametrize("kind", SENSORS)
def test_a_connection_unreadable_for_two_minutes_leaves_the_task_its_retries(tallyfy, failing, after, kind):
    failures = failing(RuntimeError("the API server is down"), LASTING)
    end = attempt(lambda: sensor(kind).execute(new_context()))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyTransportError")
    assert 3 <= LASTING - len(failures) <= 10


@pytest.mark.parametrize("kind", SENSORS)
def test_a_missing_connection_fails_the_task_without_retries(tallyfy, failing, after, kind):
    failures = failing(AirflowNotFoundException("tallyfy_default"), LASTING)
    end = attempt(lambda: sensor(kind).execute(new_context()))
    assert (end.state, end.error) == ("failed", "TallyfyConfigurationError")
    assert LASTING - len(failures) == 1

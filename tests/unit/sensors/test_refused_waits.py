"""A sensor refuses an invalid wait before it sends a request."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.sensors.tallyfy import (
    TallyfyFormFieldSensor,
    TallyfyRunsStatusSensor,
    TallyfyRunStatusSensor,
    TallyfyTaskSensor,
)
from tests.airflow_driver import attempt, new_context
from tests.unit.unreachable import CONNECTION

RUN_ID = "0123456789abcdef0123456789abcdef"
MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
EACH_MODE = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


@pytest.fixture(autouse=True)
def _unreachable(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", CONNECTION)


def refusal(make: Any, **arguments: Any) -> TallyfyValidationError:
    """Execute a sensor that fails without retries, and return its error."""
    end = attempt(lambda: make(task_id="wait", timeout=0, **arguments).execute(new_context()))
    assert end.state == "failed"
    assert isinstance(end.exception, TallyfyValidationError)
    return end.exception


@EACH_MODE
def test_a_misspelt_status_is_refused_in_every_mode(mode):
    error = refusal(TallyfyRunStatusSensor, run_id=RUN_ID, target_status="completed", **mode)
    assert "target_status='completed' is not a status" in str(error)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"target_status": "completed"}, "target_status='completed' is not a status"),
        ({"target_status": []}, "names no status to wait for"),
        ({"target_status": 5}, "target_status=5 is not a status of a Tallyfy run.\nValid: active"),
        ({"target_status": True}, "target_status=True is not a status"),
        ({"target_status": object}, "target_status=<class 'object'> is not a status"),
        ({"target_status": {"complete": 1}}, "target_status={'complete': 1} is not a status"),
        ({"target_status": b"complete"}, "target_status=b'complete' is not a status"),
        ({"target_status": [["complete"]]}, "target_status=['complete'] is not a status"),
        ({"failure_status": "cancelled"}, "failure_status='cancelled' is not a status"),
        ({"failure_status": 0}, "failure_status=0 is not a status"),
        ({"failure_status": False}, "failure_status=False is not a status"),
        ({"failure_status": {}}, "failure_status={} is not a status"),
        ({"max_poll_failures": "x"}, "max_poll_failures='x' is not a whole number of at least 0"),
        ({"max_poll_failures": -1}, "max_poll_failures=-1 is not a whole number of at least 0"),
        ({"missing": "perhaps"}, "is neither 'fail' nor 'wait'"),
        ({"run_id": " "}, "run_id=' ' is empty"),
        ({"target_status": "[]"}, "names no status to wait for"),
        ({"target_status": "complete,active"}, "target_status='complete,active' is not a status"),
        ({"failure_status": "['done']"}, "failure_status='done' is not a status"),
    ],
)
def test_a_misspelt_argument_is_refused_with_the_valid_ones(arguments, words):
    assert words in str(refusal(TallyfyRunStatusSensor, **{"run_id": RUN_ID} | arguments))


@pytest.mark.parametrize(
    "arguments",
    [*({"task_name": name} for name in ("", None, "None", "null", " None ")), {"run_id": ""}, {"missing": "what"}],
)
def test_a_task_that_cannot_be_waited_for_is_refused(arguments):
    refusal(TallyfyTaskSensor, **{"run_id": RUN_ID, "task_name": "Sign"} | arguments)


def test_a_task_name_rendered_for_a_missing_value_says_where_to_look():
    error = refusal(TallyfyTaskSensor, run_id=RUN_ID, task_name="None")
    assert "task_name='None' is empty: a template rendered it for a missing value" in str(error)


@pytest.mark.parametrize(
    "values", [[], (), "[]", "", "  ", "None", "null", [None], ["yes", ""], "['']", {"a": 1}, b"a"]
)
def test_an_empty_list_of_values_does_not_come_to_mean_any_value(values):
    refusal(TallyfyFormFieldSensor, run_id=RUN_ID, field="Verdict", values=values)


@pytest.mark.parametrize(
    "arguments",
    [
        {"run_ids": "[a, b]"},
        {"run_ids": "None"},
        {"run_ids": ""},
        {"run_ids": " "},
        {"run_ids": [], "wait_for": "any"},
        {"run_ids": "[]", "wait_for": "any"},
        {"run_ids": [], "target_status": "done"},
        {"run_ids": None},
        {"run_ids": ["a/b"]},
        {"run_ids": {"name": "no id"}},
        {"run_ids": {"path": "/there/is/no/such.jsonl"}},
        {"fields": "color"},
        {"fields": []},
        {"fields": ["id", "color"]},
        {"run_ids": b"ab"},
        {"run_ids": [{"name": "no id"}]},
        {"run_ids": [[["a"]]]},
        {"run_ids": [{"a": 1}]},
        {"run_ids": [None]},
        {"wait_for": "some"},
        {"target_status": "done"},
        {"missing": "what"},
    ],
)
def test_runs_that_cannot_be_waited_for_are_refused(arguments):
    refusal(TallyfyRunsStatusSensor, **{"run_ids": ["a"]} | arguments)


@EACH_MODE
@pytest.mark.parametrize("empty", [[], (), "[]"])
def test_an_empty_list_of_runs_is_reached_at_once_without_a_request(mode, empty):
    end = attempt(lambda: TallyfyRunsStatusSensor(task_id="wait", run_ids=empty, **mode).execute(new_context()))
    assert (end.state, end.result) == ("success", [])


@EACH_MODE
def test_a_result_that_may_not_fit_an_xcom_is_refused_before_the_wait(mode):
    error = refusal(TallyfyRunsStatusSensor, run_ids=[f"{number:032x}" for number in range(1000)], **mode)
    assert 'Ask for fields="id", set output_path' in str(error)

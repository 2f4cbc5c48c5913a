"""Waits end in the triggerer only on request, and never where Airflow would skip something."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.compat import TASKS_START_IN_TRIGGERER, TRIGGERS_END_TASKS
from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchProjectOperator, TallyfyLaunchRunOperator
from airflow_provider_tallyfy.sensors.tallyfy import (
    TallyfyFormFieldSensor,
    TallyfyRunsStatusSensor,
    TallyfyRunStatusSensor,
    TallyfyTaskSensor,
)
from tests.airflow_driver import deferral
from tests.task_contexts import context_of

RUN_ID = "0123456789abcdef0123456789abcdef"
STEPS = [{"title": "Review", "form_fields": [{"label": "Verdict", "field_type": "text"}]}]
TEMPLATE_ID = "fedcba9876543210fedcba9876543210"

#: Every class whose tasks can wait in the triggerer -> arguments of a wait that the first look does not end.
WAITS: dict[type, dict[str, Any]] = {
    TallyfyRunStatusSensor: {"run_id": RUN_ID},
    TallyfyRunsStatusSensor: {"run_ids": [RUN_ID]},
    TallyfyTaskSensor: {"run_id": RUN_ID, "task_name": "Review"},
    TallyfyFormFieldSensor: {"run_id": RUN_ID, "field": "Verdict"},
    TallyfyLaunchRunOperator: {"template_id": TEMPLATE_ID, "wait_for_completion": True},
    TallyfyLaunchProjectOperator: {"title": "Check", "owners": {"users": [1001]}, "wait_for_completion": True},
}

every_wait = pytest.mark.parametrize("wait", WAITS, ids=lambda wait: wait.__name__)


def callback(*_: Any) -> None:
    """Stand in for a notification of the team."""


#: What a worker does at the end of a task, and its name in the refusal.
LOSSES: dict[str, dict[str, Any]] = {
    "the result": {"do_xcom_push": True},
    "the asset events of outlets": {"outlets": ["asset"]},
    "on_success_callback": {"on_success_callback": callback},
    "on_success_callback, one of several": {"on_success_callback": [callback]},
    "on_success_callback, of all tasks": {"default_args": {"on_success_callback": callback}},
    "post_execute": {"post_execute": callback},
}


def made(wait: type, **arguments: Any) -> Any:
    settings = {"task_id": "wait", "deferrable": True, "do_xcom_push": False, "timeout": 60}
    return wait(**settings | WAITS[wait] | arguments)


def trigger_of(task: Any) -> Any:
    return deferral(task, context_of()).trigger


@pytest.fixture(autouse=True)
def _waited(tallyfy_sandbox) -> None:
    tallyfy_sandbox.add_template("Contract", id=TEMPLATE_ID, steps=STEPS)
    tallyfy_sandbox.add_run("Contract", id=RUN_ID)


@every_wait
def test_a_wait_ends_on_a_worker_by_default(wait):
    assert trigger_of(made(wait)).end_task is False
    assert trigger_of(made(wait, do_xcom_push=True)).end_task is False
    assert trigger_of(made(wait, end_from_trigger=True)).end_task is TRIGGERS_END_TASKS


@every_wait
@pytest.mark.parametrize("loss", LOSSES)
def test_an_end_in_the_triggerer_is_refused_at_parse_time_if_something_would_be_lost(wait, loss, tallyfy_sandbox):
    with pytest.raises(TallyfyConfigurationError, match=f"skip {loss.partition(',')[0]}") as refusal:
        made(wait, end_from_trigger=True, **LOSSES[loss])
    assert "task wait" in str(refusal.value)
    assert trigger_of(made(wait, **LOSSES[loss])).end_task is False


@every_wait
@pytest.mark.parametrize("method", ["execute_complete", "post_execute"])
def test_an_end_in_the_triggerer_is_refused_for_a_class_with_code_at_the_end(wait, method):
    own = type("Own", (wait,), {method: lambda self, *args, **kwargs: None, "__module__": __name__})
    with pytest.raises(TallyfyConfigurationError, match=method):
        own(task_id="wait", do_xcom_push=False, end_from_trigger=True, **WAITS[wait])


@every_wait
def test_an_outlet_or_callback_added_later_is_refused_before_anything_is_sent(wait, tallyfy_sandbox):
    task = made(wait, end_from_trigger=True)
    task.outlets = ["asset"]
    tallyfy_sandbox.clear_requests()
    with pytest.raises(TallyfyConfigurationError, match="outlets"):
        task.execute(context_of())
    assert tallyfy_sandbox.requests == []


@pytest.mark.skipif(not TASKS_START_IN_TRIGGERER, reason="Airflow >= 3.3 starts tasks in the triggerer")
@pytest.mark.parametrize("loss", ["on_execute_callback", "pre_execute"])
def test_a_task_without_a_worker_refuses_what_one_does_at_the_beginning_as_well(loss):
    both = {"start_from_trigger": True, "end_from_trigger": True}
    assert made(TallyfyRunStatusSensor, **both).start_trigger_args.trigger_kwargs["end_task"] is True
    with pytest.raises(TallyfyConfigurationError, match=f"skip {loss}"):
        made(TallyfyRunStatusSensor, **both, **{loss: callback})
    assert made(TallyfyRunStatusSensor, end_from_trigger=True, **{loss: callback}).end_from_trigger

"""Waits and deletions take durations and names in every form that Python and native rendering produce."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.operators.tallyfy import TallyfyDeleteRunOperator, TallyfyLaunchRunOperator
from airflow_provider_tallyfy.sensors.tallyfy import (
    TallyfyFormFieldSensor,
    TallyfyRunStatusSensor,
    TallyfyTaskSensor,
)
from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunEventTrigger
from tests.airflow_driver import attempt, deferral
from tests.task_contexts import context_of

TEN_MINUTES = timedelta(minutes=10)


def test_a_sensor_takes_a_timedelta_for_its_longest_interval():
    task = TallyfyRunStatusSensor(task_id="wait", run_id="a", max_poke_interval=TEN_MINUTES)
    assert (task.max_wait, bool(task.exponential_backoff)) == (TEN_MINUTES, True)


def test_a_launch_takes_a_timedelta_for_its_interval(tallyfy):
    template = tallyfy.add_template("Plain", steps=["One"])
    launch = TallyfyLaunchRunOperator(
        task_id="launch",
        template_id=template["id"],
        wait_for_completion=True,
        deferrable=True,
        poll_interval=TEN_MINUTES,
    )
    assert deferral(launch, context_of()).trigger.poll_interval == 600


def test_an_event_trigger_takes_timedeltas_and_stores_seconds():
    arguments = TallyfyRunEventTrigger(poll_interval=TEN_MINUTES, replay=TEN_MINUTES).serialize()[1]
    assert (arguments["poll_interval"], arguments["replay"]) == (600, 600)


@pytest.mark.parametrize("wrong", ["600", "soon", float("nan"), [60], True])
@pytest.mark.parametrize("name", ["max_poke_interval", "poll_interval", "replay"])
def test_an_invalid_duration_is_refused_by_name(name, wrong):
    is_of_a_sensor = name == "max_poke_interval"
    make, fixed = (
        (TallyfyRunStatusSensor, {"task_id": "wait", "run_id": "a"}) if is_of_a_sensor else (TallyfyRunEventTrigger, {})
    )
    with pytest.raises(TallyfyValidationError, match=name):
        make(**fixed, **{name: wrong})


def test_names_that_native_rendering_made_numbers_are_names(tallyfy):
    tallyfy.add_template("Plain", kickoff=[{"label": "42"}], steps=["2026"])
    run = tallyfy.add_run("Plain", name="x", prerun={})
    tallyfy.complete_task(run["id"], "2026")
    quick = {"task_id": "wait", "run_id": run["id"], "timeout": 0}
    assert attempt(lambda: TallyfyTaskSensor(task_name=2026, **quick).execute(context_of())).state == "success"
    end = attempt(lambda: TallyfyFormFieldSensor(field=42, **quick).execute(context_of()))
    assert "Form field '42' is empty" in str(end.exception)
    gone = tallyfy.add_run("Plain", name="4711", archived=True)
    delete = TallyfyDeleteRunOperator(task_id="delete", run_id=gone["id"], confirm=4711)
    assert attempt(lambda: delete.execute(context_of())).state == "success"

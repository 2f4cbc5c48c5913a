"""Waits begin in the triggerer only where Airflow can start them there."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator, task_group

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.compat import TASKS_START_IN_TRIGGERER
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor
from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunStatusTrigger

newer_airflow = pytest.mark.skipif(not TASKS_START_IN_TRIGGERER, reason="Airflow >= 3.3 starts tasks in the triggerer")


def sensor(**arguments) -> TallyfyRunStatusSensor:
    return TallyfyRunStatusSensor(**{"task_id": "wait", "run_id": "r1", "start_from_trigger": True, **arguments})


@newer_airflow
@pytest.mark.parametrize("run_id", ["r1", "{{ params.run_id }}", "{{ dag_run.conf['run'] }}", "run-{{ ds_nodash }}"])
def test_ids_that_the_triggerer_can_know_start_there(run_id):
    made = sensor(run_id=run_id, timeout=600, poke_interval=30)
    assert made.start_from_trigger
    assert made.start_trigger_args.timeout == timedelta(seconds=600)
    trigger = TallyfyRunStatusTrigger(**made.start_trigger_args.trigger_kwargs)
    assert (trigger.run_id, trigger.poll_interval, trigger.deadline) == (run_id, 30, None)
    assert trigger.target_status == ["complete"]
    assert trigger.serialize()[0] == made.start_trigger_args.trigger_cls


@newer_airflow
@pytest.mark.parametrize(
    ("run_id", "reason"),
    [
        ("{{ ti.xcom_pull('launch') }}", "uses ti"),
        ("{{ task_instance.xcom_pull('launch') }}", "uses task_instance"),
        ("{{ var.value.run_id }}", "uses var"),
        ("{{ conn.tallyfy.login }}", "uses conn"),
        ("{{ oops", "is not a template"),
    ],
)
def test_templates_that_the_triggerer_cannot_render_are_refused_with_the_reason(run_id, reason):
    with pytest.raises(TallyfyConfigurationError, match=reason):
        sensor(run_id=run_id)


@newer_airflow
@pytest.mark.parametrize("field", ["run_id", "target_status", "organization_id"])
def test_results_of_other_tasks_are_refused(field):
    with DAG("d"):
        upstream = BaseOperator(task_id="launch")
        with pytest.raises(TallyfyConfigurationError, match=f"{field} is the result of another task"):
            sensor(**{field: upstream.output})


@newer_airflow
def test_a_mapped_task_group_is_refused():
    with DAG("d"):

        @task_group
        def group(run_id):
            sensor(run_id="r1")

        with pytest.raises(TallyfyConfigurationError, match="mapped values"):
            group.expand(run_id=["r1", "r2"])


def test_a_mapped_sensor_is_refused_with_the_reason():
    with DAG("d"), pytest.raises(TallyfyConfigurationError, match="Airflow does not hand mapped values to it"):
        TallyfyRunStatusSensor.partial(task_id="wait", start_from_trigger=True).expand(run_id=["r1"])


@pytest.mark.skipif(TASKS_START_IN_TRIGGERER, reason="the older Airflow versions")
def test_older_airflow_refuses_start_from_trigger():
    with pytest.raises(TallyfyConfigurationError, match=r"needs Airflow 3\.3"):
        sensor()


@pytest.mark.filterwarnings("ignore:Task 'wait' was never mapped")
def test_start_from_trigger_cannot_be_mapped_over():
    with DAG("d"), pytest.raises(TypeError, match="unexpected keyword argument 'start_from_trigger'"):
        TallyfyRunStatusSensor.partial(task_id="wait").expand(run_id=["r1"], start_from_trigger=[True])


def test_a_mapped_sensor_can_begin_on_a_worker():
    with DAG("d"):
        mapped = TallyfyRunStatusSensor.partial(task_id="wait", start_from_trigger=False).expand(run_id=["r1", "r2"])
    assert (mapped.operator_class, mapped.start_from_trigger) == (TallyfyRunStatusSensor, False)


def test_a_sensor_begins_on_a_worker_unless_it_is_told_otherwise():
    assert not sensor(start_from_trigger=False).start_from_trigger

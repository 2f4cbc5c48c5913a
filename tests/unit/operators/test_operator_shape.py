"""What a DAG author can rely on about operators and the sensor, before any of them runs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyGetRunOperator,
)
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG

CLASSES = [
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyGetRunOperator,
    TallyfyRunStatusSensor,
]
EACH = pytest.mark.parametrize("make", CLASSES, ids=lambda make: make.__name__)
IDENTIFYING = {"run_id", "organization_id", "tallyfy_conn_id"}


@pytest.mark.parametrize("make", [TallyfyGetRunOperator, TallyfyRunStatusSensor])
def test_a_run_is_required(make):
    with pytest.raises((TypeError, AirflowException)):
        make(task_id="task")


@EACH
def test_what_identifies_a_run_is_templated(make):
    assert set(make.template_fields) >= IDENTIFYING
    task = make(task_id="task", **dict.fromkeys(IDENTIFYING, "{{ params.x }}"))
    task.render_template_fields({"params": {"x": "r9"}})
    assert {getattr(task, name) for name in IDENTIFYING} == {"r9"}


@pytest.mark.parametrize("make", [TallyfyActivateRunOperator, TallyfyArchiveRunOperator])
def test_the_dry_run_switch_is_templated(make):
    task = make(task_id="task", run_id="r1", dry_run="{{ params.careful }}")
    task.render_template_fields({"params": {"careful": True}})
    assert task._is_dry_run


@EACH
@pytest.mark.parametrize("value", [None, "", "a/b", 5, ["x"], object()])
def test_arguments_are_neither_checked_nor_changed_when_a_dag_is_parsed(make, value):
    task = make(task_id="task", run_id=value, organization_id=value, tallyfy_conn_id=value)
    assert (task.run_id, task.organization_id, task.tallyfy_conn_id) == (value, value, value)


@EACH
def test_a_task_links_to_its_run(make):
    (link,) = make.operator_extra_links
    assert isinstance(link, TallyfyRunLink)
    assert (link.name, link.xcom_key) == ("Open run in Tallyfy", "run_url")


@EACH
def test_a_task_can_be_mapped_over_run_ids(make):
    with DAG("dag", schedule=None):
        mapped = make.partial(task_id="task", organization_id="o", map_index_template="{{ task.run_id }}").expand(
            run_id=["r1", "r2"]
        )
    assert mapped.operator_class is make
    assert mapped.map_index_template == "{{ task.run_id }}"


@EACH
def test_a_task_can_be_copied_as_airflow_does(make):
    task = make(task_id="task", run_id="r1")
    twin = copy.deepcopy(task)
    assert (type(twin), twin.run_id) == (make, "r1")


@EACH
def test_templates_of_the_ui_show_what_was_given_and_nothing_of_the_connection(make):
    task: Any = make(task_id="task", run_id="r1")
    assert not set(task.template_fields) & {"hook", "token", "password", "settings"}

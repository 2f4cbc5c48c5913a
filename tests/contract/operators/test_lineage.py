"""What OpenLineage is told of a task: ids and whether it changed the run, never what people wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyBulkRejectedError
from airflow_provider_tallyfy.assets import run_asset, template_asset
from airflow_provider_tallyfy.operators.bulk import TallyfyArchiveRunsOperator, TallyfyLaunchRunsOperator
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyCommentOperator,
    TallyfyCompleteTaskOperator,
    TallyfyDeleteRunOperator,
    TallyfyGetAnswersOperator,
    TallyfyGetRunOperator,
    TallyfyLaunchRunOperator,
    TallyfyUpdateRunOperator,
)
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyFormFieldSensor, TallyfyRunStatusSensor
from tests.task_contexts import context_of

pytest.importorskip("airflow.providers.openlineage", reason="the dependency group dev has it, beside Airflow 3.3")

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
SECRET = "what people wrote"


def told(task, facet="tallyfy_run"):
    """Return inputs and outputs by name, and the facet, as OpenLineage's provider asks for them."""
    from airflow.providers.openlineage.extractors import ExtractorManager
    from openlineage.client.serde import Serde

    [extractor] = [ExtractorManager().get_extractor_class(task)]
    lineage = extractor(task).extract_on_complete(None)
    assert SECRET not in Serde.to_json(lineage)
    assert {each.namespace.partition("://")[0] for each in (*lineage.inputs, *lineage.outputs)} <= {"tallyfy"}
    return (
        [each.name for each in lineage.inputs],
        [each.name for each in lineage.outputs],
        lineage.run_facets.get(facet),
    )


RUN_TASKS = {
    "get": (TallyfyGetRunOperator, {}, False, None),
    "answers": (TallyfyGetAnswersOperator, {}, False, None),
    "archive": (TallyfyArchiveRunOperator, {}, True, True),
    "restore a live run": (TallyfyActivateRunOperator, {}, True, False),
    "restore, dry run": (TallyfyActivateRunOperator, {"dry_run": True}, False, None),
    "update": (TallyfyUpdateRunOperator, {"changes": {"name": f"{SECRET} again"}}, True, True),
    "comment": (TallyfyCommentOperator, {"content": SECRET}, True, True),
    "complete": (TallyfyCompleteTaskOperator, {"task_name": "Import", "answers": {"Rows": SECRET}}, True, True),
    "delete": (TallyfyDeleteRunOperator, {"archive_first": True}, True, True),
    "wait": (TallyfyRunStatusSensor, {"target_status": "active"}, False, None),
}


@pytest.mark.parametrize("name", RUN_TASKS)
def test_a_task_about_a_run_tells_the_run(tallyfy, name):
    tallyfy.add_template("Load", steps=[{"title": "Import", "form_fields": [{"label": "Rows"}]}])
    run = tallyfy.add_run("Load", name=SECRET)
    kind, arguments, writes, changed = RUN_TASKS[name]
    if kind is TallyfyDeleteRunOperator:
        arguments = {**arguments, "confirm": run["id"]}
    task = kind(task_id="task", run_id=run["id"], **arguments)
    task.execute(context_of())
    inputs, outputs, facet = told(task)
    mine = outputs if writes else inputs
    assert f"runs/{run['id']}" in mine
    assert (facet.organizationId, facet.runId, facet.changed) == (tallyfy.organization_id, run["id"], changed)
    assert facet.templateId in (None, run["checklist_id"])


def test_a_launch_reads_its_template_and_writes_its_run(tallyfy):
    template = tallyfy.add_template("Load")
    task = TallyfyLaunchRunOperator(task_id="task", template_id=template["id"], name=SECRET, summary=SECRET)
    run_id = task.execute(context_of())["id"]
    inputs, outputs, facet = told(task)
    assert (inputs, outputs) == ([f"templates/{template['id']}"], [f"runs/{run_id}"])
    assert (facet.templateId, facet.changed) == (template["id"], True)


def test_a_bulk_launch_tells_its_template_and_counts(tallyfy):
    template = tallyfy.add_template("Load", kickoff=[{"label": "Name"}])
    rows = [{"Name": SECRET, "name": SECRET}, {"Name": "other"}]
    task = TallyfyLaunchRunsOperator(task_id="task", template_id="load", rows=rows)
    task.execute(context_of())
    inputs, outputs, facet = told(task, "tallyfy_runs")
    assert (inputs, outputs) == ([f"templates/{template['id']}"], [])
    assert (facet.organizationId, facet.templateId) == (tallyfy.organization_id, template["id"])
    assert facet.counts == {"total": 2, "changed": 2, "unchanged": 0, "failed": 0, "unknown": 0, "skipped": 0}


def test_a_bulk_task_that_fails_tells_how_many_runs_it_changed(tallyfy):
    template = tallyfy.add_template("Load")
    _, bad = tallyfy.add_run("Load"), tallyfy.add_run("Load")["id"]
    tallyfy.faults.add("status", method="DELETE", path=bad, status=403, times=None)
    task = TallyfyArchiveRunsOperator(task_id="task", template_id="load")
    with pytest.raises(TallyfyBulkRejectedError):
        task.execute(context_of())
    inputs, outputs, facet = told(task, "tallyfy_runs")
    assert (inputs, outputs, facet.templateId) == ([f"templates/{template['id']}"], [], template["id"])
    assert (facet.counts["changed"], facet.counts["failed"]) == (1, 1)
    assert sum(request.path.endswith("/checklists") for request in tallyfy.requests) == 1


def test_a_dry_run_in_bulk_tells_of_no_change(tallyfy):
    task = TallyfyArchiveRunsOperator(task_id="task", run_ids=tallyfy.add_runs(2), dry_run=True)
    task.execute(context_of())
    assert told(task, "tallyfy_runs") == ([], [], None)


def test_a_task_that_failed_tells_which_run_it_was_about(tallyfy):
    task = TallyfyGetRunOperator(task_id="task", run_id="f" * 32)
    with pytest.raises(Exception, match="404"):
        task.execute(context_of())
    assert told(task)[0] == [f"runs/{'f' * 32}"]


def test_a_deferred_wait_tells_its_run_when_it_is_resumed(tallyfy):
    run = tallyfy.add_run()
    earlier = TallyfyRunStatusSensor(task_id="task", run_id=run["id"], target_status="active")
    result = earlier.execute(context_of())
    task = TallyfyRunStatusSensor(task_id="task", run_id=run["id"], target_status="active")
    task.execute_complete(context_of(), {"outcome": "reached", "message": "", "result": result, "error": None})
    assert told(task)[0] == [f"runs/{run['id']}"]


def test_the_value_of_a_form_field_is_not_taken_for_a_run():
    task = TallyfyFormFieldSensor(task_id="task", run_id="1", field="Contract")
    value = {"id": 7, "name": SECRET, "url": f"https://example.com/{SECRET}"}
    task.execute_complete(context_of(), {"outcome": "reached", "message": "", "result": value, "error": None})
    assert told(task) == ([], [], None)


def test_a_task_that_did_not_begin_tells_what_is_declared(tallyfy):
    template, run = (make(tallyfy.organization_id, "1") for make in (template_asset, run_asset))
    task = TallyfyGetRunOperator(task_id="task", run_id="1", inlets=[template], outlets=[run])
    assert told(task) == (["templates/1"], ["runs/1"], None)


@pytest.fixture
def events(tallyfy, tmp_path) -> list[dict]:
    """Run the README's DAG in a process of its own, and return what it told."""
    [code] = re.findall(r"```python\n(from datetime.*?)```", README, re.S)
    run = tallyfy.add_run(name=SECRET, archived=True)
    tallyfy.complete_run(run["id"])
    script = f"{code}\nfrom tests import dag_runs\ndag_runs.prepare_database()\n"
    script += f"dag = restore.dag\ndag_runs.run_dag(dag, run_id={run['id']!r})\n"
    (tmp_path / "readme.py").write_text(script.replace("deferrable=True", "deferrable=False, poke_interval=0.1"))
    written = tmp_path / "events"
    transport = {"type": "file", "log_file_path": str(written), "append": True}
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__OPENLINEAGE__DISABLED": "False",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "airflow",
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-W", "ignore", str(tmp_path / "readme.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert SECRET not in written.read_text()
    assert tallyfy.token not in written.read_text()
    found = [json.loads(line) for line in written.read_text().splitlines()]
    return [event for event in found if event["eventType"] == "COMPLETE" and "tallyfy_run" in event["run"]["facets"]]


def own_part(event: dict) -> dict:
    """Give what comes from this package, as the documentation shows it."""
    datasets = {
        side: [{key: each[key] for key in ("namespace", "name")} for each in event[side]]
        for side in ("inputs", "outputs")
    }
    facet = event["run"]["facets"]["tallyfy_run"]
    return {
        "eventType": event["eventType"],
        "job": {"name": event["job"]["name"]},
        **datasets,
        "run": {"facets": {"tallyfy_run": {key: facet[key] for key in facet if not key.startswith("_")}}},
    }


def test_the_dag_of_the_readme_tells_what_the_documentation_shows(tallyfy, events):
    documented = (ROOT / "docs" / "lineage_events.json").read_text()
    ids = json.loads(documented)[0]["run"]["facets"]["tallyfy_run"]
    [run] = tallyfy.runs
    for name, mine in {
        "organizationId": tallyfy.organization_id,
        "runId": run["id"],
        "templateId": run["checklist_id"],
    }.items():
        documented = documented.replace(ids[name], mine)
    assert [own_part(event) for event in events] == json.loads(documented)

"""A project, which is a run without a template: what a launch sends, and how its run is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchProjectOperator
from tests.airflow_driver import attempt
from tests.task_contexts import context_of


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    "deadline",
    [
        datetime(2026, 1, 31, 17, tzinfo=UTC),
        "2026-01-31 17:00:00",
        "2026-01-31T18:00:00+01:00",
    ],
    ids=str,
)
def test_a_project_is_a_run_with_a_task_for_each_assignee(tallyfy, deadline):
    other = tallyfy.add_user("sam@sandbox.example")["id"]
    project = TallyfyLaunchProjectOperator(
        task_id="task",
        title="Move",
        owners={"users": [tallyfy.user["id"], str(other)], "guests": ["g@x.example"]},
        task_kind="approval",
        deadline=deadline,
        summary="Pack.",
    )
    result = project.execute(context_of())
    run = tallyfy.run(result["id"])
    assert (run["name"], result["name"], result["changed"]) == ("Move", "Move", True)
    assert [task["owners"]["users"] + task["owners"]["guests"] for task in run["tasks"]] == [
        [tallyfy.user["id"]],
        [other],
        ["g@x.example"],
    ]
    assert {(task["task_type"], task["deadline"]) for task in run["tasks"]} == {("approval", "2026-01-31 17:00:00")}


def test_a_project_is_due_in_a_week_by_default(tallyfy):
    owners = {"users": [tallyfy.user["id"]]}
    for arguments, days in (({}, 7), ({"deadline": timedelta(days=2)}, 2)):
        project = TallyfyLaunchProjectOperator(task_id="task", title="Move", owners=owners, **arguments)
        run = tallyfy.run(project.execute(context_of(map_index=days))["id"])
        due = datetime.fromisoformat(run["tasks"][0]["deadline"]).replace(tzinfo=UTC)
        assert abs(due - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("shape", ["run", "wrapped run", "run_id"])
def test_the_run_of_a_project_is_found_wherever_the_answer_names_it(tallyfy, shape):
    run = tallyfy.add_run(name="Move")
    named = {"run": {"run": {"id": run["id"]}}, "wrapped run": {"run": {"data": {"id": run["id"]}}}}
    body = {"data": {"id": "f" * 32, "title": "Move"} | named.get(shape, {"run_id": run["id"]})}
    tallyfy.faults.add("status", method="POST", status=201, body=body)
    project = TallyfyLaunchProjectOperator(task_id="task", title="Move", owners={"users": [1001]})
    assert project.execute(context_of())["id"] == run["id"]


@pytest.mark.usefixtures("worlds")
def test_a_launch_waits_for_a_project_that_is_not_shown_at_once(tallyfy, pauses):
    tallyfy.faults.add("status", method="GET", path="/runs/", status=404, times=2)
    project = TallyfyLaunchProjectOperator(task_id="task", title="Move", owners={"users": [tallyfy.user["id"]]})
    assert project.execute(context_of())["name"] == "Move"
    assert pauses[:2] == [1.0, 2.0]


@pytest.mark.usefixtures("worlds")
def test_a_project_that_is_never_shown_is_left_to_the_next_try(tallyfy):
    tallyfy.faults.add("status", method="GET", path="/runs/", status=404, times=3)
    arguments = {"task_id": "task", "title": "Move", "owners": {"users": [tallyfy.user["id"]]}}
    end = attempt(lambda: TallyfyLaunchProjectOperator(**arguments).execute(context_of()))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyUnknownOutcomeError")
    result = TallyfyLaunchProjectOperator(**arguments).execute(context_of(try_number=2))
    assert [run["id"] for run in tallyfy.runs] == [result["id"]]

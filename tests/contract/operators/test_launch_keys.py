"""By which key a launch is recognized, and how far back it searches for its run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.airflow_driver import attempt
from tests.contract.operators.launching import asked, both_kinds, launches, live_runs, project, template_run
from tests.task_contexts import FakeDagRun, context_of


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_a_launch_key_stands_for_one_run_across_dag_runs(tallyfy, launcher):
    first = launcher(tallyfy, launch_key=4711).execute(context_of())
    tallyfy.archive_run(first["id"])
    if launcher is project and tallyfy.behavior.project_summary == "tasks":
        tallyfy.restore_run(first["id"])  # whether an archived run lists its tasks is not known
    second = launcher(tallyfy, launch_key="4711").execute(context_of(run_id="tomorrow", task_id="other"))
    assert (second["id"], second["changed"]) == (first["id"], False)


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_a_launch_key_that_became_a_whole_float_stands_for_the_same_run(tallyfy, launcher):
    first = launcher(tallyfy, launch_key=7).execute(context_of())
    second = launcher(tallyfy, launch_key=7.0).execute(context_of(run_id="tomorrow"))
    assert (second["id"], second["changed"]) == (first["id"], False)


def test_a_launch_key_means_something_else_for_every_template_and_for_projects(tallyfy):
    other = tallyfy.add_template("Offboarding")["id"]
    operators = [
        template_run(tallyfy, launch_key="4711"),
        template_run(tallyfy, launch_key="4711", template_id=other),
        project(tallyfy, launch_key="4711"),
    ]
    assert all(operator.execute(context_of())["changed"] for operator in operators)
    assert len(live_runs(tallyfy)) == 3


def test_a_first_launch_with_a_key_looks_through_the_templates_runs_once(tallyfy, pauses):
    tallyfy.add_template("Onboarding")
    tallyfy.add_runs(250, "Onboarding")
    template_run(tallyfy, launch_key="4711").execute(context_of())
    assert asked(tallyfy) == [*["GET runs"] * 3, "GET template", "POST runs", "GET runs"]
    assert pauses == []


def test_look_back_limits_the_search(tallyfy):
    tallyfy.add_template("Onboarding")
    tallyfy.add_runs(250, "Onboarding", created_at="40 days ago")
    template_run(tallyfy, launch_key="4711", look_back="30d").execute(context_of())
    assert asked(tallyfy) == ["GET runs", "GET template", "POST runs", "GET runs"]


@pytest.mark.parametrize("age", ["soon", -1, float("nan"), 30, "30"])
def test_an_invalid_age_is_refused(tallyfy, age):
    end = attempt(lambda: template_run(tallyfy, launch_key="4711", look_back=age).execute(context_of()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")


@pytest.mark.usefixtures("worlds")
def test_a_run_older_than_look_back_neither_prevents_nor_reverts_a_launch(tallyfy):
    old = template_run(tallyfy, launch_key="4711").execute(context_of())
    tallyfy.update_run(old["id"], created_at="2020-01-01T00:00:00.000Z")
    new = template_run(tallyfy, launch_key="4711", look_back="30d").execute(context_of())
    assert (new["changed"], live_runs(tallyfy)) == (True, [old["id"], new["id"]])


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    ("days", "pages"),
    [pytest.param(3, 1, id="before this DAG run"), pytest.param(0, 3, id="since")],
)
def test_a_retry_searches_from_the_start_of_its_dag_run(tallyfy, days, pages, pauses):
    tallyfy.add_template("Onboarding")
    tallyfy.add_runs(250, "Onboarding", created_at=f"{days} days ago")
    template_run(tallyfy).execute(context_of(try_number=2))
    before = asked(tallyfy).index("GET template")
    assert before == 3 * pages  # three looks, since a list may lag
    assert pauses[:2] == [1.0, 2.0]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    "dag_run",
    [
        pytest.param(FakeDagRun(run_after=datetime(2020, 1, 1, tzinfo=UTC)), id="backfill"),
        pytest.param(FakeDagRun(run_after=None, logical_date=datetime(2020, 1, 1, tzinfo=UTC)), id="logical date only"),
        pytest.param(FakeDagRun(run_after=datetime.now(UTC) + timedelta(days=9)), id="in the future"),
        pytest.param(FakeDagRun(run_after=None), id="neither"),
    ],
)
def test_a_run_is_found_whatever_the_logical_date_of_its_dag_run(tallyfy, dag_run):
    first = template_run(tallyfy).execute(context_of(dag_run=dag_run))
    again = template_run(tallyfy).execute(context_of(try_number=2, dag_run=dag_run))
    assert again["id"] == first["id"]
    assert launches(tallyfy) == 1


@pytest.mark.usefixtures("worlds")
@both_kinds
@pytest.mark.parametrize("arguments", [{}, {"relaunch_on_clear": True}, {"launch_key": "4711"}], ids=str)
@pytest.mark.parametrize("age", [0, 5])
def test_a_dag_run_deleted_and_made_again_adopts_its_run_and_so_do_its_retries(tallyfy, launcher, arguments, age):
    first = launcher(tallyfy, **arguments).execute(context_of())
    created = (datetime.now(UTC) - timedelta(days=age)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    tallyfy.update_run(first["id"], created_at=created)
    made_again = [launcher(tallyfy, **arguments).execute(context_of()) for _ in range(2)]
    retried = launcher(tallyfy, **arguments).execute(context_of(try_number=2, max_tries=1, dag_run=FakeDagRun()))
    adopted = [*made_again, *([] if "relaunch_on_clear" in arguments else [retried])]
    assert [(run["id"], run["changed"]) for run in adopted] == [(first["id"], False)] * len(adopted)
    assert [run["archived_at"] for run in tallyfy.runs] == [None] * len(tallyfy.runs)


@pytest.mark.usefixtures("worlds")
def test_a_retry_archives_what_overlapping_tries_launched_twice(tallyfy):
    first = template_run(tallyfy).execute(context_of())
    surplus = tallyfy.add_run("Onboarding", name="Acme", summary=tallyfy.run(first["id"])["summary"])
    again = template_run(tallyfy).execute(context_of(try_number=2))
    assert again["id"] == first["id"]
    assert live_runs(tallyfy) == [first["id"]]
    assert tallyfy.run(surplus["id"])["archived_at"]


def test_a_first_try_searches_the_newest_hundred_runs_only(tallyfy, pauses):
    tallyfy.add_template("Onboarding")
    tallyfy.add_runs(250, "Onboarding")
    template_run(tallyfy).execute(context_of())
    assert asked(tallyfy) == ["GET runs", "GET template", "POST runs", "GET runs"]
    assert pauses == []


@pytest.mark.usefixtures("worlds")
def test_a_retry_archives_nothing_that_a_dag_run_made_again_launched_days_later(tallyfy):
    """The earlier run was not among the newest hundred, so another one was launched, and people were notified."""
    first = template_run(tallyfy).execute(context_of())
    created = (datetime.now(UTC) - timedelta(days=5)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    tallyfy.update_run(first["id"], created_at=created)
    tallyfy.add_runs(150, "Onboarding", name="Other")
    second = template_run(tallyfy).execute(context_of())
    long_ago = FakeDagRun(run_after=datetime(2020, 1, 1, tzinfo=UTC))
    template_run(tallyfy).execute(context_of(try_number=2, dag_run=long_ago))
    assert live_runs(tallyfy) == [first["id"], second["id"]]

"""`changed` says what a task changed over all its tries, killed and cleared ones included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyUpdateRunOperator,
)
from tests.airflow_driver import attempt
from tests.task_contexts import FakeDagRun, FakeTaskStateStore, context_of

RUN_ID = "0123456789abcdef0123456789abcdef"
WRITING = pytest.mark.parametrize("make", [TallyfyActivateRunOperator, TallyfyArchiveRunOperator])
# With Airflow's task state store, and without it as before Airflow 3.3.
STORES = pytest.mark.parametrize("has_store", [True, False], ids=["store", "no store"])


class Task:
    """A task instance whose tries follow each other."""

    def __init__(self, make: Any, *, has_store: bool, **arguments: Any) -> None:
        self.make, self.arguments = make, {"run_id": RUN_ID, **arguments}
        self.store = FakeTaskStateStore() if has_store else None
        self.dag_run = FakeDagRun()

    def try_number(self, number: int, **arguments: Any) -> Any:
        context = context_of(number, dag_run=self.dag_run, store=self.store)
        return self.make(task_id="task", **self.arguments, **arguments).execute(context)


def starts_archived(make: Any) -> bool:
    return make is TallyfyActivateRunOperator


def is_archived(tallyfy) -> bool:
    return tallyfy.run(RUN_ID)["archived_at"] is not None


def move(tallyfy, make: Any, *, back: bool = False) -> None:
    """Restore or archive the run as another person."""
    if starts_archived(make) is back:
        tallyfy.archive_run(RUN_ID)
    else:
        tallyfy.restore_run(RUN_ID)


def can_read_activity(tallyfy, make: Any) -> bool:
    return make is TallyfyActivateRunOperator or tallyfy.behavior.archived_children_visible


@pytest.fixture
def killed_after_the_write(tallyfy, monkeypatch):
    """Return a function that runs a try whose write is applied, and which is killed before it gets the answer."""
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))

    def try_once(task: Task) -> None:
        with monkeypatch.context() as killed:
            killed.setattr(TallyfyActivateRunOperator, "_report", _kill)
            killed.setattr(TallyfyArchiveRunOperator, "_report", _kill)
            with pytest.raises(KeyboardInterrupt):
                task.try_number(1)

    return try_once


def _kill(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("worlds")
@WRITING
@STORES
def test_a_retry_claims_what_a_killed_try_changed(tallyfy, make, has_store, killed_after_the_write):
    tallyfy.add_run(id=RUN_ID, archived=starts_archived(make))
    task = Task(make, has_store=has_store)
    killed_after_the_write(task)
    result = task.try_number(2)
    assert result["changed"] is (has_store or can_read_activity(tallyfy, make))
    assert is_archived(tallyfy) is not starts_archived(make)


@pytest.mark.usefixtures("worlds")
@WRITING
def test_a_retry_claims_a_write_whose_answer_was_lost(tallyfy, make, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    tallyfy.add_run(id=RUN_ID, archived=starts_archived(make))
    task = Task(make, has_store=True)
    method = "PUT" if starts_archived(make) else "DELETE"
    tallyfy.faults.add("status", method=method, status=503, applied=True)
    assert attempt(lambda: task.try_number(1)).state == "up_for_retry"
    assert task.try_number(2)["changed"] is True


@pytest.mark.usefixtures("worlds")
@WRITING
@STORES
def test_a_run_that_was_so_before_is_unchanged_in_every_try(tallyfy, make, has_store, logged):
    tallyfy.add_run(id=RUN_ID, archived=not starts_archived(make))
    task = Task(make, has_store=has_store)
    assert [task.try_number(number)["changed"] for number in (1, 2)] == [False, False]
    warned = "so changed is False" in logged()
    assert warned is not has_store


@pytest.mark.usefixtures("worlds")
@WRITING
@STORES
def test_a_change_by_somebody_else_before_a_retry_is_not_claimed(tallyfy, make, has_store, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    person = tallyfy.add_user("grace@acme.example")
    tallyfy.add_run(id=RUN_ID, archived=starts_archived(make), owner_id=person["id"])
    task = Task(make, has_store=has_store)
    tallyfy.faults.add("status", method="GET", status=503)
    assert attempt(lambda: task.try_number(1)).state == "up_for_retry"
    move(tallyfy, make)
    assert task.try_number(2)["changed"] is False


@pytest.mark.usefixtures("worlds")
@WRITING
def test_a_refused_write_is_not_claimed(tallyfy, make):
    tallyfy.add_run(id=RUN_ID, archived=starts_archived(make))
    task = Task(make, has_store=True)
    tallyfy.faults.add("status", method="PUT" if starts_archived(make) else "DELETE", status=403)
    assert attempt(lambda: task.try_number(1)).error == "TallyfyPermissionError"
    move(tallyfy, make)
    assert task.try_number(2)["changed"] is False


@pytest.mark.usefixtures("worlds")
@WRITING
def test_a_read_only_connection_writes_no_checkpoint(tallyfy, make, monkeypatch):
    tallyfy.add_run(id=RUN_ID, archived=starts_archived(make))
    task = Task(make, has_store=True)
    with monkeypatch.context() as connection:
        connection.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(read_only=True))
        assert attempt(lambda: task.try_number(1)).error == "TallyfyConfigurationError"
    move(tallyfy, make)
    assert task.try_number(2)["changed"] is False


@pytest.mark.usefixtures("worlds")
@WRITING
@STORES
def test_a_cleared_task_still_claims_what_it_changed(tallyfy, make, has_store):
    tallyfy.add_run(id=RUN_ID, archived=starts_archived(make))
    task = Task(make, has_store=has_store)
    assert task.try_number(1)["changed"] is True
    assert task.try_number(2)["changed"] is (has_store or can_read_activity(tallyfy, make))


@pytest.mark.parametrize("tallyfy_sandbox", ["lenient"], indirect=True)
@WRITING
@STORES
def test_a_cleared_task_does_not_claim_what_a_person_did_after_it_was_undone(tallyfy, make, has_store):
    person = tallyfy.add_user("grace@acme.example")
    tallyfy.add_run(id=RUN_ID, archived=starts_archived(make), owner_id=person["id"])
    task = Task(make, has_store=has_store)
    assert task.try_number(1)["changed"] is True
    move(tallyfy, make, back=True)
    move(tallyfy, make)
    assert task.try_number(2)["changed"] is False


@pytest.mark.usefixtures("worlds")
@WRITING
@STORES
def test_a_dry_run_writes_no_checkpoint(tallyfy, make, has_store):
    person = tallyfy.add_user("grace@acme.example")
    tallyfy.add_run(id=RUN_ID, archived=starts_archived(make), owner_id=person["id"])
    task = Task(make, has_store=has_store)
    assert task.try_number(1, dry_run=True)["requests"]
    assert task.store is None or task.store.values == {}
    move(tallyfy, make)
    assert task.try_number(2)["changed"] is False


@pytest.mark.usefixtures("worlds")
@WRITING
def test_a_first_try_that_has_nothing_to_change_reads_no_activity(tallyfy, make):
    tallyfy.add_run(id=RUN_ID, archived=not starts_archived(make))
    Task(make, has_store=False).try_number(1)
    assert not [request for request in tallyfy.requests if "activity" in request.path]


# -- before Airflow 3.3: the activity decides, if it can ------------------------------------------------


def restored_by_an_earlier_try(tallyfy) -> Task:
    tallyfy.add_run(id=RUN_ID, archived=True)
    task = Task(TallyfyActivateRunOperator, has_store=False)
    task.try_number(1)
    return task


@pytest.mark.parametrize("status", [403, 404, 500])
def test_activity_that_cannot_be_read_decides_nothing(tallyfy, monkeypatch, logged, status):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    task = restored_by_an_earlier_try(tallyfy)
    tallyfy.faults.add("status", path="activity-feeds", status=status, times=None)
    assert task.try_number(2)["changed"] is False
    assert "so changed is False" in logged()


def test_activity_that_lags_a_little_decides(tallyfy, monkeypatch):
    task = restored_by_an_earlier_try(tallyfy)
    late = tallyfy.store.activity.pop()
    asked = []

    def sleep(seconds: float) -> None:
        asked.append(seconds)
        tallyfy.store.activity.append(late)

    monkeypatch.setattr("airflow_provider_tallyfy.hooks.tallyfy.time.sleep", sleep)
    assert task.try_number(2)["changed"] is True
    assert len(asked) == 1


def test_activity_that_is_missing_decides_nothing(tallyfy, logged):
    task = restored_by_an_earlier_try(tallyfy)
    tallyfy.store.activity.clear()
    assert task.try_number(2)["changed"] is False
    assert "so changed is False" in logged()


def test_activity_from_before_the_dag_run_does_not_count(tallyfy):
    task = restored_by_an_earlier_try(tallyfy)
    tallyfy.store.activity[-1]["at"] -= timedelta(hours=1).total_seconds()
    assert task.try_number(2)["changed"] is False


def test_activity_counts_from_the_start_of_the_dag_run_and_not_from_its_logical_date(tallyfy):
    task = restored_by_an_earlier_try(tallyfy)
    tallyfy.store.activity[-1]["at"] -= timedelta(days=3).total_seconds()
    task.dag_run.run_after = datetime.now(UTC) - timedelta(days=30)
    task.dag_run.start_date = datetime.now(UTC)
    assert task.try_number(2)["changed"] is False


def test_a_restore_by_two_people_is_ambiguous(tallyfy, logged):
    person = tallyfy.add_user("grace@acme.example")
    task = restored_by_an_earlier_try(tallyfy)
    tallyfy.store.activity.append({**tallyfy.store.activity[-1], "id": 10**6, "actor_id": person["id"]})
    assert task.try_number(2)["changed"] is False
    assert "so changed is False" in logged()


@pytest.mark.parametrize("nobody", [{"email": None, "full_name": None}, {"email": "", "full_name": ""}])
def test_activity_that_does_not_say_who_decides_nothing(tallyfy, nobody):
    task = restored_by_an_earlier_try(tallyfy)
    tallyfy.store.users[10**6] = {**tallyfy.user, **nobody}
    tallyfy.store.activity[-1]["actor_id"] = 10**6
    assert task.try_number(2)["changed"] is False


def test_a_token_whose_user_is_not_known_decides_nothing(tallyfy):
    task = restored_by_an_earlier_try(tallyfy)
    tallyfy.faults.add("status", path="/me$", status=403, times=None)
    assert task.try_number(2)["changed"] is False


def test_activity_of_a_task_is_not_activity_of_its_run(tallyfy):
    task = restored_by_an_earlier_try(tallyfy)
    tallyfy.store.activity[-1]["task_id"] = "f" * 32
    assert task.try_number(2)["changed"] is False


# -- updates ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("worlds")
@STORES
def test_a_retry_of_an_update_claims_what_an_earlier_try_changed(tallyfy, has_store, logged):
    tallyfy.add_run(id=RUN_ID, name="before")
    task = Task(TallyfyUpdateRunOperator, has_store=has_store, changes={"name": "after"})
    assert task.try_number(1)["changed"] is True
    assert task.try_number(2)["changed"] is has_store
    assert ("so changed is False" in logged()) is not has_store


def test_a_cleared_update_with_other_values_claims_nothing_of_the_first(tallyfy):
    tallyfy.add_run(id=RUN_ID, name="before")
    task = Task(TallyfyUpdateRunOperator, has_store=True, changes={"name": "after"})
    task.try_number(1)
    task.arguments["changes"] = {"starred": False}
    assert task.try_number(2)["changed"] is False

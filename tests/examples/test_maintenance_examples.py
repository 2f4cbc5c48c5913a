"""The example DAGs about restoring and archiving do in Tallyfy what their docstrings say."""

from __future__ import annotations

import pytest

from example_dags import example_tallyfy_restore_in_pipeline

pytestmark = pytest.mark.usefixtures("worlds")


def task_states(dag_run) -> dict[str, str]:
    return {
        f"{ti.task_id}{'' if ti.map_index < 0 else ti.map_index}": str(ti.state) for ti in dag_run.get_task_instances()
    }


def test_an_archived_run_is_restored_and_passed_on(example, tallyfy_sandbox):
    run = tallyfy_sandbox.add_run(name="Onboarding", archived=True)
    dag_run = example("example_tallyfy_restore_run", run_id=run["id"])
    assert set(task_states(dag_run).values()) == {"success"}, task_states(dag_run)
    assert tallyfy_sandbox.run(run["id"])["archived_at"] is None


def test_restoring_a_run_that_was_finished_fails_instead_of_waiting(example, tallyfy_sandbox):
    run = tallyfy_sandbox.add_run(name="Onboarding", status="complete", archived=True)
    states = task_states(example("example_tallyfy_restore_run", run_id=run["id"]))
    assert states == {
        "restore": "success",
        "wait_until_active": "failed",
        "read": "upstream_failed",
        "hand_on": "upstream_failed",
    }


@pytest.fixture
def finished(tallyfy_sandbox) -> tuple[list[str], list[str]]:
    """Return the runs that were finished long ago, and those that were not."""
    add = tallyfy_sandbox.add_run
    old = [add(created_at="300 days ago", completed_at=f"{days} days ago")["id"] for days in (100, 250)]
    young = add(created_at="200 days ago", completed_at="2 days ago")["id"]
    return old, [young, add(created_at="200 days ago")["id"]]


def archived(tallyfy) -> set[str]:
    return {run["id"] for run in tallyfy.runs if run["archived_at"]}


def test_runs_that_were_finished_long_ago_are_archived_and_no_others(example, tallyfy_sandbox, finished, tmp_path):
    states = task_states(example("example_tallyfy_nightly_maintenance", folder=str(tmp_path)))
    assert states == {"archive": "success"}
    assert archived(tallyfy_sandbox) == set(finished[0])
    [report] = tmp_path.rglob("archived.jsonl")
    assert len(report.read_text().splitlines()) == 2


def test_a_night_without_finished_runs_is_a_success(example, tallyfy_sandbox, tmp_path):
    tallyfy_sandbox.add_run()
    states = task_states(example("example_tallyfy_nightly_maintenance", folder=str(tmp_path)))
    assert states == {"archive": "success"}


def test_each_finished_run_is_archived_by_a_task_of_its_own(example, tallyfy_sandbox, finished):
    states = task_states(example("example_tallyfy_archive_each_run"))
    assert states == {
        "list_finished_runs": "success",
        "archive0": "success",
        "archive1": "success",
        "summarize": "success",
    }
    assert archived(tallyfy_sandbox) == set(finished[0])


def test_without_finished_runs_there_is_no_task_for_any(example, tallyfy_sandbox):
    tallyfy_sandbox.add_run()
    states = task_states(example("example_tallyfy_archive_each_run"))
    assert states == {"list_finished_runs": "success", "archive": "skipped", "summarize": "success"}


def test_a_restored_run_is_archived_again_after_people_finished_it(example, tallyfy_sandbox, monkeypatch):
    monkeypatch.setattr(example_tallyfy_restore_in_pipeline.wait_for_people, "poke_interval", 0.5)
    run = tallyfy_sandbox.add_run(archived=True, complete_after=0.5)
    dag_run = example("example_tallyfy_restore_in_pipeline", run_id=run["id"])
    assert set(task_states(dag_run).values()) == {"success"}, task_states(dag_run)
    stored = tallyfy_sandbox.run(run["id"])
    assert stored["completed_at"]
    assert stored["archived_at"]


def test_a_restored_run_is_archived_again_although_a_task_in_between_failed(example, tallyfy_sandbox):
    run = tallyfy_sandbox.add_run(archived=True)
    # A restore reads the run once or twice, depending on the answers. The next task that reads it is refused.
    tallyfy_sandbox.faults.add("status", status=403, method="GET", path=run["id"], after=2, times=1)
    dag_run = example("example_tallyfy_restore_in_pipeline", run_id=run["id"])
    states = task_states(dag_run)
    assert (states["restore"], states["load"], states["archive_again"]) == ("success", "upstream_failed", "success")
    assert str(dag_run.state) == "failed"
    assert tallyfy_sandbox.run(run["id"])["archived_at"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_that_was_live_before_stays_live_whatever_happens(example, tallyfy_sandbox, monkeypatch, fails):
    monkeypatch.setattr(example_tallyfy_restore_in_pipeline.wait_for_people, "poke_interval", 0.5)
    run = tallyfy_sandbox.add_run(complete_after=0.5)
    if fails:
        tallyfy_sandbox.faults.add("status", status=403, path="form-fields|tasks", times=None)
    dag_run = example("example_tallyfy_restore_in_pipeline", run_id=run["id"])
    assert str(dag_run.state) == ("failed" if fails else "success")
    assert task_states(dag_run)["archive_again"] == "success"
    assert tallyfy_sandbox.run(run["id"])["archived_at"] is None


def test_a_restored_run_that_could_not_be_archived_again_fails_the_dag_run(example, tallyfy_sandbox, monkeypatch):
    monkeypatch.setattr(example_tallyfy_restore_in_pipeline.wait_for_people, "poke_interval", 0.5)
    run = tallyfy_sandbox.add_run(archived=True, complete_after=0.5)
    tallyfy_sandbox.faults.add("status", status=403, method="DELETE", path=run["id"], times=None)
    dag_run = example("example_tallyfy_restore_in_pipeline", run_id=run["id"])
    assert task_states(dag_run)["archive_again"] == "failed"
    assert str(dag_run.state) == "failed"

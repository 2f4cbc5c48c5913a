"""The example DAGs about many runs do in Tallyfy what their docstrings say."""

from __future__ import annotations

import csv
import json
from collections import Counter

import pytest

from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from example_dags import example_tallyfy_collect_answers, example_tallyfy_restore_and_wait
from tests.examples.test_maintenance_examples import task_states


def archived(tallyfy) -> set[str]:
    return {run["id"] for run in tallyfy.runs if run["archived_at"]}


@pytest.mark.usefixtures("worlds")
def test_many_runs_are_restored_with_a_report(example, tallyfy_sandbox, tmp_path):
    wanted = tallyfy_sandbox.add_runs(12, name="Onboarding", archived=True)
    others = tallyfy_sandbox.add_runs(3, name="Review", archived=True)
    states = task_states(example("example_tallyfy_bulk_restore", query="Onboarding", folder=str(tmp_path)))
    assert states == {"restore": "success", "check": "success", "undo": "skipped", "go_on": "success"}
    assert archived(tallyfy_sandbox) == set(others)
    [report] = tmp_path.rglob("restore.jsonl")
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert {line["id"]: line["state"] for line in lines} == dict.fromkeys(wanted, "changed")


@pytest.mark.usefixtures("worlds")
def test_a_restore_of_too_many_runs_is_undone(example, tallyfy_sandbox, tmp_path):
    before = set(tallyfy_sandbox.add_runs(12, name="Onboarding", archived=True))
    live = set(tallyfy_sandbox.add_runs(4, name="Onboarding"))
    dag_run = example("example_tallyfy_bulk_restore", query="Onboarding", folder=str(tmp_path), at_most=5)
    states = task_states(dag_run)
    assert states == {"restore": "success", "check": "failed", "undo": "success", "go_on": "upstream_failed"}
    assert str(dag_run.state) == "failed"
    assert archived(tallyfy_sandbox) == before
    assert not live & archived(tallyfy_sandbox)


def test_a_restore_that_failed_half_way_is_undone(example, tallyfy_sandbox, tmp_path):
    before = tallyfy_sandbox.add_runs(12, name="Onboarding", archived=True)
    tallyfy_sandbox.faults.add("status", method="PUT", path=before[3], status=403, times=None)
    dag_run = example("example_tallyfy_bulk_restore", query="Onboarding", folder=str(tmp_path))
    states = task_states(dag_run)
    assert states == {"restore": "failed", "check": "upstream_failed", "undo": "success", "go_on": "upstream_failed"}
    assert str(dag_run.state) == "failed"
    assert archived(tallyfy_sandbox) == set(before)


def test_a_restore_that_never_began_leaves_nothing_to_undo(example, tallyfy_sandbox, tmp_path):
    tallyfy_sandbox.add_runs(3, name="Onboarding", archived=True)
    dag_run = example("example_tallyfy_bulk_restore", query="", folder=str(tmp_path))
    assert task_states(dag_run)["undo"] == "success"
    assert str(dag_run.state) == "failed"
    assert len(archived(tallyfy_sandbox)) == 3


@pytest.mark.parametrize("path", ["restore", "wait", "archive"])
def test_runs_stay_restored_if_a_task_of_restore_and_wait_fails(example, tallyfy_sandbox, tmp_path, monkeypatch, path):
    monkeypatch.setattr(example_tallyfy_restore_and_wait.wait, "poke_interval", 0.1)
    monkeypatch.setattr(example_tallyfy_restore_and_wait.wait, "timeout", 0.5)
    runs = [tallyfy_sandbox.add_run(name="Onboarding", status="complete", archived=True)["id"] for _ in range(3)]
    if path == "wait":
        runs.append(tallyfy_sandbox.add_run(name="Onboarding", archived=True)["id"])
    else:
        method = {"restore": "PUT", "archive": "DELETE"}[path]
        tallyfy_sandbox.faults.add("status", method=method, path=runs[0], status=403, times=None)
    dag_run = example("example_tallyfy_restore_and_wait", folder=str(tmp_path))
    order = ["restore", "wait", "archive"]
    expected = ["success"] * order.index(path) + ["failed", "upstream_failed", "upstream_failed"]
    assert task_states(dag_run) == dict(zip(order, expected, strict=False))
    assert str(dag_run.state) == "failed"
    still_archived = {"restore": {runs[0]}, "wait": set(), "archive": set(runs[1:])}[path]
    assert archived(tallyfy_sandbox) == still_archived


def test_nothing_to_restore_is_a_success_that_waits_for_nobody(example, tallyfy_sandbox, tmp_path):
    tallyfy_sandbox.add_run(name="Onboarding")
    states = task_states(example("example_tallyfy_restore_and_wait", folder=str(tmp_path)))
    assert states == dict.fromkeys(("restore", "wait", "archive"), "success")
    assert archived(tallyfy_sandbox) == set()


@pytest.mark.usefixtures("worlds")
def test_each_order_is_launched_once_however_often_the_dag_runs(example, tallyfy_sandbox):
    tallyfy_sandbox.load(DEFAULT)
    before = len(tallyfy_sandbox.runs)
    template = tallyfy_sandbox.store.template("Customer onboarding")
    for _ in range(2):
        states = task_states(example("example_tallyfy_bulk_launch", template_id=template["id"]))
        assert states == {"new_orders": "success", "launch": "success"}
    assert Counter(run["name"] for run in tallyfy_sandbox.runs[before:]) == {"ACME": 1, "Globex": 1}


def test_a_purge_deletes_what_was_archived_long_ago_when_it_is_told_to(example, tallyfy_sandbox, tmp_path):
    old = tallyfy_sandbox.add_run(created_at="300 days ago", archived_at="100 days ago")
    kept = [
        tallyfy_sandbox.add_run(created_at="300 days ago", archived_at="10 days ago"),
        tallyfy_sandbox.add_run(created_at="300 days ago"),
    ]
    keys = {"organization_id": tallyfy_sandbox.organization_id, "folder": str(tmp_path)}
    assert task_states(example("example_tallyfy_bulk_purge", **keys)) == {"purge": "success"}
    assert len(tallyfy_sandbox.runs) == 3, "a dry run deletes nothing"
    assert task_states(example("example_tallyfy_bulk_purge", dry_run=False, **keys)) == {"purge": "success"}
    assert [run["id"] for run in tallyfy_sandbox.runs] == [run["id"] for run in kept]
    assert json.loads((tmp_path / "snapshots" / f"{old['id']}.json").read_text())["run"]["id"] == old["id"]


def test_a_purge_pointed_at_another_organization_deletes_nothing(example, tallyfy_sandbox, tmp_path):
    tallyfy_sandbox.add_run(created_at="300 days ago", archived_at="100 days ago")
    states = task_states(
        example("example_tallyfy_bulk_purge", dry_run=False, organization_id="0" * 32, folder=str(tmp_path))
    )
    assert states == {"purge": "failed"}
    assert len(tallyfy_sandbox.runs) == 1


@pytest.mark.usefixtures("worlds")
def test_the_answers_to_each_order_are_collected(example, tallyfy_sandbox, tmp_path, monkeypatch):
    template = tallyfy_sandbox.add_template(
        "Order", kickoff=[{"label": "Customer"}, {"label": "Amount"}], steps=["Check"], complete_after=0.2
    )
    (tmp_path / "orders.csv").write_text("Order,Customer,Amount\nA-1,Acme,7\nA-2,Globex,\n")
    monkeypatch.setattr(example_tallyfy_collect_answers.wait, "poke_interval", 0.1)
    files = {"orders": str(tmp_path / "orders.csv"), "folder": str(tmp_path)}
    states = task_states(example("example_tallyfy_collect_answers", template_id=template["id"], **files))
    assert states == dict.fromkeys(("launch", "wait", "collect", "count_answers"), "success")
    [collected] = tmp_path.rglob("answers.csv")
    rows = list(csv.DictReader(collected.read_text().splitlines()))
    assert [(row["Customer"], row["Amount"]) for row in rows] == [("Acme", "7"), ("Globex", "")]
    assert [row["run_id"] for row in rows] == [run["id"] for run in tallyfy_sandbox.runs]

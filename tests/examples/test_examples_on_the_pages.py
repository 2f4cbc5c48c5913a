"""Every example ends as its documentation says, when a person does on the sandbox's pages what it says."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from tests.examples.test_maintenance_examples import task_states


@pytest.fixture
def quick(monkeypatch):
    """Let an example look at Tallyfy again at once."""

    def change(name, task_id, interval="poke_interval"):
        task = import_module(f"example_dags.example_tallyfy_{name}").dag.get_task(task_id)
        monkeypatch.setattr(task, interval, 0.1)

    return change


@pytest.mark.parametrize("presses", [["Approve", "Reject"], ["Approve", "Approve"], ["Reject"]], ids=str)
def test_approval_gate(example, person, meanwhile, quick, presses):
    for task_id in ("approve", "verify"):
        quick("approval_gate", task_id, "poll_interval")

    def answer():
        for question, button in zip(("Deploy version 2.0?", "Is version 2.0 as it should be?"), presses, strict=False):
            person.wait_until(lambda statuses, question=question: question in statuses)
            person.press_on(question, button)

    meanwhile(answer)
    states = task_states(example("example_tallyfy_approval_gate"))
    ran = [task_id for task_id in ("deploy", "announce", "roll_back") if states.pop(task_id) == "success"]
    assert ran == {1: [], 2: ["deploy", "announce" if presses[-1] == "Approve" else "roll_back"]}[len(presses)]
    assert states == {"approve": "success", "verify": "success" if len(presses) == 2 else "skipped"}


def test_archive_each_run(example, person):
    person.press_on("Onboarding - Globex", "Complete all tasks")
    assert str(example("example_tallyfy_archive_each_run", days=0).state) == "success"
    assert "complete" not in person.statuses().values()
    person.press_on("Onboarding - Globex", "Restore run")
    assert person.statuses()["Onboarding - Globex"] == "complete"


def test_audit_export(example, person, tmp_path):
    person.press_on("Onboarding - Globex", "Complete all tasks")
    example("example_tallyfy_audit_export", folder=str(tmp_path), days=2)
    [globex] = [run for run in person.sandbox.runs if run["name"].endswith("Globex")]
    assert "completed" in (tmp_path / f"{globex['id']}.jsonl").read_text()
    assert json.loads((tmp_path / f"{globex['id']}.json").read_text())["status"] == "complete"


def test_bulk_launch(example, person):
    example("example_tallyfy_bulk_launch")
    assert "a@acme.example" in person.open_run("ACME").text
    count = len(person.sandbox.runs)
    example("example_tallyfy_bulk_launch")
    assert len(person.sandbox.runs) == count


def test_bulk_purge(example, person, tmp_path):
    known = {"organization_id": person.sandbox.organization_id, "folder": str(tmp_path)}
    assert known["organization_id"] in person.open("/").text
    example("example_tallyfy_bulk_purge", days=90, dry_run=True, **known)
    assert "Vendor review - Tyrell" in person.statuses()
    example("example_tallyfy_bulk_purge", days=90, dry_run=False, **known)
    assert "Vendor review - Tyrell" not in person.statuses()
    assert len([*(tmp_path / "snapshots").iterdir()]) == 1


def test_bulk_restore(example, person, tmp_path):
    names = ("Onboarding - Hooli", "Onboarding - Wonka")
    dag_run = example("example_tallyfy_bulk_restore", folder=str(tmp_path), at_most=100)
    assert str(dag_run.state) == "success"
    assert [person.statuses()[name] for name in names] == ["active", "complete"]
    for name in names:
        person.press_on(name, "Archive run")
    dag_run = example("example_tallyfy_bulk_restore", folder=str(tmp_path), at_most=1)
    assert task_states(dag_run)["undo"] == "success"
    assert str(dag_run.state) == "failed"
    assert [person.statuses()[name] for name in names] == ["archived", "archived"]


def test_collect_answers(example, person, meanwhile, quick, tmp_path):
    quick("collect_answers", "wait")

    def answer():
        known = len(person.statuses())
        person.wait_until(lambda statuses: len(statuses) == known + 2)
        for run in person.sandbox.runs[known:]:
            person.open(person.sandbox.run_url(run["id"]))
            person.press("Save", "Collect documents", {"Tax number": f"DE {run['increment_id']}"})
            person.press("Complete all tasks")

    meanwhile(answer)
    dag_run = example("example_tallyfy_collect_answers", folder=str(tmp_path))
    assert str(dag_run.state) == "success", task_states(dag_run)
    [answers] = tmp_path.rglob("answers.csv")
    assert answers.read_text().count("DE ") == 2


def test_nightly_maintenance(example, person, tmp_path):
    example("example_tallyfy_nightly_maintenance", folder=str(tmp_path), days=90)
    before = person.statuses()
    assert [before[name] for name in ("Onboarding - Soylent", "Vendor review - Northwind")] == ["archived"] * 2
    person.press_on("Onboarding - Globex", "Complete all tasks")
    example("example_tallyfy_nightly_maintenance", folder=str(tmp_path), days=0)
    changed = {name for name, status in person.statuses().items() if status == "archived" != before[name]}
    assert changed == {"Onboarding - Globex", "Onboarding - Umbrella"}


@pytest.mark.parametrize("tax_number", ["DE 123", ""])
def test_onboard_customer(example, person, meanwhile, quick, tax_number):
    quick("onboard_customer", "onboard", "poll_interval")
    name = "Onboarding - Stark Industries"

    def onboard():
        person.wait_until(lambda statuses: name in statuses)
        person.open_run(name)
        person.press("Complete", "Collect documents", {"Tax number": tax_number})
        person.press("Complete all tasks")

    meanwhile(onboard)
    dag_run = example("example_tallyfy_onboard_customer", company="Stark Industries")
    assert str(dag_run.state) == "success", task_states(dag_run)
    if tax_number:
        assert "Handed over to billing" in person.open_run(name).text
    else:
        assert "Ask Stark Industries for its tax number" in person.open("/").text


def test_purge(example, person, tmp_path):
    gone = {"Onboarding - Wonka", "Vendor review - Tyrell"}
    example("example_tallyfy_purge", days=30, dry_run=True, snapshots=str(tmp_path))
    before = set(person.statuses())
    example("example_tallyfy_purge", days=30, dry_run=False, snapshots=str(tmp_path))
    assert before - set(person.statuses()) == gone
    assert len([*tmp_path.iterdir()]) == 2


def test_restore_and_wait(example, person, meanwhile, quick, tmp_path):
    quick("restore_and_wait", "wait")

    def complete():
        person.wait_until(lambda statuses: statuses["Onboarding - Hooli"] == "active")
        person.wait_until(lambda statuses: statuses["Onboarding - Wonka"] == "complete")
        person.press_on("Onboarding - Hooli", "Complete all tasks")

    meanwhile(complete)
    dag_run = example("example_tallyfy_restore_and_wait", folder=str(tmp_path))
    assert str(dag_run.state) == "success", task_states(dag_run)
    assert {person.statuses()[f"Onboarding - {name}"] for name in ("Hooli", "Wonka")} == {"archived"}
    assert "Completed process" in person.open_run("Onboarding - Hooli").text


def test_restore_in_pipeline(example, person, meanwhile, quick):
    quick("restore_in_pipeline", "wait_for_people")

    def complete():
        person.wait_until(lambda statuses: statuses["Onboarding - Hooli"] == "active")
        person.press_on("Onboarding - Hooli", "Complete all tasks")

    meanwhile(complete)
    dag_run = example("example_tallyfy_restore_in_pipeline")
    assert str(dag_run.state) == "success", task_states(dag_run)
    assert person.statuses()["Onboarding - Hooli"] == "archived"
    assert "Completed process" in person.open_run("Onboarding - Hooli").text


def test_restore_run(example, person):
    for _ in range(2):
        assert str(example("example_tallyfy_restore_run").state) == "success"
        assert person.statuses()["Vendor review - Fabrikam"] == "active"
        person.press_on("Vendor review - Fabrikam", "Archive run")


def test_robot_step(example, person, meanwhile, quick):
    quick("robot_step", "turn")

    def begin():
        person.open_run("Onboarding - ACME Corp")
        person.press("Complete", "Send welcome pack")

    meanwhile(begin)
    dag_run = example("example_tallyfy_robot_step")
    assert str(dag_run.state) == "success", task_states(dag_run)
    shown = person.open_run("Onboarding - ACME Corp").text
    assert all(text in shown for text in ("DE 123456789", "Done by example_tallyfy_robot_step", "The machine's step"))


def test_tell_people(example, person):
    for number in (1, 2):
        assert str(example("example_tallyfy_tell_people").state) == "failed"
        shown = person.open_run("Vendor review - Contoso").text
        assert shown.count("load of example_tallyfy_tell_people failed in try 1.") == number
        assert [run["name"] for run in person.sandbox.runs].count("Review of Contoso") == number
    assert str(example("example_tallyfy_tell_people", rows=5).state) == "success"
    assert len(person.sandbox.runs) == len(DEFAULT["runs"]) + 2


def test_wait_for_people(example, person, meanwhile, quick):
    for task_id in ("reviewed", "answer", "all_complete"):
        quick("wait_for_people", task_id)

    def take_part():
        person.open_run("Onboarding - ACME Corp")
        person.press("Approve", "Legal review")
        person.press("Save", "Collect documents", {"Tax number": "DE 123"})
        for name in ("Onboarding - ACME Corp", "Onboarding - Globex"):
            person.press_on(name, "Complete all tasks")

    meanwhile(take_part)
    dag_run = example("example_tallyfy_wait_for_people")
    assert str(dag_run.state) == "success", task_states(dag_run)

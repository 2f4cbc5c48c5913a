"""The example DAGs about launching, deleting and auditing do in Tallyfy what their docstrings say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from example_dags import example_tallyfy_onboard_customer
from tests.examples.test_maintenance_examples import task_states

pytestmark = pytest.mark.usefixtures("worlds")


@pytest.fixture
def seeded(tallyfy_sandbox):
    """Return a Tallyfy as the sandbox starts from the command line."""
    tallyfy_sandbox.load(DEFAULT)
    return tallyfy_sandbox


@pytest.fixture
def onboard(example, seeded, monkeypatch):
    """Return a function that runs the onboarding and finishes the run with a given tax number."""
    monkeypatch.setattr(example_tallyfy_onboard_customer.onboard, "poll_interval", 0.1)
    template = seeded.store.template("Customer onboarding")

    def finish_at_once(tax_number: str | None) -> None:
        add_run = seeded.store.add_run

        def add_finished_run(template, **fields):
            run = add_run(template, **fields)
            collect = next((task for task in run.tasks if task["title"] == "Collect documents"), None)
            if collect is not None:
                collect["taskdata"] = {collect["form_fields"][0]["id"]: tax_number} if tax_number else {}
                seeded.store.complete(run, after=0.2)
            return run

        monkeypatch.setattr(seeded.store, "add_run", add_finished_run)

    def run(tax_number: str | None, **params):
        finish_at_once(tax_number)
        return example("example_tallyfy_onboard_customer", template_id=template["id"], **params)

    return run


def test_a_customer_is_onboarded_and_the_run_is_updated(onboard, seeded):
    before = len(seeded.runs)
    states = task_states(onboard("DE 123", company="Stark Industries"))
    assert states == {
        "onboard": "success",
        "answers": "success",
        "has_tax_number": "success",
        "ask_for_tax_number": "skipped",
        "note_result": "success",
        "tag_run": "success",
    }
    [run] = seeded.runs[before:]
    assert (run["name"], run["status"], run["starred"]) == ("Onboarding - Stark Industries", "complete", True)
    assert run["summary"].startswith("Handed over to billing")
    assert "Stark Industries" in run["prerun"].values()
    assert [link["title"] for link in run["tags"]] == ["priority"]


def test_a_missing_tax_number_is_asked_for_in_a_project(onboard, seeded):
    states = task_states(onboard(None, account_manager=seeded.user["id"]))
    assert (states["ask_for_tax_number"], states["note_result"]) == ("success", "skipped")
    project = seeded.runs[-1]
    assert project["name"] == "Ask ACME Corp for its tax number"
    assert project["tasks"][0]["owners"]["users"] == [seeded.user["id"]]


def test_a_second_order_of_the_same_customer_launches_nothing(onboard, seeded):
    onboard("DE 123")
    count = len(seeded.runs)
    assert task_states(onboard("DE 123"))["onboard"] == "success"
    assert len(seeded.runs) == count


def test_a_dry_run_deletes_nothing(example, seeded, tmp_path):
    before = seeded.runs
    states = task_states(example("example_tallyfy_purge", days=30, snapshots=str(tmp_path / "snapshots")))
    assert states == {
        "list_expired_runs": "success",
        "with_both_keys": "success",
        "delete0": "success",
        "delete1": "success",
    }
    assert seeded.runs == before
    assert not (tmp_path / "snapshots").exists()


def test_only_what_was_archived_long_ago_is_deleted_and_only_with_its_snapshot(example, seeded, tmp_path):
    expired = {run["id"] for run in seeded.runs if run["name"] in ("Onboarding - Wonka", "Vendor review - Tyrell")}
    before = {run["id"] for run in seeded.runs}
    dag_run = example("example_tallyfy_purge", days=30, dry_run=False, snapshots=str(tmp_path))
    left = {run["id"] for run in seeded.runs}
    if seeded.behavior.archived_children_visible:
        assert str(dag_run.state) == "success"
        assert before - left == expired
        assert {path.stem for path in tmp_path.iterdir()} == expired
        assert all(json.loads(path.read_text())["tasks"] for path in tmp_path.iterdir())
    else:
        assert str(dag_run.state) == "failed"
        assert left == before


def test_every_run_that_was_finished_lately_is_audited_and_exported(example, seeded, tmp_path):
    seeded.add_runs(1000, completed_at="40 days ago", created_at="50 days ago")
    seeded.add_run(completed_at="1 day ago")
    lately = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    finished = {run["id"] for run in seeded.runs if (run["completed_at"] or "") > lately and not run["archived_at"]}
    dag_run = example("example_tallyfy_audit_export", folder=str(tmp_path), days=30)
    assert str(dag_run.state) == "success", task_states(dag_run)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{run}{end}" for run in finished for end in (".json", ".jsonl")
    }
    for run_id in finished:
        assert json.loads((tmp_path / f"{run_id}.json").read_text())["id"] == run_id
        assert json.loads((tmp_path / f"{run_id}.jsonl").read_text().splitlines()[0])["verb"] == "created"

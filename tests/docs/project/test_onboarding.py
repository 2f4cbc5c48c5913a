import pytest
from dags.onboarding import dag

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


@pytest.fixture
def run_id(tallyfy_sandbox, monkeypatch):
    """An archived run, which people complete two seconds after it is restored."""
    monkeypatch.setattr(dag.get_task("wait"), "poke_interval", 1)
    run = tallyfy_sandbox.add_run(archived=True, complete_after=2)
    return run["id"]


def test_a_completed_run_is_archived(tallyfy_sandbox, run_id):
    dag_run = dag.test(run_conf={"run_id": run_id})
    assert dag_run.state == "success"
    run = tallyfy_sandbox.run(run_id)
    assert run["completed_at"]
    assert run["archived_at"]


@pytest.mark.tallyfy_sandbox("strict")
def test_it_works_whatever_the_documentation_of_tallyfy_leaves_open(run_id):
    assert dag.test(run_conf={"run_id": run_id}).state == "success"


def test_a_short_outage_does_no_harm(tallyfy_sandbox, run_id):
    tallyfy_sandbox.faults.add("status", status=503, method="PUT", times=1)
    assert dag.test(run_conf={"run_id": run_id}).state == "success"


def test_a_run_that_somebody_deleted_fails_the_dag_run(tallyfy_sandbox, run_id):
    tallyfy_sandbox.delete_run(run_id)
    assert dag.test(run_conf={"run_id": run_id}).state == "failed"


def test_an_answer_is_read_by_its_label(tallyfy_sandbox):
    form = [{"label": "Verdict", "field_type": "text"}]
    check = {"title": "Check", "form_fields": form}
    tallyfy_sandbox.add_template("Review", steps=[check])
    run = tallyfy_sandbox.add_run("Review")
    with TallyfyHook() as hook:
        # As a person would.
        hook.complete_task(run["id"], "Check", answers={"Verdict": "good"})
        assert hook.get_form_values(run["id"]) == {"Verdict": "good"}

"""A wait for a task or form field that does not exist, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy.triggers import tallyfy as triggers
from airflow_provider_tallyfy.waits.results import Outcome
from tests.unit.triggers.test_bad_times import RUN_ID, ended, tallyfy
from tests.virtual_time import VirtualTallyfy

__all__ = ["tallyfy"]

COMMON = {
    "run_id": RUN_ID,
    "organization_id": None,
    "tallyfy_conn_id": "tallyfy_default",
    "poll_interval": 20,
    "failure_status": [],
}
LATER = 3600.0


def task(name: str, **arguments: Any) -> Any:
    return triggers.TallyfyTaskTrigger(**{"task_name": name, "deadline": LATER} | COMMON | arguments)


def field(name: str, **arguments: Any) -> Any:
    return triggers.TallyfyFormFieldTrigger(**{"field": name, "values": [], "deadline": LATER} | COMMON | arguments)


@pytest.fixture
def templated(tallyfy) -> VirtualTallyfy:
    """Return a Tallyfy with a run of a template with two steps, of which a rule hides the second."""
    template = tallyfy.add_template(
        steps=[
            {"title": "Collect data", "form_fields": [{"label": "Tax number", "field_type": "text"}]},
            {"title": "Sign contract", "form_fields": [{"label": "Signature", "field_type": "text"}]},
        ],
        kickoff=[{"label": "Customer name", "field_type": "text"}],
        title="Onboarding",
    )
    tallyfy.delete_run(RUN_ID)
    tallyfy.add_run(id=RUN_ID, template=template["id"])
    run = tallyfy.store.runs[RUN_ID]
    run.tasks[:] = [one for one in run.tasks if one["title"] == "Collect data"]
    return tallyfy


@pytest.mark.parametrize(
    ("wait", "message"),
    [
        (
            task("Collects data"),
            "nor has its template 'Onboarding'.\nDid you mean 'Collect data'?",
        ),
        (task("Signs contract"), "Did you mean 'Sign contract'?"),
        (task("Qqq"), "There are: 'Collect data', 'Sign contract'."),
        (
            field("Tax numbers"),
            "nor has its template 'Onboarding'.\nDid you mean 'Tax number'?",
        ),
        (field("Signatures"), "Did you mean 'Signature'?"),
        (field("Customers name"), "Did you mean 'Customer name'?"),
    ],
    ids=lambda value: getattr(value, "task_name", getattr(value, "field", None)),
)
def test_a_misspelt_name_ends_the_wait_after_two_looks_with_the_nearest_names(templated, wait, message):
    ending, moment, _ = ended(wait)
    assert (ending.outcome, ending.error) == (Outcome.ERROR, "TallyfyValidationError")
    assert message in ending.message
    assert ending.message.endswith("Set may_appear_later=True if people may still add it.")
    assert 60 <= moment <= 90


@pytest.mark.parametrize("wait", [task("Sign contract"), field("Signature")], ids=["task", "field"])
def test_a_name_that_a_rule_of_the_template_hides_is_waited_for(templated, wait):
    ending, moment, _ = ended(wait)
    assert ending.outcome is Outcome.TIMED_OUT
    assert moment >= LATER
    assert sum("/checklists/" in request.path for request in templated.requests) == 1


@pytest.mark.parametrize(
    "wait",
    [task("One-off", may_appear_later=True), field("Later", may_appear_later=True)],
    ids=["task", "field"],
)
def test_may_appear_later_waits_on_and_reads_no_template(templated, wait):
    assert ended(wait)[0].outcome is Outcome.TIMED_OUT
    assert not any("/checklists/" in request.path for request in templated.requests)


@pytest.mark.parametrize("wait", [task("Collects data"), field("Tax numbers")], ids=["task", "field"])
def test_without_its_template_a_wait_goes_on(templated, wait):
    templated.faults.add("status", status=404, path="/checklists/", times=None)
    assert ended(wait)[0].outcome is Outcome.TIMED_OUT


@pytest.mark.parametrize("wait", [task("Collects data"), field("Tax numbers")], ids=["task", "field"])
def test_a_template_that_cannot_be_read_for_a_moment_is_read_at_the_next_look(templated, wait):
    templated.faults.add("status", status=503, path="/checklists/", times=2)
    ending, moment, _ = ended(wait)
    assert ending.error == "TallyfyValidationError"
    assert 80 <= moment <= 150


def test_a_run_without_tasks_may_still_get_them(templated):
    templated.store.runs[RUN_ID].tasks.clear()
    assert ended(task("Collects data"))[0].outcome is Outcome.TIMED_OUT


def test_a_task_that_appears_within_the_minute_is_waited_for(templated):
    def add() -> None:
        run = templated.store.runs[RUN_ID]
        run.tasks.append({**run.tasks[0], "id": "f" * 32, "title": "One-off", "alias": "one-off"})

    assert ended(task("One-off"), (30, add))[0].outcome is Outcome.TIMED_OUT

"""Waiting for one task, and for the answer in one form field, alike in every mode."""

from __future__ import annotations

import pytest

from airflow_provider_tallyfy.sensors.tallyfy import TallyfyFormFieldSensor, TallyfyTaskSensor
from tests.airflow_driver import attempt, deferral, new_context, only_event, rebuilt
from tests.contract.sensors.modes import MODES

pytestmark = pytest.mark.usefixtures("worlds")

STEPS = [
    {"title": "Prepare", "alias": "prepare_1"},
    {"title": "Legal review", "alias": "legal_review_2", "form_fields": [{"label": "Verdict", "field_type": "text"}]},
    {"title": "File", "alias": "file_3"},
]
KICKOFF = [
    {"label": "Customer", "field_type": "text", "alias": "customer_1"},
    {"label": "Plan", "field_type": "dropdown", "options": ["Gold", "Silver"]},
    {"label": "Extras", "field_type": "multiselect", "options": ["SSO", "API"]},
]

#: A field's label, what the sensor calls it, the answer as Tallyfy stores it, and what the sensor returns.
ANSWERS = {
    "text of a task": ("Verdict", "verdict", "approved", "approved"),
    "text of the kick-off form": ("Customer", "customer_1", "ACME", "ACME"),
    "option": ("Plan", "Plan", {"id": 1, "text": "Gold", "value": None}, "Gold"),
    "options": (
        "Extras",
        "Extras",
        [{"id": 1, "text": "SSO", "selected": True}, {"id": 2, "text": "API", "selected": False}],
        ["SSO"],
    ),
}


@pytest.fixture
def run_id(tallyfy) -> str:
    tallyfy.add_template("Contract", steps=STEPS, kickoff=KICKOFF)
    return tallyfy.add_run("Contract", name="Contract with ACME")["id"]


def wait_for_task(run_id: str, name: str = "Legal review"):
    return lambda **mode: TallyfyTaskSensor(task_id="wait", run_id=run_id, task_name=name, **mode)


def wait_for_field(run_id: str, field: str, **arguments):
    return lambda **mode: TallyfyFormFieldSensor(task_id="wait", run_id=run_id, field=field, **arguments, **mode)


def task(tallyfy, run_id: str, title: str = "Legal review") -> dict:
    return next(each for each in tallyfy.run(run_id)["tasks"] if each["title"] == title)


def answer(tallyfy, run_id: str, label: str, value) -> None:
    """Fill in a field of the kick-off form, or else of a task."""
    with tallyfy.lock:
        run = tallyfy.store.find(run_id)
        fields = {field["label"]: (run.data["prerun"], field["id"]) for field in _kickoff_fields(tallyfy, run)}
        for each in run.tasks:
            fields |= {field["label"]: (each["taskdata"], field["id"]) for field in each["form_fields"]}
        form, key = fields[label]
        form[key] = value


def _kickoff_fields(tallyfy, run) -> list[dict]:
    return tallyfy.store.templates[run.data["checklist_id"]]["prerun"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by", ["id", "alias", "title", "careless title"])
def test_a_completed_task_ends_the_wait_for_it(tallyfy, run_id, mode, by):
    names = {"alias": "legal_review_2", "title": "Legal review", "careless title": "  legal  REVIEW "}
    name = names.get(by) or task(tallyfy, run_id)["id"]
    end = MODES[mode](wait_for_task(run_id, name), lambda: tallyfy.complete_task(run_id, "Legal review"))
    assert end.state == "success"
    expected = {"title": "Legal review", "status": "completed", "run_id": run_id, "url": tallyfy.run_url(run_id)}
    assert {key: end.result[key] for key in expected} == expected
    assert end.result["completed_at"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("skipped", [False, True])
def test_a_tasks_turn_comes_when_all_before_it_are_done(tallyfy, run_id, mode, skipped):
    def do_all_before() -> None:
        with tallyfy.lock:
            first, second, _ = tallyfy.store.find(run_id).tasks
            first["status"], second["status"] = "completed", "auto-skipped" if skipped else "completed"

    make = wait_for_task(run_id, "File")
    end = MODES[mode](lambda **arguments: make(target="turn", **arguments), do_all_before)
    assert (end.state, end.result["title"], end.result["status"]) == ("success", "File", "not-started")


def test_it_is_nobodys_turn_while_a_task_before_is_open(tallyfy, run_id):
    tallyfy.complete_task(run_id, "Prepare")
    end = attempt(lambda: wait_for_task(run_id, "File")(target="turn", timeout=0, mode="poke").execute(new_context()))
    assert end.error == "AirflowSensorTimeout"
    assert attempt(lambda: wait_for_task(run_id)(target="turn").execute(new_context())).state == "success"


def test_another_target_is_refused(tallyfy, run_id):
    end = attempt(lambda: wait_for_task(run_id)(target="soon").execute(new_context()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")


@pytest.mark.parametrize("mode", MODES)
def test_a_skipped_task_ends_the_wait_for_it(tallyfy, run_id, mode):
    def skip() -> None:
        with tallyfy.lock:
            tallyfy.store.find(run_id).tasks[1]["status"] = "auto-skipped"

    end = MODES[mode](wait_for_task(run_id), skip)
    assert (end.state, end.result["status"]) == ("success", "auto-skipped")


@pytest.mark.parametrize("mode", MODES)
def test_an_archived_run_fails_the_wait_for_a_task(tallyfy, run_id, mode):
    end = MODES[mode](wait_for_task(run_id), lambda: tallyfy.archive_run(run_id))
    assert (end.state, end.error) == ("failed", "AirflowFailException")
    assert "archived" in str(end.exception)


@pytest.mark.parametrize("mode", MODES)
def test_a_deleted_run_fails_the_wait_for_a_task(tallyfy, run_id, mode):
    end = MODES[mode](wait_for_task(run_id), lambda: tallyfy.delete_run(run_id))
    assert (end.state, end.error) == ("failed", "TallyfyNotFoundError")


@pytest.mark.parametrize("mode", MODES)
def test_a_task_that_a_complete_run_lacks_fails_the_wait(tallyfy, run_id, mode):
    end = MODES[mode](wait_for_task(run_id, "Negotiate"), lambda: tallyfy.complete_run(run_id))
    assert (end.state, end.error) == ("failed", "AirflowFailException")
    assert "There is no task 'Negotiate'" in str(end.exception)


@pytest.mark.parametrize("mode", MODES)
def test_a_task_that_is_not_done_is_waited_for_until_the_timeout(tallyfy, run_id, mode):
    end = MODES[mode](wait_for_task(run_id), lambda: tallyfy.complete_task(run_id, "Prepare"))
    assert (end.state, end.error) == ("failed", "AirflowSensorTimeout")


def test_a_name_that_two_tasks_share_is_refused(tallyfy):
    tallyfy.add_template("Twins", steps=["Sign", "Sign"])
    twins = tallyfy.add_run("Twins")["id"]
    end = attempt(lambda: wait_for_task(twins, "Sign")(timeout=0).execute(new_context()))
    assert end.error == "TallyfyValidationError"
    assert "2 tasks called 'Sign'" in str(end.exception)


def test_a_look_at_the_tasks_is_one_request(tallyfy, run_id):
    tallyfy.complete_task(run_id, "Legal review")
    wait_for_task(run_id)(timeout=0).execute(new_context())
    assert len(tallyfy.requests) == 1


def test_tasks_that_are_not_included_are_listed(tallyfy, run_id):
    run = {"id": run_id, "name": "Contract with ACME", "status": "active"}
    tallyfy.faults.add("status", status=200, body={"data": run}, path=f"/runs/{run_id}\\?")
    tallyfy.complete_task(run_id, "Legal review")
    end = attempt(lambda: wait_for_task(run_id)(timeout=0).execute(new_context()))
    assert end.result["status"] == "completed"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_value_ends_the_wait_and_is_returned(tallyfy, run_id, mode, kind):
    label, field, stored, value = ANSWERS[kind]
    end = MODES[mode](wait_for_field(run_id, field), lambda: answer(tallyfy, run_id, label, stored))
    assert (end.state, end.result) == ("success", value)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stored", [None, "", "  ", [], {}])
def test_an_empty_field_keeps_the_wait_waiting(tallyfy, run_id, mode, stored):
    end = MODES[mode](wait_for_field(run_id, "Verdict"), lambda: answer(tallyfy, run_id, "Verdict", stored))
    assert end.error == "AirflowSensorTimeout"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("stored", "error"), [("approved", None), ("rejected", "AirflowSensorTimeout")])
def test_only_the_given_values_end_the_wait(tallyfy, run_id, mode, stored, error):
    make = wait_for_field(run_id, "Verdict", values=["approved", "waived"])
    end = MODES[mode](make, lambda: answer(tallyfy, run_id, "Verdict", stored))
    assert end.error == error


@pytest.mark.parametrize("mode", MODES)
def test_a_complete_run_with_another_value_fails_the_wait(tallyfy, run_id, mode):
    def finish() -> None:
        answer(tallyfy, run_id, "Verdict", "rejected")
        tallyfy.complete_run(run_id)

    end = MODES[mode](wait_for_field(run_id, "Verdict", values="approved"), finish)
    assert (end.state, end.error) == ("failed", "AirflowFailException")


@pytest.mark.parametrize("mode", MODES)
def test_an_archived_run_fails_the_wait_for_a_value(tallyfy, run_id, mode):
    end = MODES[mode](wait_for_field(run_id, "Verdict"), lambda: tallyfy.archive_run(run_id))
    assert (end.state, end.error) == ("failed", "AirflowFailException")


@pytest.mark.parametrize("stored", ["approved", "[draft] x", "approved, waived"])
@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (None, {"approved", "[draft] x", "approved, waived"}),
        ("['approved', 'x']", {"approved"}),
        ('["approved"]', {"approved"}),
        (("approved",), {"approved"}),
        ("[draft] x", {"[draft] x"}),
        ("approved, waived", {"approved, waived"}),
        (["None"], set()),
    ],
)
def test_values_may_come_out_of_templates(tallyfy, run_id, values, wanted, stored):
    answer(tallyfy, run_id, "Verdict", stored)
    end = attempt(lambda: wait_for_field(run_id, "Verdict", values=values)(timeout=0).execute(new_context()))
    assert (end.state == "success") is (stored in wanted)


def test_a_trigger_without_values_waits_for_any(tallyfy, run_id):
    deferred = deferral(wait_for_field(run_id, "Verdict")(deferrable=True, timeout=10))
    answer(tallyfy, run_id, "Verdict", "rejected")
    assert only_event(rebuilt(deferred.trigger)).payload["outcome"] == "reached"


def test_a_wait_logs_the_progress_of_the_run_when_it_changes(tallyfy, run_id, monkeypatch):
    sensor, logged = wait_for_task(run_id)(timeout=1000), []
    monkeypatch.setattr(type(sensor), "_log_line", staticmethod(logged.append))
    for _ in range(2):
        sensor.poke(new_context())
    tallyfy.complete_task(run_id, "Prepare")
    sensor.poke(new_context())
    assert len(logged) == 2 if tallyfy.behavior.progress == "object" else len(logged) >= 1
    assert "next: Prepare" in logged[0]
    assert "next: Legal review" in logged[-1]
    # Airflow's log view shows so many at a usual width, beside the time.
    assert max(len(line) for message in logged for line in message.splitlines()) <= 100


def test_a_wait_for_a_task_links_to_the_run(tallyfy, run_id):
    context = new_context()
    deferral(wait_for_task(run_id)(deferrable=True, timeout=10), context)
    assert context["ti"].pushed["run_url"] == tallyfy.run_url(run_id)

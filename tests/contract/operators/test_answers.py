"""What people answered comes back as plain values by label, of one run and of thousands."""

from __future__ import annotations

import csv
import json
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError, TallyfyValidationError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyGetAnswersOperator
from tests.airflow_driver import attempt
from tests.contract.flows.test_kickoff_round_trip import forms
from tests.task_contexts import context_of

TITLES = {"options": ["Yes", "No", "Later"]}
KICKOFF = [
    {"label": "Company"},
    {"label": "Go-live", "field_type": "date"},
    {"label": "Plan", "field_type": "radio", **TITLES},
    {"label": "Tier", "field_type": "dropdown", **TITLES},
    {"label": "Add-ons", "field_type": "multiselect", **TITLES},
    {"label": "Order", "field_type": "table", "columns": ["Item", "Quantity"]},
    {"label": "Team", "field_type": "assignees_form"},
    {"label": "Contract", "field_type": "file"},
    {"label": "Notes"},
]
STEPS = [
    {"title": "Collect", "form_fields": [{"label": "Tax number", "alias": "tax"}, {"label": "Notes"}]},
    {"title": "Decide", "form_fields": [{"label": "Decision", "field_type": "radio", **TITLES}, {"label": "Notes"}]},
]


@pytest.fixture
def template(tallyfy) -> dict[str, Any]:
    return tallyfy.add_template("Onboarding", kickoff=KICKOFF, steps=STEPS)


def launch(tallyfy, template, **kickoff: Any) -> dict[str, Any]:
    with TallyfyHook() as hook:
        run = hook.launch_run(template["id"], name="Acme", kickoff=kickoff.pop("kickoff", kickoff))
    return tallyfy.run(run["id"])


def fill(tallyfy, run: dict[str, Any], label: str, value: Any, step: int = 0) -> None:
    task = tallyfy.store.find(run["id"]).tasks[step]
    field = next(field for field in task["form_fields"] if field["label"] == label)
    task["taskdata"][field["id"]] = value


def get(context: Any = None, **arguments: Any) -> Any:
    return TallyfyGetAnswersOperator(task_id="answers", **arguments).execute(context or context_of())


@pytest.fixture
def filled(tallyfy, template) -> dict[str, Any]:
    group = tallyfy.store.add_group("Finance")["id"]
    run = launch(
        tallyfy,
        template,
        kickoff={
            "Company": "Acme",
            "Go-live": "2026-01-31T10:30:00+01:00",
            "Plan": "yes",
            "Tier": "No",
            "Add-ons": ["Yes", "Later"],
            "Order": ["Widget", 3],
            "Team": [tallyfy.user["id"], "g@x.example", group],
            "Contract": "https://files.example/contract.pdf",
        },
    )
    fill(tallyfy, run, "Tax number", "DE 123")
    fill(tallyfy, run, "Notes", 7)
    return run | {"group": group}


@pytest.mark.usefixtures("worlds")
def test_answers_are_plain_values_by_label(tallyfy, filled):
    context = context_of()
    result = get(context, run_id=filled["id"])
    user = tallyfy.user
    assert result == {
        "run_id": filled["id"],
        "run_name": "Acme",
        "hidden": [],
        "answers": {
            "Company": "Acme",
            "Go-live": "2026-01-31T09:30:00Z",
            "Plan": "Yes",
            "Tier": "No",
            "Add-ons": ["Yes", "Later"],
            "Order": [{"Item": "Widget", "Quantity": "3"}],
            "Team": [
                {"id": user["id"], "name": user["full_name"], "email": user["email"]},
                {"id": None, "name": None, "email": "g@x.example"},
                {"id": filled["group"], "name": "Finance", "email": None},
            ],
            "Contract": [{"name": "contract.pdf", "url": "https://files.example/contract.pdf"}],
            "Notes (kick-off form)": None,
            "Tax number": "DE 123",
            "Notes (Collect)": 7,
            "Decision": None,
            "Notes (Decide)": None,
        },
    }
    assert context["ti"].pushed == {
        "run_id": filled["id"],
        "run_url": tallyfy.run_url(filled["id"]),
        "answers": result["answers"],
        "hidden": [],
    }
    with TallyfyHook() as hook:
        assert hook.get_form_values(filled["id"]) == result["answers"]


@pytest.mark.usefixtures("worlds")
def test_answers_that_a_rule_hides_are_named_and_none(tallyfy, filled):
    fill(tallyfy, filled, "Decision", "Yes", step=1)
    tallyfy.store.find(filled["id"]).tasks[1]["status"] = "auto-skipped"
    result = get(run_id=filled["id"])
    assert result["hidden"] == ["Decision", "Notes (Decide)"]
    assert result["answers"]["Decision"] is None


@pytest.mark.usefixtures("worlds")
def test_people_who_are_gone_keep_their_numbers(tallyfy, template):
    run = launch(tallyfy, template, kickoff={"Company": "Acme", "Team": [4711]})
    assert get(run_id=run["id"])["answers"]["Team"] == [{"id": 4711, "name": None, "email": None}]


def test_a_table_of_many_rows_comes_row_by_row(tallyfy, filled):
    order = next(field for field in tallyfy.store.template("Onboarding")["prerun"] if field["label"] == "Order")
    tallyfy.store.find(filled["id"]).data["prerun"][order["id"]] = [["Widget", "Nut"], ["3"]]
    assert get(run_id=filled["id"])["answers"]["Order"] == [
        {"Item": "Widget", "Quantity": "3"},
        {"Item": "Nut", "Quantity": None},
    ]


@pytest.mark.usefixtures("worlds")
def test_fields_are_chosen_by_label_alias_or_id_and_called_as_they_were_asked_for(tallyfy, filled):
    [company] = [field["id"] for field in tallyfy.store.template("Onboarding")["prerun"] if field["label"] == "Company"]
    result = get(run_id=filled["id"], fields=[company, "tax", "plan", "Notes (Collect)"])
    assert result["answers"] == {company: "Acme", "tax": "DE 123", "plan": "Yes", "Notes (Collect)": 7}
    assert get(run_id=filled["id"], fields="Company, tax")["answers"] == {"Company": "Acme", "tax": "DE 123"}


@pytest.mark.usefixtures("worlds")
def test_unknown_and_ambiguous_fields_are_named_at_once_with_candidates(tallyfy, filled):
    end = attempt(lambda: get(run_id=filled["id"], fields=["Compny", "Notes", "Nothing like it"]))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    text = str(end.exception)
    assert "'Compny' is no field of the run; did you mean 'Company'?" in text
    assert "'Notes' stands for 'Notes (kick-off form)', 'Notes (Collect)', 'Notes (Decide)'" in text
    assert "it has 'Company'" in text
    assert filled["id"] in text


@pytest.mark.parametrize(
    "arguments",
    [{}, {"run_id": "a" * 32, "run_ids": ["b" * 32]}, {"run_ids": None}, {"run_id": "a" * 32, "fields": []}],
    ids=str,
)
def test_what_leaves_open_which_answers_are_meant_is_refused(tallyfy, arguments):
    end = attempt(lambda: get(**arguments))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert tallyfy.requests == []


@pytest.mark.usefixtures("worlds")
def test_many_runs_give_flat_rows_in_order(tallyfy, template):
    runs = [launch(tallyfy, template, Company=f"Customer {number}") for number in range(30)]
    rows = get(run_ids=runs, fields=["Company", "tax"])
    assert [row["Company"] for row in rows] == [f"Customer {number}" for number in range(30)]
    assert rows[0] == {"run_id": runs[0]["id"], "run_name": "Acme", "Company": "Customer 0", "tax": None}
    assert get(run_ids=[]) == []


@pytest.mark.usefixtures("worlds")
def test_a_run_that_is_missing_fails_the_task_and_leaves_an_earlier_file(tallyfy, template, tmp_path):
    runs = [launch(tallyfy, template, Company="Acme") for _ in range(9)]
    tallyfy.delete_run(runs[4]["id"])
    (tmp_path / "answers.jsonl").write_text("earlier")
    with pytest.raises(TallyfyNotFoundError, match=runs[4]["id"]):
        get(run_ids=[run["id"] for run in runs], output_path=str(tmp_path / "answers.jsonl"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def test_rows_are_written_as_json_lines_or_csv(tallyfy, filled, tmp_path):
    other = tallyfy.add_run(tallyfy.add_template("Other", kickoff=[{"label": "Company"}, {"label": "run_id"}])["id"])
    for name in ("answers.jsonl", "answers.csv"):
        path = str(tmp_path / name)
        assert get(run_ids=[filled["id"], other["id"]], output_path=path) == {"path": path, "count": 2}
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    with (tmp_path / "answers.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["run_id"] for row in rows] == [row["run_id"] for row in table] == [filled["id"], other["id"]]
    assert rows[1] == {"run_id": other["id"], "run_name": other["name"], "Company": None, "run_id (answer)": None}
    assert table[0]["Company"] == "Acme"
    assert json.loads(table[0]["Order"]) == [{"Item": "Widget", "Quantity": "3"}]
    assert set(table[0].values()) >= {"", "DE 123"}
    assert list(table[0])[-1] == "run_id (answer)"


def test_too_many_answers_for_an_xcom_are_refused_with_advice(tallyfy, filled):
    with pytest.raises(TallyfyValidationError, match="set output_path") as caught:
        get(run_ids=[filled["id"]] * 3, max_xcom_bytes=50)
    assert "tallyfy-bulk" not in [thread.name for thread in threading.enumerate()], caught


def test_only_a_few_runs_are_asked_for_ahead_of_what_was_written(tallyfy, template, monkeypatch):
    runs = [launch(tallyfy, template, Company="Acme")["id"] for _ in range(40)]
    tallyfy.clear_requests()
    taken: list[int] = []

    def take(rows: Any, *_: Any) -> list[Any]:
        for _row in rows:
            begun = {request.path for request in tallyfy.requests if request.path.endswith("form-fields")}
            taken.append(len(begun))
        return []

    monkeypatch.setattr("airflow_provider_tallyfy.files.storage.rows_for_xcom", take)
    get(run_ids=runs)
    assert all(begun <= place + 8 for place, begun in enumerate(taken, 1))
    assert len(taken) == 40


@pytest.mark.usefixtures("worlds")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=forms())
def test_answers_survive_the_round_trip(tallyfy, form):
    template = tallyfy.add_template("Form", kickoff=[spec for spec, _, _ in form])
    with TallyfyHook() as hook:
        first = hook.launch_run(template["id"], kickoff={spec["label"]: written for spec, written, _ in form})["id"]
        answers = json.loads(json.dumps(hook.get_form_values(first)))
        second = hook.launch_run(template["id"], kickoff=answers)["id"]
        assert hook.get_form_values(second) == answers
    assert list(answers) == [spec["label"] for spec, _, _ in form]
    assert tallyfy.run(second)["prerun"] == tallyfy.run(first)["prerun"]

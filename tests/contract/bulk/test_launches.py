"""Each row launches exactly one run, and nothing is launched while any row is invalid."""

from __future__ import annotations

import inspect
import json
import threading
from collections import Counter

import pytest

from airflow_provider_tallyfy.operators.bulk import TallyfyArchiveRunsOperator, TallyfyLaunchRunsOperator
from tests.airflow_driver import attempt
from tests.contract.bulk.observing import archived, report, requests

KICKOFF = [
    {"label": "Company", "field_type": "text", "required": True, "alias": "company"},
    {"label": "Plan", "field_type": "radio", "options": ["Trial", "Paid"]},
    {"label": "Go-live", "field_type": "date"},
]


@pytest.fixture
def template(tallyfy):
    return tallyfy.add_template("Onboarding", kickoff=KICKOFF)


@pytest.fixture
def launch(template):
    def make(rows, **options):
        return TallyfyLaunchRunsOperator(task_id="launch", template_id=template["id"], rows=rows, **options)

    return make


def companies(tallyfy):
    """Return the company of each live run."""
    return Counter(next(iter(run["prerun"].values())) for run in tallyfy.runs if not run["archived_at"])


def rows_of(count):
    return [{"Company": f"Company {number}", "name": f"Run of {number}"} for number in range(count)]


@pytest.mark.usefixtures("worlds")
def test_each_row_becomes_a_run_with_its_name_and_values(tallyfy, tries, launch, template, tmp_path):
    path = tmp_path / "report.jsonl"
    rows = [
        {"company": "ACME", "Plan": "paid", "name": "ACME onboarding"},
        {"Company": "Globex", "plan": "", "Go-live": "2026-12-01"},
    ]

    end = attempt(
        lambda: launch(rows, body={"summary": "From the spreadsheet"}, report_path=str(path)).execute(tries.next())
    )

    assert end.state == "success"
    by_id = {field["id"]: field["label"] for field in template["prerun"]}
    shown = {run["id"]: {by_id[key]: value for key, value in run["prerun"].items()} for run in tallyfy.runs}
    launched = {line["row"]: line["id"] for line in report(path)}
    assert shown[launched[1]] == {"Company": "ACME", "Plan": "Paid"}
    assert shown[launched[2]] == {"Company": "Globex", "Go-live": "2026-12-01T00:00:00.000Z"}
    assert tallyfy.run(launched[1])["name"] == "ACME onboarding"
    assert tallyfy.run(launched[1])["summary"].startswith("From the spreadsheet\n[airflow:")
    assert sorted(end.result["changed"]) == sorted([launched[1], launched[2]])


def test_rows_come_from_a_csv_file(tallyfy, tries, launch, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("\ufeffCompany,Plan,name\nACME,Trial,First\nGlobex,,\n", encoding="utf-8")

    end = attempt(lambda: launch(str(path)).execute(tries.next()))

    assert end.state == "success"
    assert companies(tallyfy) == {"ACME": 1, "Globex": 1}


def test_launching_many_takes_a_request_each_the_template_and_two_looks(tallyfy, tries, launch):
    tallyfy.clear_requests()

    launch(rows_of(230)).execute(tries.next())

    assert requests(tallyfy) == {"GET other": 1, "POST runs": 230, "GET runs": 1 + 3}
    assert companies(tallyfy) == {f"Company {number}": 1 for number in range(230)}


def test_all_problems_of_all_rows_are_reported_before_anything_is_launched(tallyfy, tries, launch):
    rows = [
        {"Company": "ACME"},
        {"Plan": "Trial"},
        {"Company": "Globex", "Plan": "Gold", "Go-live": "soon"},
        {"Company": "Initech", "Color": "red"},
        {"Company": "Hooli", "name": "x" * 551},
    ]

    end = attempt(lambda: launch(rows).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    message = str(end.exception)
    for part in ("row 2: Company", "row 3: Plan", "row 3: Go-live", "row 4: Color", "row 5: name: is longer than 550"):
        assert part in message
    assert "row 1" not in message
    assert not tallyfy.runs


def test_a_row_that_a_retry_would_not_recognize_is_refused_before_a_launch(tallyfy, tries, launch):
    end = attempt(lambda: launch([{"Company": "ACME"}, {"Company": "Globex", "name": object()}]).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "row 2: name=<object" in str(end.exception)
    assert not tallyfy.runs


def test_the_name_column_can_be_another_or_left_out(tallyfy, tries, launch):
    launch([{"Company": "ACME", "title": "Hello"}], name_column="title").execute(tries.next())
    end = attempt(lambda: launch([{"Company": "ACME", "name": "x"}], name_column=None).execute(tries.next()))

    assert [run["name"] for run in tallyfy.runs] == ["Hello"]
    assert (end.state, end.error) == ("failed", "TallyfyValidationError"), "name is no field of the form"


def test_equal_rows_are_two_runs(tallyfy, tries, launch):
    launch([{"Company": "ACME"}, {"Company": "ACME"}]).execute(tries.next())

    assert companies(tallyfy) == {"ACME": 2}


def test_an_empty_list_of_rows_is_a_success(tallyfy, tries, launch):
    assert attempt(lambda: launch([]).execute(tries.next())).result["counts"]["total"] == 0


@pytest.mark.usefixtures("worlds")
def test_lists_of_ids_in_the_body_are_read_as_templates_render_them(tallyfy, tries, launch):
    user = tallyfy.add_user("sam@sandbox.example")["id"]

    groups = ["a1" * 16, "b2" * 16]
    launch(rows_of(2), body={"users": str(user), "groups": ", ".join(groups)}).execute(tries.next())

    assert [(run["users"], run["groups"]) for run in tallyfy.runs] == [([user], groups)] * 2


@pytest.mark.usefixtures("worlds")
def test_invalid_lists_of_ids_are_refused_with_the_other_problems(tallyfy, tries, launch):
    end = attempt(lambda: launch([{"Plan": "Gold"}], body={"users": [{}], "tags": 5}).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    for problem in ("users={} is a dict, not text", "tags=5 is not a list", "row 1: Plan", "row 1: Company"):
        assert problem in str(end.exception)
    assert not tallyfy.runs


@pytest.mark.usefixtures("worlds")
def test_a_problem_of_all_launches_is_reported_once_and_not_by_row(tallyfy, tries, launch):
    rows = [{"Company": "ACME"}, {"Company": "Globex"}, {"Plan": "Trial"}]

    end = attempt(lambda: launch(rows, tasks={"zz": {}}, body={"owner_id": "None"}).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    message = str(end.exception)
    assert message.count("names steps that template") == 1
    assert message.count("owner_id='None' is not a user's number") == 1
    assert message.count("Nothing was launched.") == 1
    assert [line for line in message.splitlines() if "row" in line.split()[1]] == ["- row 3: Company: it is required"]
    assert end.exception.fields.keys() == {"tasks", "owner_id", "rows"}
    assert not tallyfy.runs


def test_a_problem_of_many_rows_is_reported_once_with_their_numbers(tallyfy, tries, launch):
    rows = [{"Plan": "Trial"}, {"Company": "ACME"}, *[{"Company": "x", "Plan": "Gold"}] * 40, {"Plan": "Paid"}]

    end = attempt(lambda: launch(rows).execute(tries.next()))

    lines = str(end.exception).splitlines()
    assert lines[0] == "rows has 2 problems."
    assert lines[1] == "- rows 1, 43: Company: it is required"
    assert lines[2].startswith("- rows 3, 4, 5")
    assert " and 10 more: Plan: there is no option 'Gold'" in lines[2]
    assert lines[3:] == ["Nothing was launched."]


@pytest.mark.usefixtures("worlds")
def test_texts_rendered_for_a_missing_value_are_refused(tallyfy, tries, launch):
    rows = [{"Company": "ACME", "name": "None"}]

    end = attempt(lambda: launch(rows, body={"summary": "None", "parent_id": "null"}).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    for name in ("summary='None' is empty", "parent_id='null' is empty", "row 1: name: is empty"):
        assert f"{name}: a template rendered it for a missing value" in str(end.exception)
    assert not tallyfy.runs


@pytest.mark.parametrize("body", ['{"summary": "s"}', "{'summary': 's', 'owner_id': None}"])
def test_the_body_of_every_launch_may_come_out_of_a_template_as_text(tallyfy, tries, launch, body):
    launch(rows_of(1), body=body).execute(tries.next())

    assert tallyfy.runs[0]["summary"].startswith("s\n[airflow:")


@pytest.mark.parametrize("nothing", [None, "", " ", {}, "{}"], ids=repr)
def test_an_empty_body_is_no_error(tallyfy, tries, launch, nothing):
    launch(rows_of(1), body=nothing).execute(tries.next())

    assert len(tallyfy.runs) == 1


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("fault", ["status", "reset", "truncated"])
def test_a_launch_whose_answer_is_lost_is_adopted(tallyfy, tries_on_any_airflow, launch, fault):
    tallyfy.faults.add(fault, method="POST", path="/runs$", status=502, applied=True, after=3)

    end = attempt(lambda: launch(rows_of(10)).execute(tries_on_any_airflow.next()))

    assert end.state == "success"
    assert end.result["counts"]["changed"] == 10
    assert companies(tallyfy) == {f"Company {number}": 1 for number in range(10)}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 200, "body": "html"}])
def test_a_launch_that_is_not_shown_yet_is_unknown(tallyfy, tries, launch, fault):
    """A run that a replica does not show yet may have been launched."""
    tallyfy.faults.add(**fault, method="POST", path="/runs$", applied=False)

    end = attempt(lambda: launch(rows_of(1)).execute(tries.next()))

    assert (end.state, end.error) == ("up_for_retry", "TallyfyBulkError")
    assert [failure["state"] for failure in tries.pushed["failures"]] == ["unknown"]


@pytest.mark.usefixtures("worlds")
def test_a_retry_launches_only_what_is_missing(tallyfy, tries_on_any_airflow, launch):
    tallyfy.faults.add("status", method="POST", path="/runs$", status=402, after=6, times=None)
    first = attempt(lambda: launch(rows_of(20), max_concurrency=2).execute(tries_on_any_airflow.next()))
    tallyfy.faults.clear()
    tallyfy.clear_requests()

    end = attempt(lambda: launch(rows_of(20)).execute(tries_on_any_airflow.next()))

    assert (first.state, first.error) == ("failed", "TallyfyPermissionError")
    assert end.state == "success"
    assert companies(tallyfy) == {f"Company {number}": 1 for number in range(20)}
    assert requests(tallyfy)["POST runs"] == 14
    assert len(end.result["changed"]) == 20, "the first try's launches are this task's"


@pytest.mark.usefixtures("worlds")
def test_a_retry_recognizes_a_set_whose_items_come_in_another_order(tallyfy, tries_on_any_airflow, launch):
    field = {"label": "Sizes", "field_type": "multiselect", "options": ["0", "8"]}
    template_id = tallyfy.add_template("Sizes", kickoff=[field])["id"]
    first, second = set([0, 8]), set([8, 0])  # noqa: C405 - which of two that collide comes first is up to the maker
    assert list(first) != list(second)

    for sizes in (first, second):
        operator = launch([{"Sizes": sizes}])
        operator.template_id = template_id
        end = attempt(lambda: operator.execute(tries_on_any_airflow.next()))  # noqa: B023

    assert end.state == "success"
    assert len(tallyfy.runs) == 1


@pytest.mark.usefixtures("worlds")
def test_a_key_column_launches_once_per_key_across_tasks(tallyfy, tries, launch):
    rows = [{"Company": "ACME", "order": 17}, {"Company": "Globex", "order": 18}]
    launch(rows[:1], key_column="order").execute(tries.next())
    tallyfy.advance(400 * 24 * 3600)
    context = tries.next()
    context["ti"].run_id, context["ti"].try_number = "the next day", 1

    end = attempt(lambda: launch(rows, key_column="order").execute(context))

    assert end.state == "success"
    assert (end.result["counts"]["changed"], end.result["counts"]["unchanged"]) == (1, 1)
    assert companies(tallyfy) == {"ACME": 1, "Globex": 1}


def test_missing_and_duplicate_keys_are_refused(tallyfy, tries, launch):
    rows = [{"Company": "A", "order": "1"}, {"Company": "B", "order": ""}, {"Company": "C", "order": "1"}]

    end = attempt(lambda: launch(rows, key_column="order").execute(tries.next()))

    assert "row 2: order, the key column, is empty" in str(end.exception)
    assert "row 3: order '1' is the key of another row" in str(end.exception)
    assert not tallyfy.runs


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("column", ["Company", "company", " COMPANY ", "its id"])
def test_a_key_column_named_like_a_field_fills_it_too(tallyfy, tries, launch, template, column):
    column = template["prerun"][0]["id"] if column == "its id" else column

    for _ in range(2):
        end = attempt(lambda: launch([{column: "ACME"}], key_column=column).execute(tries.next()))

    assert end.state == "success"
    assert companies(tallyfy) == {"ACME": 1}


def test_a_key_column_that_names_the_runs_and_a_field_does_all_three(tallyfy, tries, launch):
    launch([{"Company": "ACME"}], name_column="Company", key_column="Company").execute(tries.next())

    assert companies(tallyfy) == {"ACME": 1}
    assert [run["name"] for run in tallyfy.runs] == ["ACME"]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(("first", "second"), [(1001, 1001.0), (1001.0, "1001")])
def test_a_whole_float_is_the_same_key_as_the_int(tallyfy, tries, launch, first, second):
    """Pandas turns the ints of a column into floats if the column has a gap."""
    for order in (first, second):
        launch([{"Company": "ACME", "order": order}], key_column="order").execute(tries.next())

    assert companies(tallyfy) == {"ACME": 1}


@pytest.mark.usefixtures("worlds")
def test_a_retry_recognizes_a_row_whose_ints_became_floats(tallyfy, tries_on_any_airflow, launch):
    for company in (1001, 1001.0):
        launch([{"Company": company}]).execute(tries_on_any_airflow.next())

    assert companies(tallyfy) == {"1001": 1}


def test_a_gap_that_pandas_left_is_neither_a_key_nor_a_name(tallyfy, tries, launch):
    gap = float("nan")
    end = attempt(lambda: launch([{"Company": "A", "order": gap}], key_column="order").execute(tries.next()))
    launch([{"Company": "B", "name": gap}, {"Company": "C", "name": 7.0}]).execute(tries.next())

    assert "row 1: order, the key column, is empty" in str(end.exception)
    assert [run["name"].startswith("Onboarding") for run in tallyfy.runs] == [True, False]
    assert tallyfy.runs[1]["name"] == "7"


def test_zero_is_a_key_and_a_name(tallyfy, tries, launch):
    launch([{"Company": "ACME", "order": 0, "name": 0}], key_column="order").execute(tries.next())

    assert [run["name"] for run in tallyfy.runs] == ["0"]


@pytest.mark.usefixtures("worlds")
def test_two_tries_at_the_same_time_leave_one_run_per_row(tallyfy, tries, launch):
    """A try that Airflow gave up runs on for a while. Both end with the same runs, and the others are archived."""
    contexts = [tries.next(), tries.next()]
    barrier = threading.Barrier(2)
    ends = []

    def run(context):
        operator = launch(rows_of(12), max_concurrency=2)
        execute = inspect.unwrap(type(operator).execute)  # Airflow's guard around it knows the main thread only
        barrier.wait()
        ends.append(attempt(lambda: execute(operator, context)))

    threads = [threading.Thread(target=run, args=(context,)) for context in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    third = attempt(lambda: launch(rows_of(12)).execute(tries.next()))

    assert [end.state for end in (*ends, third)] == ["success"] * 3
    assert companies(tallyfy) == {f"Company {number}": 1 for number in range(12)}
    assert set(third.result["changed"]) == {run["id"] for run in tallyfy.runs if not run["archived_at"]}


def test_launches_are_undone_by_archiving_what_they_changed(tallyfy, tries, tries_without_store, launch):
    launch(rows_of(5)).execute(tries.next())

    TallyfyArchiveRunsOperator(task_id="undo", run_ids=tries.pushed["changed"]).execute(tries_without_store.next())

    assert len(archived(tallyfy)) == 5


def test_a_dry_run_checks_the_rows_and_launches_nothing(tallyfy, tries, launch):
    end = attempt(lambda: launch(rows_of(3), dry_run=True).execute(tries.next()))
    wrong = attempt(lambda: launch([{"Plan": "Trial"}], dry_run=True).execute(tries.next()))

    assert end.state == "success"
    assert [request["method"] for request in end.result["requests"]] == ["POST"] * 3
    assert "Company 0" in json.dumps(end.result["requests"])
    assert (wrong.state, wrong.error) == ("failed", "TallyfyValidationError")
    assert not tallyfy.runs

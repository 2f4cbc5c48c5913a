"""Commands that read: what they print in which format, and with which code they end."""

from __future__ import annotations

import csv
import io
import json

import pytest
import yaml

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyListRunsOperator
from tests.airflow_driver import new_context

RUN_ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.usefixtures("worlds")
def test_check_says_who_and_where(tallyfy, command):
    ended = command("check")
    assert ended.code == 0
    assert ended.out == f"Connected to organization {tallyfy.organization_id} as user {tallyfy.user['id']}.\n"


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ({"password": "other"}, (3, "Tallyfy answered 401")),
        ({"extra": {"organization_id": "ab" * 16}}, (3, "Tallyfy answered 403")),
        ({"extra": {"organization_id": "my organization"}}, (7, "contains white space")),
        ({"password": ""}, (1, "its password is empty")),
        ({"host": "http://127.0.0.1:9/api"}, (1, "refused the connection")),
    ],
)
def test_check_says_what_is_wrong_and_ends_with_its_code(tallyfy, command, monkeypatch, connection, expected):
    code, words = expected
    good = tallyfy.connection()
    extra = good["extra"] | connection.get("extra", {})
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(good | connection | {"extra": extra}))
    ended = command("check")
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_a_connection_that_is_not_defined(command):
    ended = command("check", "--conn-id", "other")
    assert ended.code == 1
    assert "The Airflow connection 'other' is not defined.\nCreate one of type tallyfy" in ended.err


@pytest.mark.usefixtures("worlds")
def test_runs_are_listed_as_json_that_keeps_numbers(tallyfy, command):
    first, second = tallyfy.add_runs(2)
    ended = command("runs", "list", "-o", "json", "--fields", "id,percent_complete,archived_at")
    facts = {"percent_complete": 0, "archived_at": None}
    assert ended.data == [{"id": first, **facts}, {"id": second, **facts}]
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.usefixtures("worlds")
def test_a_list_can_show_what_that_of_the_operator_can(tallyfy, command):
    tallyfy.add_run(name="Acme", tags=["vip", "emea"])
    known = command("runs", "list", "--fields", "hue").err.partition("A run has: ")[2].strip(" .\n")
    shown = command("runs", "list", "-o", "json", "--fields", known).data
    assert shown[0]["tags"] == ["vip", "emea"]
    assert shown[0]["template_name"] == "Generic review"
    assert shown == TallyfyListRunsOperator(task_id="list", fields=known.split(", ")).execute(new_context())
    with pytest.raises(TallyfyValidationError, match=f"A run has: {known}"):
        TallyfyListRunsOperator(task_id="list", fields="hue").execute(new_context())


@pytest.mark.usefixtures("worlds")
def test_every_format_has_the_same_runs(tallyfy, command):
    ids = tallyfy.add_runs(3)
    shown = {output: command("runs", "list", "-o", output).out for output in ("json", "yaml", "csv", "table")}
    rows = json.loads(shown["json"])
    assert [row["id"] for row in rows] == ids
    assert yaml.safe_load(shown["yaml"]) == rows
    in_csv = list(csv.DictReader(io.StringIO(shown["csv"])))
    assert in_csv == [{name: value or "" for name, value in row.items()} for row in rows]
    lines = [line.split() for line in shown["table"].splitlines()]
    assert [line[0] for line in lines if line and line[0] in ids] == ids


@pytest.mark.usefixtures("worlds")
def test_filters_choose_as_those_of_the_operators_do(tallyfy, command):
    tag = tallyfy.add_tag("vip")["id"]
    tallyfy.add_run(name="Acme new", tags=[tag])
    old = tallyfy.add_run(name="Acme old", tags=[tag], created_at="40 days ago")["id"]
    tallyfy.add_run(name="Acme gone", tags=[tag], created_at="40 days ago", archived=True)
    filters = ["--query", "Acme", "--tags", tag, "--older-than", "30d", "--limit", "5"]
    ended = command("runs", "list", *filters, "-o", "json")
    assert [row["id"] for row in ended.data] == [old]
    assert len(command("runs", "list", *filters, "--archived", "include", "-o", "json").data) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--status", ""], "A filter is empty: status=''"),
        (["--older-than", ""], "A filter is empty: older_than=''"),
        (["--limit", ""], "A filter is empty: limit=''"),
        (["--older-than", "30"], 'has no unit: write "30d"'),
        (["--status", "done"], "is not a status of a Tallyfy run"),
        (["--fields", "id,hue"], "names 'hue'"),
    ],
)
def test_an_invalid_argument_ends_with_7_before_anything_is_sent(tallyfy, command, arguments, words):
    ended = command("runs", "list", *arguments)
    assert (ended.code, ended.out) == (7, "")
    assert words in ended.err
    assert tallyfy.requests == []


def test_a_wrong_use_ends_with_2(command):
    assert command("runs", "list", "--hue", "red").code == 2
    assert command("runs").code == 2
    assert command("runs", "get").code == 2


@pytest.mark.usefixtures("worlds")
def test_a_run_is_read_archived_or_not(tallyfy, command):
    run_id = tallyfy.add_run(name="Acme", archived=True)["id"]
    ended = command("runs", "get", run_id, "-o", "json")
    assert ended.data == TallyfyHook().get_run(run_id)
    assert ["name", "Acme"] in [line.split() for line in command("runs", "get", run_id).out.splitlines()]


@pytest.mark.usefixtures("worlds")
def test_a_missing_run_ends_with_5(command):
    for words in (["runs", "get"], ["runs", "export"], ["answers"]):
        ended = command(*words, RUN_ID)
        assert (ended.code, ended.out) == (5, "")
        assert "Tallyfy answered 404" in ended.err


def test_too_many_requests_end_with_6(tallyfy, command, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(tallyfy.connection(retry_budget=0)))
    tallyfy.faults.add(status=429, retry_after=30, times=None)
    ended = command("runs", "list")
    assert (ended.code, ended.out) == (6, "")
    assert "Tallyfy answered 429" in ended.err


@pytest.mark.usefixtures("worlds")
def test_answers_are_what_the_hook_gives(tallyfy, command):
    template = tallyfy.add_template("Onboarding", kickoff=[{"label": "Company"}])
    run_id = tallyfy.add_run("Onboarding", prerun={template["prerun"][0]["id"]: "Acme"})["id"]
    assert command("answers", run_id, "-o", "json").data == TallyfyHook().get_form_values(run_id)
    assert "Acme" in command("answers", run_id).out


@pytest.mark.usefixtures("worlds")
def test_an_export_goes_to_the_standard_output_or_to_a_file(tallyfy, command, tmp_path):
    run_id = tallyfy.add_run(name="Acme")["id"]
    path = tmp_path / "export.json"
    assert command("runs", "export", run_id).data["name"] == "Acme"
    ended = command("runs", "export", run_id, "--output-path", str(path))
    assert (ended.code, ended.out) == (0, "")
    assert json.loads(path.read_text())["name"] == "Acme"
    assert command("runs", "export", run_id, "--output-path", "").code == 7


@pytest.mark.usefixtures("worlds")
def test_templates_and_tags_are_listed(tallyfy, command):
    template = tallyfy.add_template("Customer onboarding")["id"]
    tag = tallyfy.add_tag("vip")["id"]
    shown = command("templates", "list", "--query", "Customer", "-o", "json").data
    assert shown == [{"id": template, "title": "Customer onboarding"}]
    assert {"id": tag, "title": "vip"} in command("tags", "list", "-o", "json").data


def test_a_table_obeys_nothing_that_a_name_says(tallyfy, command):
    tallyfy.add_run(name="[red]Ev\x1b[2Jil[/red]\nnext")
    out = command("runs", "list", "--fields", "name").out
    assert "[red]Ev [2Jil[/red] next" in out
    assert "\x1b" not in out


def test_an_empty_list_is_a_success_without_data(command):
    ended = command("runs", "list")
    assert (ended.code, ended.out, ended.err) == (0, "", "Nothing found.\n")
    assert command("runs", "list", "-o", "json").data == []
    assert command("runs", "list", "-o", "csv").out == ""


def test_what_is_logged_meanwhile_is_not_among_the_data(tallyfy, command):
    run_id = tallyfy.add_run()["id"]
    tallyfy.faults.add(status=503, times=1)
    assert command("runs", "get", run_id, "-o", "json").data["id"] == run_id

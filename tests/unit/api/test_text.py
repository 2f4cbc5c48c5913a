"""Foreign text in messages and log lines is one printable line of limited length."""

from __future__ import annotations

import json

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.diagnosis import error_from_answer, unexpected_answer
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.models.form import FormValue
from airflow_provider_tallyfy.api.models.records import Task
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.models.template import KickoffField
from airflow_provider_tallyfy.api.text import one_line, quoted
from airflow_provider_tallyfy.waits.details import FormFieldGoal, TaskGoal
from airflow_provider_tallyfy.waits.goals import RunGoal
from airflow_provider_tallyfy.waits.probes import RunForm, RunTasks

RUN_ID = "0123456789abcdef0123456789abcdef"
FORGED = "T\n[2026-11-26 00:00:00] {x.py:1} CRITICAL - forged\r\x1b[2J\x9b\u202e\u2028\x00\ud83d"
EVIL = [FORGED, FORGED * 10_000]
CALL = calls.get_run("org", RUN_ID)


def assert_short_and_printable(text: str) -> None:
    assert text.isprintable()
    assert len(text) < 4_000


def assert_message(text: str) -> None:
    failed, answered, *advice = text.split("\n")
    for line in (failed, answered, *advice):
        assert_short_and_printable(line)
    assert failed == f"Could not read run {RUN_ID}."
    assert answered.startswith("Tallyfy answered ")
    assert "forged" not in "".join(advice)


def evil_run(evil: str) -> Run:
    return Run.from_json({"id": RUN_ID, "name": evil, "status": "active", "next_task": {"title": evil}})


@pytest.mark.parametrize("evil", EVIL, ids=["short", "long"])
@pytest.mark.parametrize("status", [302, 401, 404, 422, 500])
def test_text_of_a_refusal_forges_no_line(evil, status):
    body = json.dumps({"message": evil, "code": evil, "errors": {evil: [evil] * 9, "b": {evil: evil}}}).encode()
    for content in (body, evil.encode(errors="replace"), json.dumps({"error": evil}).encode()):
        error = error_from_answer(CALL, Answer(status, {"x-request-id": evil}, content))
        assert_message(str(error))
        shown = [error.code or "", error.request_id or "", *error.fields]
        for text in [*shown, *(text for texts in error.fields.values() for text in texts)]:
            assert_short_and_printable(text)
        assert_message(str(unexpected_answer(CALL, Answer(200, {"x-request-id": evil}, content), evil)))


@pytest.mark.parametrize("evil", EVIL, ids=["short", "long"])
def test_what_people_wrote_forges_no_line_about_a_wait(evil):
    run = evil_run(evil)
    task = Task.from_json({"id": "t", "status": "in-progress", "title": evil})
    form = (FormValue(KickoffField("f", "text", label=evil), value=evil),)
    waits = [
        (RunGoal.checked(RUN_ID, "complete", (), "fail"), run),
        (TaskGoal.checked(RUN_ID, "t", (), "fail"), RunTasks(run, (task,))),
        (FormFieldGoal.checked(RUN_ID, "f", None, (), "fail"), RunForm(run, form)),
        (FormFieldGoal.checked(RUN_ID, "f", "other", (), "fail"), RunForm(run, form)),
    ]
    for wait, observation in waits:
        for line in wait.judge(observation, "https://web").message.split("\n"):
            assert_short_and_printable(line)
            assert not line.startswith("[2026")


def test_the_length_of_a_message_is_limited():
    assert len(str(TallyfyError("x" * 10**6))) < 10_100


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("a\n b\tc", "a b c"), ("\x1b[31mred", "[31mred"), ("x" * 12, "x" * 10 + "..."), (5, "5")],
)
def test_foreign_text_is_one_line_of_limited_length(text, shown):
    assert one_line(text, 10) == shown


def test_a_quoted_name_shows_its_odd_characters():
    assert quoted("a\nb") == r"'a\nb'"
    assert quoted("x" * 12, 10) == "'xxxxxxxxxx...'"

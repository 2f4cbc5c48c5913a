"""Every error that a mistake leads to is an entry of the page "When something goes wrong", in the error's own words."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeAlias

import pytest

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyDeleteRunOperator,
    TallyfyTagRunOperator,
    TallyfyUpdateRunOperator,
)
from airflow_provider_tallyfy.sensors.tallyfy import (
    TallyfyFormFieldSensor,
    TallyfyRunsStatusSensor,
    TallyfyTaskSensor,
)
from tests.airflow_driver import attempt
from tests.docs.mistakes import RUN_ID, Mistakes
from tests.docs.pages import entries

Act: TypeAlias = Callable[[Mistakes], Any]

# Entries of the page, and for each what leads to it.
MISTAKES: dict[str, dict[str, Act]] = {
    # -- connection -----------------------------------------------------------------------------------------
    "The Airflow connection ... is not defined.": {
        "a connection that is missing": lambda m: m.get(tallyfy_conn_id="nowhere"),
    },
    "The Tallyfy connection cannot be used: its ...": {
        "a connection without a token": lambda m: m.connect(password="").get(),
        "a misspelt key of the extra": lambda m: m.connect({"organisation_id": "x"}).get(),
        "a host without https": lambda m: m.connect(host="http://go.tallyfy.example/api").get(),
    },
    "No Tallyfy organization is given.": {
        "no organization": lambda m: m.connect({"organization_id": ""}).get(),
    },
    "The connection's token is not valid any more.": {
        "a wrong token": lambda m: m.connect(password="wrong").get(),
    },
    "Renew the token in the Airflow connection by then.": {
        "a token revoked during a wait": lambda m: m.lose_token_during_a_wait(),
    },
    "The connection's login and password are not the id and the secret of a client": {
        "a wrong client secret": lambda m: m.as_application(password="wrong").get(),
    },
    "Check that the token's user is a member with a role that allows this (not light).": {
        "a wrong organization": lambda m: m.get(organization_id="f" * 32),
    },
    "An application's own token may not do everything.": {
        "an application": lambda m: m.as_application().fault(status=403, path="/runs").get(),
    },
    "The organization's plan does not allow it.": {
        "a plan's limit": lambda m: m.fault(status=402).get(),
    },
    "The Airflow connection is read-only (extra read_only is true).": {
        "a read-only connection": lambda m: m.connect({"read_only": True}).archive(),
    },
    "There is no such endpoint.": {
        "a host that is not the API": lambda m: m.connect(host=f"{m.tallyfy.url}/somewhere").get(),
    },
    "Tallyfy answered ..., but not with the documented JSON": {
        "a page in place of the API": lambda m: m.fault(status=200, body="html").get(),
    },
    "Redirects are not followed, so that the token goes nowhere else.": {
        "a redirect": lambda m: m.fault("redirect", status=302, location="https://login.example").get(),
    },
    "The name ... could not be resolved": {
        "a host that does not exist": lambda m: m.connect(host="https://tallyfy.invalid/api").get(),
    },
    "... refused the connection": {
        "a server that is gone": lambda m: m.connect(host=m.closed_port()).get(),
    },
    "... did not accept a connection in time": {
        "a server that accepts nothing": lambda m: m.connect({"timeout": 0.3}, host=m.silent_port()).get(),
    },
    "No secure (TLS) connection to ... could be made": {
        "a server without TLS": lambda m: m.connect(host=m.tallyfy.base_url.replace("http:", "https:")).get(),
    },
    "The proxy on the way to ... failed": {
        "a proxy that is gone": lambda m: m.connect({"proxies": {"http": m.closed_port()}}).get(),
    },
    "... did not answer in time": {
        "a slow answer": lambda m: m.connect({"timeout": 0.3}).fault("hang", seconds=None).get(),
    },
    "The connection to ... broke before the answer was complete": {
        "a connection that breaks": lambda m: m.fault("truncated").get(),
    },
    "The answer of ... was refused because it is too large": {
        "an answer that is too large": lambda m: m.connect({"max_response_bytes": 100}).get(),
    },
    "Try again later, or spread the load: fewer tasks at once, longer intervals.": {
        "too many requests": lambda m: m.fault(status=429, retry_after=60).get(),
    },
    "Tallyfy Support can use the request id.": {
        "an outage": lambda m: m.fault(status=503).get(),
    },
    "The request was not repeated, because it may have been applied.": {
        "a launch that is lost": lambda m: m.fault("reset", method="POST").launch(),
    },
    # -- ids and names --------------------------------------------------------------------------------------
    "... is empty: a template rendered it for a missing value (did the upstream task push an XCom?)": {
        "the text None for a run": lambda m: m.get(run_id="None"),
        "the text None for a task": lambda m: m.wait(TallyfyTaskSensor, task_name="None"),
    },
    "... is empty (did the upstream task push an XCom?)": {
        "an empty text for a run": lambda m: m.get(run_id=""),
    },
    "... is missing": {
        "nothing for a run": lambda m: m.get(run_id=None),
        "a dict without an id": lambda m: m.get(run_id={"name": "Acme"}),
    },
    "... is a list, not text": {
        "a list for a run": lambda m: m.get(run_id=[RUN_ID]),
    },
    "... contains white space or control characters": {
        "a name for a run": lambda m: m.get(run_id="Onboarding - Acme"),
        "a name for the organization": lambda m: m.get(organization_id="Acme Inc"),
    },
    "... contains a path, not an id": {
        "the address of a template": lambda m: m.get(run_id="https://go.tallyfy.com/acme/templates/1"),
    },
    "Check the id and the organization.": {
        "a number for a run": lambda m: m.get(run_id=12345),
        "an unknown id of a run": lambda m: m.get(run_id="e" * 32),
        "an unknown id of a template": lambda m: m.launch(template_id="e" * 32),
    },
    "run_ids has ...": {
        "ids that are invalid": lambda m: m.archive_many(RUN_ID, None, "a b"),
    },
    "... names none of the ...": {
        "an unknown template": lambda m: m.launch(template_id="Onbording"),
        "an unknown tag": lambda m: m.list(tags=["Audit"]),
        "an unknown user": lambda m: m.list(owners=["nobody@example.com"]),
    },
    "... stands for ...": {
        "a name of two tags": lambda m: m.with_tags("Audit", "audit").list(tags=["AUDIT"]),
    },
    # -- filters --------------------------------------------------------------------------------------------
    "A filter is empty: ...": {
        "an empty query": lambda m: m.list(query=""),
        "no tags": lambda m: m.archive_many(tags=[]),
        "a template rendered as None": lambda m: m.archive_many(template_id="None"),
    },
    "Which runs? ...": {
        "neither ids nor filters": lambda m: m.archive_many(),
        "both ids and filters": lambda m: m.archive_many(RUN_ID, tags=["Audit"]),
    },
    "... is not a status of a Tallyfy run": {
        "a misspelt status of a wait": lambda m: m.wait(target_status="completed"),
        "a misspelt status of a list": lambda m: m.list(status="open"),
    },
    "... with archived='only' would find nothing": {
        "active runs in the archive": lambda m: m.list(status="active", archived="only"),
    },
    "... has no unit: write ...": {
        "an age without a unit": lambda m: m.list(older_than="90"),
    },
    "... is not an age": {
        "an age in words": lambda m: m.list(older_than="last week"),
    },
    "... is not one of exclude, include, only": {
        "a switch for archived": lambda m: m.list(archived="yes"),
    },
    "... is not a whole number of at least ...": {
        "a limit in words": lambda m: m.list(limit="all"),
    },
    # -- kick-off values and answers ------------------------------------------------------------------------
    "The values for the kick-off form of template ... have ...": {
        "five wrong values": lambda m: m.launch(
            {"Company": "", "Plan": "None such", "Start": "soon", "Contact": "x", "Compny": "x"}
        ),
    },
    "... there is no such field; ...": {
        "a misspelt field": lambda m: m.launch({"Compny": "Acme"}),
    },
    "... it is required": {
        "a required value that is empty": lambda m: m.launch({"Company": ""}),
    },
    "... there is no option ...": {
        "an unknown option": lambda m: m.launch({"Plan": "Fuller"}),
    },
    "... is not a date; give a date, a datetime or ...": {
        "an unreadable date": lambda m: m.launch({"Start": "31.01.2026"}),
    },
    "... is not an e-mail address": {
        "a name for an e-mail address": lambda m: m.launch({"Contact": "Ann"}),
    },
    "... it is given more than once, as ...": {
        "a value under two names": lambda m: m.launch({"Contact": "a@example.com", "contact": "b@example.com"}),
    },
    "... which a template renders for a missing value; leave the field out, or write 'none' if the word is meant": {
        "the text None for an answer": lambda m: m.launch({"Company": "None"}),
    },
    "... no field has this id, and Tallyfy would drop it silently": {
        "a label in prerun": lambda m: m.launch(prerun={"Company": "Acme"}),
    },
    "... is not a moment like ...": {
        "an unreadable deadline": lambda m: m.launch_project(deadline="soon"),
    },
    "... names steps that template ... does not have": {
        "a step by its title": lambda m: m.launch(tasks={"Sign": {"deadline": "2026-01-31"}}),
    },
    "An update can set: ...": {
        "an unknown change": lambda m: m.on_run(TallyfyUpdateRunOperator, changes={"status": "complete"}),
    },
    "Correct the request.": {
        "what Tallyfy refuses": lambda m: m.fault(status=422, method="DELETE").archive(),
    },
    # -- waits ----------------------------------------------------------------------------------------------
    "Cannot see ... at the moment, still waiting.": {
        "a look that fails": lambda m: m.fault(status=503).wait(),
    },
    "Gave up after ... failed looks in a row.": {
        "looks that all fail": lambda m: m.fault(status=503).wait(timeout=60, max_poll_failures=2),
    },
    "Timed out waiting for ...": {
        "a deferred wait for too long": lambda m: m.wait_deferred(),
    },
    "Sensor has timed out; run duration of ...": {
        "a wait on a worker for too long": lambda m: m.wait(),
    },
    "Run ... does not exist in Tallyfy": {
        "a wait for an unknown run": lambda m: m.wait(run_id="e" * 32),
    },
    "The task waited for ...": {
        "a wait for an archived run": lambda m: m.archived().wait(),
    },
    "Run ... has no task ..., nor has its template ...": {
        "a misspelt task": lambda m: m.misspell(TallyfyTaskSensor, task_name="Colect"),
    },
    "Run ... has no form field ..., nor has its template ...": {
        "a misspelt field of a form": lambda m: m.misspell(TallyfyFormFieldSensor, field="Verdct"),
    },
    "The run has ... tasks called ...": {
        "two tasks of a title": lambda m: m.wait(TallyfyTaskSensor, task_name="Sign"),
    },
    "... names no status to wait for": {
        "no status": lambda m: m.wait(target_status=[]),
    },
    "... names no value to wait for": {
        "no value": lambda m: m.wait(TallyfyFormFieldSensor, field="Verdict", values=[]),
    },
    "A wait for any of no runs would never end.": {
        "any of no runs": lambda m: m.wait_for_many(TallyfyRunsStatusSensor, run_ids=[], wait_for="any"),
    },
    'Ask for fields="id", set output_path ...': {
        "a result that is too large": lambda m: m.wait_for_many(TallyfyRunsStatusSensor, max_xcom_bytes=10),
    },
    "... could not be read: ...": {
        "a secrets backend that is down": lambda m: m.wait_without_secrets_backend(),
    },
    "The wait ended with an event that this version of the provider does not know": {
        "an event of another version": lambda m: m.resume_with({"status": "success"}),
    },
    "end_from_trigger=True is not possible for task ...": {
        "a result without a worker": lambda m: m.wait(end_from_trigger=True, deferrable=True),
    },
    "start_from_trigger=True is not possible here: ...": {
        "a beginning without a worker": lambda m: m.wait(start_from_trigger=True, run_id="{{ var.value.run }}"),
    },
    "Skipped instead of failed: ...": {
        "a wait that fails softly": lambda m: m.archived().wait(deferrable=True, soft_fail=True),
    },
    # -- bulk work ------------------------------------------------------------------------------------------
    "Of ... runs to ..., not all are ...": {
        "a run that cannot be archived": lambda m: m.fault(status=503, method="DELETE").archive_many(RUN_ID),
    },
    "A retry could not succeed.": {
        "a run that does not exist": lambda m: m.archive_many("e" * 32),
    },
    "The XComs about up to ... runs to ... may take ... bytes.": {
        "a result without room": lambda m: m.archive_many(RUN_ID, max_xcom_bytes=10),
    },
    "... is exceeded: ... runs would be deleted": {
        "more runs than allowed": lambda m: m.archived().delete_many(max_runs=0),
    },
    "... is not the id of the organization that the runs would be deleted from": {
        "another organization": lambda m: m.archived().delete_many(confirm="f" * 32),
    },
    "... is the file that this task takes its input from, and the report would replace it": {
        "a report in place of the ids": lambda m: m.archive_many(run_ids={"path": m.file}, report_path=m.file),
    },
    "... there is no file ...": {
        "a file that is missing": lambda m: m.launch_many("/no/such/rows.csv"),
    },
    "rows has ...": {
        "wrong rows": lambda m: m.launch_many([{"Company": ""}, {"Company": "Acme", "Plan": "None such"}]),
    },
    "It is not archived.": {
        "the deletion of a live run": lambda m: m.on_run(TallyfyDeleteRunOperator, confirm=RUN_ID),
    },
    "... is neither the id nor the exact name of ...": {
        "a wrong confirmation": lambda m: m.archived().on_run(TallyfyDeleteRunOperator, confirm="Other"),
    },
    # -- tasks, tags and approvals --------------------------------------------------------------------------
    "... is no task of run ...": {
        "a misspelt task to complete": lambda m: m.complete("Colect"),
    },
    "Run ... is archived.": {
        "a task of an archived run": lambda m: m.archived().complete(),
    },
    "Task ... is ... already, with other answers.": {
        "a task that is done": lambda m: m.completed("Review", approved=True).complete("Review", is_approved=False),
    },
    "Task ... asks for a decision.": {
        "an approval without a decision": lambda m: m.complete("Review"),
    },
    "Task ... cannot be completed, because somebody reported a problem.": {
        "a task with a problem": lambda m: m.with_problem().complete(),
    },
    "The tags of run ... were not changed: it is archived.": {
        "a tag of an archived run": lambda m: (
            m.with_tags("Audit").archived().on_run(TallyfyTagRunOperator, add=["Audit"])
        ),
    },
    "... is no approval of template ..., or several": {
        "a task that is no approval": lambda m: m.ask(template_id="Onboarding", approval_task="Sign"),
    },
    "TallyfyApprovalOperator takes no ...": {
        "an argument of Airflow's operator": lambda m: m.ask(notifiers=[]),
    },
    "Rejected in Tallyfy: ...": {
        "a question that is rejected": lambda m: m.ask(defaults="Reject", fail_on_reject=True),
    },
    "Nobody was told in Tallyfy.": {
        "a notifier with a wrong run": lambda m: m.tell(run_id="e" * 32),
    },
    # -- sandbox and tests ----------------------------------------------------------------------------------
    "cannot listen on ...": {
        "a port that is taken": lambda m: m.serve_at_a_taken_port(),
    },
    "There is no fault ...": {
        "a misspelt fault": lambda m: m.fault("state"),
    },
}
ALL = {name: (entry, act) for entry, acts in MISTAKES.items() for name, act in acts.items()}


@pytest.fixture
def mistakes(tallyfy_sandbox, monkeypatch, tmp_path):
    monkeypatch.setattr("airflow_provider_tallyfy.api.flows.replica_lag.REPLICA_LAG_PAUSES", ())
    with ExitStack() as until_the_end:
        yield Mistakes(tallyfy_sandbox, monkeypatch, tmp_path, until_the_end)


@pytest.fixture
def logged(caplog, capfd):
    caplog.set_level("INFO")

    def text() -> str:
        printed = capfd.readouterr()
        return caplog.text + printed.out + printed.err

    return text


@pytest.mark.parametrize(("entry", "act"), ALL.values(), ids=ALL)
def test_the_error_has_the_words_of_the_entry(mistakes, logged, entry, act):
    end = attempt(lambda: act(mistakes))
    said = f"{end.exception}\n{logged()}"
    assert re.search(re.escape(entry).replace(r"\.\.\.", ".*"), said), said


def test_every_entry_of_the_page_is_tried():
    assert sorted(entries(of_airflow=False)) == sorted(MISTAKES)

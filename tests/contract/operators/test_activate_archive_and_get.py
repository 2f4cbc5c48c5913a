"""The operators that restore, archive and read a run: what they return, and what they push even if they fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_tallyfy.api.errors import (
    TallyfyAuthError,
    TallyfyNotFoundError,
    TallyfyServerError,
)
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyGetRunOperator,
)
from tests.airflow_driver import attempt, eventually, new_context

RUN_ID = "0123456789abcdef0123456789abcdef"
OPERATORS = {"activate": TallyfyActivateRunOperator, "archive": TallyfyArchiveRunOperator, "get": TallyfyGetRunOperator}
ALL_THREE = pytest.mark.parametrize("make", OPERATORS.values(), ids=OPERATORS)
WRITING = pytest.mark.parametrize("make", [TallyfyActivateRunOperator, TallyfyArchiveRunOperator])


def executed(make: Any, context: dict[str, Any] | None = None, **arguments: Any) -> Any:
    operator = make(**{"task_id": "task", "run_id": RUN_ID, **arguments})
    return operator.execute(context or new_context())


@pytest.mark.usefixtures("worlds")
@ALL_THREE
@pytest.mark.parametrize("archived", [False, True])
def test_the_result_is_a_small_dict_of_plain_json(tallyfy, make, archived):
    tallyfy.add_run(id=RUN_ID, name="Onboarding", status="complete", archived=archived, prerun={"f": "form data"})
    result = executed(make)
    now = tallyfy.run(RUN_ID)
    moved = now["archived_at"] is not None
    assert json.loads(json.dumps(result)) == {
        "id": RUN_ID,
        "name": "Onboarding",
        "status": "archived" if moved else "complete",
        "archived_at": f"{now['archived_at'][:19]}Z" if moved else None,
        "completed_at": f"{now['completed_at'][:19]}Z",
        "url": tallyfy.run_url(RUN_ID),
        "changed": moved is not archived,
    }
    assert moved is {"Activate": False, "Archive": True}.get(make.__name__[7:-11], archived)


@pytest.mark.usefixtures("worlds")
@WRITING
def test_repeating_it_is_a_success_that_changes_nothing(tallyfy, make):
    tallyfy.add_run(id=RUN_ID, archived=make is TallyfyActivateRunOperator)
    first, second = executed(make), executed(make)
    assert (first["changed"], second["changed"]) == (True, False)
    assert {**first, "changed": None} == {**second, "changed": None}


@ALL_THREE
def test_run_id_and_url_are_pushed_before_tallyfy_is_asked(tallyfy, make):
    context = new_context()
    tallyfy.faults.add(status=401, times=None)
    with pytest.raises(TallyfyAuthError):
        executed(make, context)
    assert context["ti"].pushed == {"run_id": RUN_ID, "run_url": tallyfy.run_url(RUN_ID)}


@pytest.mark.usefixtures("worlds")
@ALL_THREE
def test_a_missing_run_fails_the_task_without_retries(tallyfy, make):
    end = attempt(lambda: executed(make))
    assert (end.state, end.error) == ("failed", "TallyfyNotFoundError")
    assert isinstance(end.exception, TallyfyNotFoundError)
    assert RUN_ID in str(end.exception)


@ALL_THREE
def test_a_transient_failure_leaves_the_task_its_retries(tallyfy, make, monkeypatch):
    tallyfy.add_run(id=RUN_ID)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    tallyfy.faults.add(status=503)
    end = attempt(lambda: executed(make))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyServerError")
    assert isinstance(end.exception, TallyfyServerError)
    assert isinstance(end.exception, AirflowException)
    assert attempt(lambda: executed(make)).state == "success"


@ALL_THREE
def test_a_run_id_that_native_rendering_made_a_number_is_an_id(tallyfy, make):
    tallyfy.add_run(id="42")
    context = new_context()
    assert executed(make, context, run_id=42)["id"] == "42"
    assert context["ti"].pushed["run_id"] == "42"


@ALL_THREE
def test_the_tasks_organization_wins_over_the_connections(tallyfy, make, monkeypatch):
    tallyfy.add_run(id=RUN_ID)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(organization_id="cd" * 16))
    assert executed(make, organization_id=tallyfy.organization_id)["id"] == RUN_ID
    assert {request.path.split("/")[3] for request in tallyfy.requests} == {tallyfy.organization_id}


@ALL_THREE
def test_no_connection_is_left_open_after_success_or_failure(tallyfy, make):
    tallyfy.add_run(id=RUN_ID)
    executed(make)
    attempt(lambda: executed(make, run_id="missing"))
    assert eventually(lambda: tallyfy.open_connections == 0)


@ALL_THREE
def test_the_log_names_the_run_its_state_and_its_address_and_no_secret(tallyfy, make, capfd, caplog):
    caplog.set_level("DEBUG")
    tallyfy.add_run(id=RUN_ID, name="Onboarding")
    result = executed(make)
    logged = caplog.text + capfd.readouterr().out
    assert f"Run {RUN_ID} ('Onboarding') is {result['status']}" in logged
    assert tallyfy.run_url(RUN_ID) in logged
    assert tallyfy.token not in logged


@pytest.mark.usefixtures("worlds")
@WRITING
@pytest.mark.parametrize("dry_run", [True, "True", "true"])
def test_a_dry_run_describes_the_request_and_sends_none(tallyfy, make, dry_run):
    tallyfy.add_run(id=RUN_ID, archived=make is TallyfyActivateRunOperator)
    before = tallyfy.run(RUN_ID)
    result = executed(make, dry_run=dry_run)
    path = f"/organizations/{tallyfy.organization_id}/runs/{RUN_ID}"
    request = {
        TallyfyActivateRunOperator: {"method": "PUT", "path": f"{path}/activate", "body": {}},
        TallyfyArchiveRunOperator: {"method": "DELETE", "path": path, "body": {}},
    }
    verb = "restore" if make is TallyfyActivateRunOperator else "archive"
    is_shown = verb == "archive" or tallyfy.behavior.archived_visible_to_get
    effect = f"{verb} run {RUN_ID} ({before['name']!r})" if is_shown else f"{verb} run {RUN_ID}"
    assert result == {"dry_run": True, "effect": effect, "requests": [request[make]]}
    assert tallyfy.run(RUN_ID) == before
    assert {sent.method for sent in tallyfy.requests} == {"GET"}


@pytest.mark.usefixtures("worlds")
@WRITING
def test_a_dry_run_says_that_nothing_would_change(tallyfy, make):
    tallyfy.add_run(id=RUN_ID, archived=make is TallyfyArchiveRunOperator)
    assert executed(make, dry_run=True) == {"dry_run": True, "effect": "nothing would change", "requests": []}


@WRITING
def test_a_read_only_connection_allows_a_dry_run_and_no_write(tallyfy, make, monkeypatch):
    tallyfy.add_run(id=RUN_ID, archived=make is TallyfyActivateRunOperator)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(read_only=True))
    end = attempt(lambda: executed(make))
    assert (end.state, end.error) == ("failed", "TallyfyConfigurationError")
    assert executed(make, dry_run=True)["requests"]
    assert {sent.method for sent in tallyfy.requests} == {"GET"}

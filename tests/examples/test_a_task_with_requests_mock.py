"""A ``@task`` that uses the hook, tested without a server; the documentation quotes this."""

from __future__ import annotations

# [START howto_test_a_task_with_requests_mock]
import json

import pytest
from airflow.providers.common.compat.sdk import task
from requests_mock import NoMockAddress

from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

RUN = "https://go.tallyfy.com/api/organizations/acme/runs/r1"


@task
def restore(run_id: str) -> dict:
    with TallyfyHook() as hook:
        return hook.activate_run(run_id)


@pytest.fixture
def tallyfy(monkeypatch, requests_mock):
    connection = {
        "conn_type": "tallyfy",
        "password": "any-token",
        "extra": {"organization_id": "acme", "retry_budget": 0},
    }
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
    return requests_mock


def test_the_task_restores_an_archived_run(tallyfy):
    run = {"id": "r1", "name": "Onboarding", "status": "active"}
    tallyfy.get(RUN, json={"data": {**run, "archived_at": "2026-01-02 03:04:05"}})
    tallyfy.put(f"{RUN}/activate", json={"data": {**run, "archived_at": None}})
    restored = restore.function("r1")
    assert (restored["status"], restored["changed"]) == ("active", True)
    assert [request.method for request in tallyfy.request_history] == ["GET", "PUT"]


def test_the_task_fails_without_the_run(tallyfy):
    tallyfy.get(RUN, status_code=404)
    tallyfy.put(f"{RUN}/activate", status_code=404)
    with pytest.raises(TallyfyNotFoundError):
        restore.function("r1")


def test_a_request_without_an_answer_fails_the_test(tallyfy):
    with pytest.raises(NoMockAddress, match="runs/r1"):
        restore.function("r1")


# [END howto_test_a_task_with_requests_mock]

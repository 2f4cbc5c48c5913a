"""A dry run sends nothing and says what it would send; a read-only connection sends nothing either."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyDeleteRunOperator,
    TallyfyExportRunOperator,
    TallyfyLaunchProjectOperator,
    TallyfyLaunchRunOperator,
    TallyfyRunActivityOperator,
    TallyfyUpdateRunOperator,
)
from tests.airflow_driver import attempt
from tests.task_contexts import FakeTaskStateStore, context_of

LIVE, ARCHIVED, TEMPLATE = "a" * 32, "b" * 32, "c" * 32
OWNERS = {"users": [1], "guests": [], "groups": []}

#: Every operator that writes, with the request of each that matters: method, end of the path, body.
WRITERS: dict[str, tuple[type, dict[str, Any], list[tuple[str, str, Any]]]] = {
    "activate": (TallyfyActivateRunOperator, {"run_id": ARCHIVED}, [("PUT", "/activate", {})]),
    "archive": (TallyfyArchiveRunOperator, {"run_id": LIVE}, [("DELETE", LIVE, {})]),
    "update": (
        TallyfyUpdateRunOperator,
        {"run_id": LIVE, "changes": {"name": "New"}},
        [("PUT", LIVE, {"users": [], "groups": [], "name": "New"})],
    ),
    "delete": (TallyfyDeleteRunOperator, {"run_id": ARCHIVED, "confirm": ARCHIVED}, [("DELETE", "/delete", {})]),
    "delete a live run": (
        TallyfyDeleteRunOperator,
        {"run_id": LIVE, "confirm": LIVE, "archive_first": True},
        [("DELETE", LIVE, {}), ("DELETE", "/delete", {})],
    ),
    "launch": (
        TallyfyLaunchRunOperator,
        {"template_id": TEMPLATE, "name": "Acme", "kickoff": {"company": "Acme"}},
        [("POST", "/runs", {"checklist_id": TEMPLATE, "name": "Acme"})],
    ),
    "launch a project": (
        TallyfyLaunchProjectOperator,
        {"title": "Move", "owners": OWNERS, "deadline": "2026-01-31"},
        [("POST", "/tasks", {"title": "Move", "owners": OWNERS, "deadline": "2026-01-31 00:00:00"})],
    ),
}


def task_of(writer: str, **arguments: Any) -> Any:
    operator, own, _ = WRITERS[writer]
    return operator(task_id="task", **own, **arguments)


@pytest.fixture
def filled(tallyfy):
    """Return a Tallyfy with a live run, an archived one and a template."""
    tallyfy.add_template("Onboarding", id=TEMPLATE, kickoff=[{"label": "Company"}])
    tallyfy.add_run(id=LIVE, name="live")
    tallyfy.add_run(id=ARCHIVED, name="archived", archived=True)
    return tallyfy


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("flag", [True, "True", "true"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_dry_run_only_reads_and_returns_the_exact_requests(filled, writer, flag, caplog):
    before = filled.runs
    with caplog.at_level(logging.INFO):
        plan = task_of(writer, dry_run=flag).execute(context_of())
    assert {request.method for request in filled.requests} <= {"GET"}
    assert filled.runs == before
    assert plan["dry_run"] is True
    assert plan["effect"]
    expected = WRITERS[writer][2]
    assert [request["method"] for request in plan["requests"]] == [method for method, _, _ in expected]
    for request, (_, path, body) in zip(plan["requests"], expected, strict=True):
        assert request["path"].startswith(f"/organizations/{filled.organization_id}/")
        assert request["path"].endswith(path)
        assert request["body"].items() >= body.items()
    assert filled.token not in json.dumps(plan) + caplog.text


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_dry_run_returns_the_requests_that_are_sent_later(filled, writer):
    plan = task_of(writer, dry_run=True).execute(context_of())
    filled.clear_requests()
    task_of(writer, dry_run="false").execute(context_of())
    sent = [request for request in filled.requests if request.method != "GET"]
    planned = plan["requests"]
    assert [(r.method, r.path.removeprefix("/api"), r.json() if r.body else {}) for r in sent] == [
        (request["method"], request["path"], request["body"]) for request in planned
    ]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        (TallyfyActivateRunOperator, {"run_id": LIVE}),
        (TallyfyArchiveRunOperator, {"run_id": ARCHIVED}),
        (TallyfyUpdateRunOperator, {"run_id": LIVE, "changes": {"name": "live"}}),
    ],
)
def test_a_dry_run_says_that_nothing_would_change(filled, operator, arguments):
    plan = operator(task_id="task", dry_run=True, **arguments).execute(context_of())
    assert plan == {"dry_run": True, "effect": "nothing would change", "requests": []}


@pytest.mark.usefixtures("worlds")
def test_a_dry_run_of_a_launch_that_happened_says_that_nothing_would_change(filled):
    store = FakeTaskStateStore()
    task_of("launch").execute(context_of(store=store))
    for context in (context_of(try_number=2), context_of(try_number=2, store=store)):
        assert task_of("launch", dry_run=True).execute(context)["requests"] == []


@pytest.mark.usefixtures("worlds")
def test_a_dry_run_after_the_run_is_gone_says_that_nothing_would_change(filled):
    filled.delete_run(ARCHIVED)
    assert task_of("delete", dry_run=True).execute(context_of(try_number=2))["requests"] == []


@pytest.mark.usefixtures("worlds")
def test_a_dry_run_still_finds_what_is_wrong(filled):
    mistakes = [
        TallyfyDeleteRunOperator(task_id="task", run_id=ARCHIVED, confirm="no", dry_run=True),
        TallyfyDeleteRunOperator(task_id="task", run_id=LIVE, confirm=LIVE, dry_run=True),
        TallyfyLaunchRunOperator(task_id="task", template_id=TEMPLATE, kickoff={"Compny": "Acme"}, dry_run=True),
        TallyfyArchiveRunOperator(task_id="task", run_id="f" * 32, dry_run=True),
    ]
    assert [attempt(lambda op=operator: op.execute(context_of())).state for operator in mistakes] == ["failed"] * 4


@pytest.mark.parametrize("flag", ["perhaps", "", None, 2])
def test_a_dry_run_that_is_neither_on_nor_off_writes_nothing(filled, flag):
    end = attempt(lambda: task_of("launch", dry_run=flag).execute(context_of()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert {request.method for request in filled.requests} <= {"GET"}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_read_only_connection_refuses_every_write(filled, writer, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", filled.connection_json(read_only=True))
    end = attempt(lambda: task_of(writer).execute(context_of()))
    assert (end.state, end.error) == ("failed", "TallyfyConfigurationError")
    assert "read-only" in str(end.exception)
    assert {request.method for request in filled.requests} <= {"GET"}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_read_only_connection_is_enough_for_a_dry_run(filled, writer, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", filled.connection_json(read_only=True))
    assert task_of(writer, dry_run=True).execute(context_of())["requests"]


@pytest.mark.usefixtures("worlds")
def test_a_read_only_connection_reads_and_exports(filled, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", filled.connection_json(read_only=True))
    path = str(tmp_path / "export.json")
    TallyfyExportRunOperator(task_id="export", run_id=LIVE, output_path=path).execute(context_of())
    assert TallyfyRunActivityOperator(task_id="audit", run_id=LIVE).execute(context_of())


@pytest.mark.skipif(not hasattr(BaseOperator, "dry_run"), reason="Airflow 3.0 has no such method")
def test_dry_run_does_not_hide_the_method_of_airflow(filled):
    operator = task_of("launch", dry_run=True)
    operator.dry_run()
    assert filled.requests == []


def test_dry_run_is_templated_and_tasks_can_be_mapped_over_it():
    with DAG("dag", schedule=None):
        templated = task_of("archive", dry_run="{{ params.rehearse }}")
        partial = TallyfyArchiveRunOperator.partial(task_id="mapped", dry_run="{{ params.rehearse }}")
        mapped: Any = partial.expand(run_id=[LIVE])
        by_flag: Any = TallyfyArchiveRunOperator.partial(task_id="by_flag", run_id=LIVE).expand(dry_run=[True, False])
    templated.render_template_fields({"params": {"rehearse": "true"}})
    assert templated._is_dry_run is True
    assert mapped.unmap({"run_id": LIVE}).simulate == "{{ params.rehearse }}"
    assert by_flag.unmap({"dry_run": False})._is_dry_run is False

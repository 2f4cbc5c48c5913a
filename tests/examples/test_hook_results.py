"""A ``@task`` can return whatever a method of the hook returns, and the next task reads it unchanged."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

#: Each method of the hook that reads or changes something, given the hook and a Tallyfy with runs.
METHODS: dict[str, Callable[[TallyfyHook, dict[str, str]], Any]] = {
    "get_run": lambda hook, ids: hook.get_run(ids["run"], raw=True),
    "list_runs": lambda hook, ids: hook.list_runs(archived="include", raw=True),
    "list_templates": lambda hook, ids: hook.list_templates(query="Onb", raw=True),
    "list_tags": lambda hook, ids: hook.list_tags(raw=True),
    "list_folders": lambda hook, ids: hook.list_folders(raw=True),
    "list_groups": lambda hook, ids: hook.list_groups(raw=True),
    "list_users": lambda hook, ids: hook.list_users(raw=True),
    "with_ids": lambda hook, ids: hook.with_ids({"tags": "vip"}),
    "archive_run": lambda hook, ids: hook.archive_run(ids["run"]),
    "activate_run": lambda hook, ids: hook.activate_run(ids["archived"]),
    "launch_run": lambda hook, ids: hook.launch_run(ids["template"], kickoff={"Company": "Acme"}),
    "launch_project": lambda hook, ids: hook.launch_project("Move", {"guests": ["g@x.example"]}, "2026-12-01"),
    "update_run": lambda hook, ids: hook.update_run(ids["run"], name="Other"),
    "delete_run": lambda hook, ids: hook.delete_run(ids["archived"], confirm=ids["archived"]),
    "export_run": lambda hook, ids: hook.export_run(ids["run"]),
    "list_tasks": lambda hook, ids: hook.list_tasks(ids["run"], raw=True),
    "complete_task": lambda hook, ids: hook.complete_task(ids["run"], ids["task"], raw=True),
    "reopen_task": lambda hook, ids: hook.reopen_task(ids["run"], ids["task"], raw=True),
    "assign_task": lambda hook, ids: hook.assign_task(ids["run"], "Ask", guests=["g@x.example"]),
    "get_form_values": lambda hook, ids: hook.get_form_values(ids["run"]),
    "list_form_fields": lambda hook, ids: hook.list_form_fields(ids["run"]),
    "list_activity": lambda hook, ids: hook.list_activity(ids["run"]),
    "add_comment": lambda hook, ids: hook.add_comment(ids["run"], "Done."),
    "add_tag": lambda hook, ids: hook.add_tag(ids["run"], ids["tag"]),
    "remove_tag": lambda hook, ids: hook.remove_tag(ids["run"], ids["tag"]),
    "run_url": lambda hook, ids: hook.run_url(ids["run"]),
    "check_connection": lambda hook, ids: hook.check_connection(),
    "test_connection": lambda hook, ids: list(hook.test_connection()),
}
#: What a task never returns: the session, and what operators build on.
NOT_HANDED_ON = {
    "close", "each_run", "first_write", "get_conn", "get_connection_form_widgets", "get_ui_field_behaviour",
    "execute", "read_settings",
}  # fmt: skip
OPERATOR_KEYS = {"id", "name", "status", "archived_at", "completed_at", "url", "changed"}


@pytest.fixture
def ids(tallyfy_sandbox) -> dict[str, str]:
    template = tallyfy_sandbox.add_template(
        "Onboarding", kickoff=[{"label": "Company"}], steps=[{"title": "Ask", "form_fields": [{"label": "Answer"}]}]
    )
    run = tallyfy_sandbox.add_run("Onboarding", name="Acme \u00e9", prerun={template["prerun"][0]["id"]: "Acme"})
    archived = tallyfy_sandbox.add_run("Onboarding", archived=True)
    return {
        "template": template["id"],
        "run": run["id"],
        "task": run["tasks"][0]["id"],
        "archived": archived["id"],
        "tag": tallyfy_sandbox.add_tag("vip")["id"],
    }


def test_the_table_names_every_public_method():
    methods = {
        name
        for kind in inspect.getmro(TallyfyHook)
        if kind.__module__.startswith("airflow_provider_tallyfy")
        for name, value in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, classmethod))
    }
    assert methods == METHODS.keys() | NOT_HANDED_ON


def test_a_task_returns_what_the_hook_returns_and_the_next_one_reads_it(run_dag, tallyfy_sandbox, ids):
    """One task for all methods, because Airflow 3.1 takes seconds to start each."""
    returned: dict[str, Any] = {}
    received: dict[str, Any] = {}

    with DAG("hook_results", start_date=datetime(2026, 1, 1), schedule=None) as dag:

        @task
        def ask() -> Any:
            for name, method in METHODS.items():
                with TallyfyHook() as hook:
                    returned[name] = method(hook, ids)
                if name == "archive_run":  # the methods after it are for a live run
                    tallyfy_sandbox.restore_run(ids["run"])
                if name == "activate_run":
                    tallyfy_sandbox.archive_run(ids["archived"])
            return returned

        @task
        def read(results: Any) -> None:
            received.update(results)

        read(ask())

    dag_run = run_dag(dag)

    assert dag_run.state == "success"
    assert received.keys() == METHODS.keys()
    for name, value in returned.items():
        assert received[name] == value == json.loads(json.dumps(value)), name
    for name in ("get_run", "archive_run", "activate_run", "launch_run", "launch_project", "update_run", "delete_run"):
        assert received[name].keys() >= OPERATOR_KEYS, name
    assert received["list_runs"][0].keys() >= OPERATOR_KEYS
    assert received["get_run"]["raw"]["id"] == ids["run"]
    assert received["get_form_values"] == {"Company": "Acme", "Answer": None}
    assert received["delete_run"]["status"] == "deleted"
    assert received["complete_task"]["is_done"] is True


def test_the_raw_answer_is_returned_only_on_request(tallyfy_sandbox, ids):
    with TallyfyHook() as hook:
        results = [hook.get_run(ids["run"]), *hook.list_runs(), *hook.list_tasks(ids["run"])]

    assert len(results) == 3
    assert not any("raw" in result for result in results)


def test_fields_that_share_a_label_are_under_their_ids(tallyfy_sandbox):
    tallyfy_sandbox.add_template("Twice", kickoff=[{"label": "Notes"}, {"label": "Notes"}, {"label": "Name"}])
    run = tallyfy_sandbox.add_run("Twice")

    with TallyfyHook() as hook:
        values, fields = hook.get_form_values(run["id"]), hook.list_form_fields(run["id"])

    assert set(values) == {fields[0]["id"], fields[1]["id"], "Name"}

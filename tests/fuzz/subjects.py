"""What is run against a hostile Tallyfy, and what Tallyfy must have answered for each success."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators import bulk, tallyfy
from airflow_provider_tallyfy.triggers import tallyfy as triggers
from tests.fuzz.hostile import HostileTallyfy
from tests.task_contexts import FakeTaskStateStore, context_of
from tests.virtual_time import in_virtual_time

DEADLINE = "2030-01-01 00:00:00"


class Case:
    """A hostile Tallyfy with something in it, and Airflow's connection to it."""

    def __init__(self, server: HostileTallyfy, folder: str) -> None:
        self.server, self.folder = server, folder
        self.template = server.add_template("Review")["id"]
        self.live = server.add_run(self.template)["id"]
        self.archived = server.add_run(self.template, archived=True)["id"]
        self.complete = server.add_run(self.template, status="complete")["id"]
        self.tag = server.add_tag("quarter")["id"]
        self.task = server.store.runs[self.live].tasks[0]["id"]

    @property
    def owners(self) -> dict[str, Any]:
        return {"users": [self.server.user["id"]]}


class AsyncFace(TallyfyHook):
    """The public methods over the asynchronous hook."""

    def __init__(self, server: HostileTallyfy) -> None:
        self._server = server
        self.known_names = {}

    @property
    def organization_id(self) -> str:
        return self._server.organization_id

    def run_url(self, run_id: str) -> str:
        return f"https://web/{run_id}"

    def execute(self, work: Any, *, retry_budget: float | None = None) -> Any:
        async def main() -> Any:
            hook = await self._server.connect()
            return await hook.execute(work, retry_budget=retry_budget)

        return in_virtual_time(main)


def is_of(case: Case, run_id: str, *, archived: bool) -> Callable[[Any], bool]:
    def shown(run: Any) -> bool:
        is_archived = run["archived_at"] is not None or run["status"] == "archived"
        return run["id"] == run_id and is_archived is archived and case.server.showed(run_id, archived=archived)

    return shown


def launched(case: Case) -> Callable[[Any], bool]:
    return lambda run: any(True for _ in case.server.shown(run["id"]))


def all_shown(case: Case) -> Callable[[Any], bool]:
    return lambda items: all(any(True for _ in case.server.shown(item["id"])) for item in items)


def renamed(case: Case) -> Callable[[Any], bool]:
    return lambda run: any(shown.get("name") == "New" for shown in case.server.shown(case.live))


def anything(case: Case) -> Callable[[Any], bool]:
    return lambda result: bool(case.server.received)


def deleted(case: Case) -> Callable[[Any], bool]:
    return lambda run: case.server.sent("DELETE", "/delete")


#: Public methods of the hook: how to call each, and what a success needs.
METHODS: dict[str, tuple[Callable[[Any, Case], Any], Callable[[Case], Callable[[Any], bool]]]] = {
    "get_run": (lambda hook, case: hook.get_run(case.archived), lambda case: is_of(case, case.archived, archived=True)),
    "archive_run": (lambda hook, case: hook.archive_run(case.live), lambda case: is_of(case, case.live, archived=True)),
    "activate_run": (
        lambda hook, case: hook.activate_run(case.archived),
        lambda case: is_of(case, case.archived, archived=False),
    ),
    "list_runs": (lambda hook, case: list(hook.list_runs(archived="include")), all_shown),
    "list_templates": (lambda hook, case: hook.list_templates(query="On"), anything),
    "list_tags": (lambda hook, case: hook.list_tags(raw=True), anything),
    "list_folders": (lambda hook, case: hook.list_folders(), anything),
    "list_groups": (lambda hook, case: hook.list_groups(), anything),
    "list_users": (lambda hook, case: hook.list_users(), anything),
    "with_ids": (lambda hook, case: hook.with_ids({"tags": "quarter"}), anything),
    "check_connection": (lambda hook, case: hook.check_connection(), anything),
    "launch_run": (lambda hook, case: hook.launch_run(case.template, launch_key="key", name="A"), launched),
    "launch_project": (
        lambda hook, case: hook.launch_project("Project", case.owners, DEADLINE, launch_key="key"),
        launched,
    ),
    "update_run": (lambda hook, case: hook.update_run(case.live, name="New"), renamed),
    "delete_run": (lambda hook, case: hook.delete_run(case.archived, confirm=case.archived), deleted),
    "export_run": (lambda hook, case: hook.export_run(case.live), anything),
    "list_tasks": (lambda hook, case: hook.list_tasks(case.live), all_shown),
    "complete_task": (lambda hook, case: hook.complete_task(case.live, case.task), launched),
    "reopen_task": (lambda hook, case: hook.reopen_task(case.live, case.task), launched),
    "assign_task": (lambda hook, case: hook.assign_task(case.live, case.task, users=[1]), launched),
    "get_form_values": (lambda hook, case: hook.get_form_values(case.live), anything),
    "list_form_fields": (lambda hook, case: hook.list_form_fields(case.live), anything),
    "list_activity": (lambda hook, case: hook.list_activity(case.live), anything),
    "add_comment": (lambda hook, case: hook.add_comment(case.live, "Done.", task_id=case.task), anything),
    "add_tag": (lambda hook, case: hook.add_tag(case.live, case.tag), anything),
    "remove_tag": (lambda hook, case: hook.remove_tag(case.live, case.tag), anything),
    "test_connection": (lambda hook, case: hook.test_connection(), anything),
    "first_write": (lambda hook, case: str(hook.first_write(_archiving(case))), anything),
}
#: Methods that send nothing, or through which the others send.
WITHOUT_QUESTIONS = {"close", "execute", "run_url", "get_conn", "each_run", "read_settings"} | {
    "get_connection_form_widgets",
    "get_ui_field_behaviour",
}
ONLY_SYNC = {
    "check_connection", "list_folders", "list_groups", "list_runs", "list_tags", "list_templates", "list_users",
    "test_connection", "first_write", "with_ids",
}  # fmt: skip


def _archiving(case: Case) -> Any:
    from airflow_provider_tallyfy.api import flows

    return flows.archive_run(case.server.organization_id, case.live)


def _bulk(case: Case, kind: Any, *run_ids: str, **options: Any) -> Any:
    return kind(run_ids=list(run_ids), report_path=f"{case.folder}/report.jsonl", max_concurrency=2, **options)


def _all_changed(case: Case, *, archived: bool) -> Callable[[Any], bool]:
    return lambda result: all(case.server.showed(run_id, archived=archived) for run_id in result["changed"])


#: Operators: how to make each, and what a success needs.
OPERATORS: dict[str, tuple[Callable[[Case], Any], Callable[[Case], Callable[[Any], bool]]]] = {
    "TallyfyGetRunOperator": (
        lambda case: tallyfy.TallyfyGetRunOperator(task_id="t", run_id=case.live),
        lambda case: lambda result: result["id"] == case.live,
    ),
    "TallyfyGetAnswersOperator": (
        lambda case: tallyfy.TallyfyGetAnswersOperator(task_id="t", run_ids=[case.live, case.complete]),
        lambda case: lambda rows: [row["run_id"] for row in rows] == [case.live, case.complete],
    ),
    "TallyfyCompleteTaskOperator": (
        lambda case: tallyfy.TallyfyCompleteTaskOperator(
            task_id="t", run_id=case.live, task_name=case.task, comment="Done."
        ),
        lambda case: lambda result: result["is_done"] and any(True for _ in case.server.shown(result["id"])),
    ),
    "TallyfyCommentOperator": (
        lambda case: tallyfy.TallyfyCommentOperator(task_id="t", run_id=case.live, content="Done."),
        anything,
    ),
    "TallyfyApprovalOperator": (
        lambda case: tallyfy.TallyfyApprovalOperator(
            task_id="t", subject="Go?", assignees=case.owners, defaults="Reject", response_timeout=0
        ),
        lambda case: lambda result: not result["approved"] or any(True for _ in case.server.shown(result["run_id"])),
    ),
    "TallyfyArchiveRunOperator": (
        lambda case: tallyfy.TallyfyArchiveRunOperator(task_id="t", run_id=case.live),
        lambda case: lambda result: case.server.showed(case.live, archived=True),
    ),
    "TallyfyActivateRunOperator": (
        lambda case: tallyfy.TallyfyActivateRunOperator(task_id="t", run_id=case.archived),
        lambda case: lambda result: case.server.showed(case.archived, archived=False),
    ),
    "TallyfyLaunchRunOperator": (
        lambda case: tallyfy.TallyfyLaunchRunOperator(task_id="t", template_id=case.template, name="A"),
        lambda case: lambda result: any(True for _ in case.server.shown(result["id"])),
    ),
    "TallyfyLaunchProjectOperator": (
        lambda case: tallyfy.TallyfyLaunchProjectOperator(
            task_id="t", title="Project", owners=case.owners, deadline=DEADLINE
        ),
        lambda case: lambda result: any(True for _ in case.server.shown(result["id"])),
    ),
    "TallyfyListRunsOperator": (
        lambda case: tallyfy.TallyfyListRunsOperator(task_id="t", template_id=case.template),
        lambda case: lambda rows: all(any(True for _ in case.server.shown(row["id"])) for row in rows),
    ),
    "TallyfyUpdateRunOperator": (
        lambda case: tallyfy.TallyfyUpdateRunOperator(task_id="t", run_id=case.live, changes={"name": "New"}),
        lambda case: lambda result: any(run.get("name") == "New" for run in case.server.shown(case.live)),
    ),
    "TallyfyTagRunOperator": (
        lambda case: tallyfy.TallyfyTagRunOperator(task_id="t", run_id=case.live, add=[case.tag]),
        lambda case: lambda result: case.server.sent("POST", "/tags") or not result["changed"],
    ),
    "TallyfyDeleteRunOperator": (
        lambda case: tallyfy.TallyfyDeleteRunOperator(
            task_id="t",
            run_id=case.complete,
            confirm=case.complete,
            archive_first=True,
            snapshot_path=f"{case.folder}/snapshot.json",
        ),
        lambda case: lambda result: case.server.sent("DELETE", "/delete"),
    ),
    "TallyfyRunActivityOperator": (
        lambda case: tallyfy.TallyfyRunActivityOperator(task_id="t", run_id=case.live),
        anything,
    ),
    "TallyfyExportRunOperator": (
        lambda case: tallyfy.TallyfyExportRunOperator(
            task_id="t", run_id=case.live, output_path=f"{case.folder}/export.json"
        ),
        anything,
    ),
    "TallyfyActivateRunsOperator": (
        lambda case: _bulk(case, bulk.TallyfyActivateRunsOperator, case.archived, case.live, task_id="t"),
        lambda case: _all_changed(case, archived=False),
    ),
    "TallyfyArchiveRunsOperator": (
        lambda case: _bulk(case, bulk.TallyfyArchiveRunsOperator, case.complete, case.live, task_id="t"),
        lambda case: _all_changed(case, archived=True),
    ),
    "TallyfyDeleteRunsOperator": (
        lambda case: _bulk(
            case,
            bulk.TallyfyDeleteRunsOperator,
            case.complete,
            archive_first=True,
            task_id="t",
            max_runs=1,
            confirm=case.server.organization_id,
            snapshot_dir=case.folder,
        ),
        lambda case: lambda result: not result["changed"] or case.server.sent("DELETE", "/delete"),
    ),
    "TallyfyLaunchRunsOperator": (
        lambda case: bulk.TallyfyLaunchRunsOperator(
            task_id="t", template_id=case.template, rows=[{"name": "A"}, {"name": "B"}]
        ),
        lambda case: lambda result: all(any(True for _ in case.server.shown(run)) for run in result["changed"]),
    ),
}


def execute(operator: Any) -> Any:
    return operator.execute(context_of(store=FakeTaskStateStore()))


_WAIT = {"organization_id": None, "tallyfy_conn_id": "tallyfy_default", "poll_interval": 60, "deadline": 600}
_RUN = {**_WAIT, "target_status": ["complete"], "failure_status": ["archived"], "max_poll_failures": 2}

#: Triggers, how to make each, and the runs that Tallyfy must have shown as complete if the goal was reached.
TRIGGERS: dict[str, Callable[[Case], Any]] = {
    "TallyfyRunStatusTrigger": lambda case: triggers.TallyfyRunStatusTrigger(run_id=case.complete, **_RUN),
    "TallyfyRunsStatusTrigger": lambda case: triggers.TallyfyRunsStatusTrigger(
        run_ids=[case.complete, *case.server.add_runs(4, case.template, status="complete")], **_RUN
    ),
    "TallyfyTaskTrigger": lambda case: triggers.TallyfyTaskTrigger(
        run_id=case.live, task_name=case.task, failure_status=[], **_WAIT
    ),
    "TallyfyApprovalTrigger": lambda case: triggers.TallyfyApprovalTrigger(
        run_id=case.live, approval_task=case.task, **_WAIT
    ),
    "TallyfyFormFieldTrigger": lambda case: triggers.TallyfyFormFieldTrigger(
        run_id=case.live, field="f", values=[], failure_status=["complete"], **_WAIT
    ),
}


def event_of(make: Callable[[], Any]) -> Any:
    """Run a trigger to its end, in virtual time."""

    async def main() -> Any:
        return [event async for event in make().run()]

    (event,) = in_virtual_time(main)
    return event.payload


def virtual_clock() -> Any:
    """Stand in for the ``time`` of triggers."""
    return SimpleNamespace(time=lambda: asyncio.get_running_loop().time(), monotonic=time.monotonic)

"""What the documentation leaves open, one field per question, and two plausible answers to all of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Behavior:
    """How this Tallyfy answers where its documentation is silent or contradicts itself.

    The defaults are those of :meth:`lenient`; :meth:`strict` breaks naive clients. Mix them
    with ``dataclasses.replace(Behavior.lenient(), repeat_archive=404)``.

    :param archived_visible_to_get: ``GET /runs/{id}`` (and ``PUT``) finds archived runs; otherwise 404.
        Source: documentation page "get-process", silent.
    :param archived_children_visible: Tasks, form fields and activity of an archived run can be read.
    :param archived_status: An archived run shows ``status: "archived"``, or keeps its stored status.
        Source: pages "archive-process" and "activate-process", which disagree.
    :param repeat_archive: Status of archiving an archived run. Source: page "archive-process", silent.
    :param repeat_activate: Status of activating a live run. Source: page "activate-process", silent.
    :param archive_answers_body: Archiving answers 200 with the run; otherwise 204 and nothing.
    :param activate_answers_body: Activating answers 200 with the run; otherwise 204 and nothing.
    :param delete_live: Status of permanently deleting a run that is not archived.
        Source: page "delete-process", which names both.
    :param update_wipes_assignees: A PUT without ``users``/``groups`` empties them (measured in production).
    :param progress: Shape of ``progress``. Source: the pages of list, update and get, which disagree.
    :param next_task: Whether ``with=next_task`` shows the task, or a list with it. Source: page "get-process", a list.
    :param milliseconds: Timestamps of runs carry milliseconds.
    :param activity_timestamps: ``created_at`` of the activity feed as documented, or as measured.
    :param status_filter_honored: The list obeys ``status``; otherwise it lists every status.
    :param status_archived_honored: The list obeys ``status=archived``; otherwise it matches nothing.
    :param status_hides_archived: ``archived=true`` together with ``status`` lists live runs only.
    :param unknown_status: A ``status`` that is no run status is ignored, or refused with 422.
    :param q: What the search text is compared with. Source: page "list-processes", "search by name".
    :param default_sort: Order of a list that asks for none.
    :param per_page_over_cap: More than 100 rows a page: answered with 100, or refused with 422.
    :param unpaginated_cap: Most rows ``without_pagination=true`` gives; None for all.
    :param links: Shape of ``meta.pagination.links``.
    :param list_lag: A launched run stays invisible for this many list requests (read replica).
    :param application_token_on_runs: Application tokens may use workflow endpoints; otherwise 403.
        Source: page "access-api-as-a-third-party-application", against "client-credentials-flow".
    :param any_client_header: Any ``X-Tallyfy-Client`` is accepted; otherwise only ``APIClient``.
    :param unauthorized: Who answers a bad token: the edge ("cloudflare") or the application ("laravel").
    :param complete_twice: Completing a completed task succeeds (and fires webhooks again), or 422.
        Source: page "complete-task" (an error), against measurements.
    :param export_wrapped: ``POST /runs/{id}/export`` wraps its answer in ``data``. Source: undocumented.
    :param launch_archived_template: Status of launching an archived template. Source: undocumented.
    :param project_summary: Whether the ``summary`` of a template-less launch stands on its run, or on its tasks.
        Source: page "launch-process-without-template", which calls it "for the tasks".
    :param run_tags: Whether the tags of a run have the tag's id beside the association's, or in a ``tag`` of its own;
        or are not shown. Source: page "get-process", which names the include.
    :param subfolders: Whether folders in folders are listed beside the others, or as ``children`` of theirs only.
        Source: the official MCP server, which searches both.
    :param folder_type_honored: The list of folders obeys ``folder_type``; otherwise it has those of templates, too.
    :param member_names: Whether listed members have a ``full_name``, or ``first_name`` and ``last_name`` only.
        Source: the official command line client, against page "get-member".
    :param run_comments: Whether comments on a run itself are shown by ``with=threads``, or only in its activity.
        Source: page "how-to-integrate-with-tallyfy-using-api", which says only how to write them.
    :param taskdata_merges: Whether form values that an update of a task leaves out stay; otherwise they are emptied.
        Source: page "update-task", silent.
    :param listed_tasks_show_decisions: Tasks in lists, and those shown with a run, have ``is_approved``; otherwise only
        a task that is read by itself. Source: page "list-tasks", silent.
    :param decision_before: What ``is_approved`` of an approval is before anybody decides.
        Source: pages "get-task" (false) and "reopen-task" (null).
    :param rejected_task: Status of an approval that somebody rejected. Source: undocumented.
    """

    archived_visible_to_get: bool = True
    archived_children_visible: bool = True
    archived_status: Literal["archived", "stored"] = "archived"
    repeat_archive: Literal[200, 404] = 200
    repeat_activate: Literal[200, 404, 422] = 200
    archive_answers_body: bool = True
    activate_answers_body: bool = True
    delete_live: Literal[404, 422] = 404
    update_wipes_assignees: bool = False
    progress: Literal["object", "int", "empty"] = "object"
    next_task: Literal["object", "list"] = "object"
    milliseconds: bool = True
    activity_timestamps: Literal["iso", "sql"] = "iso"
    status_filter_honored: bool = True
    status_archived_honored: bool = True
    status_hides_archived: bool = False
    unknown_status: Literal["ignored", "rejected"] = "ignored"
    q: Literal["substring", "name_and_summary", "prefix", "words"] = "name_and_summary"
    default_sort: Literal["created_at", "-created_at", "name", "-name"] = "created_at"
    per_page_over_cap: Literal["clamp", "reject"] = "clamp"
    unpaginated_cap: int | None = None
    links: Literal["object", "empty_list", "missing"] = "object"
    list_lag: int = 0
    application_token_on_runs: bool = True
    any_client_header: bool = True
    unauthorized: Literal["cloudflare", "laravel"] = "cloudflare"
    complete_twice: Literal["ok", "reject"] = "ok"
    export_wrapped: bool = True
    launch_archived_template: Literal[404, 403, 422] = 404
    project_summary: Literal["run", "tasks"] = "run"
    run_comments: Literal["threads", "activity"] = "threads"
    taskdata_merges: bool = True
    listed_tasks_show_decisions: bool = True
    decision_before: Literal["null", "false"] = "null"
    rejected_task: Literal["completed", "rejected"] = "completed"
    run_tags: Literal["flat", "nested", "hidden"] = "flat"
    subfolders: Literal["listed", "children"] = "listed"
    folder_type_honored: bool = True
    member_names: Literal["full", "parts"] = "full"

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name, hint in hints.items():
            value = getattr(self, name)
            allowed = get_args(hint) if get_origin(hint) is Literal else None
            if allowed and value not in allowed:
                raise ValueError(f"Behavior.{name} is {value!r}; choose one of {allowed}")
            if hint is bool and not isinstance(value, bool):
                raise ValueError(f"Behavior.{name} is {value!r}; choose True or False")

    @classmethod
    def lenient(cls) -> Behavior:
        """Answer every open question the friendly way."""
        return cls()

    @classmethod
    def strict(cls) -> Behavior:
        """Answer every open question the way that breaks clients which assumed the friendly one."""
        return cls(
            archived_visible_to_get=False,
            archived_children_visible=False,
            archived_status="stored",
            repeat_archive=404,
            repeat_activate=404,
            archive_answers_body=False,
            activate_answers_body=False,
            delete_live=422,
            update_wipes_assignees=True,
            progress="int",
            next_task="list",
            milliseconds=False,
            activity_timestamps="sql",
            status_archived_honored=False,
            status_hides_archived=True,
            unknown_status="rejected",
            q="words",
            default_sort="-created_at",
            per_page_over_cap="reject",
            unpaginated_cap=100,
            links="empty_list",
            list_lag=2,
            application_token_on_runs=False,
            any_client_header=False,
            unauthorized="laravel",
            complete_twice="reject",
            export_wrapped=False,
            launch_archived_template=422,
            project_summary="tasks",
            run_comments="activity",
            taskdata_merges=False,
            listed_tasks_show_decisions=False,
            decision_before="false",
            rejected_task="rejected",
            run_tags="nested",
            subfolders="children",
            folder_type_honored=False,
            member_names="parts",
        )

    @classmethod
    def named(cls, name: str) -> Behavior:
        """Return the preset called ``lenient`` or ``strict``; any other name is a ValueError.

        :param name: ``lenient`` or ``strict``.
        """
        presets = {"lenient": cls.lenient, "strict": cls.strict}
        if name not in presets:
            raise ValueError(f"There is no behavior {name!r}; choose lenient or strict")
        return presets[name]()

    def changed(self, changes: dict[str, Any]) -> Behavior:
        """Return this behavior with some fields replaced; a misspelt field is a ValueError.

        :param changes: New values by field name.
        """
        unknown = changes.keys() - {field.name for field in dataclasses.fields(self)}
        if unknown:
            raise ValueError(f"Behavior has no field {', '.join(sorted(unknown))}")
        return dataclasses.replace(self, **changes)

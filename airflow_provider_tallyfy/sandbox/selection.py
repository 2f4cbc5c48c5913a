"""Filters, order and pages of the run list. Source: documentation page "list-processes"."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

from airflow_provider_tallyfy.sandbox.ids_and_times import Json
from airflow_provider_tallyfy.sandbox.process import Run
from airflow_provider_tallyfy.sandbox.responses import invalid_field

if TYPE_CHECKING:
    from airflow_provider_tallyfy.sandbox.behavior import Behavior
    from airflow_provider_tallyfy.sandbox.store import Store

T = TypeVar("T")
Query = dict[str, str]
Test = Callable[[Run], bool]

CAP = 100

#: What each documented ``status`` filter matches; ``problem`` also finds issues.
_STATUS: dict[str, Test] = {
    "active": lambda run: run.data["status"] == "active",
    "complete": lambda run: run.data["status"] == "complete",
    "problem": lambda run: run.data["status"] in ("problem", "issue"),
    "issue": lambda run: run.data["status"] == "issue",
    "starred": lambda run: bool(run.data["starred"]),
    "delayed": lambda run: run.data["late_tasks"] > 0,
    "improvement": lambda run: False,
    "archived": lambda run: False,
}

#: The absolute links of a page name the public host, whatever host was asked; `.invalid` never resolves.
LINK_HOST = "https://go.tallyfy.invalid/api"


def select_runs(store: Store, query: Query, behavior: Behavior) -> Sequence[Run]:
    """Return the runs a list request asks for, in its order."""
    runs = _listed_runs(store, query, behavior)
    tests = _tests(query, behavior)
    hidden = store.hidden()
    if hidden:
        tests.append(lambda run: run.id not in hidden)
    for test in tests:
        runs = [run for run in runs if test(run)]
    return _sorted(runs, query.get("sort") or query.get("sort_by") or behavior.default_sort)


def _listed_runs(store: Store, query: Query, behavior: Behavior) -> Sequence[Run]:
    archived, status = query.get("archived"), query.get("status")
    if status == "archived" and behavior.status_archived_honored:
        return store.archived
    if archived == "only":
        return store.archived
    if archived == "true" and not (status and behavior.status_hides_archived):
        return sorted(store.live + store.archived, key=lambda run: run.order)
    return store.live


def _sorted(runs: Sequence[Run], sort: str) -> Sequence[Run]:
    field, backwards = sort.lstrip("-"), sort.startswith("-")
    if field == "name":
        return sorted(runs, key=lambda run: (run.data["name"].casefold(), run.order), reverse=backwards)
    if field != "created_at":
        raise invalid_field("sort", "The selected sort is invalid.")
    return runs[::-1] if backwards else runs


def _tests(query: Query, behavior: Behavior) -> list[Test]:
    tests = [make(query[name]) for name, make in _FILTERS.items() if query.get(name)]
    if query.get("status") and behavior.status_filter_honored:
        tests += _status_tests(query["status"], behavior)
    if query.get("q"):
        tests.append(_search(query["q"], behavior))
    return tests


def _status_tests(status: str, behavior: Behavior) -> list[Test]:
    if status == "archived" and behavior.status_archived_honored:
        return []
    if status in _STATUS:
        return [_STATUS[status]]
    if behavior.unknown_status == "rejected":
        raise invalid_field("status", "The selected status is invalid.")
    return []


def _search(text: str, behavior: Behavior) -> Test:
    wanted = text.casefold()
    if behavior.q == "prefix":
        return lambda run: run.data["name"].casefold().startswith(wanted)
    if behavior.q == "words":
        words = set(re.findall(r"\w+", wanted))
        return lambda run: words <= set(re.findall(r"\w+", run.data["name"].casefold()))
    if behavior.q == "substring":
        return lambda run: wanted in run.data["name"].casefold()
    return lambda run: wanted in f"{run.data['name']}\n{run.data['summary']}".casefold()


def _any_of(values: Callable[[Run], set[str]]) -> Callable[[str], Test]:
    """Make a filter for a comma-separated parameter that is met by any of its values."""

    def make(parameter: str) -> Test:
        wanted = set(parameter.split(","))
        return lambda run: not wanted.isdisjoint(values(run))

    return make


def _owners(run: Run) -> set[str]:
    assigned = {str(user) for task in run.tasks for user in task["owners"]["users"]}
    return assigned | {str(run.data["owner_id"])}


def _flag(value: Test) -> Callable[[str], Test]:
    return lambda parameter: lambda run: bool(value(run)) == (parameter == "true")


_FILTERS: dict[str, Callable[[str], Test]] = {
    "checklist_id": _any_of(lambda run: {run.data["checklist_id"]}),
    "blueprint_id": _any_of(lambda run: {run.data["checklist_id"]}),
    "folder": _any_of(lambda run: set(run.data["folders"])),
    "groups": _any_of(lambda run: set(run.data["groups"])),
    "owners": _any_of(_owners),
    "starred": _flag(lambda run: run.data["starred"]),
    "tag": _any_of(lambda run: {tag[name] for tag in run.tags for name in ("tag_id", "title")}),
    "tag_ids": _any_of(lambda run: {tag["tag_id"] for tag in run.tags}),
    "type": _any_of(lambda run: {run.data["type"]}),
    "untagged": _flag(lambda run: not run.tags),
}


def page(items: Sequence[T], query: Query, behavior: Behavior, path: str, size: int = 10) -> tuple[Sequence[T], Json]:
    """Cut one page out of a list, and describe it."""
    if query.get("without_pagination") == "true":
        return items[: behavior.unpaginated_cap], {}
    number = max(1, _integer(query.get("page"), 1))
    per_page = max(1, _integer(query.get("per_page"), size))
    if per_page > CAP and behavior.per_page_over_cap == "reject":
        raise invalid_field("per_page", "The per page may not be greater than 100.")
    per_page = min(per_page, CAP)
    rows = items[(number - 1) * per_page : number * per_page]
    pages = max(1, -(-len(items) // per_page))
    shape: Json = {"total": len(items), "count": len(rows), "per_page": per_page}
    shape |= {"current_page": number, "total_pages": pages}
    if behavior.links != "missing":
        shape["links"] = _links(query, path, number, pages) if behavior.links == "object" else []
    return rows, {"meta": {"pagination": shape}}


def _links(query: Query, path: str, number: int, pages: int) -> Json:
    def link(target: int) -> str:
        return f"{LINK_HOST}{path}?{urlencode(query | {'page': str(target)}, quote_via=quote)}"

    return {"previous": link(number - 1) if number > 1 else None, "next": link(number + 1) if number < pages else None}


def _integer(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default

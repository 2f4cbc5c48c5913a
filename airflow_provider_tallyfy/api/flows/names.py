"""Ids in place of the names by which arguments call templates, tags, folders, groups and users."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.calls.catalog import Kind
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.flows.read_catalog import list_catalog
from airflow_provider_tallyfy.api.inputs.checks import listed, parse_rendered
from airflow_provider_tallyfy.api.inputs.numbers import text_of
from airflow_provider_tallyfy.api.inputs.people import HEX_ID, USER_NUMBER
from airflow_provider_tallyfy.api.inputs.problems import Problems, invalid
from airflow_provider_tallyfy.api.inputs.queries import NAMED_FILTERS, RunQuery, is_empty_filter
from airflow_provider_tallyfy.api.inputs.wording import did_you_mean, enumerated
from airflow_provider_tallyfy.api.models.records import Titled
from airflow_provider_tallyfy.api.models.template import normalized

#: Lists that were read, by kind; those that are asked for are added.
KnownNames: TypeAlias = dict[Kind, Sequence[Titled]]

_Replace: TypeAlias = Callable[[Kind, str, str], Any]

# Arguments that name one thing, and those that list several.
_ONE: dict[str, Kind] = {
    "template_id": "templates",
    "folder": "folders",
    "tag_id": "tags",
    "owner_id": "users",
    "user_id": "users",
}
_SEVERAL: dict[str, Kind] = {
    "tags": "tags",
    "exclude_tags": "tags",
    "add": "tags",
    "remove": "tags",
    "folders": "folders",
    "groups": "groups",
    "users": "users",
    "owners": "users",
}

# Arguments that may hold people, such as ``{"users": [...], "groups": [...]}``, at any depth.
_HOLDERS = ("assignees", "owners", "tasks", "roles")
_PARTS = ("owners", "users", "guests", "groups")


def resolve_names(organization_id: str, arguments: Mapping[str, Any], known: KnownNames) -> Flow[dict[str, Any]]:
    """
    Give arguments with ids in place of names.

    What has the shape of an id is an id. Without names nothing is read; otherwise one list per kind, unless it is
    ``known`` and has the name. What is empty or invalid in another way is left to the argument's own reader.
    """
    unknown: set[Kind] = set()

    def note(kind: Kind, name: str, _: str) -> None:
        if len(_ids_of(known.get(kind, ()), name)) != 1:
            unknown.add(kind)

    problems = Problems()

    def find(kind: Kind, name: str, place: str) -> str | None:
        return problems.collect(_only_id, known[kind], kind, name, place)

    _rewrite(arguments, note)
    for kind in sorted(unknown):
        known[kind] = yield from list_catalog(organization_id, kind)
    resolved = _rewrite(arguments, find)
    problems.raise_all("Nothing was changed.")
    return resolved


def resolve_filters(organization_id: str, query: RunQuery, known: KnownNames) -> Flow[RunQuery]:
    """Give a query with ids in place of names, see :func:`resolve_names`."""
    filters = {name: getattr(query, name) for name in NAMED_FILTERS}
    return replace(query, **(yield from resolve_names(organization_id, filters, known)))


def _rewrite(arguments: Mapping[str, Any], substitute: _Replace) -> dict[str, Any]:
    return {name: _argument(value, name, name, substitute) for name, value in arguments.items()}


def _argument(given: Any, name: str, place: str, substitute: _Replace) -> Any:
    value = parse_rendered(given)
    if isinstance(value, Mapping):
        if name not in _HOLDERS:
            return given
        return {
            key: _argument(part, key if key in _PARTS else name, f"{place}[{key!r}]", substitute)
            for key, part in value.items()
        }
    if name in _ONE and not is_empty_filter(value):
        return _id(value, _ONE[name], place, substitute)
    if name not in _SEVERAL or is_empty_filter(value):
        return given
    try:
        items = listed(value, place)
    except TallyfyValidationError:
        return given
    return [_id(item, _SEVERAL[name], place, substitute) for item in items]


def _id(given: Any, kind: Kind, place: str, substitute: _Replace) -> Any:
    text = (text_of(given) or "").strip()
    shape = USER_NUMBER if kind == "users" else HEX_ID
    return substitute(kind, text, place) if text and not shape.fullmatch(text) else given


def _only_id(items: Sequence[Titled], kind: Kind, name: str, place: str) -> str:
    ids = _ids_of(items, name)
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise invalid(place, name, f"stands for {len(ids)} {kind}", f"Use one of the ids {enumerated(ids)}.")
    guess = did_you_mean(name, {each: each for item in items for each in item.names})
    hint = f"D{guess[1:]}" if guess else f"TallyfyHook.list_{kind}() gives those that there are."
    raise invalid(place, name, f"names none of the {kind}", hint)


def _ids_of(items: Sequence[Titled], name: str) -> list[str]:
    """Find what a name means: by exact title, name or e-mail address, else without regard to case and spaces."""
    exact = [item.id for item in items if name in item.names]
    wanted = normalized(name)
    return exact or [item.id for item in items if wanted in map(normalized, item.names)]

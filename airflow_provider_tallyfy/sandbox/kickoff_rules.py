"""What Tallyfy accepts as the value of a kick-off field. Source: documentation page "launch-process"."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.sandbox.ids_and_times import Json
from airflow_provider_tallyfy.sandbox.responses import invalid

#: Returns what is wrong with a value, or None.
Check = Callable[[Json, Any], str | None]


def accept(fields: list[Json], prerun: Any, *, partial: bool = False) -> Json:
    """Return the values to store; unknown field ids are dropped silently, as Tallyfy does.

    In an update (``partial``), required fields may be absent.
    """
    if isinstance(prerun, list) and prerun:
        raise invalid({"prerun": ["The prerun must be an object keyed by field id."]})
    given = prerun if isinstance(prerun, dict) else {}
    kept: Json = {}
    errors: dict[str, list[str]] = {}
    for field in fields:
        value = given.get(field["id"])
        problem = _problem(field, field["id"] in given, value, partial)
        if problem:
            errors[f"prerun.{field['id']}"] = [problem]
        elif value is not None:
            kept[field["id"]] = value
    if errors:
        raise invalid(errors)
    return kept


def _problem(field: Json, present: bool, value: Any, partial: bool) -> str | None:
    if field["field_type"] == "table" and value == "":
        return "Invalid table field"
    if value in (None, "", [], {}):
        return f"{field['label']} is required" if field["required"] and (present or not partial) else None
    return _CHECKS.get(field["field_type"], _text)(field, value)


def _text(field: Json, value: Any) -> str | None:
    return None if isinstance(value, str) else f"{field['label']} must be a string"


def _email(field: Json, value: Any) -> str | None:
    good = isinstance(value, str) and "@" in value
    return None if good else f"{field['label']} must be a valid email address"


def _date(field: Json, value: Any) -> str | None:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return f"{field['label']} is not a valid date"
    return None


def _radio(field: Json, value: Any) -> str | None:
    good = any(value == option["text"] for option in field["options"])
    return None if good else f"The selected {field['label']} is invalid"


def _dropdown(field: Json, value: Any) -> str | None:
    good = isinstance(value, dict) and any(
        (value.get("id"), value.get("text")) == (option["id"], option["text"]) for option in field["options"]
    )
    return None if good else f"The selected {field['label']} is invalid"


def _multiselect(field: Json, value: Any) -> str | None:
    good = isinstance(value, list) and all(_dropdown(field, item) is None for item in value)
    return None if good else f"The selected {field['label']} is invalid"


def _table(field: Json, value: Any) -> str | None:
    if not isinstance(value, list):
        return "Invalid table field"
    return None if len(value) == len(field["columns"]) else "Number of columns does not match required columns"


def _assignees(field: Json, value: Any) -> str | None:
    good = isinstance(value, dict) and value.keys() <= {"users", "guests", "groups"}
    return None if good else f"{field['label']} must name users, guests or groups"


def _file(field: Json, value: Any) -> str | None:
    good = isinstance(value, list) and all(isinstance(item, dict) and "filename" in item for item in value)
    return None if good else f"{field['label']} must be a list of files"


_CHECKS: dict[str, Check] = {
    "assignees_form": _assignees,
    "date": _date,
    "datetime": _date,
    "dropdown": _dropdown,
    "email": _email,
    "file": _file,
    "multiselect": _multiselect,
    "radio": _radio,
    "table": _table,
}

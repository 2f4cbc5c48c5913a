"""Form fields on a page: what a browser sends for one, and how its value is shown."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.sandbox.ids_and_times import Json

#: What a browser sends: every value of every input, by name.
Form = dict[str, list[str]]

#: Kinds of field that a plain page has no input for.
NO_INPUT = frozenset({"assignees_form", "file"})


def input_name(field: Json) -> str:
    """Return the name of a field's input, which no other input of a page has."""
    return f"field-{field['id']}"


def read_fields(fields: list[Json], form: Form) -> Json:
    """Return the values of the fields a form shows, as the API takes them; None for an empty one."""
    return {field["id"]: _read(field, form[input_name(field)]) for field in fields if input_name(field) in form}


def _read(field: Json, texts: list[str]) -> Any:
    kind = field["field_type"]
    chosen = [{"id": each["id"], "text": each["text"]} for each in field["options"] if str(each["id"]) in texts]
    if kind == "dropdown":
        return chosen[0] if chosen else None
    if kind == "multiselect":
        return [option | {"selected": True} for option in chosen] or None
    if kind == "table":
        return texts if any(texts) else None
    return texts[-1].replace("\r\n", "\n") or None


def shown(value: Any) -> str:
    """Write a value of any kind of field as text."""
    if isinstance(value, list):
        return ", ".join(shown(item) for item in value)
    if isinstance(value, dict):
        return str(value.get("text") or value.get("filename") or value)
    return "" if value is None else str(value)

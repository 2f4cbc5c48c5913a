"""What people have filled in: the kick-off form of a run and the forms of its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.models.envelope import optional_text, read_object
from airflow_provider_tallyfy.api.models.template import KickoffField


@dataclass(frozen=True)
class FormValue:
    """
    One field of a form and what stands in it.

    :param field: the field; where Tallyfy does not show more, only its id is known.
    :param value: the value as Tallyfy stores it (documentation page "Launch process"), ``None`` if it is empty.
    :param task_id: the task whose form it belongs to; ``None`` for the kick-off form.
    """

    field: KickoffField
    value: Any = None
    task_id: str | None = None

    def describe(self) -> dict[str, Any]:
        """Reduce it to plain JSON types."""
        names = {"id": self.field.id, "alias": self.field.alias, "label": self.field.label}
        return {**names, "value": self.value, "task_id": self.task_id}


#: The fields of a run's forms with their values, those of the kick-off form first.
FormValues: TypeAlias = tuple[FormValue, ...]


def read_form_values(answer: Answer) -> FormValues:
    """Read the fields of a run's forms, those of the kick-off form first, with values if the answer shows them."""
    shown = read_object(answer)
    entries: list[FormValue] = []
    for name in ("ko_form_fields", "form_fields"):
        rows = shown.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise ValueError(f'expected a list of objects in "{name}"')
        for row in rows:
            task_id = optional_text(row.get("task_id")) if name == "form_fields" else None
            entries.append(FormValue(KickoffField.from_json(row), row.get("value"), task_id))
    return tuple(entries)


def fill_in(entries: FormValues, kickoff: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]]) -> FormValues:
    """Fill in the values that the run (``prerun``, by field) and its tasks (``taskdata``, by field) store."""
    stored: dict[tuple[str | None, str], Any] = {(None, name): value for name, value in kickoff.items()}
    stored |= {(task_id, name): value for task_id, values in tasks.items() for name, value in values.items()}
    known = {(entry.task_id, entry.field.id): entry for entry in entries}
    unnamed = {key: FormValue(KickoffField(key[1], ""), task_id=key[0]) for key in stored if key not in known}
    return tuple(
        FormValue(entry.field, stored.get(key, entry.value), entry.task_id) for key, entry in (known | unnamed).items()
    )

"""Readers of templates: the kick-off form that a launch fills in, and the steps that become tasks."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_tallyfy.api.call import Answer, T
from airflow_provider_tallyfy.api.models.envelope import is_code, optional_text, read_item
from airflow_provider_tallyfy.api.text import MAX_NAME, without_bom

# Under which names a step may show its form.
_STEP_FORMS = ("captures", "form_fields")


@dataclass(frozen=True)
class Choice:
    """One option of a kick-off field, or one column of a table, with its id exactly as Tallyfy sent it."""

    id: int | str | None
    text: str


@dataclass(frozen=True)
class KickoffField:
    """
    A field of a template's kick-off form.

    :param id: the field's timeline id, the only key under which a launch takes its value.
    :param label: what people see, without byte order marks; empty where Tallyfy shows none.
    :param options: what a radio, dropdown or multiselect field offers.
    :param columns: the columns of a table field, in order.
    """

    id: str
    field_type: str
    label: str = ""
    alias: str = ""
    required: bool = False
    options: tuple[Choice, ...] = ()
    columns: tuple[Choice, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KickoffField:
        """Read a kick-off field."""
        return cls(
            id=_id_of(data, "kick-off field"),
            field_type=str(data.get("field_type") or "text"),
            label=without_bom(data.get("label")),
            alias=str(data.get("alias") or ""),
            required=bool(data.get("required")),
            options=tuple(Choice(row.get("id"), str(row.get("text") or "")) for row in rows_of(data, "options")),
            columns=tuple(Choice(row.get("id"), str(row.get("label") or "")) for row in rows_of(data, "columns")),
        )

    @property
    def name(self) -> str:
        """The friendliest of label, alias and id that it has."""
        return self.label or self.alias or self.id

    def options_named(self, text: str) -> list[Choice]:
        """Find the options that a text names; more than one is for the caller to refuse."""
        return [self.options[place] for place in _places_named(self.options, text)]

    def columns_named(self, text: str) -> list[int]:
        """Find the places of the columns that a text names; more than one is for the caller to refuse."""
        return _places_named(self.columns, text)


@dataclass(frozen=True)
class Step:
    """
    A step of a template, which becomes a task; its (timeline) id is the key of a launch's ``tasks``.

    ``kind`` is ``task``, ``approval`` ..., if Tallyfy shows it.
    """

    id: str
    title: str
    alias: str = ""
    kind: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Step:
        """Read a step."""
        return cls(
            id=_id_of(data, "step"),
            title=without_bom(data.get("title")),
            alias=str(data.get("alias") or ""),
            kind=optional_text(data.get("task_type")),
            raw=data,
        )


@dataclass(frozen=True)
class Template:
    """A template that runs are launched from; the API says "checklist". ``steps`` is ``None`` if it was not shown."""

    id: str
    title: str
    fields: tuple[KickoffField, ...] = ()
    steps: tuple[Step, ...] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: object) -> Template:
        """
        Read a template.

        Kick-off form and steps may come bare or wrapped in ``data``; a form that is not shown at all is an error,
        since launching without it would drop values silently.
        """
        if not isinstance(data, Mapping):
            raise ValueError("expected a template")
        if "prerun" not in data:
            raise ValueError('the template in the answer does not show its kick-off form ("prerun")')
        steps = tuple(map(Step.from_json, rows_of(data, "steps"))) if "steps" in data else None
        return cls(
            id=_id_of(data, "template"),
            title=without_bom(data.get("title")),
            fields=tuple(map(KickoffField.from_json, rows_of(data, "prerun"))),
            steps=steps,
            raw=data,
        )

    @property
    def all_fields(self) -> tuple[KickoffField, ...] | None:
        """The fields of the kick-off form and of every step's form; ``None`` if the answer did not show the latter."""
        fields = list(self.fields)
        for step in self.steps or ():
            name = next((name for name in _STEP_FORMS if name in step.raw), None)
            if name is None:
                return None
            fields += map(KickoffField.from_json, rows_of(step.raw, name))
        return None if self.steps is None else tuple(fields)


def read_template(answer: Answer) -> Template:
    """Read one template. See :meth:`Template.from_json`."""
    return Template.from_json(read_item(answer))


def fields_named(fields: Sequence[KickoffField], key: str) -> list[KickoffField]:
    """Find the fields that a key means, by id, else alias, else exact label, else label without case and spaces."""
    if not normalized(key):
        return []
    return first_hits(
        fields,
        lambda field: field.id == key,
        lambda field: field.alias == key,
        lambda field: field.label == without_bom(key),
        lambda field: normalized(field.label) == normalized(key),
    )


def normalized(text: str) -> str:
    """
    Reduce text to compare it: without case and byte order marks, with single spaces.

    Normalizing takes quadratic time, so text of more than 1,000 characters stays as it is.
    """
    if len(text) > MAX_NAME:
        return text
    return " ".join(unicodedata.normalize("NFKC", without_bom(text)).casefold().split())


def _places_named(choices: Sequence[Choice], text: str) -> list[int]:
    """Find choices by their exact text, else by their text without regard to case and spaces, else by their id."""
    hits = first_hits(
        enumerate(choices),
        lambda hit: hit[1].text == text,
        lambda hit: normalized(hit[1].text) == normalized(text),
        lambda hit: hit[1].id is not None and str(hit[1].id) == text.strip(),
    )
    return [place for place, _ in hits]


def first_hits(items: Iterable[T], *tests: Callable[[T], bool]) -> list[T]:
    """Give the items that pass the first test which any of them passes."""
    candidates = list(items)
    for test in tests:
        hits = [item for item in candidates if test(item)]
        if hits:
            return hits
    return []


def _id_of(data: Mapping[str, Any], what: str) -> str:
    if not is_code(data.get("id")):
        raise ValueError(f"the {what} in the answer has no id")
    return str(data["id"])


def rows_of(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Read a list of objects: bare, wrapped in ``data``, missing, or numbered the way PHP writes sparse lists."""
    rows = data.get(name)
    if isinstance(rows, Mapping) and "data" in rows:
        rows = rows["data"]
    if isinstance(rows, Mapping):
        rows = list(rows.values())
    if rows is None:
        return []
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f'expected a list of objects in "{name}"')
    return rows

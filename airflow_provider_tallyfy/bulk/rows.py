"""Rows of values, checked and turned into launches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.flows import LaunchKey, LaunchRequest
from airflow_provider_tallyfy.api.inputs.numbers import plain_text
from airflow_provider_tallyfy.api.inputs.problems import Problems, invalid_items
from airflow_provider_tallyfy.api.inputs.wording import enumerated
from airflow_provider_tallyfy.api.models.template import Template, fields_named
from airflow_provider_tallyfy.api.text import short_repr
from airflow_provider_tallyfy.bulk.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class Launch:
    """One row, ready to be launched; ``name`` is its key as the author gave it, if there is a key column."""

    row: int
    key: LaunchKey
    body: Mapping[str, Any]
    name: str | None = None


@dataclass(frozen=True)
class RowReader:
    """
    Turns rows into launches, and names a problem of many rows once for all of them.

    :param name_column: column with the names of the runs, if there is one; it fills no form field.
    :param key_column: column by which launches are recognized. If a form field has its name, it fills that, too.
        Without it a row is recognized by ``scope``, its content, and how often that content came before.
    """

    template: Template
    tasks: Mapping[str, Any] | str | None
    fields: Mapping[str, Any]
    name_column: str | None
    key_column: str | None
    scope: str

    def read(self, rows: Sequence[Mapping[str, Any]]) -> list[Launch]:
        """Check all rows, make launches of them, and name every problem of every row in one error."""
        problems = Problems()
        settings = problems.collect(self._settings) if rows else None
        launches = problems.collect(self._launches, rows, settings or {}) or []
        problems.raise_all("Nothing was launched.")
        return launches

    def _settings(self) -> dict[str, Any]:
        return LaunchRequest(self.template.id, tasks=self.tasks, fields=self.fields).settings(self.template)

    def _launches(self, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> list[Launch]:
        launches: list[Launch] = []
        problems: dict[str, list[str]] = {}
        times_seen: Counter[str] = Counter()
        for number, row in enumerate(rows, start=1):
            found: list[str] = []
            try:
                key = self._key_given(row, times_seen) if self.key_column else self._key_made(row, times_seen)
            except TallyfyValidationError as error:
                found.append(str(error))
            try:
                body = {"checklist_id": self.template.id, **settings, **self._values(row)}
            except TallyfyValidationError as error:
                found += [f"{name}: {text}" for name, texts in error.fields.items() for text in texts]
            for problem in found:
                problems.setdefault(problem, []).append(str(number))
            if not found:
                launches.append(Launch(number, key, body, self._key_of(row)))
        if problems:
            raise invalid_items("rows", [f"{_rows(of)}: {problem}" for problem, of in problems.items()])
        return launches

    def _key_given(self, row: Mapping[str, Any], times_seen: Counter[str]) -> LaunchKey:
        column, value = self.key_column, self._key_of(row) or ""
        times_seen[value] += 1
        if value and times_seen[value] > 1:
            raise TallyfyValidationError(f"{column} {short_repr(value)} is the key of another row already")
        if not value:
            raise TallyfyValidationError(f"{column}, the key column, is empty")
        return LaunchKey.given(value, self.template.id)

    def _key_of(self, row: Mapping[str, Any]) -> str | None:
        return plain_text(row.get(self.key_column)).strip() if self.key_column else None

    def _key_made(self, row: Mapping[str, Any], times_seen: Counter[str]) -> LaunchKey:
        content = fingerprint(row)
        times_seen[content] += 1
        return LaunchKey(f"{self.scope}/{content}/{times_seen[content]}")

    def _name(self, row: Mapping[str, Any]) -> str:
        return plain_text(row.get(self.name_column)).strip() if self.name_column else ""

    @cached_property
    def _columns_beside_the_form(self) -> set[str | None]:
        columns = {self.name_column, self.key_column}
        if self.key_column and fields_named(self.template.fields, self.key_column):
            columns.discard(self.key_column)
        return columns

    def _values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        values = {name: value for name, value in row.items() if name not in self._columns_beside_the_form}
        fields = {"name": self._name(row) or None, "prerun": self.fields.get("prerun")}
        return LaunchRequest(self.template.id, kickoff=values, fields=fields).values(self.template)


def _rows(numbers: Sequence[str]) -> str:
    return f"row {numbers[0]}" if len(numbers) == 1 else f"rows {enumerated(numbers)}"

"""
Kick-off values as people write them -> the ``prerun`` that Tallyfy stores.

Tallyfy answers 201 and drops keys that it does not know. So every value is matched to its field here, and all problems
are reported at once, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.checks import parse_rendered
from airflow_provider_tallyfy.api.inputs.kickoff_values import InvalidValue, encode_value, is_blank
from airflow_provider_tallyfy.api.inputs.wording import ambiguous, did_you_mean, enumerated, quoted_list
from airflow_provider_tallyfy.api.models.template import KickoffField, Template, fields_named
from airflow_provider_tallyfy.api.text import MAX_ECHO, one_line, quoted, short_repr, truncated


def encode_kickoff(
    form: Template | Iterable[KickoffField],
    values: Mapping[str, Any],
    encoded: Mapping[str, Any] | None = None,
    name: str = "the kick-off form",
) -> dict[str, Any]:
    """
    Encode kick-off values as the ``prerun`` of a launch; one error names everything that does not fit, by field.

    A key is looked for among the fields' ids, then aliases, then labels, then labels without regard to case and
    spaces. A value of ``None`` or an empty one counts as not given.

    :param encoded: values by field id that are passed on as they are, and win over ``values``.
    :param name: which form it is, for messages.
    """
    fields = form.fields if isinstance(form, Template) else tuple(form)
    values, raw = parse_rendered(values), {} if encoded is None else parse_rendered(encoded)
    for kind, given_values in (("kickoff", values), ("prerun", raw)):
        if not isinstance(given_values, Mapping):
            raise _error(form, {kind: [f"expected values by field, got {short_repr(given_values)}"]}, name)
    problems = {key: [_dropped(fields, key)] for key in map(str, raw) if key not in {field.id for field in fields}}
    given, unclear = _sort_by_field(fields, {str(key): values[key] for key in values}, problems)
    prerun: dict[str, Any] = {}
    for field in fields:
        try:
            if field.id in raw:
                value = _as_given(field, raw[field.id])
            else:
                value = None if field.id in unclear else encode_value(field, given.get(field.id))
        except InvalidValue as error:
            problems.setdefault(field.name, []).extend(error.args)
        else:
            if value is not None:
                prerun[field.id] = value
    if problems:
        raise _error(form, problems, name)
    return prerun


def _error(
    form: Template | Iterable[KickoffField], problems: Mapping[str, Sequence[str]], name: str
) -> TallyfyValidationError:
    of_template = f" of template {quoted(form.title)} ({form.id})" if isinstance(form, Template) else ""
    lines = [f"\n- {field}: {problem}" for field, texts in problems.items() for problem in texts]
    count = "a problem" if len(lines) == 1 else f"{len(lines)} problems"
    message = f"The values for {name}{of_template} have {count}:{''.join(lines)}"
    return TallyfyValidationError(message, fields=problems)


def _sort_by_field(
    fields: Sequence[KickoffField], values: Mapping[str, Any], problems: dict[str, list[str]]
) -> tuple[dict[str, Any], set[str]]:
    """Give the values by field id, and the ids of the fields of which the keys leave open what they are given."""
    keys: dict[str, list[str]] = {}
    unclear: set[str] = set()
    for key in values:
        hits = fields_named(fields, key)
        if len(hits) == 1:
            keys.setdefault(hits[0].id, []).append(key)
            continue
        unclear |= {field.id for field in hits}
        problem = ambiguous("fields", [field.id for field in hits]) if hits else _no_such_field(fields, key)
        problems.setdefault(truncated(key, MAX_ECHO), []).append(problem)
    for field in fields:
        if len(keys.get(field.id, ())) > 1:
            unclear.add(field.id)
            problem = f"it is given more than once, as {enumerated(map(short_repr, keys[field.id]))}; keep one"
            problems.setdefault(field.name, []).append(problem)
    return {field_id: values[names[0]] for field_id, names in keys.items()}, unclear


def _as_given(field: KickoffField, value: Any) -> Any:
    if field.required and is_blank(value):
        raise InvalidValue("it is required")
    return value


def _no_such_field(fields: Sequence[KickoffField], key: str) -> str:
    if not fields:
        return "there is no such field; the form has none"
    names = {name: field.name for field in fields for name in (field.alias, field.label) if name}
    return (
        f"there is no such field; {did_you_mean(key, names) or 'the form has ' + quoted_list(f.name for f in fields)}"
    )


def _dropped(fields: Sequence[KickoffField], key: str) -> str:
    ids = enumerated(f"{field.id} ({one_line(field.name)})" for field in fields)
    return f"no field has this id, and Tallyfy would drop it silently; the form has {ids or 'none'}"

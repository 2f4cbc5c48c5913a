"""The errors for bad input: what is wrong with it, in one message and by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_tallyfy.api.call import T
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.text import short_repr

_MAX_PROBLEMS = 20


def invalid(name: str, value: object, problem: str, *then: str, run_id: str | None = None) -> TallyfyValidationError:
    """
    Make the error for a bad argument.

    :param name: the parameter, perhaps with the place in it, such as ``tasks['s1'].owners``.
    :param problem: completes the sentence "limit='x' ...", for example ``is not a whole number``.
    :param then: what was not done and what to do, each a sentence, for a line of its own.
    """
    message = "\n".join([f"{name}={short_repr(value)} {problem}.", *then])
    return TallyfyValidationError(message, run_id=run_id, fields={name.partition("[")[0]: [problem]})


def invalid_items(name: str, problems: Sequence[str | TallyfyValidationError], *then: str) -> TallyfyValidationError:
    """Make one error of all problems of a list or a table, with a line for each after what was not done."""
    texts = [" ".join(str(problem).splitlines()) for problem in problems]
    count = "a problem" if len(texts) == 1 else f"{len(texts)} problems"
    lines = [f"{name} has {count}.", *then, *(f"- {text}" for text in texts[:_MAX_PROBLEMS])]
    if len(texts) > _MAX_PROBLEMS:
        lines.append(f"- and {len(texts) - _MAX_PROBLEMS} more")
    return TallyfyValidationError("\n".join(lines), fields={name: texts})


class Problems:
    """Collects what is wrong with the parts of a request, so that its author corrects all of it at once."""

    def __init__(self) -> None:
        self._errors: list[TallyfyValidationError] = []

    def collect(self, make: Callable[..., T], *arguments: Any) -> T | None:
        """Make a part of the request; ``None`` if there is something wrong with it."""
        try:
            return make(*arguments)
        except TallyfyValidationError as error:
            self._errors.append(error)
            return None

    def raise_all(self, *endings: str) -> None:
        """Raise one error with all problems, and these sentences after them, if there are any problems."""
        if not self._errors:
            return
        fields: dict[str, list[str]] = {}
        for error in self._errors:
            for name, texts in error.fields.items():
                fields.setdefault(name, []).extend(texts)
        raise TallyfyValidationError("\n".join([*map(str, self._errors), *endings]), fields=fields)

"""Everything that is wrong with a request, said in one error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_tallyfy.api.call import T
from airflow_provider_tallyfy.api.errors import TallyfyValidationError


class Problems:
    """Collects what is wrong with the parts of a request, so that its author corrects all of it at once."""

    def __init__(self) -> None:
        self._errors: list[TallyfyValidationError] = []

    def of(self, make: Callable[..., T], *arguments: Any) -> T | None:
        """
        Make a part of the request.

        :param make: makes it, or raises.
        :param arguments: what it takes.
        :return: the part; ``None`` if there is something wrong with it.
        """
        try:
            return make(*arguments)
        except TallyfyValidationError as error:
            self._errors.append(error)
            return None

    def raise_all(self, *endings: str) -> None:
        """
        Raise one error that says it all, if there was any.

        :param endings: what to say after the problems.
        """
        if not self._errors:
            return
        fields: dict[str, list[str]] = {}
        for error in self._errors:
            for name, texts in error.fields.items():
                fields.setdefault(name, []).extend(texts)
        raise TallyfyValidationError("\n".join([*map(str, self._errors), *endings]), fields=fields)

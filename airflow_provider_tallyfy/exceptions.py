"""Where Tallyfy's errors become Airflow's: ``api`` knows no Airflow, and Airflow acts on exception types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_tallyfy.api.errors import TallyfyError

_TWINS: dict[type[TallyfyError], type[TallyfyError]] = {}


@contextmanager
def airflow_exceptions() -> Iterator[None]:
    """
    Let a :class:`TallyfyError` out as an ``AirflowException`` too, and a permanent one as ``AirflowFailException``.

    It stays an instance of its own class, so ``except TallyfyNotFoundError`` and failure callbacks see what it is,
    while Airflow does not waste task retries on what cannot succeed.
    """
    try:
        yield
    except TallyfyError as error:
        if isinstance(error, AirflowException):
            raise
        raise _airflow_twin(type(error), str(error), vars(error)).with_traceback(error.__traceback__) from None


def _airflow_twin(kind: type[TallyfyError], message: str, facts: dict[str, Any]) -> TallyfyError:
    if kind not in _TWINS:
        _TWINS[kind] = _make_twin_class(kind)
    twin = _TWINS[kind](message)
    vars(twin).update(facts)
    return twin


def _make_twin_class(kind: type[TallyfyError]) -> type[TallyfyError]:
    base = AirflowFailException if kind.permanent else AirflowException
    namespace = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        # The class exists at run time only; a copy in another process is made anew from the documented one.
        "__reduce__": lambda self: (_airflow_twin, (kind, str(self), vars(self))),
    }
    return type(kind.__name__, (kind, base), namespace)

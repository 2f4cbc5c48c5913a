"""Shared by the tests of refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from tests.airflow_driver import attempt
from tests.task_contexts import context_of


def refusal_of(act: Callable[[], Any]) -> TallyfyValidationError:
    """Call a function that fails without retries, and return its error."""
    end = attempt(act)
    assert end.state == "failed"
    assert type(end.exception) is TallyfyValidationError
    return end.exception


def refusal(operator: Any) -> TallyfyValidationError:
    """Execute a task that fails without retries, and return its error."""
    return refusal_of(lambda: operator.execute(context_of()))

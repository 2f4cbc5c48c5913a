from __future__ import annotations

import copy
import pickle

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_tallyfy.api import errors
from airflow_provider_tallyfy.api.errors import TallyfyError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TallyfyError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_an_airflow_exception_and_permanent_ones_stop_task_retries(kind):
    error: TallyfyError = kind("why", status=404, run_id="r1")
    assert issubclass(kind, AirflowException)
    assert isinstance(error, AirflowFailException) is kind.permanent
    assert (str(error), error.status, error.run_id) == ("why", 404, "r1")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_an_error_survives_the_way_to_another_process(kind, copied):
    error = kind("why", method="PUT", retry_after=3.0, fields={"name": ["bad"]})
    other = copied(error)
    assert type(other) is type(error)
    assert (str(other), vars(other)) == (str(error), vars(error))


@pytest.mark.parametrize("kind", KINDS)
def test_the_docstring_of_the_module_shows_each_error_at_its_place(kind):
    name = kind.__name__
    line = next(line for line in errors.__doc__.splitlines() if f"-- {name}" in line)
    depth = line.index("-- ") // 4 - 1
    assert depth == (0 if kind is TallyfyError else 2 if kind.permanent and name != "PermanentTallyfyError" else 1)


def test_only_transient_errors_are_not_permanent():
    assert {kind.__name__ for kind in KINDS if not kind.permanent} == {
        "TallyfyError",
        "TallyfyRateLimitError",
        "TallyfyServerError",
        "TallyfyTransportError",
        "TallyfyResponseError",
        "TallyfyUnknownOutcomeError",
        "TallyfyBulkError",
    }

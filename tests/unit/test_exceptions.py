from __future__ import annotations

import copy
import pickle

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_tallyfy.api import errors
from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyNotFoundError, TallyfyServerError
from airflow_provider_tallyfy.exceptions import airflow_exceptions

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TallyfyError)]


def raised(error: TallyfyError) -> TallyfyError:
    with pytest.raises(TallyfyError) as caught, airflow_exceptions():
        raise error
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_airflows_and_stops_its_task_retries_if_it_is_permanent(kind):
    error = raised(kind("why", status=404, run_id="r1"))
    assert isinstance(error, kind)
    assert isinstance(error, AirflowException)
    assert isinstance(error, AirflowFailException) is kind.permanent
    assert (str(error), error.status, error.run_id) == ("why", 404, "r1")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_it_is_the_same_in_another_process(kind, copied):
    error = raised(kind("why", method="PUT", retry_after=3.0, fields={"name": ["bad"]}))
    other = copied(error)
    assert type(other) is type(error)
    assert (str(other), vars(other)) == (str(error), vars(error))


def test_it_goes_by_the_name_of_the_documented_class():
    kind = type(raised(TallyfyNotFoundError("why")))
    assert (kind.__module__, kind.__qualname__) == ("airflow_provider_tallyfy.api.errors", "TallyfyNotFoundError")


def test_it_is_converted_once_and_keeps_the_place_where_it_happened():
    def fails() -> None:
        raise TallyfyServerError("why")

    with pytest.raises(TallyfyServerError) as caught, airflow_exceptions(), airflow_exceptions():
        fails()
    assert "fails" in [entry.name for entry in caught.traceback]
    assert raised(caught.value) is caught.value


def test_other_exceptions_pass_as_they_are():
    problem = RuntimeError("a bug")
    with pytest.raises(RuntimeError) as caught, airflow_exceptions():
        raise problem
    assert caught.value is problem

"""What a task about one run refuses before it sends a request."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyValidationError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyDeleteRunOperator,
    TallyfyGetRunOperator,
    TallyfyLaunchProjectOperator,
    TallyfyLaunchRunOperator,
    TallyfyRunActivityOperator,
    TallyfyUpdateRunOperator,
)
from tests.airflow_driver import attempt
from tests.task_contexts import context_of
from tests.unit.operators.refusing import refusal, refusal_of

pytestmark = pytest.mark.usefixtures("unreachable")

RUN_ID = "0123456789abcdef0123456789abcdef"
TEMPLATE_ID = "fedcba9876543210fedcba9876543210"
OPERATORS = {"activate": TallyfyActivateRunOperator, "archive": TallyfyArchiveRunOperator, "get": TallyfyGetRunOperator}
ALL_THREE = pytest.mark.parametrize("make", OPERATORS.values(), ids=OPERATORS)
MISSING_VALUE = "a template rendered it for a missing value (did the upstream task push an XCom?)"


@ALL_THREE
@pytest.mark.parametrize("run_id", ["", " ", None, "None", "a/b", "..", "a\nb", True, 1.5])
def test_an_invalid_run_id_fails_for_good_before_anything_is_pushed(make, run_id):
    context = context_of()
    error = refusal_of(lambda: make(task_id="task", run_id=run_id).execute(context))
    assert isinstance(error, AirflowFailException)
    assert context["ti"].pushed == {}


@ALL_THREE
@pytest.mark.parametrize("wrong", [{"tallyfy_conn_id": "nowhere"}, {"organization_id": "a/b"}])
def test_a_wrong_connection_or_organization_fails_for_good(make, wrong):
    end = attempt(lambda: make(task_id="task", run_id=RUN_ID, **wrong).execute(context_of()))
    assert end.state == "failed"
    assert isinstance(end.exception, TallyfyConfigurationError | TallyfyValidationError)


@pytest.mark.parametrize("make", [TallyfyActivateRunOperator, TallyfyArchiveRunOperator])
def test_a_dry_run_switch_that_is_neither_on_nor_off_is_refused(make):
    refusal(make(task_id="task", run_id=RUN_ID, dry_run="perhaps"))


@pytest.mark.parametrize("arguments", [{"verbs": "archive"}, {"since": "yesterday"}, {"until": "-"}], ids=str)
def test_a_misspelt_filter_does_not_make_an_empty_audit_trail(arguments):
    refusal(TallyfyRunActivityOperator(task_id="audit", run_id=RUN_ID, **arguments))


# -- deletion -------------------------------------------------------------------------------------------


def delete(**arguments: Any) -> TallyfyDeleteRunOperator:
    return TallyfyDeleteRunOperator(**{"task_id": "delete", "run_id": RUN_ID, "confirm": "Acme"} | arguments)


def test_an_empty_confirmation_is_refused_by_the_hook_too():
    refusal_of(lambda: delete(confirm="").execute(context_of(2)))
    refusal_of(lambda: TallyfyHook().delete_run(RUN_ID, confirm="", may_be_gone=True))


@pytest.mark.parametrize("rendered", [None, "", "None"])
def test_an_empty_path_for_the_snapshot_is_refused(rendered):
    operator = delete(snapshot_path="{{ params.path }}")
    operator.snapshot_path = rendered
    refusal(operator)


# -- update ---------------------------------------------------------------------------------------------


def update(**changes: Any) -> TallyfyUpdateRunOperator:
    return TallyfyUpdateRunOperator(task_id="update", run_id=RUN_ID, changes=changes)


@pytest.mark.parametrize("name", ["users", "groups"])
@pytest.mark.parametrize("value", [None, "", ",", "None", {}, 5, [None]], ids=repr)
def test_an_invalid_list_does_not_empty_the_current_one(name, value):
    assert refusal(update(**{name: value})).fields.keys() == {name}


@pytest.mark.parametrize("name", ["users", "groups"])
@pytest.mark.parametrize("text", ["[]", " [ ] "])
def test_the_text_of_an_empty_list_does_not_empty_the_current_one(name, text):
    assert "Give [] for none." in str(refusal(update(**{name: text})))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("name", None, "name=None is missing"),
        ("name", "", "name='' is empty"),
        ("name", " ", "name=' ' is empty"),
        ("name", "None", f"name='None' is empty: {MISSING_VALUE}"),
        ("name", "null", MISSING_VALUE),
        ("name", True, "is a bool, not text"),
        ("name", ["Acme"], "is a list, not text"),
        ("name", float("nan"), "name=nan is empty"),
        ("summary", None, "summary=None is missing"),
        ("summary", "None", MISSING_VALUE),
        ("owner_id", None, "owner_id=None is not a user's number"),
        ("owner_id", "", "owner_id='' is not a user's number"),
        ("owner_id", "None", "owner_id='None' is not a user's number"),
        ("starred", None, "starred=None is neither true nor false"),
        ("starred", "None", "starred='None' is neither true nor false"),
        ("is_public", "maybe", "is_public='maybe' is neither true nor false"),
        ("is_public", 1, "is_public=1 is neither true nor false"),
    ],
)
def test_a_value_rendered_for_a_missing_one_does_not_overwrite(name, value, problem):
    error = refusal(update(**{name: value}))
    assert problem in str(error)
    assert error.fields.keys() == {name}


def test_every_invalid_value_of_an_update_is_named_at_once():
    error = refusal(update(name="None", owner_id=True, starred="maybe", users="[]"))
    assert error.fields.keys() == {"name", "owner_id", "starred", "users"}
    assert str(error).endswith("Nothing was changed.")


@pytest.mark.parametrize("changes", [{}, {"status": "complete"}, {"name": "x", "tags": []}, ["name"]], ids=str)
def test_what_an_update_cannot_set_is_refused(changes):
    error = refusal(TallyfyUpdateRunOperator(task_id="update", run_id=RUN_ID, changes=changes))
    assert "An update can set: name, summary" in str(error)


# -- launch ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("template_id", ["", "None", {"id": "a b"}, {"id": "../x"}, None])
def test_an_invalid_template_id_is_refused(template_id):
    refusal(TallyfyLaunchRunOperator(task_id="task", template_id=template_id))


@pytest.mark.parametrize("rendered", ["", "  ", "None"])
def test_an_empty_launch_key_is_refused(rendered):
    refusal(TallyfyLaunchRunOperator(task_id="task", template_id=TEMPLATE_ID, launch_key=rendered))


def test_an_unknown_argument_of_a_launch_is_refused():
    with TallyfyHook() as hook, pytest.raises(TypeError, match="nme"):
        hook.launch_run(TEMPLATE_ID, nme="Acme")


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": "None"},
        {"owners": ["1001"]},
        {"owners": {"users": [None]}},
        {"owners": {}},
        {"owners": {"users": [], "guests": []}},
        {"task_kind": "aproval"},
        {"task_kind": None},
        {"deadline": "soon"},
        {"deadline": ""},
    ],
    ids=str,
)
def test_a_project_that_tallyfy_would_refuse_is_refused(wrong):
    arguments = {"title": "Move", "owners": {"users": [1001]}, "deadline": "2026-01-31"} | wrong
    refusal(TallyfyLaunchProjectOperator(task_id="task", **arguments))


def test_every_problem_of_a_project_is_reported_at_once():
    error = refusal(
        TallyfyLaunchProjectOperator(task_id="task", title="", owners={}, task_kind="chore", deadline="soon")
    )
    assert error.fields.keys() == {"title", "owners", "task_kind", "deadline"}
    for text in ("owners={} is empty", "'chore'", "expiring_email"):
        assert text in str(error)


# -- undo -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [TallyfyActivateRunOperator, TallyfyArchiveRunOperator])
def test_undo_that_is_missing_when_the_task_runs_is_a_success(make):
    operator = make(task_id="task", undo="{{ ti.xcom_pull('restore') }}")
    operator.undo = None  # as native rendering leaves it
    assert operator.execute(context_of()) == []

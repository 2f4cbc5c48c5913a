"""The body of a launch is what its author meant, or one error has all of its problems."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.launch_request import LaunchRequest, ProjectRequest
from airflow_provider_tallyfy.api.models.template import KickoffField, Step, Template

COMPANY, TEAM, NOTES = "c" * 32, "d" * 32, "e" * 32
ONE, TWO = "1" * 32, "2" * 32
PLAIN = Template(
    "a" * 32,
    "Plain",
    fields=(KickoffField(TEAM, "assignees_form", "Team"), KickoffField(NOTES, "text", "Notes")),
    steps=(
        Step(ONE, "One", raw={"id": ONE, "title": "One", "position": 1}),
        Step(TWO, "Two", raw={"id": TWO, "title": "Two", "position": 2}),
    ),
)
STRICT = Template("b" * 32, "Strict", fields=(KickoffField(COMPANY, "text", "Company", required=True), *PLAIN.fields))
#: What a template renders for a missing value.
MISSING = ["None", "null", "", "  ", None]


def body(template: Template = PLAIN, *, kickoff: Any = None, tasks: Any = None, **fields: Any) -> dict[str, Any]:
    return LaunchRequest(template.id, kickoff=kickoff, tasks=tasks, fields=fields).body(template)


def refused(template: Template = PLAIN, **arguments: Any) -> TallyfyValidationError:
    with pytest.raises(TallyfyValidationError) as caught:
        body(template, **arguments)
    assert str(caught.value).endswith("Nothing was launched.")
    return caught.value


# -- ids and people -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "users", "groups"),
    [
        ("t1", "7", "g1"),
        (" t1 , t1", "7,7", ["g1"]),
        ("['t1']", "[7]", '["g1"]'),
        (("t1",), ["7"], ("g1",)),
    ],
    ids=["text", "text with commas", "rendered lists", "lists"],
)
def test_lists_of_ids_become_lists_however_templates_render_them(tags, users, groups):
    lists = body(tags=tags, users=users, groups=groups, folders="f1, f2")
    assert (set(lists["tags"]), set(lists["users"])) == ({"t1"}, {7})
    assert all(isinstance(lists[name], list) for name in ("tags", "users"))
    assert (lists["groups"], lists["folders"]) == (["g1"], ["f1", "f2"])


def test_every_invalid_list_of_ids_is_named_at_once():
    error = refused(tags={"id": "t1"}, folders=["a b"], users="Ada", groups=5, owner_id="Eve")
    assert error.fields.keys() == {"tags", "folders", "users", "groups", "owner_id"}


@pytest.mark.parametrize("empty", ["None", ",", " ", [None], [""]], ids=repr)
@pytest.mark.parametrize("name", ["tags", "folders", "users", "groups"])
def test_a_list_of_ids_rendered_for_a_missing_value_is_refused(name, empty):
    assert refused(**{name: empty}).fields.keys() == {name}


@pytest.mark.parametrize("arguments", [{"users": ""}, {"groups": ""}, {"owner_id": ""}, {"owner_id": "None"}], ids=str)
def test_an_empty_user_or_group_is_refused(arguments):
    assert refused(**arguments).fields.keys() == arguments.keys()


@pytest.mark.parametrize("missing", MISSING, ids=repr)
@pytest.mark.parametrize("kind", ["users", "guests", "groups"])
@pytest.mark.parametrize("place", ["project", "step", "role", "form"])
def test_a_missing_person_among_others_is_refused(place, kind, missing):
    people = {"users": [1001], kind: [missing]}
    make = {
        "project": lambda: ProjectRequest("Check", people, "2026-01-31").body(),
        "step": lambda: body(tasks={ONE: {"owners": people}}),
        "role": lambda: body(roles={"role": people}),
        "form": lambda: body(kickoff={"Team": people}),
    }[place]
    with pytest.raises(TallyfyValidationError):
        make()


# -- texts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rendered", ["None", "null"])
@pytest.mark.parametrize("name", ["name", "summary", "parent_id"])
def test_a_text_rendered_for_a_missing_value_is_refused(name, rendered):
    error = refused(**{name: rendered})
    assert f"{name}='{rendered}' is empty: a template rendered it for a missing value" in str(error)
    assert error.fields.keys() == {name}


def test_a_summary_of_a_project_rendered_for_a_missing_value_is_refused():
    with pytest.raises(TallyfyValidationError, match="summary='None' is empty: a template rendered it"):
        ProjectRequest("Move", {"users": [7]}, "2026-01-31", summary="None").body()


def test_a_name_that_native_rendering_made_a_number_is_its_text():
    assert body(name=4711.0)["name"] == "4711"


def test_a_name_that_is_too_long_is_refused_with_the_other_problems():
    error = refused(STRICT, name="x" * 551, owner_id="Ada")
    for problem in ("longer than 550 characters", "'Ada'", "Company: it is required"):
        assert problem in str(error)
    assert body(name="x" * 550)["name"] == "x" * 550


# -- steps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        "due tomorrow",
        {"owners": [1001]},
        {"owners": {"members": [1]}},
        {"owners": {"users": "1001"}},
        {"deadlin": "2026-01-31"},
        {"deadline": "31/01/2026"},
        {"deadline": timedelta(days=1)},
    ],
    ids=str,
)
def test_settings_of_a_step_that_tallyfy_would_drop_are_refused(settings):
    refused(tasks={ONE: settings})


@pytest.mark.parametrize("tasks", ["due tomorrow", ["a step"], 5], ids=str)
def test_settings_without_step_ids_are_refused_with_the_other_problems(tasks):
    error = refused(STRICT, tasks=tasks)
    assert "is not an object with settings by step id" in str(error)
    assert "Company: it is required" in str(error)


def test_every_problem_of_the_steps_is_reported_at_once():
    tasks = {ONE: {"deadlin": 1, "deadline": "31/01/2026", "owners": {"users": ["Ada"]}}, TWO: "soon", "three": {}}
    error = refused(tasks=tasks)
    for problem in ("'deadlin'", "deadline, owners", "31/01/2026", "'Ada'", "'soon'", "three"):
        assert problem in str(error)


@pytest.mark.parametrize("deadline", ["2026-01-31T18:00:00+01:00", "2026-01-31 17:00", datetime(2026, 1, 31, 17)])
def test_a_steps_deadline_is_written_as_tallyfy_documents_it(deadline):
    settings = {"deadline": deadline, "position": 1, "max_assignable": 2}
    tasks = body(tasks={ONE: settings, TWO: {"deadline": "", "owners": None}})["tasks"]
    assert tasks == {ONE: {**settings, "deadline": "2026-01-31 17:00:00"}, TWO: {"position": 2}}


# -- values in Tallyfy's own encoding -------------------------------------------------------------------


@pytest.mark.parametrize("prerun", [["a list"], {"company": "an alias, which Tallyfy would drop"}], ids=str)
def test_raw_values_that_tallyfy_would_drop_or_refuse_are_refused(prerun):
    refused(prerun=prerun)


@pytest.mark.parametrize("empty", ["", " ", None, []], ids=repr)
def test_an_empty_raw_value_does_not_fill_in_a_required_field(empty):
    assert "Company: it is required" in str(refused(STRICT, kickoff={"Notes": "x"}, prerun={COMPANY: empty}))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (datetime(2026, 1, 31), "2026-01-31T00:00:00"),
        (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T00:00:00+00:00"),
        (date(2026, 1, 31), "2026-01-31"),
        (Decimal("1.5"), "1.5"),
    ],
    ids=str,
)
def test_raw_values_become_the_types_that_json_has(value, sent):
    assert body(prerun={NOTES: value})["prerun"] == {NOTES: sent}


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), Decimal("NaN"), 10**400, object(), b"a"],
    ids=["NaN", "inf", "decimal NaN", "huge", "object", "bytes"],
)
def test_raw_values_that_json_lacks_are_refused_by_name(value):
    assert "prerun" in str(refused(prerun={NOTES: value}))

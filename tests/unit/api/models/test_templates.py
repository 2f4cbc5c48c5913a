from __future__ import annotations

import json

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.models.template import (
    Choice,
    KickoffField,
    Step,
    Template,
    fields_named,
    read_template,
)

ORGANIZATION = "0" * 32
TEMPLATE = "c2d66ea2f7d2ebded05a643b820b5afc"
# The sample of the documentation page "Get template", shortened: a field shows neither label nor options there.
DOCUMENTED = {
    "id": TEMPLATE,
    "title": "Customer \ufeffOnboarding",
    "prerun": [{"id": "prerun_field_1", "checklist_id": TEMPLATE, "alias": "customer_name", "field_type": "text"}],
    "steps": [{"id": "step_1_id", "checklist_id": TEMPLATE, "alias": "welcome_call", "title": "Schedule Call"}],
}
GOLD = {
    "id": "f1",
    "alias": "tier-1",
    "label": "\ufeffTier",
    "field_type": "dropdown",
    "required": True,
    "options": [{"id": 1, "text": "Silver", "value": None}, {"id": "b", "text": "Gold\ufeff"}],
    "columns": None,
}


def answer(data: object) -> Answer:
    return Answer(200, body=json.dumps({"data": data}).encode())


def test_the_documented_template_is_read():
    template = read_template(answer(DOCUMENTED))
    assert template == Template(
        id=TEMPLATE,
        title="Customer Onboarding",
        fields=(KickoffField("prerun_field_1", "text", alias="customer_name"),),
        steps=(Step("step_1_id", "Schedule Call", "welcome_call"),),
    )
    assert template.raw == DOCUMENTED
    assert template.fields[0].name == "customer_name"


@pytest.mark.parametrize(
    "wrapped",
    [
        pytest.param(lambda rows: rows, id="bare"),
        pytest.param(lambda rows: {"data": rows}, id="wrapped"),
        pytest.param(lambda rows: {str(2 * place): row for place, row in enumerate(rows)}, id="numbered"),
    ],
)
def test_lists_are_read_bare_wrapped_or_numbered(wrapped):
    tier = GOLD | {"options": wrapped(GOLD["options"])}
    order = {"id": "f2", "label": "Order", "field_type": "table", "columns": wrapped([{"id": 1, "label": "Item"}])}
    shown = DOCUMENTED | {"prerun": wrapped([tier, order]), "steps": wrapped(DOCUMENTED["steps"])}
    template = Template.from_json(shown)
    options = (Choice(1, "Silver"), Choice("b", "Gold\ufeff"))
    assert template.fields == (
        KickoffField("f1", "dropdown", "Tier", "tier-1", required=True, options=options),
        KickoffField("f2", "table", "Order", columns=(Choice(1, "Item"),)),
    )
    assert [step.id for step in template.steps] == ["step_1_id"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [({}, None), ({"steps": None}, ()), ({"steps": []}, ()), ({"steps": {"data": None}}, ())],
    ids=str,
)
def test_steps_that_are_not_shown_are_not_taken_for_no_steps(steps, expected):
    shown = {name: value for name, value in DOCUMENTED.items() if name != "steps"}
    assert Template.from_json(shown | steps).steps == expected


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "expected an object"),
        ({"title": "T", "prerun": []}, "the template in the answer has no id"),
        ({"id": TEMPLATE}, "does not show its kick-off form"),
        ({"id": TEMPLATE, "prerun": "none"}, 'expected a list of objects in "prerun"'),
        ({"id": TEMPLATE, "prerun": ["field"]}, 'expected a list of objects in "prerun"'),
        ({"id": TEMPLATE, "prerun": [{"label": "Name"}]}, "the kick-off field in the answer has no id"),
        ({"id": TEMPLATE, "prerun": [], "steps": [{"title": "One"}]}, "the step in the answer has no id"),
    ],
)
def test_what_is_not_a_template_is_refused(data, problem):
    with pytest.raises(ValueError, match=problem):
        read_template(answer(data))


def test_a_template_that_is_not_an_object_is_refused():
    with pytest.raises(ValueError, match="expected a template"):
        Template.from_json("T")


def test_the_call_asks_for_the_steps_and_reads_the_template():
    call = calls.get_template(ORGANIZATION, TEMPLATE)
    assert (call.method, call.repeatable, call.action) == ("GET", True, f"read template {TEMPLATE}")
    expected = f"https://api.tallyfy.com/organizations/{ORGANIZATION}/checklists/{TEMPLATE}?with=steps"
    assert call.url("https://api.tallyfy.com") == expected
    assert call.parse(answer(DOCUMENTED)).id == TEMPLATE


def test_the_call_refuses_another_template_than_it_asked_for():
    with pytest.raises(ValueError, match="it shows another template"):
        calls.get_template(ORGANIZATION, "ab" * 16).parse(answer(DOCUMENTED))


@pytest.mark.parametrize("template_id", ["", "None", "a/b", None])
def test_an_invalid_template_id_never_becomes_a_path(template_id):
    with pytest.raises(TallyfyValidationError, match="template_id"):
        calls.get_template(ORGANIZATION, template_id)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("aa", ["aa"]),  # an id wins over the alias of another field
        ("plan", ["cc"]),  # an alias wins over a label
        ("Company", ["bb"]),  # the exact label wins over the same label in another case
        ("\ufeffCompany", ["bb"]),
        ("COMPANY", ["bb", "cc"]),
        ("  go-live \u00a0 DATE ", ["dd"]),
        ("nothing", []),
        (" ", []),
        ("", []),
    ],
)
def test_keys_are_matched_by_id_then_alias_then_label_then_loosely(key, found):
    fields = [
        KickoffField("aa", "text", label="plan"),
        KickoffField("bb", "text", label="Company", alias="aa"),
        KickoffField("cc", "text", label="company", alias="plan"),
        KickoffField("dd", "text", label="Go-live date"),
        KickoffField("ee", "text"),
    ]
    assert [field.id for field in fields_named(fields, key)] == found

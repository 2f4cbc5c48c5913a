"""Every trigger survives Airflow's database: a restarted triggerer makes an equal one."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.triggers import tallyfy as module
from tests.airflow_driver import rebuilt

COMMON = {
    "organization_id": "org",
    "tallyfy_conn_id": "conn",
    "poll_interval": 61.5,
    "max_poll_interval": 600,
    "deadline": 1_900_000_000.25,
    "max_poll_failures": 7,
    "end_task": True,
}
RUN = {"run_id": "run", "failure_status": ["archived"], "missing": "wait"}
STATUS = {"target_status": ["complete", "issue"], "failure_status": ["archived"], "missing": "wait"}

ARGUMENTS = {
    "TallyfyApprovalTrigger": COMMON
    | {"run_id": "run", "approval_task": "Legal review", "needs_all": True, "least": 2, "skipped_means": False},
    "TallyfyRunStatusTrigger": COMMON | STATUS | {"run_id": "run", "newer_than": "2026-01-01T00:00:00.5+00:00"},
    "TallyfyRunsStatusTrigger": COMMON
    | STATUS
    | {
        "run_ids": ["a", "b"],
        "wait_for": "any",
        "fail_fast": False,
        "newer_than": "2026-01-01T00:00:00+00:00",
        "fields": "id",
    },
    "TallyfyTaskTrigger": COMMON | RUN | {"task_name": "Legal review", "target": "turn", "may_appear_later": True},
    "TallyfyRunEventTrigger": {
        "events": ["completed", "problem"],
        "template_id": "0a",
        "tags": ["0b"],
        "query": "ACME",
        "replay": 60,
        "poll_interval": 61.5,
        "organization_id": "org",
        "tallyfy_conn_id": "conn",
    },
    "TallyfyFormFieldTrigger": COMMON | RUN | {"field": "Verdict", "values": ["yes"], "may_appear_later": True},
}


def arguments_of(trigger_class: type) -> set[str]:
    names: set[str] = set()
    for each in trigger_class.__mro__:
        if each.__module__.startswith("airflow_provider_tallyfy"):
            kinds = inspect.signature(each).parameters.values()
            names |= {known.name for known in kinds if known.kind is known.KEYWORD_ONLY}
    return names


def class_path(name: str) -> str:
    made = getattr(module, name)
    return f"{made.__module__}.{made.__qualname__}"


def test_every_trigger_is_tested_here():
    assert set(module.__all__) == set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_is_tested_here(name):
    assert set(ARGUMENTS[name]) == arguments_of(getattr(module, name))


_PATHS = """
from airflow_provider_tallyfy.triggers import _events, _waits
for module in (_events, _waits):
    for name, made in vars(module).items():
        if name.endswith("Trigger") and name.startswith("Tallyfy"):
            print(f"{made.__module__}.{made.__qualname__}")
"""


def test_class_paths_are_public_even_if_only_private_modules_were_imported():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _PATHS], capture_output=True, text=True, check=True)
    paths = {path for path in done.stdout.split() if path.startswith("airflow_provider_tallyfy.")}
    public = {f"airflow_provider_tallyfy.triggers.tallyfy.{name}" for name in ARGUMENTS}
    assert paths - public == {"airflow_provider_tallyfy.triggers._waits.TallyfyWaitTrigger"}
    assert public - paths == set()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_trigger_comes_out_of_the_database_as_it_went_in(name):
    trigger = getattr(module, name)(**ARGUMENTS[name])
    again = rebuilt(trigger)
    assert type(again) is type(trigger)
    assert again.serialize() == trigger.serialize() == (class_path(name), ARGUMENTS[name])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_trigger_stores_plain_json(name):
    _, arguments = getattr(module, name)(**ARGUMENTS[name]).serialize()
    assert json.loads(json.dumps(arguments)) == arguments


@pytest.mark.parametrize("tags", ["b, a", ["b", "a"], ("a", "b")])
@pytest.mark.parametrize("events", ["problem, completed", ["completed", "problem"]])
def test_event_triggers_are_equal_if_their_arguments_mean_the_same(events, tags):
    _, arguments = module.TallyfyRunEventTrigger(events=events, tags=tags).serialize()
    assert (arguments["events"], arguments["tags"]) == (["completed", "problem"], ["a", "b"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"events": "finished"},
        {"events": []},
        {"tags": 5},
        {"tags": {"a": 1}},
        {"tags": [""]},
        {"events": "{{ params.events }}"},
        {"tags": "{{ params.tags }}"},
        {"tags": ["{{params.tag}}"]},
        {"template_id": ""},
        {"template_id": "None"},
        {"template_id": "{{params.template}}"},
        {"template_id": 1.5},
        {"organization_id": ""},
        {"organization_id": "an organization"},
        {"organization_id": "{{var.value.organization}}"},
        {"tallyfy_conn_id": "{{ var.value.connection }}"},
        {"tallyfy_conn_id": None},
        {"query": " "},
        {"query": "None"},
        {"query": ["ACME"]},
        {"query": "{{ params.customer }}"},
        {"query": "{% if x %}ACME{% endif %}"},
        {"replay": "3600"},
        {"replay": -1},
        {"replay": None},
        {"poll_interval": "10"},
        {"poll_interval": None},
        {"poll_interval": 0},
        {"poll_interval": -1},
    ],
)
def test_an_invalid_event_trigger_is_refused_at_parse_time(arguments):
    with pytest.raises(TallyfyValidationError) as refusal:
        module.TallyfyRunEventTrigger(**arguments)
    [(name, value)] = arguments.items()
    assert name in str(refusal.value)
    if name != "events" and ("{{" in str(value) or "{%" in str(value)):
        assert "Airflow renders no templates" in str(refusal.value)


def test_an_event_trigger_takes_numbers_as_ids_and_words():
    trigger = module.TallyfyRunEventTrigger(template_id=1, organization_id=2, tags=[4, 3, 4], query=2026)
    assert (
        trigger.serialize()
        == module.TallyfyRunEventTrigger(template_id="1", organization_id="2", tags="3,4", query="2026").serialize()
    )
    assert (trigger.template_id, trigger.organization_id, trigger.tags, trigger.query) == ("1", "2", ["3", "4"], "2026")

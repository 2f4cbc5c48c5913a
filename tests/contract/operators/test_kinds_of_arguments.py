"""Every public argument has a kind. It takes the values of its kind, and refuses others by name before a write."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, TaskDeferred

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyError, TallyfyValidationError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators import bulk
from airflow_provider_tallyfy.operators import tallyfy as single
from airflow_provider_tallyfy.operators._filters import FILTERS
from airflow_provider_tallyfy.sensors import tallyfy as sensors
from airflow_provider_tallyfy.triggers import tallyfy as triggers
from tests.task_contexts import context_of

PUBLIC = [getattr(module, name) for module in (single, bulk, sensors, triggers) for name in sorted(module.__all__)]
CLASSES = [kind for kind in PUBLIC if not inspect.isabstract(kind)]
PLUMBING = {"close", "each_run", "first_write", "get_conn", "get_connection_form_widgets", "get_ui_field_behaviour"}
PLUMBING |= {"check_connection", "execute", "test_connection", "with_ids"}
METHODS = {
    name: method
    for name, method in inspect.getmembers(TallyfyHook, inspect.isfunction)
    if method.__module__.startswith("airflow_provider_tallyfy") and name[0] != "_" and name not in PLUMBING
}

#: The kind of every argument.
KINDS = {
    "id": {"run_id", "template_id", "organization_id", "parent_id", "task_id", "tag_id", "confirm"},
    "text": {"title", "name", "summary", "query", "folder", "launch_key", "task_name", "field"},
    "ids": {
        "run_ids",
        "tags",
        "exclude_tags",
        "add",
        "remove",
        "folders",
        "users",
        "guests",
        "groups",
        "verbs",
        "publicly_hidden_fields",
    },
    "user": {"owner_id", "user_id"},
    "people": {"owners"},
    "object": {"kickoff", "prerun", "tasks", "roles", "changes", "answers"},
    "rows": {"rows"},
    "result": {"undo"},
    "path": {"output_path", "report_path", "snapshot_path", "snapshot_dir"},
    "age": {"look_back", "older_than"},
    "duration": {"poll_interval", "timeout", "max_poke_interval", "replay"},
    "count": {"limit", "max_runs", "max_failures", "max_concurrency", "max_poll_failures", "max_xcom_bytes"},
    "flag": {"archive_first", "dry_run", "relaunch_on_clear", "wait_for_completion", "deferrable", "end_from_trigger"},
    "moment": {"deadline", "since", "until"},
    "choice": {"status", "archived", "sort", "task_kind", "missing", "wait_for", "target"},
    "choices": {"failure_status", "target_status", "fields", "events"},
    "values": {"values"},
    # Read by Airflow, or written by this package alone.
    "internal": {"tallyfy_conn_id", "name_column", "key_column", "max_poll_interval", "end_task", "newer_than"},
}
KINDS["text"] |= {"subject", "approval_task", "body"}
KINDS["people"] |= {"assignees"}
KINDS["object"] |= {"options_mapping"}
KINDS["duration"] |= {"response_timeout"}
KINDS["choice"] |= {"quorum", "defaults", "on_skipped"}
KINDS["internal"] |= {"needs_all", "least", "skipped_means"}
KINDS["flag"] |= {
    "fail_on_reject",
    "ignore_downstream_trigger_rules",
    "starred",
    "is_public",
    "assign_someone_else",
    "start_from_trigger",
    "may_appear_later",
    "fail_on_errors",
    "fail_fast",
    "raw",
    "details",
    "is_approved",
    "may_be_gone",
    "problem",
    "replace",
}
KINDS["text"] |= {"content", "comment", "comment_key"}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


#: Values that no kind or only some kinds take. They never cause a bare error or a write.
ODD: dict[str, Callable[[], Any]] = {
    "object": object,
    "bytes": lambda: b"x",
    "huge": lambda: 10**5000,
    "digits": lambda: "9" * 5000,
    "brackets": lambda: "[" * 5000,
    "unhashable": lambda: "{{}:1}",
    "unhashable item": lambda: "[{[]:1}]",
    "cycle": cyclic,
    "deep": lambda: nested(5000),
    "signaling": lambda: Decimal("sNaN"),
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("-inf"),
    "tuple": lambda: (1,),
    "set": lambda: {"a"},
    "list of nothing": lambda: [None],
    "object of nothing": lambda: {"x": None},
    "path": lambda: Path("/nowhere/{{ ds }}"),
    "nothing as text": lambda: "None",
    "decimal": lambda: Decimal(2),
    "float": lambda: 2.0,
    "date": lambda: date(2026, 1, 1),
    "duration": lambda: timedelta(days=1),
}

#: Arguments for which the plain value of their kind is invalid.
DIFFERENT: set[tuple[str, str]] = set()

#: The other triggers are made by this package's sensors, and the bulk operators for existing runs are alike.
TRIED = [
    make
    for make in CLASSES
    if make.__name__ not in ("TallyfyActivateRunsOperator", "TallyfyArchiveRunsOperator")
    and (make is triggers.TallyfyRunEventTrigger or not make.__name__.endswith("Trigger"))
]


def arguments_of(make: Any) -> set[str]:
    """Return the arguments of a class, with those of its bases in this package."""
    homes = [home for home in make.__mro__ if home.__module__.startswith("airflow_provider_tallyfy")]
    signatures = [inspect.signature(vars(home)["__init__"]) for home in homes if "__init__" in vars(home)]
    return {name for each in signatures for name, it in each.parameters.items() if it.kind is not it.VAR_KEYWORD} - {
        "self"
    }


def parameters_of(method: Any) -> set[str]:
    parameters = inspect.signature(method).parameters.items()
    return {name for name, it in parameters if it.kind is not it.VAR_KEYWORD} - {"self"}


@pytest.mark.parametrize("make", CLASSES, ids=lambda make: make.__name__)
def test_every_argument_of_a_class_has_a_kind(make):
    assert arguments_of(make) - KIND_OF.keys() == set()


@pytest.mark.parametrize("name", METHODS)
def test_every_argument_of_a_hook_method_has_a_kind(name):
    assert parameters_of(METHODS[name]) - KIND_OF.keys() == set()


class Bench:
    """A Tallyfy with a run, and tasks and calls about it that write nothing by themselves."""

    def __init__(self, tallyfy: Any, folder: Path) -> None:
        self.tallyfy = tallyfy
        self.template = tallyfy.add_template("Plain", kickoff=[{"label": "Company"}], steps=["One"])["id"]
        self.run = tallyfy.add_run("Plain", name="x")["id"]
        self.approvals = tallyfy.add_template("Asks", steps=[{"title": "One", "task_type": "approval"}])["id"]
        self.folder = folder

    def usual(self, names: set[str]) -> dict[str, Any]:
        """Return the required arguments, with those that prevent a write."""
        given = {
            "run_id": self.run,
            "template_id": self.template,
            "confirm": self.run,
            "content": "x",
            "title": "x",
            "subject": "x",
            "assignees": {"users": [1]},
            "owners": {"users": [1]},
            "changes": {"name": "y"},
            "rows": [{"name": "a", "Company": "b"}],
            "run_ids": [self.run],
            "add": [],
            "max_runs": 5,
            "output_path": str(self.folder / "out.jsonl"),
            "task_name": "One",
            "field": "Company",
            "values": ["x"],
            "target_status": ["complete"],
            "failure_status": ["archived"],
            "dry_run": True,
        }
        return {name: value for name, value in given.items() if name in names}

    def act(self, make: Any, name: str, value: Any) -> Any:
        """Run a task, or make a trigger, with one argument of a value."""
        given = self.usual(arguments_of(make))
        if issubclass(make, single.TallyfyListRunsOperator):
            del given["template_id"], given["owners"]
        if issubclass(make, bulk.TallyfyDeleteRunsOperator | bulk.TallyfyArchiveRunsOperator):
            del given["template_id"], given["owners"]
            if name in FILTERS:
                del given["run_ids"]
        if issubclass(make, bulk.TallyfyDeleteRunsOperator):
            given["confirm"] = value if name == "organization_id" else self.tallyfy.organization_id
        if issubclass(make, single.TallyfyDeleteRunOperator):
            given["archive_first"] = True  # otherwise a live run is refused for that
        if issubclass(make, single.TallyfyGetAnswersOperator):
            del given["run_id" if name == "run_ids" else "run_ids"]
        if issubclass(make, single.TallyfyApprovalOperator):
            del given["template_id"]
            if name in ("template_id", "kickoff", "approval_task"):
                del given["assignees"]
                given |= {"template_id": self.approvals, "approval_task": "One"}
        if name == "undo":
            given.pop("run_id")
        if issubclass(make, triggers.TallyfyRunEventTrigger):
            return make(**given | {name: value})
        if make.__module__.startswith("airflow_provider_tallyfy.sensors"):
            given["timeout"] = 0
        try:
            task = make(task_id="task", **given | {name: value})
        except RecursionError:
            return None  # Airflow looks for references to other tasks in all values
        return task.execute(context_of())


@pytest.fixture
def bench(tallyfy, tmp_path, monkeypatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tallyfy, tmp_path)


def complaint(act: Callable[[], Any], name: str, tallyfy: Any = None) -> str | None:  # noqa: PLR0911
    """Return what is wrong with how a value was taken, if anything."""
    try:
        act()
    except (TallyfyValidationError, TallyfyConfigurationError) as refusal:
        if refusal.status is not None:
            return None  # it is Tallyfy's own
        if tallyfy is not None and writes(tallyfy):
            return f"refused after a write: {refusal}"
        said = f"{refusal} {getattr(refusal, 'fields', '')}"
        by_field = KIND_OF[name] == "object" and "no field" in said.replace("no such field", "no field")
        return None if name in said or by_field else f"refused without the name: {said[:200]}"
    except (TallyfyError, AirflowSensorTimeout, TaskDeferred):
        return None  # Tallyfy was asked, or the wait began
    except OSError:
        return None if KIND_OF[name] in ("path", "rows") else "a file cannot be written"
    except Exception as bare:  # noqa: BLE001 - what must never be
        return f"{type(bare).__name__}: {str(bare)[:200]}"
    return None


def writes(tallyfy: Any) -> list[str]:
    return [request.path for request in tallyfy.requests if request.method not in ("GET", "HEAD")]


@pytest.mark.parametrize("make", TRIED, ids=lambda make: make.__name__)
def test_an_odd_value_is_taken_or_refused_by_name_before_any_write(make, bench):
    problems = []
    for name in sorted(arguments_of(make)):
        if KIND_OF[name] == "internal" or name == "timeout":
            continue
        if issubclass(make, bulk.TallyfyDeleteRunsOperator) and name in FILTERS:
            continue  # as in the list of runs
        for what, value in ODD.items():
            wrong = complaint(lambda name=name, value=value: bench.act(make, name, value()), name)
            if wrong:
                problems.append(f"{name}, {what}: {wrong}")
    assert not problems, "\n".join(problems)
    assert [path for path in writes(bench.tallyfy) if "export" not in path] == []


#: For each kind a plain value, and others that mean the same.
NATURAL: dict[str, tuple[Any, list[Any]]] = {
    "id": ("42", [42, 42.0, Decimal(42)]),
    "text": ("7", [7]),
    "ids": (["42"], [("42",), "['42']", '["42"]', [42]]),
    "user": (1001, ["1001"]),
    "people": ({"users": [1]}, ["{'users': [1]}", '{"users": [1]}']),
    "object": ({"name": "y"}, ["{'name': 'y'}", '{"name": "y"}']),
    "rows": ([{"name": "a", "Company": "b"}], ['[{"name": "a", "Company": "b"}]', ({"name": "a", "Company": "b"},)]),
    "result": ({"id": "42", "changed": False}, ["{'id': '42', 'changed': False}", [{"id": "42", "changed": False}]]),
    "path": ("there.jsonl", [Path("there.jsonl")]),
    "age": ("90d", [timedelta(days=90), "90 days, 0:00:00", "2160h", " 90 D "]),
    "duration": (60, [60.0, timedelta(seconds=60)]),
    "count": (5, ["5", 5.0]),
    "flag": (True, ["True", "true"]),
    "moment": ("2026-01-31T00:00:00+00:00", [datetime(2026, 1, 31, tzinfo=UTC)]),
    "choices": (["active"], [("active",), "['active']"]),
    "values": (["x"], [("x",), "['x']"]),
}


def outcome(act: Callable[[], Any]) -> str:
    """Return how a task ends, without what differs between tries."""
    try:
        ended = repr(act())
    except TaskDeferred as deferred:
        return f"deferred {deferred.trigger.serialize()[1].keys()}"
    except Exception as error:  # noqa: BLE001 - how it ends is what is asked
        ended = f"{type(error).__name__}: {error}"
    return re.sub(r"\b[0-9a-f]{32}\b|\d[\d.:T+-]*Z?", "...", ended)


@pytest.mark.parametrize("make", TRIED, ids=lambda make: make.__name__)
def test_equal_values_of_different_types_mean_the_same(make, bench):
    problems = []
    for name in sorted(arguments_of(make)):
        if KIND_OF[name] not in NATURAL or (KIND_OF[name], name) in DIFFERENT:
            continue
        plain, others = NATURAL[KIND_OF[name]]
        expected = outcome(lambda name=name, plain=plain: bench.act(make, name, plain))
        for other in others:
            got = outcome(lambda name=name, other=other: bench.act(make, name, other))
            by_name = all(text.startswith("TallyfyValidationError") and name in text for text in (got, expected))
            if got != expected and not by_name:
                problems.append(f"{name}={other!r}: {got[:150]} is not {expected[:150]}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", METHODS)
def test_a_hook_method_takes_an_odd_value_or_refuses_it_by_name_before_any_write(name, bench):
    names, problems = parameters_of(METHODS[name]), []
    hook = TallyfyHook()
    for each in sorted(names):
        for what, value in ODD.items():
            given = bench.usual(names - {"owners"} if name == "list_runs" else names)
            if name == "list_runs":
                given.pop("template_id")
            needed = {"tag_id": "a" * 32, "task_id": "a" * 32, "deadline": "2026-01-31"}
            given |= {other: usual for other, usual in needed.items() if other in names}
            if name == "update_run":
                given["name"] = "y"
            if name == "assign_task":
                given["users"] = [1]
            given[each] = value()
            bench.tallyfy.clear_requests()
            wrong = complaint(lambda given=given: getattr(hook, name)(**given), each, bench.tallyfy)
            if wrong:
                problems.append(f"{each}, {what}: {wrong}")
    hook.close()
    assert not problems, "\n".join(problems)

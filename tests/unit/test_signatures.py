"""Every public class and method names, types and documents each of its parameters."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_tallyfy.hooks.tallyfy import NOT_GIVEN, TallyfyHook
from airflow_provider_tallyfy.notifications.tallyfy import TallyfyNotifier

#: The public classes, by module.
MODULES = ("operators.tallyfy", "operators.bulk", "sensors.tallyfy", "triggers.tallyfy", "notifications.tallyfy")
CLASSES = [
    getattr(module, name)
    for module in (import_module(f"airflow_provider_tallyfy.{name}") for name in MODULES)
    for name in module.__all__
]
TASKS = [kind for kind in CLASSES if issubclass(kind, BaseOperator)]
TEMPLATED = [*TASKS, TallyfyNotifier]
METHODS = [
    method
    for name, method in inspect.getmembers(TallyfyHook, inspect.isfunction)
    if method.__module__.startswith("airflow_provider_tallyfy") and not name.startswith("_")
]

#: Parameters of tasks that are no template fields: they say how a task works, not on what.
NOT_TEMPLATED = {
    "archive_first",
    "defaults",
    "deferrable",
    "end_from_trigger",
    "fail_fast",
    "fail_on_errors",
    "fail_on_reject",
    "ignore_downstream_trigger_rules",
    "key_column",
    "max_concurrency",
    "max_poke_interval",
    "max_poll_failures",
    "max_xcom_bytes",
    "may_appear_later",
    "missing",
    "name_column",
    "on_skipped",
    "options_mapping",
    "poll_interval",
    "quorum",
    "relaunch_on_clear",
    "response_timeout",
    "start_from_trigger",
    "target",
    "task_kind",
    "time_budget",
    "timeout",
    "wait_for",
    "wait_for_completion",
}

#: Fields that have another name than their parameter: ``dry_run`` is a method of every Airflow operator.
FIELDS = {"dry_run": "simulate"}

each_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
each_task = pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.__name__)
each_templated = pytest.mark.parametrize("kind", TEMPLATED, ids=lambda kind: kind.__name__)
each_one = pytest.mark.parametrize("it", [*CLASSES, TallyfyHook, *METHODS], ids=lambda it: it.__name__)


def function_of(it: Any) -> Callable[..., Any]:
    """Return the function with the parameters: the unwrapped constructor of a class, or the method itself."""
    return inspect.unwrap(it.__init__ if inspect.isclass(it) else it)


def parameters_of(it: Any) -> dict[str, inspect.Parameter]:
    """Return the named parameters; what is collected by ``*`` and ``**`` has no name."""
    parameters = inspect.signature(function_of(it)).parameters.values()
    collected = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {each.name: each for each in parameters if each.name != "self" and each.kind not in collected}


def documentation_of(it: Any) -> dict[str, str]:
    """Return what a docstring says about each parameter."""
    found = re.findall(r"^:param (\w+): (.*?)(?=^:|\Z)", inspect.getdoc(it) or "", re.M | re.S)
    return {name: " ".join(text.split()) for name, text in found}


def is_documented(default: Any, text: str) -> bool:
    """Return whether the documentation of a parameter has its default."""
    if default is NOT_GIVEN:
        return True  # the docstring of the method says what None means for all of its parameters
    if isinstance(default, timedelta):
        return f"{default.days} days" in text
    if isinstance(default, tuple) and default:
        return all(f"``{item}``" in text for item in default)
    if "default_deferrable" in text:
        return True  # it comes from Airflow's configuration
    documented = text.lower().partition("default")
    return any(f"{mark}{default}{mark}" in text for mark in ("``", "`` ", '"')) or f" {default}" in documented[2]


@each_one
def test_exactly_the_parameters_are_documented(it):
    assert documentation_of(it).keys() == parameters_of(it).keys()


@each_one
def test_every_default_is_documented(it):
    documented = documentation_of(it)
    defaults = {name: each.default for name, each in parameters_of(it).items() if each.default is not each.empty}
    silent = {
        name: value
        for name, value in defaults.items()
        if value is not None and not is_documented(value, documented[name])
    }
    assert silent == {}


@each_one
def test_every_parameter_is_typed(it):
    assert [name for name, each in parameters_of(it).items() if each.annotation is each.empty] == []


@each_class
def test_a_signature_shows_the_parameters_of_all_bases(kind):
    bases = [base for base in kind.__mro__ if base.__module__.startswith("airflow_provider_tallyfy")]
    inherited = {name for base in bases if "__init__" in vars(base) for name in parameters_of(base)}
    assert "__init__" in vars(kind)
    assert inherited - parameters_of(kind).keys() == set()


@each_one
def test_only_kwargs_of_airflow_are_collected(it):
    function = function_of(it)
    collected = [each for each in inspect.signature(function).parameters.values() if each.kind in (2, 4)]
    assert [each.name for each in collected] == (["kwargs"] if it in TEMPLATED else [])
    if collected:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        handed_on = [
            keyword.value
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__"
            for keyword in call.keywords
            if keyword.arg is None
        ]
        uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "kwargs"]
        assert uses == handed_on


def concrete(kind: type[BaseOperator]) -> type[BaseOperator]:
    """Give a class of which tasks can be made: a subclass, where the class is only a base."""
    abstract = getattr(kind, "__abstractmethods__", ())
    return type(kind.__name__, (kind,), dict.fromkeys(abstract)) if abstract else kind


@each_task
def test_parameters_of_tasks_are_keyword_only(kind):
    assert {each.kind for each in parameters_of(kind).values()} == {inspect.Parameter.KEYWORD_ONLY}
    with pytest.raises(Exception, match="keyword arguments"):
        concrete(kind)("task")


@each_templated
def test_templated_parameters_are_documented_as_templated(kind):
    fields = {name: FIELDS.get(name, name) for name in parameters_of(kind)}
    templated = {name for name, field in fields.items() if field in kind.template_fields}
    assert templated == fields.keys() - NOT_TEMPLATED
    assert templated == {name for name, text in documentation_of(kind).items() if "(templated" in text}
    assert set(kind.template_fields) <= set(fields.values())


@each_task
def test_arguments_are_kept_under_their_names_and_checked_when_the_task_runs(kind):
    judged_at_once = {"end_from_trigger", "start_from_trigger", "max_poke_interval"}
    given = {name: f"the {name}" for name in parameters_of(kind) if name not in judged_at_once}
    task = concrete(kind)(task_id="task", **given)
    assert {name: getattr(task, FIELDS.get(name, name)) for name in given} == given

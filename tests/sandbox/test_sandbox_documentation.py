"""What the sandbox's public classes take is documented."""

from __future__ import annotations

import inspect
import re

import pytest

from airflow_provider_tallyfy.sandbox import Behavior, Fault, RecordedRequest, Sandbox
from airflow_provider_tallyfy.sandbox.faults import Faults

METHODS = [
    method
    for kind in (Sandbox, Faults, Behavior)
    for name, method in inspect.getmembers(kind, callable)
    if not name.startswith("_") and inspect.isroutine(method) and name not in ("match", "hidden_template")
]


@pytest.mark.parametrize("it", [Sandbox, Behavior, Fault, RecordedRequest, *METHODS], ids=lambda it: it.__qualname__)
def test_every_parameter_is_documented_and_nothing_else_is(it):
    documented = re.findall(r"^:param (\w+):", inspect.getdoc(it) or "", re.M)
    assert set(documented) == inspect.signature(it).parameters.keys() - {"self"}

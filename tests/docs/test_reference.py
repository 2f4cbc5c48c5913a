"""The reference has what is public, and nothing else; pages lead to their source and to the tracker."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from inspect import isclass, isfunction
from pathlib import Path
from typing import is_typeddict

import pytest
from airflow.providers.common.compat.sdk import BaseNotifier, BaseOperator, BaseOperatorLink
from airflow.triggers.base import BaseTrigger

from airflow_provider_tallyfy import get_provider_info
from airflow_provider_tallyfy.retry_policy import TallyfyRetryPolicy

pytest.importorskip("sphinx", reason="the documentation is built with the newest Airflow's tools")

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "airflow_provider_tallyfy"
#: Airflow calls the methods of these. The reference has their constructors.
USED_BY_AIRFLOW = (BaseNotifier, BaseOperator, BaseOperatorLink, BaseTrigger, TallyfyRetryPolicy)


@pytest.fixture(scope="module")
def inventory(site) -> dict[str, set[str]]:
    """Give what other sites can link to, by its kind."""
    from sphinx.util.inventory import InventoryFile

    found = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    return {kind: set(entries) for kind, entries in found.data.items() if kind.startswith("py:")}


def exported(module: str) -> set[str]:
    return set(import_module(module).__all__)


def documented_members(kind: type) -> Iterator[str]:
    """Give what users call and read of a class, its private bases included."""
    from sphinx.pycode import ModuleAnalyzer

    if is_typeddict(kind):
        yield from kind.__annotations__
        return
    bases = [base for base in kind.__mro__ if base.__module__.startswith(PACKAGE)]
    for base in bases:
        if base is not kind and base.__name__ in getattr(import_module(base.__module__), "__all__", ()):
            continue
        for name, it in vars(base).items():
            text = it.__doc__ or ""
            is_code = isfunction(it) or isinstance(it, classmethod | property | cached_property)
            if is_code and text and not name.startswith("_") and ":meta private:" not in text:
                yield name
        commented = ModuleAnalyzer.for_module(base.__module__).find_attr_docs()
        yield from (name for owner, name in commented if owner == base.__name__ and not name.startswith("_"))


def test_the_reference_has_exactly_what_is_public(inventory):
    expected = set()
    for module in inventory["py:module"]:
        for name in exported(module):
            it = getattr(import_module(module), name)
            expected.add(f"{module}.{name}")
            if isclass(it):
                expected.add(f"{it.__module__}.{name}")  # where it stands leads to where it is public
                if not issubclass(it, USED_BY_AIRFLOW):
                    expected |= {f"{module}.{name}.{member}" for member in documented_members(it)}
    assert set().union(*inventory.values()) - inventory["py:module"] == expected


def test_every_module_that_airflow_is_told_of_is_in_the_reference(inventory):
    information = get_provider_info()
    modules = {
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in information[kind]
        for module in entry["python-modules"]
    }
    paths = [*information["notifications"], *information["extra-links"], information["asset-uris"][0]["handler"]]
    assert modules | {path.rpartition(".")[0] for path in paths} <= inventory["py:module"]


def imports() -> set[tuple[str, str]]:
    """Give what examples and pages import from this package."""
    pages = [ROOT / "README.md", *(path for kind in ("*.md", "*.rst") for path in (ROOT / "docs").rglob(kind))]
    text = "\n".join(path.read_text() for path in pages)
    sources = [path.read_text() for path in (ROOT / "example_dags").glob("*.py")]
    sources += re.findall(rf"^ *(from {PACKAGE}\S* import \w.*)$", text, re.M)
    return {
        (node.module, name.name)
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE)
        for name in node.names
    }


def test_what_examples_import_is_in_the_reference(inventory):
    found = imports()
    assert {f"{module}.{name}" for module, name in found} - set().union(*inventory.values()) == set()
    assert len(found) > 20


def test_a_page_links_to_its_source_and_to_the_tracker(site):
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    page = (site / "operators" / "runs.html").read_text()
    linked = [urls["Source"], urls["Issues"], f"{urls['Source']}/edit/main/docs/operators/runs.rst"]
    assert [url for url in linked if f'href="{url}"' not in page] == []

"""Every public class has a how-to, cut from what the tests execute."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: The file of the Start page.
START = ROOT / "example_dags" / "review.py"
PAGES = {path: path.read_text() for kind in ("*.rst", "*.md") for path in (ROOT / "docs").rglob(kind)}
CUTS = re.findall(
    r"literalinclude(?:::|\}) (?:\.\./)+(\S+)\n(?: *:\S+:.*\n)*"
    r" *:start-after: \[START (\S+)\]\n *:end-before: \[END (\S+)\]",
    "".join(PAGES.values()),
)
COMPLETE = re.findall(
    r"literalinclude(?:::|\}) (?:\.\./)+((?:example_dags|tests/docs/project)/\S+\.py)\n"
    r":language: \w+\n(?::start-at: from __future__\n)?`",
    "".join(PAGES.values()),
)
EXAMPLES = sorted(path.stem for path in (ROOT / "example_dags").glob("example_*.py"))
COMPLETE_FILES = [
    START,
    *(ROOT / "example_dags").glob("example_*.py"),
    *(ROOT / "tests" / "docs" / "project").rglob("*.py"),
]


#: Each public class, with its kind and module.
PUBLIC = [
    (kind, f"airflow_provider_tallyfy.{module}", name)
    for kind, modules in {
        "operator": ("operators.tallyfy", "operators.bulk"),
        "sensor": ("sensors.tallyfy",),
        "trigger": ("triggers.tallyfy",),
        "hook": ("hooks.tallyfy",),
        "notifier": ("notifications.tallyfy",),
    }.items()
    for module in modules
    for name in import_module(f"airflow_provider_tallyfy.{module}").__all__
    if name.startswith("Tallyfy")
]
#: Those of which DAG authors make tasks and callbacks.
USED_IN_DAGS = [
    (kind, module, name)
    for kind, module, name in PUBLIC
    if kind not in ("trigger", "hook") and not inspect.isabstract(getattr(import_module(module), name))
]


def how_to(kind: str, name: str) -> str:
    """Give the text below the label of a class."""
    label = f".. _howto/{kind}:{name}:"
    [section] = [text.split(label)[1].split(".. _howto/")[0] for text in PAGES.values() if label in text]
    return section


@pytest.mark.parametrize(("kind", "module", "name"), PUBLIC)
def test_every_public_class_has_a_how_to_with_its_parameters(kind, module, name):
    assert re.findall(r"^\.\. parameters:: (.*)", how_to(kind, name), re.M) == [f"{module}.{name}"]


@pytest.mark.parametrize(("kind", "module", "name"), USED_IN_DAGS)
def test_every_operator_sensor_and_notifier_has_an_example(kind, module, name):
    assert set(re.findall(r"START (howto_\w+)", how_to(kind, name))) & {start for _, start, _ in CUTS}


@pytest.mark.parametrize(("path", "start", "end"), CUTS)
def test_what_the_documentation_quotes_is_there(path, start, end):
    text = (ROOT / path).read_text()
    assert start == end
    assert text.count(f"[START {start}]") == text.count(f"[END {end}]") == 1


def test_no_quotation_of_the_documentation_is_left_out():
    assert len(CUTS) + len(COMPLETE) == len(re.findall(r"literalinclude\S+ \S+\.py", "".join(PAGES.values())))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_executed_by_a_test(example):
    tests = "".join(
        path.read_text() for kind in ("examples", "system") for path in (ROOT / "tests" / kind).glob("*.py")
    )
    assert f'"{example}"' in tests


def test_the_dag_of_the_readme_is_that_of_the_start_page():
    [source] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert source == START.read_text()
    assert f"../{START.relative_to(ROOT)}" in PAGES[ROOT / "docs" / "start.md"]


@pytest.mark.parametrize("file", COMPLETE_FILES, ids=lambda file: file.stem)
def test_the_lines_of_a_complete_file_fit_the_column_of_a_page(file):
    code = file.read_text().split("from __future__")[-1]
    assert [line for line in code.splitlines() if len(line) > 92] == []

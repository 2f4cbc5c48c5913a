from __future__ import annotations

import re

import pytest

from airflow_provider_tallyfy.api.flows import LaunchKey
from airflow_provider_tallyfy.api.flows.marker import add_marker, keep_markers, marker_of
from airflow_provider_tallyfy.api.models.run import Run

MARKER = marker_of("dag/run/task/-1/0")


def a_run(**raw: object) -> Run:
    return Run.from_json({"id": "f" * 32, "status": "active", **raw})


def test_a_marker_is_short_and_the_same_for_the_same_key_only():
    assert re.fullmatch(r"\[airflow:[0-9a-f]{20}\]", MARKER)
    assert marker_of("dag/run/task/-1/0") == MARKER != marker_of("dag/run/task/0/0")


@pytest.mark.parametrize(
    ("summary", "expected"),
    [(None, MARKER), ("", MARKER), ("Be quick.", f"Be quick.\n{MARKER}"), (f"a {MARKER} b", f"a {MARKER} b")],
)
def test_a_summary_gets_the_marker_once(summary, expected):
    assert add_marker(summary, MARKER) == expected


@pytest.mark.parametrize(
    ("earlier", "summary", "expected"),
    [
        (f"old\n{MARKER}", "new", f"new\n{MARKER}"),
        (f"old\n{MARKER}", None, MARKER),
        (f"old\n{MARKER}", f"{MARKER} new", f"{MARKER} new"),
        ("old", "new", "new"),
        (None, "new", "new"),
        ("old [airflow:no marker]", "", ""),
        (f"{MARKER} {marker_of('b')}", "new", f"new\n{MARKER}\n{marker_of('b')}"),
    ],
)
def test_a_new_summary_keeps_the_markers_of_the_old(earlier, summary, expected):
    assert keep_markers(earlier, summary) == expected


@pytest.mark.parametrize(
    ("raw", "carries"),
    [
        ({"summary": f"text {MARKER}"}, True),
        ({"summary": MARKER.replace("[", "(")}, False),
        ({"summary": None}, False),
        ({}, False),
        ({"tasks": {"data": [{"summary": None}, {"summary": MARKER}]}}, True),
        ({"tasks": [{"original_summary": MARKER}]}, True),
        ({"tasks": {"data": None}}, False),
        ({"tasks": None}, False),
    ],
    ids=str,
)
def test_a_run_is_recognized_by_its_own_summary_or_its_tasks(raw, carries):
    assert LaunchKey("dag/run/task/-1/0").is_on(a_run(**raw)) is carries

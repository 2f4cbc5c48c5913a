from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from airflow_provider_tallyfy.assets import run_asset, sanitize_uri, template_asset


def test_a_template_and_a_run_are_assets_of_their_organization():
    assert template_asset("org", "t1").uri == "tallyfy://org/templates/t1"
    assert run_asset("org", "r1").uri == "tallyfy://org/runs/r1"


def test_an_asset_takes_what_airflow_lets_it_have():
    assert run_asset("org", "r1", extra={"team": "legal"}).extra == {"team": "legal"}


@pytest.mark.parametrize(
    ("uri", "normal"),
    [
        ("tallyfy://org/runs/r1", "tallyfy://org/runs/r1"),
        ("tallyfy://ORG/templates/t1/", "tallyfy://org/templates/t1"),
    ],
)
def test_a_uri_is_normalized(uri, normal):
    assert sanitize_uri(urlsplit(uri)).geturl() == normal


@pytest.mark.parametrize(
    "uri",
    [
        "tallyfy:///runs/r1",
        "tallyfy://org",
        "tallyfy://org/tasks/t",
        "tallyfy://org/runs/r1/x",
        "tallyfy://org/runs/r?x=1",
    ],
)
def test_a_uri_of_nothing_in_tallyfy_is_refused(uri):
    with pytest.raises(ValueError, match="is not a Tallyfy URI"):
        sanitize_uri(urlsplit(uri))

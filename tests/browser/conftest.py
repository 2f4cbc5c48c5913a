"""
Airflow's UI and the sandbox's pages in Chromium.

``make test-browser`` runs these tests, and takes the pictures of the documentation.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from airflow_provider_tallyfy.sandbox import Sandbox
from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from demo.local_airflow import ROOT, LocalAirflow

PICTURES = ROOT / "docs" / "images"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def tallyfy() -> Iterator[Sandbox]:
    with Sandbox(seed=DEFAULT) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """Start an Airflow that knows no connection."""
    with LocalAirflow(tmp_path_factory.mktemp("airflow") / "home", ROOT / "example_dags", {}) as running:
        yield running


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.exit("Chromium is not installed: apt-get install chromium", returncode=1)
    with sync_playwright() as playwright:
        # Root, as in a container, has no sandbox of Chromium's.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 800}, locale="en-US")
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield page
        browser.close()

"""Snippets and complete files of example DAGs, on the pages as they are built."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("sphinx", reason="the documentation is built with the newest Airflow's tools")


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("operators/bulk", "../recipes/nightly-maintenance.html"),
        ("notifications", "recipes/tell-people.html"),
        ("operators/records", "https://github.invalid/OWNER/airflow-provider-tallyfy/blob/main/example_dags/"),
    ],
)
def test_a_snippet_leads_to_its_complete_file(site, page, address):
    links = re.findall(r'The complete file: <a [^>]*href="([^"]+)"', (site / f"{page}.html").read_text())
    assert any(link.startswith(address) for link in links), links


def test_a_complete_file_has_no_link_to_itself_and_no_page_shows_the_marks_of_snippets(site):
    assert "The complete file" not in (site / "recipes" / "nightly-maintenance.html").read_text()
    pages = [path for path in site.rglob("*.html") if "_modules" not in path.parts]
    assert [page.name for page in pages if re.search(r"# \[(START|END) \w+\]", page.read_text())] == []

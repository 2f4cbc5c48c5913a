from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyResponseError
from airflow_provider_tallyfy.api.exchange import Call
from airflow_provider_tallyfy.api.models import Page, Run
from airflow_provider_tallyfy.api.paging import Pager


def run(run_id: str) -> dict[str, Any]:
    return {"id": run_id, "status": "active"}


def page(number: int, total_pages: int, *run_ids: str) -> Page:
    return Page(tuple(map(run, run_ids)), number, total_pages)


def new_pager() -> Pager[Run]:
    return Pager(lambda number: Call(f"page {number}", "GET", "/", parse=lambda _: None), Run.from_json, lambda r: r.id)


def walk(*pages: Page) -> list[str]:
    """Answer a pager's calls with these pages; it must ask for all of them, each by its number."""
    pager = Pager(
        lambda number: Call(f"page {number}", "GET", "/", parse=lambda _: None), Run.from_json, lambda r: r.id
    )
    found, waiting = [], list(pages)
    while (call := pager.next_call()) is not None:
        assert call.action == f"page {len(pages) - len(waiting) + 1}"
        found += [r.id for r in pager.accept(waiting.pop(0))]
    assert waiting == []
    return found


def test_pages_are_asked_for_as_long_as_the_server_says_there_are_more():
    assert walk(page(1, 3, "a", "b"), page(2, 3, "c"), page(3, 3, "d")) == ["a", "b", "c", "d"]


def test_an_empty_list_is_one_page():
    assert walk(page(1, 1)) == []
    assert walk(page(1, 0)) == []


def test_a_run_that_slid_to_the_next_page_is_given_once():
    assert walk(page(1, 2, "a", "b"), page(2, 2, "b", "c")) == ["a", "b", "c"]


def test_a_list_that_grew_or_shrank_meanwhile_ends_where_the_server_says():
    assert walk(page(1, 2, "a"), page(2, 3, "b"), page(3, 3, "c")) == ["a", "b", "c"]
    assert walk(page(1, 3, "a"), page(2, 1)) == ["a"]


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([page(2, 3, "a")], id="another page than asked for"),
        pytest.param([page(1, 3, "a"), page(1, 3, "a")], id="the same page again"),
        pytest.param([page(1, 3)], id="an empty page in the middle"),
        pytest.param([Page(({"id": "a"},), 1, 1)], id="a row that is no run"),
    ],
)
def test_a_list_that_cannot_be_complete_is_an_error(pages):
    with pytest.raises(TallyfyResponseError, match="Could not read the list"):
        walk(*pages)


def test_a_server_that_never_stops_is_stopped():
    pager = new_pager()
    for number in range(1, 10_000):
        list(pager.accept(page(number, 9_999_999, f"r{number}")))
    with pytest.raises(TallyfyResponseError, match="one too many"):
        pager.accept(page(10_000, 9_999_999, "r"))

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.api.calls.pager import Pager
from airflow_provider_tallyfy.api.errors import TallyfyResponseError
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.run import Run


def run(run_id: str) -> dict[str, Any]:
    return {"id": run_id, "status": "active"}


def page(number: int, total_pages: int, *run_ids: str, total: int | None = None) -> Page:
    return Page(tuple(map(run, run_ids)), number, total_pages, total)


def new_pager(*, whole: bool = True) -> Pager[Run]:
    return Pager(
        lambda number: Call(f"page {number}", "GET", "/", parse=lambda _: None),
        Run.from_json,
        lambda r: r.id,
        whole=whole,
    )


def walk(*pages: Page, whole: bool = True) -> list[str]:
    """Answer a pager's calls with these pages. It must request each of them by its number."""
    pager, found, asked, waiting = new_pager(whole=whole), [], [], list(pages)
    while (call := pager.next_call()) is not None:
        asked.append(call.action)
        found += [r.id for r in pager.accept(waiting.pop(0))]
    assert asked == [f"page {answered.number}" for answered in pages]
    return found


def test_pages_are_requested_while_the_server_says_there_are_more():
    assert walk(page(1, 3, "a", "b"), page(2, 3, "c"), page(3, 3, "d")) == ["a", "b", "c", "d"]


def test_an_empty_list_is_one_page():
    assert walk(page(1, 1)) == []
    assert walk(page(1, 0)) == []


def test_a_run_that_moved_to_the_next_page_is_listed_once():
    assert walk(page(1, 2, "a", "b"), page(2, 2, "b", "c")) == ["a", "b", "c"]


def test_a_list_that_grew_or_shrank_meanwhile_ends_where_the_server_says():
    assert walk(page(1, 2, "a"), page(2, 3, "b"), page(3, 3, "c")) == ["a", "b", "c"]
    assert walk(page(1, 3, "a"), page(2, 1)) == ["a"]


def test_a_list_that_grows_is_read_to_its_new_end():
    assert walk(page(1, 2, "a", "b", total=3), page(2, 2, "c", "d", total=4)) == ["a", "b", "c", "d"]
    assert walk(page(1, 1, "a", total=1)) == ["a"]
    assert walk(page(1, 2, "a", "b", total=3), page(2, 3, "b", "c", total=5), page(3, 3, "d", total=5)) == [*"abcd"]


def test_a_list_that_runs_leave_is_read_again_and_lists_each_once():
    left = [page(1, 2, "a", "b", total=4), page(2, 2, "d", total=3)]  # c moved up when a left
    again = [page(1, 2, "b", "c", total=3), page(2, 2, "d", total=3)]
    assert walk(*left, *again) == ["a", "b", "d", "c"]


def test_a_list_that_runs_keep_leaving_is_an_error_in_the_end():
    rounds = [[page(1, 2, f"a{n}", "b", total=9 - n), page(2, 2, "c", total=8 - n)] for n in range(4)]
    assert walk(*rounds[0], *rounds[1], *rounds[2], page(1, 1, "c", total=1)) == ["a0", "b", "c", "a1", "a2"]
    with pytest.raises(TallyfyResponseError, match="left it each time it was read"):
        walk(*(page for pages in rounds for page in pages))


def test_a_search_takes_the_pages_as_they_come():
    pages = [page(1, 2, "a", "b", total=9), page(2, 2, "d", total=8)]
    assert walk(*pages, whole=False) == ["a", "b", "d"]


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([page(2, 3, "a")], id="another page than asked for"),
        pytest.param([page(1, 3, "a"), page(1, 3, "a")], id="the same page again"),
        pytest.param([page(1, 3, "a"), page(2, 3, "a")], id="the same page again by another number"),
        pytest.param([page(1, 1, total=250)], id="an empty page of a list with runs"),
        pytest.param([page(1, 1, "a", total=2)], id="fewer rows than there are"),
        pytest.param([page(1, 2, "a", "b", total=4), page(2, 2, "c", total=4)], id="fewer rows in the end"),
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

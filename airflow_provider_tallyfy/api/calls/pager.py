"""Walking through the pages of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Generic

from airflow_provider_tallyfy.api.call import Call, T
from airflow_provider_tallyfy.api.errors import TallyfyResponseError
from airflow_provider_tallyfy.api.models.envelope import Page, is_code
from airflow_provider_tallyfy.api.parsing import parsed
from airflow_provider_tallyfy.api.text import one_line

_MAX_PAGES = 10_000
_MAX_RESTARTS = 3


class Pager(Generic[T]):
    """
    Knows which page to ask for next, and gives each item once, even if it slid to another page.

    A list that gets shorter while it is read is read again from the start, because an item that moved up to an earlier
    page would be missing. A list that ends before the server's count, or does not advance, is an error. An item that
    moved up while as many others were added cannot be noticed.

    :param page_call: builds the call for a page number, from 1.
    :param read: turns a row into an item; whatever it raises says that the row is not readable.
    :param identify: the item's identity, for items seen twice.
    :param whole: whether the list has to be whole; a search takes the pages as they come.
    :param skips_unreadable: whether an item that is not readable is left out and kept in :attr:`unreadable`, instead of
        ending the list for all others.
    """

    def __init__(
        self,
        page_call: Callable[[int], Call[Page]],
        read: Callable[[Mapping[str, Any]], T],
        identify: Callable[[T], object],
        *,
        whole: bool = True,
        skips_unreadable: bool = False,
    ) -> None:
        self._page_call = page_call
        self._read = read
        self._identify = identify
        self._whole = whole
        self._skips_unreadable = skips_unreadable
        #: Why items were left out, by their id; under ``None`` if not even the id is readable.
        self.unreadable: dict[str | None, TallyfyResponseError] = {}
        #: Whether the list was seen to lack items, where it does not have to be whole.
        self.lacks_items = False
        self._seen: set[object] = set()
        self._next_page: int | None = 1
        self._last: Page | None = None
        self._rows = 0
        self._restarts = 0

    def next_call(self) -> Call[Page] | None:
        """Build the call for the next page, or ``None`` after the last."""
        return None if self._next_page is None else self._page_call(self._next_page)

    def accept(self, page: Page) -> Iterator[T]:
        """Take the page that was asked for and give its new items; another page, or a premature end, is an error."""
        asked, last = self._next_page or 1, self._last
        if page.number != asked:
            raise _unreadable(f"asked for page {asked}, Tallyfy answered page {page.number}.")
        if last is not None and page.rows and page.rows == last.rows:
            raise _unreadable(f"page {asked} is page {last.number} again.")
        more = page.number < page.total_pages
        if more and (not page.rows or asked >= _MAX_PAGES):
            raise _unreadable(f"page {asked} of {page.total_pages} ends it early or is one too many.")
        self._next_page, self._last = (asked + 1 if more else None), page
        self._rows += len(page.rows)
        if page.total is not None:
            self._compare(page.total, last.total if last else None, is_end=not more)
        return self._new_items(page)

    def raise_if_hidden(self, item_id: str) -> None:
        """Refuse to conclude that an item is not in the list if it may be one that is not readable."""
        for row_id in (item_id, None):
            if row_id in self.unreadable:
                raise self.unreadable[row_id]

    def _compare(self, total: int, total_before: int | None, *, is_end: bool) -> None:
        got_shorter = total_before is not None and total < total_before
        ended_early = is_end and self._rows < total
        if not self._whole:
            self.lacks_items |= got_shorter or ended_early
        elif got_shorter:
            self._start_again()
        elif ended_early:
            raise _unreadable(f"it ended after {self._rows} rows, and Tallyfy counts {total}.")

    def _start_again(self) -> None:
        if self._restarts == _MAX_RESTARTS:
            raise _unreadable(
                "items left it each time it was read.\nTo take items out of it, read the list to its end first."
            )
        self._restarts += 1
        self._next_page, self._last, self._rows = 1, None, 0

    def _new_items(self, page: Page) -> Iterator[T]:
        for row in page.rows:
            try:
                item = parsed(self._read, row, partial(_unreadable_item, page.number))
            except TallyfyResponseError as error:
                if not self._skips_unreadable:
                    raise
                row_id = row.get("id")
                self.unreadable[row_id if is_code(row_id) else None] = error
                continue
            identity = self._identify(item)
            if identity not in self._seen:
                self._seen.add(identity)
                yield item


def _unreadable_item(page: int, problem: str) -> TallyfyResponseError:
    return _unreadable(f"an item on page {page} is not as documented ({one_line(problem)}).")


def _unreadable(problem: str) -> TallyfyResponseError:
    return TallyfyResponseError(f"Could not read the list.\n{problem[:1].upper()}{problem[1:]}")

"""Walking through the pages of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic

from airflow_provider_tallyfy.api.errors import TallyfyResponseError
from airflow_provider_tallyfy.api.exchange import Call, T
from airflow_provider_tallyfy.api.models import Page

_MOST_PAGES = 10_000


class Pager(Generic[T]):
    """
    Knows which page to ask for next; the driver (or a flow) does the asking.

    The number of pages is the server's word, items that slid from one page to the next are given once, and a
    server that does not advance is an error: a list is complete or it fails.

    :param page_call: builds the call for a page number, from 1.
    :param read: turns a row into an item; raises ``ValueError`` on one that is not readable.
    :param identify: the item's identity, for items seen twice.
    """

    def __init__(
        self,
        page_call: Callable[[int], Call[Page]],
        read: Callable[[Mapping[str, Any]], T],
        identify: Callable[[T], object],
    ) -> None:
        self._page_call = page_call
        self._read = read
        self._identify = identify
        self._seen: set[object] = set()
        self._next_page: int | None = 1

    def next_call(self) -> Call[Page] | None:
        """Build the call for the next page, or ``None`` after the last."""
        return None if self._next_page is None else self._page_call(self._next_page)

    def accept(self, page: Page) -> Iterator[T]:
        """
        Take the page that was asked for and give its new items.

        :param page: the answer to :meth:`next_call`.
        :raises TallyfyResponseError: if it is not that page, or is not readable.
        """
        asked = self._next_page or 1
        if page.number != asked:
            raise TallyfyResponseError(
                f"Could not read the list: asked for page {asked}, Tallyfy answered page {page.number}."
            )
        more = page.number < page.total_pages
        if more and (not page.rows or asked >= _MOST_PAGES):
            raise TallyfyResponseError(
                f"Could not read the list: page {asked} of {page.total_pages} ends it early or is one too many."
            )
        self._next_page = asked + 1 if more else None
        return self._new_items(page)

    def _new_items(self, page: Page) -> Iterator[T]:
        for row in page.rows:
            try:
                item = self._read(row)
            except ValueError as problem:
                raise TallyfyResponseError(
                    f"Could not read the list: an item on page {page.number} is not as documented ({problem})."
                ) from None
            identity = self._identify(item)
            if identity not in self._seen:
                self._seen.add(identity)
                yield item

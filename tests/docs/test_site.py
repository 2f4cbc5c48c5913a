"""The documentation builds, and its search finds what somebody with an error message looks for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.docs.pages import entries

pytest.importorskip("sphinx", reason="the documentation is built with the newest Airflow's tools")


@pytest.fixture(scope="module")
def index(site) -> dict[str, Any]:
    """Read what the site's search reads."""
    text = (site / "searchindex.js").read_text()
    read: dict[str, Any] = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    return read


def found(index: dict[str, Any], words: str) -> set[str]:
    """Give the pages on which the search finds all the words, as its script does: by stem, without stop words."""
    from sphinx.search.en import SearchEnglish

    language = SearchEnglish({})
    stems = {language.stem(word.lower()) for word in language.split(words) if language.word_filter(word.lower())}
    pages = set(range(len(index["docnames"])))
    for stem in stems:
        at = [index[kind].get(stem, []) for kind in ("terms", "titleterms")]
        pages &= {page for pages_of in at for page in (pages_of if isinstance(pages_of, list) else [pages_of])}
    return {index["docnames"][page] for page in pages}


def test_a_search_for_what_no_page_has_finds_nothing(index):
    assert not found(index, "xylophone")


@pytest.mark.parametrize("entry", [*entries(of_airflow=False), *entries(of_airflow=True)])
def test_the_words_of_an_error_find_what_to_do_about_it(index, entry):
    assert "troubleshooting" in found(index, entry.replace("...", " "))

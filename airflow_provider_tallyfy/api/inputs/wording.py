"""Parts of messages about what users gave, never longer than can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from airflow_provider_tallyfy.api.models.template import folded
from airflow_provider_tallyfy.api.presentable import LONGEST_ECHO, quote

_MOST_NAMES = 30


def ambiguous(what: str, ids: Sequence[str]) -> str:
    """Say that a text stands for several things."""
    return f"it could be any of {len(ids)} {what}; use one of the ids {enumerated(ids)}"


def did_you_mean(wanted: str, names: Mapping[str, str]) -> str:
    """Suggest which of some names a text may have meant, or nothing."""
    by_fold = {folded(name): shown for name, shown in names.items()}
    close = get_close_matches(folded(wanted[:LONGEST_ECHO]), by_fold, n=3)
    guesses = dict.fromkeys(repr(by_fold[name]) for name in close)
    return f"did you mean {' or '.join(guesses)}?" if guesses else ""


def quoted(names: Iterable[str]) -> str:
    """
    Enumerate names in quotes.

    :param names: the names; those after the first thirty are counted.
    """
    return enumerated(map(quote, names))


def enumerated(texts: Iterable[str]) -> str:
    """
    Enumerate texts.

    :param texts: the texts; those after the first thirty are counted.
    """
    listed = list(texts)
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return ", ".join(listed[:_MOST_NAMES]) + more

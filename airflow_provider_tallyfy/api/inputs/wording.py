"""Parts of messages about what users gave, never longer than can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from airflow_provider_tallyfy.api.models.template import normalized
from airflow_provider_tallyfy.api.text import MAX_ECHO, quoted

_MAX_NAMES = 30


def ambiguous(what: str, ids: Sequence[str]) -> str:
    """Say that a text stands for several things."""
    return f"it could be any of {len(ids)} {what}; use one of the ids {enumerated(ids)}"


def did_you_mean(wanted: str, names: Mapping[str, str]) -> str:
    """Suggest which of some names a text may have meant, or nothing."""
    by_normalized = {normalized(name): shown for name, shown in names.items()}
    close = get_close_matches(normalized(wanted[:MAX_ECHO]), by_normalized, n=3)
    guesses = dict.fromkeys(repr(by_normalized[name]) for name in close)
    return f"did you mean {' or '.join(guesses)}?" if guesses else ""


def quoted_list(names: Iterable[str]) -> str:
    """Join names in quotes, like :func:`enumerated`."""
    return enumerated(map(quoted, names))


def enumerated(texts: Iterable[str]) -> str:
    """Join texts with commas; those after the first thirty are only counted."""
    listed = list(texts)
    more = f" and {len(listed) - _MAX_NAMES} more" if len(listed) > _MAX_NAMES else ""
    return ", ".join(listed[:_MAX_NAMES]) + more

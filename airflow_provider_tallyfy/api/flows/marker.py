"""The marker by which a launched run is recognized: a few characters in its summary."""

from __future__ import annotations

import hashlib
import re

_DIGITS = 20
_MARKER = re.compile(rf"\[airflow:[0-9a-f]{{{_DIGITS}}}\]")


def marker_of(key: str) -> str:
    """Make the marker of a launch."""
    return f"[airflow:{hashlib.sha256(key.encode()).hexdigest()[:_DIGITS]}]"


def add_marker(summary: object, marker: str) -> str:
    """Add a marker to a summary that does not have it."""
    text = "" if summary is None else str(summary)
    if marker in text:
        return text
    return f"{text}\n{marker}" if text else marker


def markers_in(summary: object) -> list[str]:
    """Find the markers in a summary."""
    return _MARKER.findall(str(summary or ""))


def keep_markers(earlier: object, summary: object) -> str:
    """Rewrite a summary without losing the markers it had: without them a later try could not find its run."""
    text = "" if summary is None else str(summary)
    for marker in markers_in(earlier):
        text = add_marker(text, marker)
    return text

"""Foreign text in messages and log lines: printable, of limited length."""

from __future__ import annotations

import reprlib

#: The longest piece of foreign text in a message, in characters.
MAX_TEXT = 300

#: The longest name or title that is kept, in characters. Tallyfy's are shorter.
MAX_NAME = 1_000

#: The longest echo of a value that a user gave, in characters.
MAX_ECHO = 80

#: The longest message, in characters.
MAX_MESSAGE = 10_000

#: What stands in place of a secret that an answer repeated.
MASK = "***"


def one_line(text: object, limit: int = MAX_TEXT) -> str:
    """Write text on one line, without control characters and escape sequences, and truncate it."""
    start = str(text)[: limit + 1]
    if not start.isprintable():
        start = "".join(character if character.isprintable() else " " for character in start)
    return truncated(" ".join(start.split()), limit)


def quoted(text: object, limit: int = MAX_TEXT) -> str:
    """Write a name in quotes, with escapes for what is not printable, and truncate it."""
    return repr(truncated(str(text), limit))


class _ShortRepr(reprlib.Repr):
    """Writes values of any type and size in a few characters."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = MAX_ECHO

    def repr_int(self, x: int, level: int) -> str:
        """Write an integer; Python refuses to write one of more than 4,300 digits."""
        try:
            return super().repr_int(x, level)
        except ValueError:
            return f"an integer of {x.bit_length()} bits"


_SHORT_REPR = _ShortRepr()


def short_repr(value: object) -> str:
    """Write a value that a user gave, of any type, in at most about 80 characters."""
    return truncated(_SHORT_REPR.repr(value), MAX_ECHO)


def without_bom(text: object) -> str:
    """Read text without the byte order marks that Tallyfy and spreadsheets leave in names."""
    return "" if text is None else str(text).replace("\ufeff", "")


def truncated(text: str, limit: int) -> str:
    """Cut text after ``limit`` characters, and add dots if something was cut."""
    return text if len(text) <= limit else f"{text[:limit]}..."

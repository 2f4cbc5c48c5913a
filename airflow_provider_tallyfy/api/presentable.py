"""Show foreign text in messages and log lines: in one line, printable, of limited length."""

from __future__ import annotations

import reprlib

#: The longest piece of foreign text in a message, in characters.
LONGEST_TEXT = 300

#: The longest name or title that is kept, in characters. Tallyfy's are shorter.
LONGEST_NAME = 1_000

#: The longest echo of a value that a user gave, in characters.
LONGEST_ECHO = 80

#: The longest message, in characters.
LONGEST_MESSAGE = 10_000


def presentable(text: object, limit: int = LONGEST_TEXT) -> str:
    """Show text in one line: without control characters, escape sequences and line breaks, and cut to a length."""
    shown = str(text)[: limit + 1]
    if not shown.isprintable():
        shown = "".join(character if character.isprintable() else " " for character in shown)
    return clipped(" ".join(shown.split()), limit)


def quote(text: object, limit: int = LONGEST_TEXT) -> str:
    """Show a name or title in quotes, with escapes for what is not printable, and cut to a length."""
    return repr(clipped(str(text), limit))


class _Echo(reprlib.Repr):
    """Writes values of any type and size in a few characters."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = LONGEST_ECHO

    def repr_int(self, x: int, level: int) -> str:
        """Write an integer; Python refuses to write one of more than 4,300 digits."""
        try:
            return super().repr_int(x, level)
        except ValueError:
            return f"an integer of {x.bit_length()} bits"


_ECHO = _Echo()


def shown(value: object) -> str:
    """Show a value that a user gave, in short, whatever it is."""
    return echoed(_ECHO.repr(value))


def echoed(text: str) -> str:
    """Cut a text to the length of an echo."""
    return text if len(text) <= LONGEST_ECHO else f"{text[: LONGEST_ECHO - 3]}..."


def clipped(text: str, limit: int) -> str:
    """
    Cut text to a length.

    :param limit: the most characters to keep; dots in the place of the rest come on top.
    """
    return text if len(text) <= limit else f"{text[:limit]}..."

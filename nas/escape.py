"""Escapes text that somebody else has written, for terminals, Markdown and CSV."""

import html
import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, which can rewrite what a terminal shows, and those that reverse text."""

_FORMULA = ("=", "+", "-", "@", "\t")
"""How a cell begins that a spreadsheet would calculate."""


def printable(text: str) -> str:
    """Writes control characters as escape sequences; line ends and tabs stay."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Returns text as one printable line."""
    return printable(text.replace("\n", "\\n"))


def markdown(text: str) -> str:
    """Returns text that Markdown shows as it is: no HTML, no link, no other cell of a table."""
    return re.sub(r"([|\[\]`])", r"\\\1", html.escape(one_line(text), quote=False))


def fenced(text: str, language: str = "") -> str:
    """Returns a code block of Markdown, whose fence is longer than any in the text."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text)}\n{fence}"


def spreadsheet_cell(value: object) -> object:
    """Returns a cell of a CSV file; text that would be a formula begins with an apostrophe."""
    if isinstance(value, str):
        value = printable(value)
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value

"""Breaks lines of Python as a formatter does: one argument per line if they do not fit."""

from __future__ import annotations

WIDTH = 88
"""The default line length of black and ruff."""

_BRACKETS = {")": "(", "]": "[", "}": "{"}
_FOR = " for _ in "


def laid_out(line: str) -> list[str]:
    """Breaks a statement into lines of at most :data:`WIDTH`, as far as its brackets allow.

    The last outermost bracket is split into one item per line, each followed by a comma, as black
    and ruff do. Items that are too long are split in the same way. Strings in the statement must
    not contain brackets or commas.
    """
    inner = _last_bracket(line) if len(line) > WIDTH else None
    if inner is None:
        return [line]
    start, stop = inner
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    items = _items(line[start:stop])
    if len(items) == 1 and _FOR in items[0]:  # a comma would make a tuple of the repetition
        before, _, number = items[0].rpartition(_FOR)
        items = [before, _FOR[1:] + number]
    else:
        items = [f"{item}," for item in items]
    lines = [part for item in items for part in laid_out(indent + item)]
    return [line[:start], *lines, indent[4:] + line[stop:]]


def _last_bracket(line: str) -> tuple[int, int] | None:
    """Returns where the content of the last outermost bracket begins and ends."""
    stop, depth = None, 0
    for index in range(len(line) - 1, -1, -1):
        if line[index] in _BRACKETS:
            depth += 1
            if depth == 1 and stop is None:
                stop = index
        elif line[index] in _BRACKETS.values():
            depth -= 1
            if depth == 0 and stop is not None:
                return (index + 1, stop) if stop > index + 1 else None
    return None


def _items(text: str) -> list[str]:
    """Splits the text at the commas that are outside of brackets."""
    items, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character in _BRACKETS.values()) - (character in _BRACKETS)
        if character == "," and depth == 0:
            items.append(text[start:index].strip())
            start = index + 1
    return [*items, text[start:].strip()]

"""Writes parts of a ``campaign.yaml`` for people: comments, and the section ``data``."""

import json
import os
import re
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any

from nas.campaigns.spec.data_argument import Given
from nas.campaigns.store.defaults import PLACES
from nas.errors import InputError
from nas.escape import printable
from nas.files import at_home
from nas.training.data import Loaded
from nas.user_code import portable
from nas.yaml_files import parse_yaml

_COLUMN, _WIDTH = 33, 92
"""The column in which comments begin, and how wide a line of comment is."""


def draft(lines: str) -> str:
    """Returns the text of a file, without spaces at the ends of lines.

    Control characters are escaped. Names of classes and files can hold them; YAML does not allow
    most of them, and some end a line.
    """
    kept = "\n".join(map(str.rstrip, printable(lines).split("\n")))
    return f"{kept.rstrip()}\n"


def data_section(given: Given, loaded: Loaded, folder: Path) -> str:
    """Writes a section ``data`` with the reasons of its values."""
    notes = [f"# {line}" for note in loaded.notes for line in textwrap.wrap(note, _WIDTH)]
    lines = [*notes, "data:"]
    config, places = loaded.config, {}
    for key in PLACES:
        if isinstance(path := config.options.get(key), str):
            as_given = at_home(str(given.section[key]))
            named = Path(as_given).is_absolute()
            places[key] = path if named else Path(os.path.relpath(path, folder)).as_posix()
    options = portable({**given.section, "name": config.name, **places}, folder)
    for key, value in options.items():
        if key != "split":
            lines.append(commented(f"  {key}: {scalar(value)}", given.reasons.get(key, "")))
    parts = loaded.split
    counts = f"{len(parts.train):,}, {len(parts.validation):,} and {len(parts.test):,} images"
    if config.split.fractions:
        keys = {**config.split.model_dump(exclude_defaults=True), "seed": config.split.seed}
        text = ", ".join(f"{key}: {value}" for key, value in keys.items())
        of = "every class" if config.split.of == "images" else "the classes"
        lines += [f"  split: {{{text}}}", commented("", f"shares of {of}, in all {counts}")]
    else:
        lines.append(f"  # split: the official parts, {counts}")
    return "\n".join(lines)


def commented(text: str, comment: str) -> str:
    """Writes a line with a comment in the draft's comment column, if there is one."""
    if not comment:
        return text
    if len(text) > _COLUMN - 2:
        return f"{text}\n{commented('', comment)}"
    return text + wrapped(comment, _COLUMN - 2 - len(text))


def scalar(value: Any) -> str:
    """Writes a value so that YAML reads it again as it is.

    Raises :class:`InputError` if this cannot be done: the name of a file may be no text.
    """
    text = str(value)
    plain = isinstance(value, str) and re.fullmatch(r"[\w./~][\w./~:-]*", text)
    if plain and parse_yaml(text, "") == value:
        return text
    # YAML has no pairs of surrogates, by which JSON writes some characters.
    written = printable(json.dumps(value, ensure_ascii=False))
    with suppress(InputError, UnicodeError):
        if parse_yaml(written.encode().decode(), "") == value:
            return written
    raise InputError(f"{json.dumps(value)}: cannot be written to campaign.yaml; rename it")


def wrapped(words: str, spaces: int) -> str:
    """Writes a comment in the draft's comment column, over several lines if necessary."""
    lines = textwrap.wrap(words, 60)
    return " " * (spaces + 2) + f"\n{' ' * 33}".join(f"# {line}" for line in lines)

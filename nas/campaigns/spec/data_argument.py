"""Reads the data set that a user names: it means the same in every command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.errors import InputError, in_file
from nas.files import at_home
from nas.registry import unknown
from nas.training.datasets import DATASETS, OFFICIAL
from nas.training.datasets.look import propose, propose_function
from nas.training.splitting import SPLITS
from nas.user_code import FORMS, is_code
from nas.yaml_files import is_yaml, section, start


@dataclass(frozen=True)
class Given:
    """A section ``data`` that a user has given or named.

    Attributes:
        section: the name of the data set and its options.
        folder: the folder at which the relative paths in it start.
        reasons: why an option has its value, by its key, if it was proposed.
    """

    section: dict[str, Any]
    folder: Path
    reasons: Mapping[str, str] = field(default_factory=dict)


def read(text: str, argument: str = "--data") -> Given:
    """Reads the value of ``--data``, or of the command's ``argument`` that has this meaning.

    It is the name of a data set, the path of a folder or file with images, ``file.py:FUNCTION``, a
    YAML file with the keys of a section ``data``, or such keys in braces. Relative paths start at
    the current folder, and those in a YAML file at the file's folder. For a path or a function, the
    options are proposed from what is there.

    Raises :class:`InputError` if it is none of these.
    """
    if text in DATASETS or text.lstrip().startswith("{") or is_yaml(text):
        given = section(text, argument, "name")
        return Given({**known_options(str(given.get("name"))), **given}, start(text))
    path = at_home(text)
    if os.path.lexists(path):
        proposal = propose(path)
        return Given(proposal.section, Path(), proposal.reasons)
    if is_code(text):
        proposal = propose_function(text)
        return Given(proposal.section, Path(), proposal.reasons)
    if "/" in text or path.suffix:
        raise InputError(f"{text}: No such file or folder")
    with in_file(argument):
        hint = unknown("data set", text, DATASETS)
        raise InputError(f"{hint}; or the path of a folder or file, or {FORMS}", "name")


def known_options(name: str) -> dict[str, Any]:
    """Returns the options of a data set, and its split, that commands set unless the user does.

    It is empty for the user's data, whose official parts are not known before they are read.
    """
    if name not in OFFICIAL:
        return {}
    if name == "digits":  # the images are 8x8, too small for most classics
        return {"resolution": 16, "split": SPLITS[("train", "validation", "test")]}
    return {"split": SPLITS[("train", "validation")]}

"""Compares the code that ``campaign.yaml`` names with the code that the records were made with.

Commands that only read a campaign's folder (``nas check``, ``show``, ``report``, ``cost``,
``export``) must import its Python to build a network again. They do so only if it is the code that
the records name: the same names, and files with the recorded checksums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.campaigns.spec.space import DESCRIPTIVE
from nas.errors import InputError, in_file
from nas.user_code import absolute, is_code, is_file, sources
from nas.yaml_files import read_yaml

_NOT_IMPORTED = ("engine", "final")
"""The keys of ``campaign.yaml`` whose code only a run imports."""


def check_code(file: Path, recorded: Mapping[str, Any]) -> None:
    """Checks the code that a campaign names, before it is imported; nothing is imported here.

    Args:
        file: the path of ``campaign.yaml``.
        recorded: the specification in the first record.

    Raises :class:`InputError` with every name and every file that is not as recorded.
    """
    with in_file(file):
        given = read_yaml(file)
        if not isinstance(given, Mapping):
            return  # it names nothing, and whoever reads it will say what is wrong
        parts = {key: value for key, value in given.items() if key not in _NOT_IMPORTED}
        named = dict.fromkeys(_code_in(parts), file.parent)
        named |= _in_space_file(parts, file.parent)
        texts = set(_texts(recorded))
        labels = {_label(text) for text in texts if is_code(text)}
        problems = []
        metrics = set(_code_in(parts.get("metrics")))
        for name, folder in sorted(named.items()):
            known = labels | _metric_labels(name, recorded) if name in metrics else labels
            if _label(name) not in known:
                problems.append(f"{name}: is code that the records were not made with")
            elif is_file(name) and "code" in recorded:  # which very old records do not have
                found = sources(absolute(name, folder))
                problems += [
                    f"{path.name}: is not the file that the records were made with (checksum "
                    f"{checksum})"
                    for path, checksum in found.items()
                    if checksum not in texts
                ]
        if problems:
            raise InputError.of(((), f"{problem}; it is not run") for problem in problems)


def _metric_labels(name: str, recorded: Mapping[str, Any]) -> set[str]:
    """Returns the label of a metric if the records may have been made with it.

    Records hold what a metric means, and not how ``campaign.yaml`` names it. So a metric of a file
    needs the checksum of this file, and one of a module needs its name.
    """
    file, _, attribute = _label(name).rpartition(":")
    files = {Path(path).name for path in recorded.get("code", {})}
    own = {each["name"] for each in recorded.get("metrics", {}).get("own", [])}
    return {_label(name)} if file in files or attribute in own else set()


def _label(name: str) -> str:
    """Returns a name without the folder of its file, because records may leave it out."""
    return Path(name).name if is_file(name) else name


def _in_space_file(parts: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Returns the code that the user's own space file names, with the folder of that file."""
    space = parts.get("space")
    name = space.get("name") if isinstance(space, Mapping) else space
    if not (isinstance(name, str) and name.endswith((".yaml", ".yml"))):
        return {}
    given = read_yaml(folder / name)
    if isinstance(given, Mapping):
        given = {key: value for key, value in given.items() if key not in DESCRIPTIVE}
    return dict.fromkeys(_code_in(given), (folder / name).parent)


def _code_in(value: Any) -> Iterator[str]:
    return (text for text in _texts(value) if is_code(text))


def _texts(value: Any) -> Iterator[str]:
    """Yields all texts in plain values, with the keys of mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)

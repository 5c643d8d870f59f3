"""Reads architectures, data sets and recipes from names on the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.classics import CLASSICS, classic
from nas.configuration import Named, validate
from nas.errors import InputError, in_file
from nas.files import read_text
from nas.registry import unknown
from nas.training.presets import PRESETS
from nas.yaml_files import parse_yaml, section, source, start

if TYPE_CHECKING:
    from nas.architecture.graph import Architecture
    from nas.jobs.references import Reference
    from nas.spaces.choices import Genotype
    from nas.spaces.search_space import SearchSpace
    from nas.tasks import Task
    from nas.training.data import DataConfig, SearchData
    from nas.training.recipe import Recipe


def architecture(
    name: str, input_shape: tuple[int, ...] | None = None, classes: int | None = None
) -> Architecture:
    """Returns the architecture that a name stands for.

    Args:
        name: a classic, with options after a colon (``resnet20:width=0.5,stem=cifar``); a member
            of a space (``SPACE:MEMBER``); a JSON file of an architecture; or a reference
            (``results/NAME:best``), see :mod:`nas.jobs.references`.
        input_shape: the input shape of a classic or a member; for other names it is fixed.
        classes: the number of classes of a classic or a member; for other names it is fixed.

    Raises :class:`InputError` naming the unknown part, or the problem in the file.
    """
    if is_classic(name):
        head, _, options = name.partition(":")
        return classic(head, input_shape, classes, **_options(name, options))
    if is_reference(name):
        return reference(name).architecture
    if is_file(name):
        return _read(Path(name))
    head = name.rpartition(":")[0] or name
    if "/" in head and not Path(head).suffix:
        raise InputError(f"{name}: there is no folder {head}")
    if ":" in name and "=" not in name:
        found, genotype = member(name, input_shape, classes)
        return found.decode(genotype)
    raise InputError(unknown("classic", name.partition(":")[0], CLASSICS))


def for_task(name: str, task: Task, images: SearchData) -> Architecture:
    """Returns the network of a name for a task and the images on which it is to be trained.

    A network whose output is not the task's is its backbone. Raises :class:`InputError` if the name
    is unknown, or if the network does not fit.
    """
    shape, classes = images.input_shape, images.classes
    outputs = task.outputs(shape, classes)
    built = architecture(name, shape, outputs)
    with in_file(name):
        try:
            task.check_fit(built, shape, classes)
        except InputError:
            built = task.network(built, outputs)
            task.check_fit(built, shape, classes)
    return built


def is_classic(name: str) -> bool:
    """Tells if a name is that of a classic, with or without options."""
    return name.partition(":")[0] in CLASSICS


def is_file(name: str) -> bool:
    """Tells if a name is that of a JSON file of an architecture."""
    return not is_classic(name) and (name.endswith(".json") or os.path.isfile(name))


def is_reference(name: str) -> bool:
    """Tells if a name is a reference to a results folder or to a network in it."""
    head, colon, _ = name.rpartition(":")
    return os.path.isdir(name) or bool(colon and os.path.isdir(head))


def reference(name: str) -> Reference:
    """Returns the network of a reference; see :mod:`nas.jobs.references`."""
    # Imported here, because other names do not need the modules that read a campaign.
    from nas.jobs.references import read

    head, _, which = name.rpartition(":")
    return read(Path(name), "") if os.path.isdir(name) else read(Path(head), which)


def is_bound(name: str) -> bool:
    """Tells if a name is that of a network whose input shape and classes are fixed."""
    return is_file(name) or is_reference(name)


def short(name: str) -> str:
    """Shortens a name for the names of files: without folders and without a file's ending."""
    if is_file(name):
        return Path(name).stem
    return Path(name).name if is_reference(name) else name


def weights(name: str) -> Path:
    """Returns the file of weights of a name, which is a file or a reference.

    Raises :class:`InputError` if a reference has no weights.
    """
    return kept_weights(name, reference(name)) if is_reference(name) else Path(name)


def kept_weights(name: str, found: Reference) -> Path:
    """Returns the file of weights of a reference.

    Raises :class:`InputError` if there is none, or if it is damaged.
    """
    path = found.verified_weights()
    if path is None:
        raise InputError(
            f"{name}: no weights are kept of {found.trial or 'it'}: a campaign keeps those of its "
            "final stage, unless final.weights is false. Let the final stage retrain it, or train "
            f"it alone: nas train {name} --data DATA --recipe RECIPE"
        )
    return path


def kind(name: str) -> str:
    """Returns the row kind of an architecture: classic, that of the referenced trial, or other."""
    if is_classic(name):
        return "classic"
    return reference(name).kind if is_reference(name) else "other"


def initialization(name: str) -> str:
    """Returns the scheme that the initialization "reference" means for this architecture."""
    if not is_classic(name) and is_reference(name):
        return reference(name).initialization
    entry = CLASSICS.get(name.partition(":")[0])
    return entry.initialization if entry else "default"


def member(
    name: str, input_shape: tuple[int, ...] | None = None, classes: int | None = None
) -> tuple[SearchSpace, Genotype]:
    """The space and the genotype of ``SPACE:MEMBER``."""
    from nas.spaces import space, spaces
    from nas.user_code import is_code

    given: dict[str, Any] = {"input_shape": input_shape, "classes": classes}
    given = {key: value for key, value in given.items() if value is not None}
    head, _, which = name.rpartition(":")
    if head not in spaces() and not head.endswith((".yaml", ".yml")) and not is_code(head):
        found = space(name, **given)
        members = ", ".join(found.members) or "none"
        raise InputError(
            f"{name}: is a space; write a member after it as {name}:MEMBER (it has {members}), "
            "or a genotype as another argument"
        )
    found = space(head, **given)
    return found, found.member(which)


def data(text: str) -> DataConfig:
    """The data set that ``--data`` names: see :func:`nas.campaigns.spec.data_argument.read`."""
    from nas.campaigns.spec.data_argument import read
    from nas.training.data import resolve

    given = read(text)
    with in_file(source(text, "--data")):
        return resolve(given.section, given.folder)


def task(text: str) -> Named:
    """The task of a name, of ``{name: ..., option: ...}`` or of a YAML file."""
    given = section(text, "--task", "name")
    with in_file(source(text, "--task")):
        return validate(Named, given, start(text))


def recipe(text: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a preset's name, of ``{preset: ..., epochs: ...}`` or of a YAML file.

    ``changes`` are ``key=value`` and go before its own.
    """
    from nas.training.recipe import resolve

    given = section(text, "--recipe", "preset")
    if given.get("preset") == text and text not in PRESETS:
        raise InputError(f"--recipe: {unknown('preset', text, PRESETS)}, or a .yaml file")
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"--set: must be key=value, got {change!r}")
        given[key] = parse_yaml(value, f"--set {key}")
    with in_file(source(text, "--recipe")):
        return resolve(given)


def _options(name: str, text: str) -> Mapping[str, Any]:
    """Reads ``width=0.5,stem=cifar``: a flow mapping of YAML, with ``=`` instead of a colon."""
    found: dict[str, Any] = parse_yaml("{" + text.replace("=", ": ") + "}", name)
    return {str(key): value for key, value in found.items()}


def _read(path: Path) -> Architecture:
    from nas.architecture.graph import Architecture

    with in_file(path):
        return Architecture.from_json(read_text(path))

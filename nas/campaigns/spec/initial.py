"""Resolves ``initial`` of a searcher: the genotypes that a search starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from nas.classics import CLASSICS
from nas.errors import InputError, at
from nas.registry import resolve
from nas.spaces.choices import Genotype, Option
from nas.spaces.constrained_space import ConstrainedSpace
from nas.spaces.search_space import SearchSpace

ALL = "classics"
"""The word for all members that are classics."""

WIDTH = "multiplier"
"""The choice that multiplies all widths, in spaces that have one."""


class Initial(NamedTuple):
    """Holds what a search starts from.

    Attributes:
        genotypes: the genotypes by name, in the order in which they are evaluated.
        left_out: the classics that fit the images or the constraints at no width.
    """

    genotypes: dict[str, Genotype]
    left_out: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """Returns a line that names what is left out, or ""."""
        if not self.left_out:
            return ""
        return (
            "initial: classics: left out, because they fit the images and the constraints at no "
            f"{WIDTH}: {', '.join(self.left_out)}"
        )


def initial_genotypes(
    given: Any, space: SearchSpace, folder: Path, first: Mapping[str, Option] | None = None
) -> Initial:
    """Returns the genotypes that ``initial`` names.

    Args:
        given: one entry, or a list of entries. An entry is the name of a member of the space, a
            genotype, ``classics``, or a reference to a network of another campaign
            (``results/old:best``).
        space: the space with its constraints.
        folder: the folder where a reference is looked for first; then the current folder.
        first: answers for choices that an entry does not answer, such as searched hyperparameters.

    Raises :class:`InputError` for an entry that is unknown, breaks a constraint, or is of another
    space.
    """
    found: dict[str, Genotype] = {}
    left_out: tuple[str, ...] = ()
    for position, entry in enumerate(given if isinstance(given, list) else [given]):
        with at(*([position] if isinstance(given, list) else [])):
            if entry == ALL and ALL not in space.members:
                more, left_out = _classics(space)
            else:
                name = entry if isinstance(entry, str) else f"genotype {position}"
                genotype = _genotype(entry, space, folder)
                more = {name: _accepted(space, {**(first or {}), **genotype}, name)}
            for name, genotype in more.items():
                if name in found:
                    raise InputError(f"{name} is given twice")
                found[name] = genotype
    return Initial(found, left_out)


def _genotype(entry: Any, space: SearchSpace, folder: Path) -> Genotype:
    if isinstance(entry, Mapping):
        return dict(entry)
    if not isinstance(entry, str):
        raise InputError(
            "must be a member of the space, a genotype, classics, or a reference such as "
            f"results/NAME:best, got {entry!r}"
        )
    if entry in space.members:
        return space.members[entry]
    if ":" in entry:
        return _referred(entry, folder)
    if entry in CLASSICS:
        raise InputError(
            f"{entry} is a classic outside the space {space.name}; allowed: "
            + (", ".join(space.members) or "none, as the space has no members")
        )
    return space.member(entry)  # which raises


def _referred(entry: str, folder: Path) -> Genotype:
    head, _, which = entry.rpartition(":")
    where = next((path for path in (folder / head, Path(head)) if path.is_dir()), None)
    if where is None:
        raise InputError(f"{entry}: there is no folder {head}")
    # By its name, because jobs, which read campaigns, lie above this folder.
    read: Callable[[Path, str], Any] = resolve("nas.jobs.references:read")
    genotype: Genotype | None = read(where, which).genotype
    if genotype is None:
        raise InputError(f"{entry}: has no genotype, because no search found it")
    return genotype


def _accepted(space: SearchSpace, genotype: Genotype, name: str) -> Genotype:
    """Returns the genotype with its answers in the order asked, and a fitted choice answered."""
    genotype = space.fit(genotype)
    try:
        space.validate(genotype)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return space.run(lambda choice, _: genotype[choice])[0]


def _classics(space: SearchSpace) -> Initial:
    """Returns the members that are classics, each as wide as the constraints allow."""
    names = [name for name in space.members if name in CLASSICS]
    if not names:
        raise InputError(
            f"space {space.name}: none of its members is a classic; allowed: "
            + (", ".join(space.members) or "none, as it has no members")
        )
    found: dict[str, Genotype] = {}
    left_out = []
    for name in names:
        own = space.members[name].get(WIDTH)
        for width in _widths(space, name):
            label = name if width is None or width == own else f"{name}, {WIDTH} {width:g}"
            try:
                found[label] = _accepted(space, _widened(space.members[name], width), name)
            except InputError as error:
                reason = error
            else:
                break
        else:
            left_out.append(name)
    if not found:
        raise InputError(f"no classic fits the images and the constraints; the last: {reason}")
    return Initial(found, tuple(left_out))


def _widths(space: SearchSpace, name: str) -> list[float | None]:
    """Returns the widths to try: with constraints all options, the largest first."""
    if not isinstance(space, ConstrainedSpace) or space.fitted is not None:
        return [None]
    member = space.members[name]
    options: list[float] = []

    def answer(choice: str, offered: tuple[Option, ...]) -> Option:
        if choice == WIDTH:
            options.extend(option for option in offered if isinstance(option, int | float))
        return member[choice]

    with suppress(InputError):  # if the images are too small for the member
        space.unconstrained.validate(member)
        space.unconstrained.run(answer)
    return [*sorted(options, reverse=True)] or [None]


def _widened(member: Genotype, width: float | None) -> Genotype:
    return member if width is None else {**member, WIDTH: width}

"""The classic architectures: one function per family, one row of :data:`CLASSICS` per network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas.classics.catalogue import CLASSICS, Classic
from nas.errors import InputError, at, in_file
from nas.registry import unknown

if TYPE_CHECKING:
    from nas.architecture.graph import Architecture

__all__ = ["CLASSICS", "Classic", "classic"]


def classic(
    name: str,
    input_shape: tuple[int, ...] | None = None,
    classes: int | None = None,
    **options: Any,
) -> Architecture:
    """Return the architecture of a classic network.

    Args:
        name: a key of :data:`CLASSICS`.
        input_shape: the input without the batch, channels first; by default what the network was
            designed for.
        classes: the number of classes; by default what the network was designed for.
        options: options of the family, such as ``width`` or ``stem``.

    Raises:
        InputError: for an unknown name or option. For an input that is too small for the strides,
            it is an :class:`ArchitectureError` that names the node that does not fit.
    """
    from nas.architecture.operations import ArchitectureError
    from nas.configuration import validate_options

    if name not in CLASSICS:
        raise InputError(unknown("classic", name, CLASSICS))
    entry = CLASSICS[name]
    with in_file(f"classic {name}"), at("options"):
        checked = validate_options(entry.function, options)
    shape = tuple(entry.input_shape if input_shape is None else input_shape)
    try:
        architecture: Architecture = entry.function(
            shape, entry.classes if classes is None else classes, **{**entry.fixed, **checked}
        )
    except ArchitectureError as error:
        given, meant = ("x".join(map(str, each)) for each in (shape, entry.input_shape))
        raise ArchitectureError(
            f"{name}, which is made for images of {meant}, does not fit images of {given}: {error}"
        ) from error
    return architecture

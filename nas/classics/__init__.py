"""The classic architectures: one function a family, one row of :data:`CLASSICS` a network."""

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
    """The architecture of a classic network.

    Args:
        name: a key of :data:`CLASSICS`.
        input_shape: without the batch, channels first; by default what it was designed for.
        classes: by default what it was designed for.
        options: the family's own, such as ``width`` or ``stem``.

    Raises:
        InputError: for an unknown name or option; as :class:`ArchitectureError`, for an input
            that is too small for its strides, naming the node that does not fit.
    """
    from nas.configuration import validate_options

    if name not in CLASSICS:
        raise InputError(unknown("classic", name, CLASSICS))
    entry = CLASSICS[name]
    with in_file(f"classic {name}"), at("options"):
        checked = validate_options(entry.function, options)
    architecture: Architecture = entry.function(
        tuple(entry.input_shape if input_shape is None else input_shape),
        entry.classes if classes is None else classes,
        **{**entry.fixed, **checked},
    )
    return architecture

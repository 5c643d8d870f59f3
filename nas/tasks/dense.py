"""What tasks have in common whose networks return a map as large as the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt

from nas.configuration import Named, validate_options
from nas.errors import at
from nas.heads import HEADS, dense
from nas.tasks.base import Task

if TYPE_CHECKING:
    from nas.architecture.graph import Architecture


class Dense(Task):
    """A head on a backbone returns a map as large as the image.

    Args:
        head: a head of :data:`nas.heads.HEADS`, with its options.
        output_stride: the largest stride of the backbone, which dilation keeps.
    """

    placed = True

    def __init__(self, head: Named | str, output_stride: PositiveInt | None = None) -> None:
        self._head = head if isinstance(head, Named) else Named(name=head)
        with at("head"):
            self._options = validate_options(HEADS[self._head.name], self._head.options)
        self._output_stride = output_stride

    def network(self, backbone: Architecture, outputs: int) -> Architecture:
        """Returns the backbone with the task's head instead of its own."""
        return dense(backbone, self._head.name, outputs, self._options, self._output_stride)

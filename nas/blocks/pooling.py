"""Pooling at stride 1, and doing nothing."""

from __future__ import annotations

from pydantic import PositiveInt

from nas.architecture.builder import Builder, Handle


def max_pool(g: Builder, x: Handle, *, kernel: PositiveInt = 3) -> Handle:
    """Max pooling at stride 1 that keeps the size."""
    return g.max_pool(x, kernel, 1, kernel // 2)


def avg_pool(g: Builder, x: Handle, *, kernel: PositiveInt = 3) -> Handle:
    """Average pooling at stride 1 that keeps the size; the border is left out of the mean."""
    return g.avg_pool(x, kernel, 1, kernel // 2, count_include_pad=False)


def identity(g: Builder, x: Handle) -> Handle:
    """The input itself."""
    return g.identity(x)

"""Reads and writes pairwise cells in the notation of DARTS: ``Genotype(normal=[...], ...)``."""

from __future__ import annotations

import ast
from typing import Any

from nas.classics.cells import Cell
from nas.errors import InputError

_KEYS = ("normal", "normal_concat", "reduce", "reduce_concat")


def written_cells(normal: Cell, reduction: Cell) -> str:
    """Return ``Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, 3], ...)``."""
    values = (normal.edges, normal.concat, reduction.edges, reduction.concat)
    shown = (f"{key}={list(value)}" for key, value in zip(_KEYS, values, strict=True))
    return f"Genotype({', '.join(shown)})"


def read_cells(text: str) -> tuple[Cell, Cell]:
    """Read the normal and the reduction cell.

    Nothing is evaluated. Only lists, tuples, words, numbers and ``range(start, stop)`` are read.

    Raises:
        InputError: saying what is wrong with the text.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        call = None
    if not (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "Genotype"
        and not call.args
        and sorted(str(keyword.arg) for keyword in call.keywords) == sorted(_KEYS)
    ):
        raise InputError(
            f"not a genotype in the notation Genotype({', '.join(f'{key}=...' for key in _KEYS)}): "
            f"{text!r}"
        )
    values = {keyword.arg: _value(keyword.value) for keyword in call.keywords}
    return _cell("normal", values), _cell("reduce", values)


def _cell(name: str, values: dict[str | None, Any]) -> Cell:
    edges, concat = values[name], values[f"{name}_concat"]
    if not isinstance(edges, list | tuple) or not all(map(_is_edge, edges)):
        raise InputError(f"{name}: must be a list of ('operation', state), got {edges!r}")
    if (
        not isinstance(concat, list | tuple | range)
        or len(concat) > len(edges) + 1  # before a range, which may be long, is unrolled
        or not all(type(state) is int for state in concat)
    ):
        raise InputError(f"{name}_concat: must be a list of states or a range, got {concat!r}")
    try:
        return Cell(tuple((operation, state) for operation, state in edges), tuple(concat))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _is_edge(edge: Any) -> bool:
    return (
        isinstance(edge, list | tuple)
        and len(edge) == 2
        and isinstance(edge[0], str)
        and type(edge[1]) is int
    )


def _value(node: ast.expr) -> Any:
    """Return the value of a literal or ``range(start, stop)``, or the text of anything else."""
    try:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "range":
            return range(*(ast.literal_eval(argument) for argument in node.args))
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return ast.unparse(node)

"""Writes a ``torch.fx`` graph as statements in the way a person would."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate, chain, count
from typing import Any, NamedTuple

import torch
from torch import fx

_LETTERS = "xyzabcdefghjkmnpqrstuvw"  # without letters that look like digits
_LONGEST = 70
_DEEPEST = 3
"""The largest length and depth of calls of an expression that contains others."""

_INFIX: dict[Any, tuple[str, int]] = {torch.add: (" + ", 1), torch.mul: (" * ", 2)}
_ATOM = 3

_Piece = str | fx.Node


class Forward(NamedTuple):
    """A forward method, given by the names of its arguments and the lines of its body."""

    arguments: list[str]
    lines: list[str]


def forward(graph: fx.Graph, access: Callable[[str], str]) -> Forward:
    """Writes the forward method of a graph.

    A value that is used once is written into the expression that uses it, as long as that stays
    short. Names are letters; a letter is reused when its value is no longer needed.

    Args:
        graph: a graph of calls such as :mod:`nas.architecture.operations` emit. If it has several
            outputs, those after the first are computed and returned in training only.
        access: returns the expression for the module at a target.
    """
    return _Writer(graph, access).forward()


@dataclass(frozen=True)
class _Expression:
    """A text with places for variables, and its operator precedence."""

    pieces: tuple[_Piece, ...]
    binding: int = _ATOM

    @property
    def length(self) -> int:
        return sum(1 if isinstance(piece, fx.Node) else len(piece) for piece in self.pieces)

    @property
    def depth(self) -> int:
        text = "".join("_" if isinstance(piece, fx.Node) else piece for piece in self.pieces)
        return max(accumulate((c == "(") - (c == ")") for c in text))

    @property
    def variables(self) -> list[fx.Node]:
        return [piece for piece in self.pieces if isinstance(piece, fx.Node)]


class _Writer:
    def __init__(self, graph: fx.Graph, access: Callable[[str], str]) -> None:
        *self._nodes, end = graph.nodes
        self._access = access
        outputs: Any = end.args[0]
        self._outputs: tuple[fx.Node, ...] = outputs if isinstance(outputs, tuple) else (outputs,)
        self._uses = Counter(chain(self._outputs, *map(_operands, self._nodes)))
        self._written: dict[fx.Node, _Expression] = {}  # not yet part of another
        self._names: dict[fx.Node, str] = {}  # names of the values that are still needed

    def forward(self) -> Forward:
        inputs = [node for node in self._nodes if node.op == "placeholder"]
        for node in inputs:
            self._names[node] = self._free_name()
        arguments = list(self._names.values())
        for node in self._nodes:
            if node not in inputs:
                self._written[node] = self._expression(node)
        returned = _Expression(self._outputs[:1])
        if len(self._outputs) == 1:
            returned = self._take(self._outputs, 0, 0).get(self._outputs[0], returned)
        statements = (expression.variables for expression in self._written.values())
        self._uses = Counter(chain(self._outputs[1:], returned.variables, *statements))
        main = _ancestors(self._outputs[0])
        lines = [self._assigned(node) for node in self._written if node in main]
        if len(self._outputs) > 1:
            inner = [self._assigned(node) for node in self._written if node not in main]
            inner.append(f"return {', '.join(self._names[node] for node in self._outputs)}")
            lines += ["if self.training:", *(f"    {line}" for line in inner)]
        return Forward(arguments, [*lines, f"return {self._text(returned)}"])

    def _expression(self, node: fx.Node) -> _Expression:
        alone = self._call(node, {})
        return self._call(node, self._take(_operands(node), alone.length, alone.depth))

    def _take(
        self, operands: Iterable[fx.Node], length: int, depth: int
    ) -> dict[fx.Node, _Expression]:
        """Chooses the operands to write into their only user, given its own length and depth."""
        taken = {}
        for operand in operands:
            if operand in self._written and self._uses[operand] == 1:
                expression = self._written[operand]
                length += expression.length - 1
                if length <= _LONGEST and depth + expression.depth <= _DEEPEST:
                    taken[operand] = expression
        for operand in taken:
            del self._written[operand]
        return taken

    def _call(self, node: fx.Node, inner: dict[fx.Node, _Expression]) -> _Expression:
        """Makes the expression of a node; ``inner`` are the operands that are written into it."""

        def of(value: Any, binding: int = 0) -> tuple[_Piece, ...]:
            if isinstance(value, fx.Node):
                expression = inner.get(value) or _Expression((value,))
                return _bound(expression, binding)
            if isinstance(value, list | tuple):
                start, stop = "[]" if isinstance(value, list) else "()"
                comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
                return (start, *listed(value), comma + stop)
            return (_literal(value),)

        def listed(values: Iterable[Any], **keywords: Any) -> tuple[_Piece, ...]:
            parts = [*map(of, values), *((f"{k}=", *of(v)) for k, v in keywords.items())]
            return tuple(chain.from_iterable((", ", *part) for part in parts))[1:]

        args: Any = node.args
        if node.op == "get_attr":
            return _Expression((self._access(str(node.target)),))
        if node.target in _INFIX:
            sign, binding = _INFIX[node.target]
            return _Expression((*of(args[0], binding), sign, *of(args[1], binding + 1)), binding)
        if node.target is operator.getitem:
            places = args[1] if isinstance(args[1], tuple) else args[1:]
            window = ", ".join(map(_literal, places))
            return _Expression((*of(args[0], _ATOM), f"[{window}]"))
        if node.op == "call_method":
            called, args = (*of(args[0], _ATOM), f".{node.target}"), args[1:]
        elif node.op == "call_module":
            called = (self._access(str(node.target)),)
        else:
            called = (_qualified(node.target),)
        return _Expression((*called, "(", *listed(args, **node.kwargs), ")"))

    def _assigned(self, node: fx.Node) -> str:
        """Writes the statement of one value and frees the names that are no longer needed."""
        expression = self._written[node]
        text = self._text(expression)
        self._uses.subtract(expression.variables)
        used = dict.fromkeys(expression.variables)
        spent = [self._names.pop(use) for use in used if not self._uses[use]]
        self._names[node] = spent[0] if spent else self._free_name()
        return f"{self._names[node]} = {text}"

    def _text(self, expression: _Expression) -> str:
        return "".join(
            self._names[piece] if isinstance(piece, fx.Node) else piece
            for piece in expression.pieces
        )

    def _free_name(self) -> str:
        taken = set(self._names.values())
        return next(n for n in chain(_LETTERS, (f"x{i}" for i in count(1))) if n not in taken)


def _bound(expression: _Expression, binding: int) -> tuple[_Piece, ...]:
    loose = expression.binding < binding
    return ("(", *expression.pieces, ")") if loose else expression.pieces


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _operands(node: fx.Node) -> list[fx.Node]:
    """Lists the nodes that a node reads; one that is read twice appears twice."""
    found: list[fx.Node] = []

    def visit(operand: fx.Node) -> None:
        found.append(operand)

    fx.map_arg((node.args, node.kwargs), visit)
    return found


def _literal(value: Any) -> str:
    if isinstance(value, slice):
        start, stop, step = (str(v) if v else "" for v in (value.start, value.stop, value.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    if value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _qualified(function: Any) -> str:
    """Returns the name of a torch function as the written file imports it."""
    name = function.__name__
    return f"torch.{name}" if getattr(torch, name, None) is function else f"functional.{name}"

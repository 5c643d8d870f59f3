"""Selects and sorts the rows of a table by small expressions over its columns."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from nas.errors import InputError
from nas.registry import unknown

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def where(table: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Selects the rows for which a condition holds and renumbers them; ``attrs`` are kept.

    The condition has Python's syntax, for example ``params < 1e6 and kind in ("searched",
    "classic")``. It may contain columns, numbers and strings, ``== != < <= > >=``, ``in`` (a list,
    or a part of a text: ``"resnet" in name``), ``and or not`` and parentheses. Nothing else is
    evaluated. A comparison with an empty cell is false.

    Raises :class:`InputError` naming the part that is unknown or does not fit.
    """
    try:
        tree = ast.parse(condition.strip(), mode="eval").body
    except SyntaxError as error:
        raise InputError(f"--where: {condition!r}: {error.msg}") from None
    return table[_mask(table, tree)].reset_index(drop=True)


def sort(table: pd.DataFrame, order: str) -> pd.DataFrame:
    """Sorts rows, for example by ``macs,test_accuracy:desc``; empty cells last, ``attrs`` kept."""
    names, ascending = [], []
    for part in order.split(","):
        name, colon, direction = part.strip().partition(":")
        if colon and direction not in ("asc", "desc"):
            raise InputError(f"--sort: {part!r}: allowed after a colon: asc, desc")
        names.append(_known(table, name, "--sort"))
        ascending.append(direction != "desc")
    return table.sort_values(names, ascending=ascending, kind="stable", ignore_index=True)


def columns(table: pd.DataFrame, names: str) -> Sequence[str]:
    """Reads column names such as ``name,params,macs``; ``all`` means every column."""
    if names == "all":
        return list(table.columns)
    return [_known(table, name.strip(), "--columns") for name in names.split(",")]


def _known(table: pd.DataFrame, name: str, option: str) -> str:
    if name not in table.columns:
        raise InputError(f"{option}: {unknown('column', name, list(table.columns))}")
    return name


def _mask(table: pd.DataFrame, node: ast.expr) -> pd.Series:
    match node:
        case ast.BoolOp(op=ast.And()):
            masks = [_mask(table, part) for part in node.values]
            return pd.concat(masks, axis=1).all(axis=1)
        case ast.BoolOp():
            masks = [_mask(table, part) for part in node.values]
            return pd.concat(masks, axis=1).any(axis=1)
        case ast.UnaryOp(op=ast.Not()):
            return ~_mask(table, node.operand)
        case ast.Compare():
            lefts = [node.left, *node.comparators[:-1]]
            chain = zip(lefts, node.ops, node.comparators, strict=True)
            masks = [_comparison(table, *each) for each in chain]
            return pd.concat(masks, axis=1).all(axis=1)
        case ast.Name() if pd.api.types.is_bool_dtype(table[_known(table, node.id, "--where")]):
            return table[node.id]
    raise InputError(
        f"--where: {ast.unparse(node)!r} is not a condition; compare a column: macs < 1e6"
    )


def _comparison(table: pd.DataFrame, left: ast.expr, how: ast.cmpop, right: ast.expr) -> pd.Series:
    first, second = _value(table, left), _value(table, right)
    text = f"{ast.unparse(left)} … {ast.unparse(right)}"
    if not isinstance(first, pd.Series) and not isinstance(second, pd.Series):
        raise InputError(f"--where: {text}: must compare a column of the table")
    if isinstance(how, ast.In | ast.NotIn):
        inside = _inside(first, second, text)
        return ~inside if isinstance(how, ast.NotIn) else inside
    if type(how) not in _COMPARISONS or isinstance(first, list) or isinstance(second, list):
        raise InputError(f"--where: {text}: allowed comparisons: == != < <= > >= in not in")
    if _is_text(first) != _is_text(second):
        raise InputError(f"--where: {text}: compares a text with a number")
    found = _COMPARISONS[type(how)](first, second)
    known = [side.notna() for side in (first, second) if isinstance(side, pd.Series)]
    # An empty cell is neither equal nor unequal to any value.
    return pd.concat([found.fillna(False).astype(bool), *known], axis=1).all(axis=1)


def _inside(first: Any, second: Any, text: str) -> pd.Series:
    if isinstance(first, pd.Series) and isinstance(second, list):
        return first.isin(second)
    if isinstance(first, str) and isinstance(second, pd.Series) and _is_text(second):
        return second.str.contains(first, regex=False).fillna(False).astype(bool)
    raise InputError(f"--where: {text}: a column in a list, or a text in a column of texts")


def _value(table: pd.DataFrame, node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return table[_known(table, node.id, "--where")]
    try:
        value = ast.literal_eval(node)
    except ValueError:
        raise InputError(
            f"--where: {ast.unparse(node)!r}: must be a column, a number, a text or a list of these"
        ) from None
    return list(value) if isinstance(value, tuple | list) else value


def _is_text(value: Any) -> bool:
    if isinstance(value, pd.Series):
        return not (pd.api.types.is_numeric_dtype(value) or pd.api.types.is_bool_dtype(value))
    return isinstance(value, str)

"""Defines the arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from nas.architecture.graph import Architecture
    from nas.spaces.choices import Genotype
    from nas.spaces.search_space import SearchSpace

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

DATA = (
    "a folder of images, an .npz or a _TRAIN.ts file, a data set (digits, ...), file.py:FUNCTION, "
    "a .yaml file, or '{name: folder, root: pics, resolution: 32}'"
)
SPACE = "a space of `nas spaces`, a .yaml file, or a function: file.py:function"


def whole(low: int) -> Callable[[str], int]:
    """Makes an argument type: a whole number of at least ``low`` that fits into 64 bits."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value < 2**64:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {low} and below 2**64, got {text!r}"
            )
        return value

    return parse


def positive(text: str) -> float:
    """Reads an argument that is a number above 0 and below a billion."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and below 1e9, got {text!r}")
    return value


def add_form(command: argparse.ArgumentParser) -> None:
    """Adds the options that select a table's rows, columns, order and form."""
    command.add_argument("--where", metavar="CONDITION",
                         help="rows to keep: 'macs < 1e6 and \"resnet\" in name'")  # fmt: skip
    command.add_argument("--sort", metavar="COLUMNS", help="as macs,test_accuracy:desc")
    command.add_argument("--columns", help="columns to show, separated by commas, or all")
    command.add_argument(
        "--format",
        help="text, csv, markdown, latex, json or parquet; default: the ending of --out, or text",
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="default: printed")


def add_rows(command: argparse.ArgumentParser) -> None:
    """Adds the options that say what the rows of a campaign's table are."""
    command.add_argument(
        "--all", action="store_true", help="also show the trials that were not retrained"
    )
    command.add_argument("--per-seed", action="store_true",
                         help="one row per trained network, not per architecture")  # fmt: skip
    command.add_argument("--by", metavar="COLUMN",
                         help="column for rank and front; default: the task's primary metric on "
                         "validation images, validation_accuracy as a rule")  # fmt: skip
    command.add_argument("--cost", help="cost for the Pareto front; default: an objective, or macs")
    add_form(command)


def add_architecture(command: argparse.ArgumentParser) -> None:
    """Adds NAME and the options for its input shape and classes."""
    command.add_argument(
        "name",
        help="a classic, a member of a space (SPACE:MEMBER), a JSON file of an architecture, a "
        "trial of a campaign (results/NAME:best or :TRIAL), or a folder of `nas train`",
    )
    add_bound(command, "; not for a file")


def add_bound(command: argparse.ArgumentParser, hint: str = "") -> None:
    """Adds the options for the input shape and the classes."""
    command.add_argument("--input", help=f"input shape, channels first: 3,224,224{hint}")
    command.add_argument("--classes", type=whole(1), help=f"number of classes{hint}")


def bound(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the given input shape and classes as arguments of :func:`nas.space`."""
    given = {"input_shape": input_shape(arguments), "classes": arguments.classes}
    return {name: value for name, value in given.items() if value is not None}


def named_architecture(arguments: argparse.Namespace) -> Architecture:
    """Returns the architecture that a command's NAME stands for."""
    from nas.jobs import names as named

    bound = arguments.input is not None or arguments.classes is not None
    if bound and named.is_bound(arguments.name):
        raise InputError(
            f"{arguments.name}: its input shape and classes are fixed; "
            "--input and --classes are for classics and spaces"
        )
    return named.architecture(arguments.name, input_shape(arguments), arguments.classes)


def input_shape(arguments: argparse.Namespace) -> tuple[int, ...] | None:
    """Reads the shape from --input; None without it."""
    if arguments.input is None:
        return None
    try:
        return tuple(int(size) for size in arguments.input.split(","))
    except ValueError:
        raise InputError(
            f"--input: must be whole numbers separated by commas, such as 3,224,224; "
            f"got {arguments.input!r}"
        ) from None


def genotype(arguments: argparse.Namespace) -> tuple[SearchSpace, Genotype]:
    """Returns the space and the genotype of SPACE:MEMBER, or of SPACE and a genotype's text."""
    from nas.jobs import names as named
    from nas.spaces import space

    if arguments.genotype is None:
        return named.member(arguments.name, input_shape(arguments), arguments.classes)
    found = space(arguments.name, **bound(arguments))
    if (answers := _answers(arguments.genotype)) is not None:
        found.validate(answers)
        return found, answers
    return found, found.from_string(arguments.genotype)


def _answers(text: str) -> Genotype | None:
    """Reads a genotype from JSON; None for a space's notation, which may look like JSON too."""
    from nas.files import parse_json

    try:
        read = parse_json(text)
    except ValueError:
        return None
    plain = isinstance(read, dict) and not any(isinstance(v, list | dict) for v in read.values())
    return read if plain else None


def print_table(table: pd.DataFrame, arguments: argparse.Namespace) -> None:
    """Prints the requested rows and columns in the requested form."""
    from nas.analysis.tables import select
    from nas.analysis.tables.render import write

    columns = None if arguments.columns is None else select.columns(table, arguments.columns)
    if arguments.where is not None:
        table = select.where(table, arguments.where)
    if arguments.sort is not None:
        table = select.sort(table, arguments.sort)
    print(write(table, arguments.format, arguments.out, columns))

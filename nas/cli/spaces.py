"""Implements the commands about search spaces."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from nas.cli.arguments import SPACE, whole

if TYPE_CHECKING:
    from nas.cli.arguments import Commands
_COUNTED = 10_000
"""How many genotypes `nas spaces` counts one by one before it says "at least"."""


def add(commands: Commands) -> None:
    """Adds the commands of this module."""
    spaces = commands.add_parser("spaces", help="list the search spaces")
    spaces.set_defaults(command=_spaces)

    sample = commands.add_parser("sample", help="draw genotypes, one JSON line each")
    sample.add_argument("space", help=SPACE)
    sample.add_argument("-n", type=whole(1), default=1, help="how many; default: %(default)s")
    sample.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    sample.set_defaults(command=_sample)


def _spaces(arguments: argparse.Namespace) -> None:
    from nas.configuration import read_yaml
    from nas.spaces import space, spaces
    from nas.spaces.families.family import read_family

    for name, path in spaces().items():
        family = read_family(read_yaml(path), path.parent)
        print(f"{name}: {family.description}\n    family {family.family}; {family.paper}")
        print(f"    genotypes: {space(name).size(limit=_COUNTED)}")
        print(f"    members: {', '.join(family.members) or 'none'}")


def _sample(arguments: argparse.Namespace) -> None:
    import numpy as np

    from nas.spaces import space
    from nas.spaces.constraints import rejections

    drawn_from = space(arguments.space)
    rng = np.random.default_rng(arguments.seed)
    for _ in range(arguments.n):
        print(json.dumps(drawn_from.sample(rng)))
    if rejected := rejections(drawn_from.rejected):
        print(f"nas: {rejected}", file=sys.stderr)

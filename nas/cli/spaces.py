"""Implements the commands about search spaces."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.arguments import SPACE, add_bound, add_form, bound, print_table, whole
from nas.errors import InputError, in_file
from nas.files import write_output
from nas.words import counted

if TYPE_CHECKING:
    from nas.cli.arguments import Commands
    from nas.spaces.search_space import SearchSpace

_DRAWS = 25
"""How many members `nas spaces --input` draws from each space for its typical MACs."""

_WIDTH = 80
"""How many characters of the names of members the printed table of spaces shows."""

_COUNTED = 10_000
"""How many genotypes `nas spaces` counts one by one before it says "at least"."""


def add(commands: Commands) -> None:
    """Adds the commands of this module."""
    spaces = commands.add_parser("spaces", help="list the search spaces")
    add_bound(spaces)
    add_form(spaces)
    spaces.set_defaults(command=_spaces)

    sample = commands.add_parser("sample", help="draw genotypes, one JSON line each")
    sample.add_argument("space", help=SPACE)
    sample.add_argument("-n", type=whole(1), default=1, help="how many; default: %(default)s")
    add_bound(sample)
    sample.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    sample.set_defaults(command=_sample)

    profile = commands.add_parser(
        "profile", help="measure the operations of a space here, to predict latencies"
    )
    profile.add_argument("space", help=SPACE)
    profile.add_argument("--out", type=Path, required=True, metavar="FILE")
    profile.add_argument("-n", type=whole(4), default=20,
                         help="networks to draw and measure; default: %(default)s")  # fmt: skip
    add_bound(profile)
    profile.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    profile.add_argument("--device", default="cpu", help="cpu, cuda or auto; default: %(default)s")
    profile.add_argument("--threads", type=whole(1), default=1, help="of the CPU; default: 1")
    profile.set_defaults(command=_profile)


def _spaces(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from nas.spaces import space, spaces
    from nas.spaces.families.family import read_family
    from nas.yaml_files import read_yaml

    shown = "space,family,genotypes,members"
    whole_names = arguments.columns or arguments.format or arguments.out
    rows = []
    for name, path in spaces().items():
        family = read_family(read_yaml(path), path.parent)
        found = space(name, **bound(arguments))
        rows.append(
            {
                "space": name,
                "family": family.family,
                "genotypes": str(found.size(limit=_COUNTED)),
                **({} if arguments.input is None else _typical(found)),
                "members": ", ".join(family.members) if whole_names else _some(family.members),
                "description": family.description,
                "paper": family.paper,
            }
        )
    if arguments.input is not None:
        shown = "space,family,genotypes,macs_10,macs,macs_90,members"
    arguments.columns = arguments.columns or shown
    print_table(pd.DataFrame(rows), arguments)


def _some(members: Iterable[str]) -> str:
    """Lists members on what is left of a line."""
    return textwrap.shorten(", ".join(members), _WIDTH, placeholder=" ...")


def _typical(space: SearchSpace) -> dict[str, int | None]:
    """Returns the median and two quantiles of the MACs of random members; None if none fits."""
    import numpy as np

    from nas.architecture.operations import ArchitectureError

    rng = np.random.default_rng(0)
    try:
        macs = [space.decode(space.sample(rng)).cost.macs for _ in range(_DRAWS)]
    except (ArchitectureError, InputError):  # the image is too small
        return {"macs_10": None, "macs": None, "macs_90": None}
    low, median, high = (round(each) for each in np.quantile(macs, [0.1, 0.5, 0.9]))
    return {"macs_10": low, "macs": median, "macs_90": high}


def _sample(arguments: argparse.Namespace) -> None:
    import numpy as np

    from nas.spaces import space
    from nas.spaces.constrained_space import rejections

    drawn_from = space(arguments.space, **bound(arguments))
    rng = np.random.default_rng(arguments.seed)
    for _ in range(arguments.n):
        print(json.dumps(drawn_from.sample(rng)))
    if rejected := rejections(drawn_from.rejected):
        print(f"nas: {rejected}", file=sys.stderr)


def _profile(arguments: argparse.Namespace) -> None:
    import numpy as np
    import torch

    from nas.spaces import space
    from nas.training.hardware import resolve_device
    from nas.training.profiling import profile

    drawn_from = space(arguments.space, **bound(arguments))
    with in_file("--device"):
        device = resolve_device(arguments.device)
    rng = np.random.default_rng(arguments.seed)
    networks = [drawn_from.decode(drawn_from.sample(rng)) for _ in range(arguments.n)]
    torch.set_num_threads(arguments.threads)
    with in_file("-n"):
        found = profile(networks, device)
    write_output(arguments.out, found.to_json())
    about = found.about
    ranks = about.rank_correlation
    print(
        f"{len(found.times)} operations of {about.networks} networks on {about.device}, "
        f"{counted(about.threads, 'thread')}\n"
        f"median relative error {about.error:.1%}, rank correlation "
        + ("undefined" if ranks is None else f"{ranks:.3f}")
    )

"""The commands that make pictures with a trained network."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.arguments import whole
from nas.files import write_output

if TYPE_CHECKING:
    from nas.cli.arguments import Commands
    from nas.training.datasets import Pixels


def add(commands: Commands) -> None:
    """Adds the commands of this module."""
    style = commands.add_parser("style", help="give a picture the style of another one")
    style.add_argument("content", type=Path, help="the picture whose content is kept")
    style.add_argument("style", type=Path, help="the picture whose style is taken")
    style.add_argument("--network", required=True, metavar="NAME", help="a trained network")
    style.add_argument("--out", type=Path, default=Path("style.png"), help="default: %(default)s")
    style.add_argument("--size", type=whole(1), help="side in pixels; default: the network's")
    style.add_argument("--weight", type=float, default=1e3,
                       help="of style; that of content is 1; default: %(default)s")  # fmt: skip
    style.add_argument("--steps", type=whole(1), default=100, help="default: %(default)s")
    style.set_defaults(command=_style)

    patches = commands.add_parser(
        "patches", help="draw the parts of images to which a channel of a network responds most"
    )
    patches.add_argument("name", help="a trained network: results/NAME:best or :TRIAL, or a folder")
    patches.add_argument("node", help="a node with a map; `nas cost NAME --by-node` lists them")
    patches.add_argument("--channel", type=whole(0), default=0, help="default: %(default)s")
    patches.add_argument("--part", choices=("train", "validation", "test"), default="validation",
                         help="of the data set of its training; default: %(default)s")  # fmt: skip
    patches.add_argument("--count", type=whole(1), default=9, help="default: %(default)s")
    patches.add_argument("--out", type=Path, default=Path("patches.png"),
                         help="default: %(default)s")  # fmt: skip
    patches.set_defaults(command=_patches)


def _style(arguments: argparse.Namespace) -> None:
    from nas.jobs.visual import style

    made = style(
        arguments.network,
        arguments.content,
        arguments.style,
        arguments.size,
        arguments.weight,
        arguments.steps,
    )
    _write(made, arguments.out)


def _patches(arguments: argparse.Namespace) -> None:
    from nas.jobs.visual import grid, patches

    found = patches(
        arguments.name, arguments.node, arguments.channel, arguments.part, arguments.count
    )
    _write(grid(found), arguments.out)
    for patch in found:
        print(f"{patch.value:10.4f}  {patch.place}")


def _write(pixels: Pixels, path: Path) -> None:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0).squeeze()).save(content, "PNG")
    write_output(path, content.getvalue())
    print(f"wrote {path}")

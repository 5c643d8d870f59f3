"""The command that exports networks and campaigns."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.arguments import add_architecture, named_architecture, whole
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Adds the commands of this module."""
    export = commands.add_parser("export", help="write a network, or a campaign, in another form")
    add_architecture(export)
    export.add_argument(
        "--to",
        required=True,
        metavar="FORM",
        help="for a network: python, onnx, torchscript, torch-export or json; for a campaign's "
        "network also card; for a campaign (results/NAME): optuna or tensorboard",
    )
    export.add_argument(
        "--weights",
        help="a state dict (.safetensors or torch.save), or a reference; default: the weights of "
        "the reference NAME, or random values",
    )
    export.add_argument(
        "--out",
        help="the file (tensorboard: a folder; optuna: a file or URL); default: named after NAME",
    )
    export.add_argument("--opset", type=whole(1), help="of ONNX; default: torch's")
    export.add_argument(
        "--dynamic-batch", action="store_true", help="allow any batch size (onnx, torch-export)"
    )
    export.set_defaults(command=_export)


def _export(arguments: argparse.Namespace) -> int:
    from nas.export.formats import FORMATS
    from nas.integrations.formats import BRIDGES
    from nas.registry import unknown

    if arguments.to not in {*FORMATS, *BRIDGES}:
        raise InputError(f"--to: {unknown('form', arguments.to, [*FORMATS, *BRIDGES])}")
    if arguments.to in BRIDGES:
        unfit = ["--" + name.replace("_", "-")
                 for name in ("input", "classes", "weights", "opset", "dynamic_batch")
                 if getattr(arguments, name)]  # fmt: skip
        if unfit:
            raise InputError(f"{unfit[0]}: only for networks, not for --to {arguments.to}")
        print(BRIDGES[arguments.to](arguments.name, arguments.out))
        return 0
    return _export_network(arguments)


def _export_network(arguments: argparse.Namespace) -> int:
    from nas.architecture.network import compile
    from nas.architecture.weights import load_weights
    from nas.export import ExportError, export
    from nas.export.parity import draw_weights
    from nas.jobs import names as named

    weights = None
    if arguments.weights is not None:
        weights = named.weights(arguments.weights)
    elif named.is_reference(arguments.name):
        weights = named.reference(arguments.name).verified_weights()
    network = compile(named_architecture(arguments))
    if weights is None:
        draw_weights(network)
    else:
        load_weights(network, weights)
    try:
        done = export(
            network,
            arguments.to,
            named.short(arguments.name),
            None if arguments.out is None else Path(arguments.out),
            weights=weights is not None,
            opset=arguments.opset,
            dynamic_batch=arguments.dynamic_batch,
            keep=[path for path in (Path(arguments.name), weights) if path is not None],
        )
    except ExportError as error:
        print(f"nas: {arguments.name} as {arguments.to}: {error}", file=sys.stderr)
        return 1
    print(f"wrote {', '.join(map(str, done.paths))}: {done.note}")
    print(
        f"input [{', '.join(map(str, done.input_shape))}], float32; "
        f"output [{', '.join(map(str, done.output_shape))}]"
    )
    print(
        f"checked: read back, it differs by {done.difference:.1e} of the largest output at batch "
        f"{' and '.join(map(str, done.batches))}"
    )
    if weights is not None:
        print(f"weights of {weights}")
    else:
        print("without --weights: the weights are random" + (
            ", none are written" if arguments.to in ("python", "json") else ""
        ))  # fmt: skip
    return 0

"""The command line: one thin function a command. Heavy imports happen inside them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import InputError

if TYPE_CHECKING:
    from nas.architecture.graph import Architecture


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C.

    1 says that a campaign cannot go on, though its input is right.
    """
    arguments = _parser().parse_args(argv)
    try:
        code = int(arguments.command(arguments) or 0)
        sys.stdout.flush()  # a pipe that is closed is told of here, not at exit
        return code
    except InputError as error:
        print(f"nas: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nas: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `nas sample ... | head` is no error
        # Python flushes stdout once more at exit, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        print(f"nas: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nas", description="Neural architecture search and benchmarking."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a campaign, or go on where it stopped")
    run.add_argument("folder", type=Path, help="holds campaign.yaml; results are written beside it")
    run.set_defaults(command=_run)

    new = commands.add_parser("new", help="write a commented campaign.yaml")
    new.add_argument("folder", type=Path, help="is made: results/NAME")
    new.add_argument("--space", default="primitives", help="default: %(default)s")
    new.add_argument("--searcher", default="evolution", help="default: %(default)s")
    new.add_argument("--data", default="digits", help="default: %(default)s")
    new.set_defaults(command=_new)

    table = commands.add_parser("table", help="print a campaign's table, classics beside the found")
    table.add_argument("folder", type=Path)
    table.add_argument("--all", action="store_true", help="add the trials that were not retrained")
    _add_format(table)
    table.set_defaults(command=_table)

    classics = commands.add_parser("classics", help="list the classic architectures")
    _add_format(classics)
    classics.set_defaults(command=_classics)

    cost = commands.add_parser("cost", help="count parameters, MACs, FLOPs and activations")
    _add_architecture(cost)
    cost.add_argument("--by-node", action="store_true", help="with receptive fields, by node")
    cost.add_argument("--json", action="store_true", help="print JSON")
    cost.set_defaults(command=_cost)

    gradients = commands.add_parser(
        "gradients", help="print activation and gradient scale by depth at initialisation"
    )
    _add_architecture(gradients)
    gradients.add_argument(
        "--initialization",
        default="reference",
        help="as in a recipe; default: a classic's reference's, torch's for a file",
    )
    gradients.add_argument("--seed", type=_whole(0), default=0, help="default: %(default)s")
    gradients.set_defaults(command=_gradients)

    spaces = commands.add_parser("spaces", help="list the search spaces")
    spaces.set_defaults(command=_spaces)

    sample = commands.add_parser("sample", help="draw genotypes, one JSON line each")
    sample.add_argument("space", help="a space's name, or a space file")
    sample.add_argument("-n", type=_whole(1), default=1, help="how many; default: %(default)s")
    sample.add_argument("--seed", type=_whole(0), default=0, help="default: %(default)s")
    sample.set_defaults(command=_sample)
    return parser


def _whole(low: int) -> Callable[[str], int]:
    """An argument's type: a whole number of at least ``low`` that fits into 64 bits."""

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


def _add_format(command: argparse.ArgumentParser) -> None:
    command.add_argument("--format", default="text", help="text, csv, markdown or latex")


def _add_architecture(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="a classic, or a file of architecture JSON")
    command.add_argument("--input", help="channels first, for a classic: 3,224,224")
    command.add_argument("--classes", type=_whole(1), help="for a classic")


def _run(arguments: argparse.Namespace) -> int:
    from nas.campaigns.runner import run
    from nas.campaigns.trial import CampaignError

    try:
        summary = run(arguments.folder)
    except CampaignError as error:
        print(f"nas: {error}", file=sys.stderr)
        return 1
    print(
        f"{summary.completed} trials completed, {summary.failed} failed; "
        f"see the table: nas table {arguments.folder}"
    )
    return 0


def _new(arguments: argparse.Namespace) -> None:
    from nas.campaigns.scaffold import write_campaign

    path = write_campaign(arguments.folder, arguments.space, arguments.searcher, arguments.data)
    print(f"wrote {path}\nnext: nas run {arguments.folder}")


def _table(arguments: argparse.Namespace) -> None:
    from nas.analysis.table import campaign_table, render

    print(render(campaign_table(arguments.folder, arguments.all), arguments.format))


def _classics(arguments: argparse.Namespace) -> None:
    from nas.analysis.table import classics_table, render

    print(render(classics_table(), arguments.format))


def _cost(arguments: argparse.Namespace) -> None:
    from nas.architecture.cost import Cost
    from nas.architecture.reference import reference_cost

    architecture = _architecture(arguments)
    if arguments.by_node:
        _cost_by_node(architecture, arguments.json)
        return
    reference = reference_cost(architecture)
    if arguments.json:
        shown = {
            "name": arguments.name,
            "input_shape": architecture.input_shape,
            **architecture.cost._asdict(),
            "fvcore": reference.cost._asdict(),
            "fvcore_uncounted": reference.uncounted,
        }
        print(json.dumps(shown, indent=2))
        return
    shape = "x".join(map(str, architecture.input_shape))
    print(f"{arguments.name} at {shape}, batch 1, eval mode")
    print(f"{'':12} {'analytic':>16} {'fvcore':>16}")
    for name in Cost._fields:
        ours, theirs = getattr(architecture.cost, name), getattr(reference.cost, name)
        print(f"{name:12} {ours:16,} {theirs:16,}")
    if reference.uncounted:
        print(f"not counted by fvcore: {', '.join(sorted(reference.uncounted))}")


def _cost_by_node(architecture: Architecture, as_json: bool) -> None:
    from nas.architecture.passes import by_node, depth, peak_memory

    nodes, bytes_held = by_node(architecture), peak_memory(architecture)
    if as_json:
        shown = {
            "depth": depth(architecture),
            "peak_memory_bytes": bytes_held,
            "nodes": [
                {**node._asdict(), "field": [field._asdict() for field in node.field]}
                for node in nodes
            ],
        }
        print(json.dumps(shown, indent=2, default=float))
        return
    width = max((len(node.name) for node in nodes), default=0)
    form = "{:{width}} {:18} {:>14} {:>13} {:>6} {:>16} {:>6} {:>12} {:>9}"
    head = "name operation output params share macs share field stride"
    print(form.format(*head.split(), width=width))
    for node in nodes:
        row = form.format(
            node.name,
            node.operation,
            "x".join(map(str, node.shape)),
            f"{node.params:,}",
            f"{node.params_share:.1%}",
            f"{node.macs:,}",
            f"{node.macs_share:.1%}",
            "x".join(str(field.size) for field in node.field),
            "x".join(str(field.stride) for field in node.field),
            width=width,
        )
        print(row)
    print(
        f"depth {depth(architecture)} weighted layers; peak activation memory {bytes_held:,} "
        "bytes (batch 1, 4 bytes an element)"
    )


def _gradients(arguments: argparse.Namespace) -> None:
    from typing import get_args

    from nas.classics import CLASSICS
    from nas.registry import unknown
    from nas.training.gradients import signals
    from nas.training.recipe import Initialization

    allowed = list(get_args(Initialization))
    if arguments.initialization not in allowed:
        raise InputError(unknown("initialization", arguments.initialization, allowed))
    scheme = arguments.initialization
    if scheme == "reference":
        own = CLASSICS.get(arguments.name)
        scheme = own.initialization if own else "default"
    found = signals(_architecture(arguments), scheme, arguments.seed)
    width = max((len(signal.name) for signal in found), default=0)
    print(f"depth {'name':{width}} {'activation':>11} {'gradient':>11}")
    for signal in found:
        print(
            f"{signal.depth:5} {signal.name:{width}} {signal.activation:11.3e} "
            f"{signal.gradient:11.3e}"
        )
    print("root mean squares of a layer's output and of the loss's gradient by it")


def _architecture(arguments: argparse.Namespace) -> Architecture:
    from nas.architecture.graph import Architecture
    from nas.classics import CLASSICS, classic

    path = Path(arguments.name)
    if arguments.name not in CLASSICS and (path.suffix == ".json" or path.exists()):
        if arguments.input is not None or arguments.classes is not None:
            raise InputError(
                f"{path}: an architecture is bound to its input and classes; "
                "--input and --classes are for classics"
            )
        try:
            return Architecture.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: is not UTF-8 text: {error.reason}") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    shape = None
    if arguments.input is not None:
        try:
            shape = tuple(int(size) for size in arguments.input.split(","))
        except ValueError:
            raise InputError(
                f"--input: must be whole numbers joined by commas, as 3,224,224; "
                f"got {arguments.input!r}"
            ) from None
    return classic(arguments.name, shape, arguments.classes)


def _spaces(arguments: argparse.Namespace) -> None:
    from nas.configuration import read_yaml
    from nas.spaces import spaces
    from nas.spaces.family import read_family

    for name, path in spaces().items():
        family = read_family(read_yaml(path), path)
        print(f"{name}: {family.description}\n    family {family.family}; {family.paper}")
        print(f"    members: {', '.join(family.members) or 'none'}")


def _sample(arguments: argparse.Namespace) -> None:
    import numpy as np

    from nas.spaces import space

    drawn_from = space(arguments.space)
    rng = np.random.default_rng(arguments.seed)
    for _ in range(arguments.n):
        print(json.dumps(drawn_from.sample(rng)))


if __name__ == "__main__":
    sys.exit(main())

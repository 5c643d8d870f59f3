"""Implements the commands about single networks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.arguments import (
    DATA,
    add_architecture,
    add_form,
    genotype,
    named_architecture,
    print_table,
    whole,
)
from nas.errors import InputError
from nas.files import write_output

if TYPE_CHECKING:
    from nas.architecture.graph import Architecture
    from nas.cli.arguments import Commands
    from nas.spaces.cell_graph import CellGraph
    from nas.spaces.choices import Genotype
    from nas.spaces.search_space import SearchSpace


def add(commands: Commands) -> None:
    """Adds the commands of this module."""
    classics = commands.add_parser("classics", help="list the classic architectures")
    add_form(classics)
    classics.set_defaults(command=_classics)

    cost = commands.add_parser("cost", help="count parameters, MACs, FLOPs and activations")
    add_architecture(cost)
    cost.add_argument(
        "--by-node", action="store_true", help="print every node, with its receptive field"
    )
    cost.add_argument("--json", action="store_true", help="print JSON")
    cost.set_defaults(command=_cost)

    gradients = commands.add_parser(
        "gradients", help="print activation and gradient scale by depth at initialisation"
    )
    add_architecture(gradients)
    gradients.add_argument(
        "--initialization",
        default="reference",
        help="a scheme as in a recipe; default: a classic's reference, torch's own for a file",
    )
    gradients.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    gradients.set_defaults(command=_gradients)

    proxies = commands.add_parser(
        "proxies", help="print zero-cost proxies of a new network, with the seconds of each"
    )
    proxies.add_argument("name", metavar="ARCH", help="an architecture, as for `nas train`")
    proxies.add_argument("--data", required=True, help=DATA)
    proxies.add_argument("--only", metavar="NAMES", help="proxies, separated by commas")
    proxies.add_argument("--batch", type=whole(2), default=64, help="images; default: %(default)s")
    proxies.add_argument(
        "--initialization",
        default="reference",
        help="a scheme as in a recipe; default: a classic's reference, torch's own for others",
    )
    proxies.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    proxies.add_argument("--task", default="classification",
                         help="a task, or file.py:CLASS; default: %(default)s")  # fmt: skip
    proxies.add_argument("--device", default="cpu", help="cpu, cuda or auto; default: %(default)s")
    add_form(proxies)
    proxies.set_defaults(command=_proxies)

    show = commands.add_parser("show", help="print and draw a network, its notation and cells")
    add_architecture(show)
    show.add_argument(
        "genotype",
        nargs="?",
        help="a member of the space NAME: in its notation, or JSON as `nas sample` prints",
    )
    show.add_argument("--svg", type=Path, metavar="FILE", help="also write a drawing")
    show.add_argument("--depth", type=whole(0), help="levels of scopes to open; default: what fits")
    show.add_argument(
        "--against", metavar="PARENT", help="mark differences from another NAME or genotype"
    )
    show.set_defaults(command=_show)


def _classics(arguments: argparse.Namespace) -> None:
    from nas.classics.table import classics_table

    print_table(classics_table(), arguments)


def _cost(arguments: argparse.Namespace) -> None:
    from nas.architecture.cost import Cost
    from nas.architecture.reference import reference_cost

    architecture = named_architecture(arguments)
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
    uncounted = architecture.macs_without_flops
    for name in Cost._fields:
        ours, theirs = getattr(architecture.cost, name), getattr(reference.cost, name)
        lacking = "  fvcore does not count attention" if uncounted and name != "params" else ""
        print(f"{name:12} {ours:16,} {theirs:16,}{lacking}")
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
        "bytes (batch 1, 4 bytes per element)"
    )


def _gradients(arguments: argparse.Namespace) -> None:
    from nas.training.gradients import signals

    scheme = _scheme(arguments)
    found = signals(named_architecture(arguments), scheme, arguments.seed)
    width = max((len(signal.name) for signal in found), default=0)
    print(f"depth {'name':{width}} {'activation':>11} {'gradient':>11}")
    for signal in found:
        print(
            f"{signal.depth:5} {signal.name:{width}} {signal.activation:11.3e} "
            f"{signal.gradient:11.3e}"
        )
    print("root mean square of each layer's output, and of the gradient of the loss by it")


def _proxies(arguments: argparse.Namespace) -> None:
    from nas.jobs.proxies import proxies_table

    only = None
    if arguments.only is not None:  # the yardstick stands beside any proxy
        only = list(dict.fromkeys([*arguments.only.split(","), "params"]))
    table = proxies_table(
        arguments.name,
        arguments.data,
        only=only,
        batch=arguments.batch,
        initialization=_scheme(arguments),
        seed=arguments.seed,
        task=arguments.task,
        device=arguments.device,
    )
    print_table(table, arguments)


def _scheme(arguments: argparse.Namespace) -> str:
    """Returns the scheme that --initialization names; "reference" is replaced by the network's."""
    from typing import get_args

    from nas.jobs import names as named
    from nas.registry import unknown
    from nas.training.recipe import Initialization

    allowed = list(get_args(Initialization))
    if arguments.initialization not in allowed:
        raise InputError(unknown("initialization", arguments.initialization, allowed))
    if arguments.initialization == "reference":
        return named.initialization(arguments.name)
    return str(arguments.initialization)


def _show(arguments: argparse.Namespace) -> None:
    from nas.architecture.passes import depth
    from nas.drawing.cells import cell_diagram, cell_text
    from nas.drawing.diagram import in_a_row
    from nas.drawing.networks import in_short, network_diagram
    from nas.drawing.svg import svg
    from nas.drawing.text import text

    architecture, choices, cells = _shown(arguments)
    parent: Architecture | None = None
    parent_cells: Mapping[str, CellGraph] = {}
    if arguments.against is not None:
        key = "name" if arguments.genotype is None else "genotype"
        given = {**vars(arguments), key: arguments.against}
        parent, _, parent_cells = _shown(argparse.Namespace(**given))
    print(choices, end="")
    for label, cell in cells.items():
        print(f"cell {label}:\n{cell_text(cell, parent_cells.get(label))}\n")
    diagram = network_diagram(architecture, parent, arguments.depth)
    print(f"{text(diagram)}\n")
    shape = "x".join(map(str, architecture.input_shape))
    lacking = " (without attention)" if architecture.macs_without_flops else ""
    costs = "  ".join(
        f"{column} {count:,}{lacking if column in ('flops', 'activations') else ''}"
        for column, count in architecture.cost._asdict().items()
    )
    print(f"input {shape}  outputs {architecture.output_shape[0]}  depth {depth(architecture)}")
    print(costs)
    print(f"fingerprint {architecture.fingerprint}")
    if arguments.svg is not None:
        if cells:
            drawn = {k: cell_diagram(cell, parent_cells.get(k)) for k, cell in cells.items()}
            diagram = in_a_row(drawn | {"network": diagram})
        signs = "" if parent is None else "; + new, - gone, ~ changed since the parent"
        picture = svg(diagram, arguments.name, in_short(architecture) + signs)
        write_output(arguments.svg, picture)


def _shown(
    arguments: argparse.Namespace,
) -> tuple[Architecture, str, Mapping[str, CellGraph]]:
    """Returns the architecture and, for a member of a space, its choices, notation and cells."""
    from nas.jobs import names as named
    from nas.spaces import spaces

    name = arguments.name
    if arguments.genotype is None and named.is_reference(name):
        found = named.reference(name)
        if found.space is None or found.genotype is None:
            return found.architecture, f"{found.note}\n\n", {}
        return _of_space(found.space, found.genotype, f"{found.note}\n\n")
    of_space = arguments.genotype is not None or ":" in name or name in spaces()
    if not of_space or (arguments.genotype is None and named.is_classic(name)):
        return named_architecture(arguments), "", {}
    return _of_space(*genotype(arguments))


def _of_space(
    space: SearchSpace, genotype: Genotype, head: str = ""
) -> tuple[Architecture, str, Mapping[str, CellGraph]]:
    choices = "".join(f"{choice}: {json.dumps(genotype[choice])}\n" for choice in genotype)
    head += f"{choices}\n{space.to_string(genotype)}\n\n"
    return space.decode(genotype), head, space.cell_graphs(genotype)

"""The command line: one thin function a command. Heavy imports happen inside them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from nas.architecture.graph import Architecture
    from nas.spaces.cell_graph import CellGraph
    from nas.spaces.search_space import Genotype, SearchSpace

_COUNTED = 10_000
"""Genotypes that `nas spaces` counts one by one before it says "at least"."""

_SPACE = "a space of `nas spaces`, a .yaml file, or a function: file.py:function"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C.

    1 says that a campaign cannot go on, though its input is right, or that a check has found
    something.
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

    bench = commands.add_parser("bench", help="compare searchers on a table of results")
    bench.add_argument(
        "folder", type=Path, help="holds benchmark.yaml; the report is written there"
    )
    bench.add_argument("--data", type=Path, help="the folder of the table's files")
    bench.add_argument(
        "--processes", type=_whole(1), help="runs at a time; default: one a core, results the same"
    )
    bench.set_defaults(command=_bench)

    train = commands.add_parser("train", help="train one architecture, or go on where it stopped")
    train.add_argument(
        "name",
        metavar="ARCH",
        help="a classic (resnet20, or with options resnet20:width=0.5,stem=cifar), a member of a "
        "space (SPACE:MEMBER), a file of architecture JSON, or a reference (results/NAME:best)",
    )
    train.add_argument(
        "--data", required=True, help="a data set, '{name: folder, root: pics}', or a .yaml file"
    )
    train.add_argument(
        "--recipe", required=True, help="a preset, '{preset: cifar, epochs: 9}', or a .yaml file"
    )
    train.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                       help="keys of the recipe to change")  # fmt: skip
    train.add_argument("--seed", type=_whole(0), default=0, help="default: %(default)s")
    train.add_argument("--from", dest="weights", metavar="FILE",
                       help="weights to start from: .safetensors, of torch.save, or a reference "
                       "(results/NAME:best)")  # fmt: skip
    train.add_argument("--freeze", default="none",
                       help="of what --from gives: none, body or until=NODE")  # fmt: skip
    train.add_argument("--evaluate", default="single",
                       help="single (default), flip, ten_crop or multi_scale")  # fmt: skip
    train.add_argument("--out", type=Path, metavar="FOLDER",
                       help="default: results/ARCH-DATA-SEED")  # fmt: skip
    train.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    train.add_argument("--compile", default="never", choices=["never", "auto", "always"],
                       help="whether by torch.compile; auto: if the training is long")  # fmt: skip
    train.add_argument("--threads", type=_whole(1), help="on the CPU; default: one a core")
    train.set_defaults(command=_train)

    new = commands.add_parser("new", help="write a commented campaign.yaml")
    new.add_argument("folder", type=Path, help="is made: results/NAME")
    new.add_argument("--space", default="primitives", help="default: %(default)s")
    new.add_argument("--searcher", default="evolution", help="default: %(default)s")
    new.add_argument("--data", default="digits", help="default: %(default)s")
    new.set_defaults(command=_new)

    table = commands.add_parser("table", help="print a campaign's table, classics beside the found")
    table.add_argument("folders", type=Path, nargs=1, metavar="FOLDER")
    _add_rows(table)
    table.set_defaults(command=_table)

    compare = commands.add_parser("compare", help="print several campaigns' rows in one table")
    compare.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    _add_rows(compare)
    compare.set_defaults(command=_table)

    report = commands.add_parser("report", help="write a campaign's report.html, or serve it live")
    report.add_argument("folder", type=Path)
    form = report.add_mutually_exclusive_group()
    form.add_argument("--out", type=Path, metavar="FILE", help="default: FOLDER/report.html")
    form.add_argument("--live", action="store_true",
                      help="serve it on this machine and follow the campaign")  # fmt: skip
    report.add_argument("--port", type=_whole(0), default=8000,
                        help="of --live; 0 takes any that is free; default: 8000")  # fmt: skip
    report.set_defaults(command=_report)

    plot = commands.add_parser("plot", help="draw a campaign: as SVG, PNG or PDF")
    plot.add_argument("folder", type=Path)
    plot.add_argument("--kind", nargs="+", action="extend", default=[], metavar="KIND",
                      help="incumbent, tradeoff, curves, hypervolume, operations, importance, "
                      "fidelities, lineage, workers, ranks; default: all")  # fmt: skip
    plot.add_argument("--format", default="svg", help="svg (default), png or pdf")
    plot.add_argument("--out", type=Path, metavar="FOLDER", help="default: FOLDER/plots")
    plot.set_defaults(command=_plot)

    check = commands.add_parser(
        "check", help="verify a campaign's folder; exits with 1 if it fails"
    )
    check.add_argument("folder", type=Path)
    check.add_argument(
        "--replay", action="store_true", help="ask the searchers again for all that they proposed"
    )
    check.set_defaults(command=_check)

    classics = commands.add_parser("classics", help="list the classic architectures")
    _add_form(classics)
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

    show = commands.add_parser("show", help="print and draw a network, its notation and cells")
    _add_architecture(show)
    show.add_argument(
        "genotype",
        nargs="?",
        help="of the space NAME: its notation, or JSON as `nas sample` prints",
    )
    show.add_argument("--svg", type=Path, metavar="FILE", help="write a drawing of it, too")
    show.add_argument("--depth", type=_whole(0), help="levels of scopes to open; default: as fit")
    show.add_argument(
        "--against", metavar="PARENT", help="mark what differs from another NAME, or genotype"
    )
    show.set_defaults(command=_show)

    export = commands.add_parser("export", help="write a network, or a campaign, in another form")
    _add_architecture(export)
    export.add_argument(
        "--to",
        required=True,
        metavar="FORM",
        help="python, onnx, torchscript, torch-export or json; of a campaign's network also card; "
        "of a campaign, results/NAME, optuna or tensorboard",
    )
    export.add_argument(
        "--weights",
        help="a state dict, .safetensors or torch's, or a reference; default: those of the "
        "reference NAME, or random values",
    )
    export.add_argument(
        "--out",
        help="the file (tensorboard: folder; optuna: file or URL); default: NAME with an ending",
    )
    export.add_argument("--opset", type=_whole(1), help="of ONNX; default: torch's")
    export.add_argument(
        "--dynamic-batch", action="store_true", help="leave the batch open (onnx, torch-export)"
    )
    export.set_defaults(command=_export)

    spaces = commands.add_parser("spaces", help="list the search spaces")
    spaces.set_defaults(command=_spaces)

    sample = commands.add_parser("sample", help="draw genotypes, one JSON line each")
    sample.add_argument("space", help=_SPACE)
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


def _add_form(command: argparse.ArgumentParser) -> None:
    """Of a table: which rows and columns, in what order and form."""
    command.add_argument("--where", metavar="CONDITION",
                         help="which rows: 'macs < 1e6 and \"resnet\" in name'")  # fmt: skip
    command.add_argument("--sort", metavar="COLUMNS", help="as macs,test_accuracy:desc")
    command.add_argument("--columns", help="which, joined by commas, or all")
    command.add_argument(
        "--format",
        help="text, csv, markdown, latex, json or parquet; default: by --out's ending, or text",
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="default: printed")


def _add_rows(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--all", action="store_true", help="add the trials that were not retrained"
    )
    command.add_argument("--per-seed", action="store_true",
                         help="a row a network in place of an architecture")  # fmt: skip
    command.add_argument("--by", default="validation_accuracy", metavar="ACCURACY",
                         help="of rank and Pareto front; default: %(default)s")  # fmt: skip
    command.add_argument("--cost", help="of the Pareto front; default: an objective, or macs")
    _add_form(command)


def _add_architecture(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "name",
        help="a classic, a member of a space (SPACE:MEMBER), a file of architecture JSON, or what "
        "a folder holds: results/NAME:best, :TRIAL, or a folder of `nas train`",
    )
    command.add_argument("--input", help="channels first, but for a file: 3,224,224")
    command.add_argument("--classes", type=_whole(1), help="but for a file")


def _run(arguments: argparse.Namespace) -> int:
    from nas.campaigns.run import run
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


def _bench(arguments: argparse.Namespace) -> None:
    from nas.benchmark.run import bench

    print(bench(arguments.folder, data=arguments.data, processes=arguments.processes), end="")


def _train(arguments: argparse.Namespace) -> int:
    from nas.campaigns import named, single
    from nas.training.loop import Diverged

    job = single.prepare(
        arguments.name,
        arguments.data,
        arguments.recipe,
        changes=arguments.set,
        seed=arguments.seed,
        weights=None if arguments.weights is None else named.weights(arguments.weights),
        freeze=arguments.freeze,
        protocol=arguments.evaluate,
        device=arguments.device,
        compile=arguments.compile,
    )
    try:
        row = single.train(job, arguments.out, threads=arguments.threads)
    except Diverged as error:
        print(f"nas: {error}", file=sys.stderr)
        return 1
    print(single.summary(row))
    return 0


def _new(arguments: argparse.Namespace) -> None:
    from nas.campaigns.scaffold import write_campaign

    path = write_campaign(arguments.folder, arguments.space, arguments.searcher, arguments.data)
    print(f"wrote {path}\nnext: nas run {arguments.folder}")


def _table(arguments: argparse.Namespace) -> None:
    from nas.analysis.table import campaign_table

    table = campaign_table(
        arguments.folders,
        arguments.all,
        per_seed=arguments.per_seed,
        by=arguments.by,
        cost=arguments.cost,
    )
    _print_table(table, arguments)


def _print_table(table: pd.DataFrame, arguments: argparse.Namespace) -> None:
    from nas.analysis import select
    from nas.analysis.render import write

    columns = None if arguments.columns is None else select.columns(table, arguments.columns)
    if arguments.where is not None:
        table = select.where(table, arguments.where)
    if arguments.sort is not None:
        table = select.sort(table, arguments.sort)
    print(write(table, arguments.format, arguments.out, columns))


def _report(arguments: argparse.Namespace) -> None:
    if not arguments.live:
        from nas.report.page import write_report

        print(f"wrote {write_report(arguments.folder, arguments.out)}")
        return
    from nas.report.live import Server

    with Server(arguments.folder, arguments.port) as server:
        print(f"{server.url} follows {arguments.folder}; Ctrl-C ends it", flush=True)
        server.serve_forever()


def _plot(arguments: argparse.Namespace) -> None:
    from nas.analysis.plots.kinds import plot

    for line in plot(arguments.folder, arguments.kind, arguments.format, arguments.out):
        print(line)


def _check(arguments: argparse.Namespace) -> int:
    from nas.analysis.check import check

    report = check(arguments.folder, replay=arguments.replay)
    for problem in report.problems:
        print(problem)
    for warning in report.warnings:
        print(f"warning: {warning}")
    print(report.summary)
    return 1 if report.problems else 0


def _classics(arguments: argparse.Namespace) -> None:
    from nas.analysis.catalogue import classics_table

    _print_table(classics_table(), arguments)


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

    from nas.campaigns import named
    from nas.registry import unknown
    from nas.training.gradients import signals
    from nas.training.recipe import Initialization

    allowed = list(get_args(Initialization))
    if arguments.initialization not in allowed:
        raise InputError(unknown("initialization", arguments.initialization, allowed))
    scheme = arguments.initialization
    if scheme == "reference":
        scheme = named.initialization(arguments.name)
    found = signals(_architecture(arguments), scheme, arguments.seed)
    width = max((len(signal.name) for signal in found), default=0)
    print(f"depth {'name':{width}} {'activation':>11} {'gradient':>11}")
    for signal in found:
        print(
            f"{signal.depth:5} {signal.name:{width}} {signal.activation:11.3e} "
            f"{signal.gradient:11.3e}"
        )
    print("root mean squares of a layer's output and of the loss's gradient by it")


def _export(arguments: argparse.Namespace) -> int:
    from nas.analysis.bridges import BRIDGES
    from nas.export.formats import FORMATS
    from nas.registry import unknown

    if arguments.to not in {*FORMATS, *BRIDGES}:
        raise InputError(f"--to: {unknown('form', arguments.to, [*FORMATS, *BRIDGES])}")
    if arguments.to in BRIDGES:
        unfit = ["--" + name.replace("_", "-")
                 for name in ("input", "classes", "weights", "opset", "dynamic_batch")
                 if getattr(arguments, name)]  # fmt: skip
        if unfit:
            raise InputError(f"{unfit[0]}: is for networks, not for --to {arguments.to}")
        print(BRIDGES[arguments.to](arguments.name, arguments.out))
        return 0
    return _export_network(arguments)


def _export_network(arguments: argparse.Namespace) -> int:
    from nas.architecture.network import compile
    from nas.architecture.weights import load_weights
    from nas.campaigns import named
    from nas.export import ExportError, export
    from nas.export.parity import draw_weights

    weights = None
    if arguments.weights is not None:
        weights = named.weights(arguments.weights)
    elif named.is_reference(arguments.name):
        weights = named.reference(arguments.name).weights
    network = compile(_architecture(arguments))
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
        print("without --weights: values are random" + (
            ", none are written" if arguments.to in ("python", "json") else ""
        ))  # fmt: skip
    return 0


def _architecture(arguments: argparse.Namespace) -> Architecture:
    """What a command's NAME stands for."""
    from nas.campaigns import named

    bound = arguments.input is not None or arguments.classes is not None
    if bound and named.is_bound(arguments.name):
        raise InputError(
            f"{arguments.name}: an architecture is bound to its input and classes; "
            "--input and --classes are for classics and spaces"
        )
    return named.architecture(arguments.name, _input(arguments), arguments.classes)


def _input(arguments: argparse.Namespace) -> tuple[int, ...] | None:
    if arguments.input is None:
        return None
    try:
        return tuple(int(size) for size in arguments.input.split(","))
    except ValueError:
        raise InputError(
            f"--input: must be whole numbers joined by commas, as 3,224,224; "
            f"got {arguments.input!r}"
        ) from None


def _genotype(arguments: argparse.Namespace) -> tuple[SearchSpace, Genotype]:
    """The space and the genotype of SPACE:MEMBER, or of SPACE and what is written after it."""
    from nas.campaigns import named
    from nas.spaces import space

    if arguments.genotype is None:
        return named.member(arguments.name, _input(arguments), arguments.classes)
    given = {"input_shape": _input(arguments), "classes": arguments.classes}
    found = space(arguments.name, **{k: v for k, v in given.items() if v is not None})
    if (answers := _answers(arguments.genotype)) is not None:
        found.validate(answers)
        return found, answers
    return found, found.from_string(arguments.genotype)


def _answers(text: str) -> Genotype | None:
    """A genotype that is written as JSON; None for a notation, which may be JSON itself."""
    try:
        read = json.loads(text)
    except ValueError:
        return None
    plain = isinstance(read, dict) and not any(isinstance(v, list | dict) for v in read.values())
    return read if plain else None


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
    costs = "  ".join(
        f"{column} {count:,}" for column, count in architecture.cost._asdict().items()
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
        arguments.svg.write_text(picture, encoding="utf-8")


def _shown(
    arguments: argparse.Namespace,
) -> tuple[Architecture, str, Mapping[str, CellGraph]]:
    """The architecture; if it is of a space, its choices and notation, and its cells."""
    from nas.campaigns import named
    from nas.spaces import spaces

    name = arguments.name
    if arguments.genotype is None and named.is_reference(name):
        found = named.reference(name)
        if found.space is None or found.genotype is None:
            return found.architecture, f"{found.note}\n\n", {}
        return _of_space(found.space, found.genotype, f"{found.note}\n\n")
    of_space = arguments.genotype is not None or ":" in name or name in spaces()
    if not of_space or (arguments.genotype is None and named.is_classic(name)):
        return _architecture(arguments), "", {}
    return _of_space(*_genotype(arguments))


def _of_space(
    space: SearchSpace, genotype: Genotype, head: str = ""
) -> tuple[Architecture, str, Mapping[str, CellGraph]]:
    choices = "".join(f"{choice}: {json.dumps(genotype[choice])}\n" for choice in genotype)
    head += f"{choices}\n{space.to_string(genotype)}\n\n"
    return space.decode(genotype), head, space.cell_graphs(genotype)


def _spaces(arguments: argparse.Namespace) -> None:
    from nas.configuration import read_yaml
    from nas.spaces import space, spaces
    from nas.spaces.family import read_family

    for name, path in spaces().items():
        family = read_family(read_yaml(path), path)
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


if __name__ == "__main__":
    sys.exit(main())

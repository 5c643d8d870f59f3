"""Commands that show the results of campaigns and of single trainings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.arguments import add_rows, print_table, whole
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Adds the commands of this module."""
    table = commands.add_parser(
        "table", aliases=["compare"], help="print the networks of one or several folders"
    )
    table.add_argument("folders", type=Path, nargs="+", metavar="FOLDER",
                       help="campaigns, and folders of nas train")  # fmt: skip
    add_rows(table)
    table.set_defaults(command=_table)

    plot = commands.add_parser("plot", help="draw a campaign's figures as SVG, PNG or PDF")
    plot.add_argument("folder", type=Path)
    plot.add_argument("--kind", nargs="+", action="extend", default=[], metavar="KIND",
                      help="incumbent, tradeoff, curves, hypervolume, operations, importance, "
                      "choices, parallel, fidelities, lineage, mixtures, workers, durations, "
                      "reliability, ranks; default: all")  # fmt: skip
    plot.add_argument("--format", default="svg", help="svg (default), png or pdf")
    plot.add_argument("--out", type=Path, metavar="FOLDER", help="default: FOLDER/plots")
    plot.set_defaults(command=_plot)

    report = commands.add_parser("report", help="write a campaign's report.html, or serve it live")
    report.add_argument("folders", type=Path, nargs="+", metavar="FOLDER",
                        help="a campaign; several are compared on one page")  # fmt: skip
    form = report.add_mutually_exclusive_group()
    form.add_argument("--out", type=Path, metavar="FILE",
                      help="default: FOLDER/report.html; of several, report.html here")  # fmt: skip
    form.add_argument("--live", action="store_true",
                      help="serve it on this machine and follow the campaign")  # fmt: skip
    _add_port(report, "port for --live")
    report.set_defaults(command=_report)

    serve = commands.add_parser("serve", help="serve a page that lists the campaigns of a folder")
    serve.add_argument("folder", type=Path, help="the folder that holds the campaigns: results/")
    _add_port(serve, "port")
    serve.set_defaults(command=_serve)


def _add_port(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--port", type=whole(0), default=8000,
                         help=f"{what}; 0 takes any free port; default: 8000")  # fmt: skip


def _table(arguments: argparse.Namespace) -> None:
    from nas.analysis.tables.networks import campaign_table

    table = campaign_table(
        arguments.folders,
        arguments.all,
        per_seed=arguments.per_seed,
        by=arguments.by,
        cost=arguments.cost,
    )
    print_table(table, arguments)


def _plot(arguments: argparse.Namespace) -> None:
    from nas.analysis.plots.kinds import plot

    for line in plot(arguments.folder, arguments.kind, arguments.format, arguments.out):
        print(line)


def _report(arguments: argparse.Namespace) -> None:
    folders = arguments.folders
    if not arguments.live:
        from nas.report.page import write_report

        print(f"wrote {write_report(folders, arguments.out)}")
    elif len(folders) > 1:
        raise InputError("--live: follows one campaign; nas serve FOLDER follows all in a folder")
    else:
        _follow(folders[0], arguments.port)


def _serve(arguments: argparse.Namespace) -> None:
    _follow(arguments.folder, arguments.port, several=True)


def _follow(folder: Path, port: int, several: bool = False) -> None:
    from nas.report.live import Server

    with Server(folder, port, several) as server:
        print(f"{server.url} follows {folder}; stop with Ctrl-C", flush=True)
        server.serve_forever()

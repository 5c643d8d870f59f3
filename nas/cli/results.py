"""Commands that show the results of campaigns and of single trainings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.arguments import add_rows, print_table, whole

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
                      "fidelities, lineage, mixtures, workers, ranks; default: all")  # fmt: skip
    plot.add_argument("--format", default="svg", help="svg (default), png or pdf")
    plot.add_argument("--out", type=Path, metavar="FOLDER", help="default: FOLDER/plots")
    plot.set_defaults(command=_plot)

    report = commands.add_parser("report", help="write a campaign's report.html, or serve it live")
    report.add_argument("folder", type=Path)
    form = report.add_mutually_exclusive_group()
    form.add_argument("--out", type=Path, metavar="FILE", help="default: FOLDER/report.html")
    form.add_argument("--live", action="store_true",
                      help="serve it on this machine and follow the campaign")  # fmt: skip
    report.add_argument("--port", type=whole(0), default=8000,
                        help="port for --live; 0 takes any free port; default: 8000")  # fmt: skip
    report.set_defaults(command=_report)


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
    if not arguments.live:
        from nas.report.page import write_report

        print(f"wrote {write_report(arguments.folder, arguments.out)}")
        return
    from nas.report.live import Server

    with Server(arguments.folder, arguments.port) as server:
        print(f"{server.url} follows {arguments.folder}; stop with Ctrl-C", flush=True)
        server.serve_forever()

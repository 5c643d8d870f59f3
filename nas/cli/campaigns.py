"""Commands that run: searches, campaigns, benchmarks, single trainings."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.arguments import DATA, positive, whole
from nas.cli.output import forget_output
from nas.escape import printable
from nas.words import counted

if TYPE_CHECKING:
    from nas.cli.arguments import Commands

_BUSY = 10
"""How many times longer than its CPU time a process may have been importing on a busy machine."""


def add(commands: Commands) -> None:
    """Adds the commands of this module."""
    run = commands.add_parser("run", help="run a campaign, or resume it where it stopped")
    run.add_argument("folder", type=Path, help="folder with campaign.yaml, also for the results")
    run.add_argument(
        "--trust",
        action="store_true",
        help="call the evaluator that records.jsonl names and campaign.yaml does not; this is "
        "remembered",
    )
    run.set_defaults(command=_run)

    search = commands.add_parser(
        "search", help="find, train and export a network for your data within a time limit"
    )
    search.add_argument("data", metavar="DATA", help=DATA)
    search.add_argument(
        "--minutes",
        type=positive,
        default=30.0,
        help="time limit for the whole command; default: %(default)g",
    )
    search.add_argument("--macs", type=positive, metavar="NUMBER",
                        help="the most multiply-accumulates of a network; default: as many as "
                        "the time allows")  # fmt: skip
    search.add_argument("--seed", type=whole(0), default=0,
                        help="seed of the search; default: %(default)s")  # fmt: skip
    search.add_argument("--out", type=Path, metavar="FOLDER", help="default: results/DATA")
    search.add_argument("--plan", action="store_true",
                        help="only write the plan, campaign.yaml; the same command without --plan "
                        "runs it")  # fmt: skip
    search.set_defaults(command=_search)

    bench = commands.add_parser("bench", help="compare searchers on a table of known results")
    bench.add_argument("folder", type=Path, help="folder with benchmark.yaml, also for the report")
    bench.add_argument("--tables", type=Path, help="the folder of the table's files")
    bench.add_argument("--data", dest="tables", type=Path, help=argparse.SUPPRESS)  # its old name
    bench.add_argument(
        "--processes", type=whole(1), help="runs at the same time; default: one per core"
    )
    bench.set_defaults(command=_bench)

    train = commands.add_parser("train", help="train one architecture, or resume where it stopped")
    train.add_argument(
        "name",
        metavar="ARCH",
        help="a classic (resnet20, or with options resnet20:width=0.5,stem=cifar), a member of a "
        "space (SPACE:MEMBER), a JSON file of an architecture, or a reference (results/NAME:best)",
    )
    train.add_argument("--data", required=True, help=DATA)
    train.add_argument(
        "--recipe", required=True, help="a preset, '{preset: cifar, epochs: 9}', or a .yaml file"
    )
    train.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                       help="recipe keys to change")  # fmt: skip
    train.add_argument("--task", default="classification",
                       help="a task, or file.py:CLASS; default: %(default)s")  # fmt: skip
    train.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    train.add_argument("--from", dest="weights", metavar="FILE",
                       help="initial weights: .safetensors, a torch.save file, or a reference "
                       "(results/NAME:best)")  # fmt: skip
    train.add_argument("--freeze", default="none",
                       help="layers of --from to freeze: none, body or until=NODE")  # fmt: skip
    train.add_argument("--partial", action="store_true",
                       help="start also if --from fills less than half of the network")  # fmt: skip
    train.add_argument("--evaluate", default="single",
                       help="views per test image: single (default), flip, ten_crop or "
                       "multi_scale")  # fmt: skip
    train.add_argument("--out", type=Path, metavar="FOLDER",
                       help="default: results/ARCH-DATA-SEED")  # fmt: skip
    train.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    train.add_argument("--compile", default="never", choices=["never", "auto", "always"],
                       help="use torch.compile; auto: if the training is long")  # fmt: skip
    train.add_argument("--no-cuda-graphs", dest="cuda_graphs", action="store_false",
                       help="on a GPU: do not capture CUDA graphs")  # fmt: skip
    train.add_argument("--threads", type=whole(1),
                       help="CPU threads; default: OMP_NUM_THREADS, or the cores that are "
                       "not busy")  # fmt: skip
    train.set_defaults(command=_train)

    new = commands.add_parser("new", help="write a commented campaign.yaml")
    new.add_argument("folder", type=Path, help="the folder to make, such as results/NAME")
    new.add_argument("--space", default="primitives", help="default: %(default)s")
    new.add_argument("--searcher", default="evolution", help="default: %(default)s")
    new.add_argument("--data", default="digits", help=f"{DATA}; default: %(default)s")
    new.add_argument("--task",
                     help="a task, or file.py:CLASS; default: the one for the labels of the "
                     "data")  # fmt: skip
    new.set_defaults(command=_new)

    check = commands.add_parser(
        "check", help="verify a campaign's folder; the exit code is 1 if it fails"
    )
    check.add_argument("folder", type=Path)
    check.add_argument(
        "--replay", action="store_true", help="also ask the searchers again for all proposals"
    )
    check.set_defaults(command=_check)


def _run(arguments: argparse.Namespace) -> int:
    from nas.analysis.tables.ending import ending
    from nas.campaigns.drive.run import run
    from nas.campaigns.drive.trust import trust

    if arguments.trust:
        trust(arguments.folder)
    summary = run(arguments.folder, trust=False)
    print(f"{counted(summary.completed, 'trial')} completed, {summary.failed} failed\n")
    print(ending(arguments.folder))
    return 1 if summary.failed and not summary.completed else 0


def _search(arguments: argparse.Namespace) -> None:
    began = time.monotonic() - (_age() if arguments.is_program else 0.0)
    from nas.jobs.search import search

    found = search(
        arguments.data,
        arguments.minutes,
        arguments.out,
        macs=None if arguments.macs is None else round(arguments.macs),
        seed=arguments.seed,
        plan=arguments.plan,
        began=began,
        say=_say,
    )
    if found is None:
        return
    # A training that was stopped has left no weights for other commands.
    more = "" if found.epoch else f", nas predict {found.folder}:{found.label} PICTURES"
    _say(
        f"after {(time.monotonic() - began) / 60:.2f} minutes; next: "
        f"nas table {found.folder}, nas report {found.folder}{more}"
    )


def _say(line: str) -> None:
    """Prints a line; if nobody reads it any more, the search goes on all the same."""
    try:
        print(printable(line), flush=True)
    except OSError:
        forget_output()


def _age() -> float:
    """Returns how many seconds ago this process was started; 0 if the system does not tell.

    A shell script that ends with ``exec nas`` is the same process. So there is a limit, the time
    that a busy machine would take to import what is imported.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - started
        return min(age, _BUSY * time.process_time())
    except (OSError, AttributeError):
        return 0.0


def _bench(arguments: argparse.Namespace) -> None:
    from nas.benchmark.run import bench

    print(bench(arguments.folder, data=arguments.tables, processes=arguments.processes), end="")


def _train(arguments: argparse.Namespace) -> int:
    from nas.jobs import names as named
    from nas.jobs import train as single
    from nas.jobs.job import prepare
    from nas.jobs.row import summary
    from nas.training.curve import Diverged

    job = prepare(
        arguments.name,
        arguments.data,
        arguments.recipe,
        changes=arguments.set,
        seed=arguments.seed,
        weights=None if arguments.weights is None else named.weights(arguments.weights),
        freeze=arguments.freeze,
        partial=arguments.partial,
        protocol=arguments.evaluate,
        task=arguments.task,
        device=arguments.device,
        compile=arguments.compile,
        cuda_graphs=arguments.cuda_graphs,
    )
    try:
        row = single.train(job, arguments.out, threads=arguments.threads)
    except Diverged as error:
        print(f"nas: {error}", file=sys.stderr)
        return 1
    print(summary(row))
    return 0


def _new(arguments: argparse.Namespace) -> None:
    from nas.campaigns.spec.scaffold import write_campaign

    path = write_campaign(
        arguments.folder, arguments.space, arguments.searcher, arguments.data, arguments.task
    )
    print(f"wrote {path}\nnext: nas run {arguments.folder}")


def _check(arguments: argparse.Namespace) -> int:
    from nas.analysis.audit.check import check

    report = check(arguments.folder, replay=arguments.replay)
    for problem in report.problems:
        print(printable(problem))
    for warning in report.warnings:
        print(printable(f"warning: {warning}"))
    print(report.summary)
    return 1 if report.problems else 0

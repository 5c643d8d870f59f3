"""The command line: one thin function per command. Heavy imports happen inside them."""

from __future__ import annotations

import argparse
import errno
import gc
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import nas
from nas.cli import campaigns, exports, networks, results, spaces, visual
from nas.cli.output import forget_output
from nas.errors import CampaignError, InputError
from nas.escape import printable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""The errors of a disk that is full or broken."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0, 2 for bad input, 130 if it was stopped.

    Exit code 1 means that a campaign cannot continue although its input is right, or that a check
    has found a problem.
    """
    try:
        return _run(argv)
    except InputError as error:
        print(f"nas: {printable(str(error))}", file=sys.stderr)
        return 2
    except CampaignError as error:
        print(f"nas: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("nas: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `nas sample ... | head`, which is not an error
        forget_output()
        return 0
    except OSError as error:
        if error.filename is not None:
            print(f"nas: {error.filename}: {error.strerror}", file=sys.stderr)
            return 2
        if error.errno not in _FULL:
            raise
        forget_output()
        print(f"nas: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 1


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
        arguments.is_program = argv is None  # this process was started for the command

        from nas.campaigns.engines.signals import keyboard_interrupt, signals

        try:
            with signals(keyboard_interrupt):
                return int(arguments.command(arguments) or 0)
        except SystemExit as error:  # code of the user has called sys.exit, or Ray after SIGTERM
            traceback.print_exception(error)
            return error.code if isinstance(error.code, int) and error.code else 1
    finally:
        if argv is None:
            gc.freeze()  # to look through all objects at exit takes a second, and frees nothing
        sys.stdout.flush()  # a closed pipe or a full disk raises its error here, not at exit


class _Parser(argparse.ArgumentParser):
    """A parser whose help and version raise the error of a full disk, which argparse hides."""

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="nas", description="Neural architecture search and benchmarking.")
    parser.add_argument("--version", action="version", version=f"nas-harness {nas.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (campaigns, results, networks, exports, visual, spaces):
        module.add(commands)
    return parser

"""The command line: one thin function a command. Heavy imports happen inside them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from nas.cli import campaigns, exports, networks, results, spaces
from nas.errors import InputError


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
    for module in (campaigns, results, networks, exports, spaces):
        module.add(commands)
    return parser

"""The command line: one thin function per command. Heavy imports happen inside them."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from nas.cli import campaigns, exports, networks, results, spaces
from nas.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0, 2 for bad input, 130 after Ctrl-C.

    Exit code 1 means that a campaign cannot continue although its input is right, or that a check
    has found a problem.
    """
    arguments = _parser().parse_args(argv)
    try:
        code = int(arguments.command(arguments) or 0)
        sys.stdout.flush()  # a closed pipe raises its error here, not at exit
        return code
    except InputError as error:
        print(f"nas: {error}", file=sys.stderr)
        return 2
    except SystemExit as error:  # code of the user has called sys.exit, or Ray after SIGTERM
        traceback.print_exception(error)
        return error.code if isinstance(error.code, int) and error.code else 1
    except KeyboardInterrupt:
        print("nas: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `nas sample ... | head`, which is not an error
        # Python flushes stdout again at exit and would raise the same error.
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

"""Says what a campaign has found, and what to do next: the last lines of `nas run`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import WIDTH, render, wrapped
from nas.errors import InputError


def ending(folder: Path) -> str:
    """Returns the verdicts, the table, and commands that the reader may want to run next.

    Args:
        folder: the folder of a campaign that is over.
    """
    try:
        table = campaign_table(folder)
    except InputError as error:  # no trial has completed
        return wrapped(str(error))
    verdicts = table.attrs.pop("verdicts")
    table.attrs["notes"] = []
    lines = []
    for words in verdicts["words"]:
        lines += [wrapped(words["sentence"]), wrapped("    " + words["evidence"])]
    lines += map(wrapped, verdicts["notes"])
    is_searched = bool((table["kind"] == "searched").any())
    return "\n".join([*lines, "", render(table, "text"), "", *_next(folder, is_searched)])


def _next(folder: Path, is_searched: bool) -> Iterator[str]:
    commands = {f"nas report {folder}": "everything on one page, report.html"}
    if is_searched and not (folder / "weights").is_dir():
        commands[f"nas show {folder}:best"] = "the best network"
    elif is_searched:
        commands[f"nas export {folder}:best --to onnx"] = "the best network with its weights"
    commands |= {
        f"nas table {folder} --columns all": "all columns and notes",
        "nas new results/mine --data FOLDER": "search for your own pictures",
    }
    short = [len(command) for command in commands if len(command) <= WIDTH // 2]
    longest = max(short, default=0)
    yield "next:"
    for command, what in commands.items():
        yield f"  {command:{longest}}  # {what}"

"""The commands that README.md and docs/ show do what they say; see tests/docs/commands.py."""

import re
from pathlib import Path

import pytest

from tests.docs.commands import NOT_RUN, PAGES, SMALLER, Block, blocks, run

BLOCKS = list(blocks())
TAKES_LONG = re.compile(r"nas (train|run|gradients|export .*--to (onnx|torch))")


def as_parameter(block: Block) -> object:
    """A block that trains or exports is slow."""
    marks = [pytest.mark.slow] if TAKES_LONG.search(str(block.commands)) else []
    return pytest.param(block, id=str(block), marks=marks)


@pytest.mark.parametrize("block", map(as_parameter, BLOCKS))
def test_every_command_that_is_shown_runs(block: Block, tmp_path: Path) -> None:
    for command, outcome in run(block, tmp_path / "scratch"):
        print(command, outcome, sep=": ")


def test_every_document_shows_commands_that_are_found() -> None:
    commands = {command for block in BLOCKS for command in block.commands}
    assert len(commands) > 50
    assert {block.page for block in BLOCKS} >= {"README.md", "docs/results.md", "docs/training.md"}
    assert commands >= NOT_RUN.keys(), "a command of NOT_RUN is shown no more"


def test_what_is_made_smaller_is_shown() -> None:
    text = " ".join(" ".join(page.read_text(encoding="utf-8").split()) for page in PAGES)
    assert [shown for shown in SMALLER if shown not in text] == []

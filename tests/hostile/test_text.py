"""Text that somebody else has written: names and errors in Markdown, CSV and a terminal."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from nas.analysis.tables.render import render
from nas.campaigns.drive.progress import Progress, Status
from nas.cli import main
from nas.escape import fenced, markdown, one_line, printable, spreadsheet_cell

HOSTILE = "<script>alert(1)</script>|[x](javascript:1)`a`&\n# head\x1b[2J\u202e"


def test_control_characters_are_shown() -> None:
    assert printable("a\x1b[2Jb\x07\x9b\u202ec") == r"a\x1b[2Jb\x07\x9b\u202ec"
    assert printable("Größe\n\ttab") == "Größe\n\ttab"
    assert one_line("a\nb") == r"a\nb"


def test_markdown_shows_text_as_it_is() -> None:
    said = markdown(HOSTILE)
    assert "<" not in said
    assert "\n" not in said
    assert r"\|\[x\](javascript:1)\`a\`&amp;" in said
    assert fenced("a\n```\n<b>").startswith("````\n")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert not str(spreadsheet_cell(text)).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert spreadsheet_cell(-1.5) == -1.5
    assert spreadsheet_cell("final-a-0001") == "final-a-0001"


def table(name: str) -> pd.DataFrame:
    found = pd.DataFrame({"name": [name], "params": [-3], "macs": [1.5]})
    found.attrs = {"notes": [f"a note on {name}, interval [0.1, 0.2]"], "metrics": []}
    return found


def test_tables_are_escaped_in_every_form() -> None:
    columns = ["name", "params", "macs"]
    text = render(table(HOSTILE), "markdown", columns)
    assert "<script" not in text
    assert "\x1b" not in text
    assert text.count("\n") == 4
    assert "[0.1, 0.2]" in text
    assert "\x1b" not in render(table(HOSTILE), "text", columns)
    rows = list(csv.reader(io.StringIO(render(table("=cmd|' /C calc'!A0"), "csv", columns))))
    assert rows[1] == ["'=cmd|' /C calc'!A0", "-3", "1.5"]


def test_messages_and_progress_hold_no_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "res\x1b[2Jnet"]) == 2
    assert "\x1b" not in capsys.readouterr().err
    output = io.StringIO()
    with Progress(tmp_path, Status(1), Console(file=output)) as progress:
        progress.line("failed: \x1b[2J")
    assert "\x1b" not in output.getvalue() + (tmp_path / "run.log").read_text()

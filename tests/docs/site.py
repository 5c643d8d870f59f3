"""Writes the pages of the documentation site into site/pages: ``python -m tests.docs.site``.

Most are the documents as they are. Those of commands, of Python, of the gallery and of the notebook
are made from the parser, from docstrings, from results/ and from docs/notebook.ipynb.
"""

import argparse
import inspect
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nas
from nas.cli import _parser
from nas.report.page import write_report
from tests.docs.commands import OLD_CAMPAIGNS, ROOT
from tests.docs.reference import first_line, in_markdown

COPIED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs", "search_spaces")
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
RESULTS = ("*.md", "*.csv", "*/*.md", "*/*.svg", "*/*.yaml")


def pages(out: Path) -> None:
    """Writes all pages into a folder, which is made anew."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, out / name)
    for pattern in RESULTS:
        for file in (ROOT / "results").glob(pattern):
            place = out / file.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    for file in out.rglob(
        "*.md"
    ):  # "console" is coloured as if only lines with a prompt were commands
        file.write_text(file.read_text("utf-8").replace("```console\n", "```bash\n"), "utf-8")
    made = {
        "commands": commands(),
        "python": python(),
        "gallery": gallery(out / "docs"),
        "notebook": notebook(),
    }
    for name, lines in made.items():
        (out / "docs" / f"{name}.md").write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def commands() -> Iterator[str]:
    """The help of every command."""
    os.environ["COLUMNS"] = "100"  # the width of argparse's texts
    yield "# Commands"
    [parsers] = (
        each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction)
    )
    helps = {action.dest: action.help for action in parsers._choices_actions}
    seen: list[argparse.ArgumentParser] = []
    for name, parser in parsers.choices.items():
        if parser not in seen:  # an alias has the parser of the command
            seen.append(parser)
            yield f"## nas {name}"
            yield f"{(helps.get(name) or '').capitalize()}."
            yield f"```text\n{parser.format_help().rstrip()}\n```"


def python() -> Iterator[str]:
    """The docstring of everything public in nas."""
    yield "# Python"
    yield "`import nas` gives these names; each is imported when it is first used."
    for name in sorted(nas._PUBLIC, key=str.lower):
        public = getattr(nas, name)
        yield f"## nas.{name}"
        yield f"```python\n{_signature(name, public)}\n```"
        yield documented(public)
        for method, function in inspect.getmembers(public) if inspect.isclass(public) else ():
            home = getattr(function, "fget", function)  # of a property, its function
            own = inspect.isfunction(home) and home.__module__.startswith("nas.")
            if own and not method.startswith("_") and inspect.getdoc(function):
                yield f"- `{method}`: {first_line(function)}"


def _signature(name: str, public: Any) -> str:
    try:
        return f"nas.{name}{inspect.signature(public)}".replace("'", "")
    except (TypeError, ValueError):
        return f"nas.{name}"


def documented(public: Any) -> str:
    """A docstring as Markdown: its sections are bold words, their items are lists."""
    text = in_markdown(inspect.getdoc(public) or "")
    text = re.sub(r"^(Args|Attributes|Returns|Raises):\n", r"**\1**\n\n", text, flags=re.MULTILINE)
    return re.sub(r"^ {4}(\w[\w, ]*): ", r"- `\1`: ", text, flags=re.MULTILINE)


def notebook() -> Iterator[str]:
    """The cells of the notebook, each with what it has returned."""
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        yield text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for output in cell.get("outputs", ()):
            found = output.get("data", {})
            if drawing := found.get("image/svg+xml"):
                yield "".join(drawing)
            else:
                shown = "".join(output.get("text") or found["text/plain"]).rstrip()
                yield f"```text\n{shown}\n```"


def gallery(folder: Path) -> Iterator[str]:
    """The figures of results/, and the report of a small campaign."""
    campaign = shutil.copytree(OLD_CAMPAIGNS / "finished", folder / "gallery" / "finished")
    shutil.copy(OLD_CAMPAIGNS / "space.yaml", campaign.parent)
    write_report(campaign, folder / "report.html")
    shutil.rmtree(campaign.parent)
    yield "# Gallery"
    yield "[The report of a small campaign](report.html) is a page as `nas report` writes it."
    for file in sorted((ROOT / "results").glob("*/*.svg")):
        name = f"{file.parent.name}: {file.stem}"
        yield f"## {name}"
        yield f"![{name}](../{file.relative_to(ROOT).as_posix()})"


if __name__ == "__main__":
    pages(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site" / "pages")

"""Renders a report as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from nas.drawing.svg import colours
from nas.files import write_output, write_whole
from nas.report.context import context

_HERE = Path(__file__).parent

FILE_NAME = "report.html"

_SCRIPTS = ("table.js", "axes.js", "plot.js", "script.js")


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Writes the report of a campaign, by default as ``report.html`` into its folder.

    Raises :class:`nas.errors.InputError` if there are no records, or if they are corrupt or of
    another schema.
    """
    page = render(context(folder))
    if out is not None:
        write_output(out, page)
        return out
    write_whole(folder / FILE_NAME, page.encode())
    return folder / FILE_NAME


def render(shown: Mapping[str, Any], live: bool = False) -> str:
    """Returns the page as one text that needs no other file.

    Args:
        shown: the values of :func:`nas.report.context.context`.
        live: whether the page is served and updates itself.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=select_autoescape(["j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    inlined = {
        "data": Markup(_as_json(shown["data"])),
        "style": Markup(_read("style.css") + _drawing_style()),
        "theme": Markup(_read("theme.js")),
        "script": Markup("".join(map(_read, _SCRIPTS))),
    }
    template = environment.get_template("template.html.j2")
    return template.render(shown, inlined=inlined, live=live)


def _as_json(values: Any) -> str:
    """Writes JSON that cannot end the script element in which it stands."""
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _drawing_style() -> str:
    """Returns the style by which drawings follow the page's switch rather than the system."""
    return "".join(
        f':root[data-theme="{theme}"]{{{colours(dark)}}}\n'
        for theme, dark in (("light", False), ("dark", True))
    )

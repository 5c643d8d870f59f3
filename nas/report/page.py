"""Renders reports as pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from nas.drawing.svg import colours
from nas.files import write_output, write_whole
from nas.report.context import context
from nas.report.overview import FILE_NAME
from nas.report.several import several

_HERE = Path(__file__).parent


class Form(NamedTuple):
    """A kind of page: its template, the scripts that fill it, and the titles of its sections."""

    template: str
    scripts: Sequence[str]
    titles: Mapping[str, str]


_PLOTTED = ("table.js", "axes.js", "plot.js", "live.js", "script.js")

REPORT = Form(
    "template.html.j2",
    _PLOTTED,
    {
        "results": "Results",
        "plots": "Plots",
        "more": "More figures",
        "best": "Best network",
        "errors": "Errors by class",
        "trials": "All trials",
        "failures": "Failures",
        "specification": "Experiment specification",
        "costs": "Costs",
        "provenance": "Provenance",
        "checklist": "Best practices",
    },
)
SEVERAL = Form(
    "several.html.j2",
    _PLOTTED,
    {
        "results": "Results",
        "plots": "Plots",
        "campaigns": "Campaigns",
        "best": "Best networks",
        "specification": "Experiment specifications",
    },
)
INDEX = Form("index.html.j2", ("table.js", "live.js", "index.js"), {})


def write_report(folders: Path | Sequence[Path], out: Path | None = None) -> Path:
    """Writes the report of a campaign, or of several on one page, and returns the file.

    Args:
        folders: the folders of the campaigns.
        out: the file; by default ``report.html`` in the folder of the campaign. The page of several
            campaigns is written into the current folder.

    Raises :class:`nas.errors.InputError` if there are no records, or if they are corrupt or of
    another schema.
    """
    folders = [folders] if isinstance(folders, Path) else list(folders)
    home = folders[0] if len(folders) == 1 else Path()
    if len(folders) == 1:
        page = render(REPORT, context(home))
    else:
        page = render(SEVERAL, several(folders, home if out is None else out.parent))
    if out is not None:
        write_output(out, page)
        return out
    write_whole(home / FILE_NAME, page.encode())
    return home / FILE_NAME


def render(form: Form, shown: Mapping[str, Any], live: bool = False, home: bool = False) -> str:
    """Returns a page as one text that needs no other file.

    Args:
        form: the kind of page.
        shown: the values of its template, such as those of :func:`nas.report.context.context`.
        live: whether the page is served and updates itself.
        home: whether the page above it lists all campaigns.
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
        "script": Markup("".join(map(_read, form.scripts))),
    }
    template = environment.get_template(form.template)
    page = template.render(shown, inlined=inlined, titles=form.titles, live=live, home=home)
    return page.encode(errors="backslashreplace").decode()  # names of files may be any bytes


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

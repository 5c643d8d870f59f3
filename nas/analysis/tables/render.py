"""Writes tables in forms for people and for programs."""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nas.analysis.tables.columns import WITHOUT, metrics_of
from nas.errors import InputError
from nas.escape import markdown, one_line, spreadsheet_cell
from nas.files import write_output
from nas.metrics import Catalogue, Form
from nas.registry import unknown

FORMATS = {
    "text": ".txt", "csv": ".csv", "markdown": ".md", "latex": ".tex", "json": ".json",
    "parquet": ".parquet",
}  # fmt: skip
"""The forms of a table, and the ending of their files."""

WIDTH = 100
"""How many characters wide a printed table and its notes are by default."""

_FOR_PROGRAMS = {"fingerprint", "validation_std", WITHOUT}
"""Columns that people see only when they ask for them, beside metrics that are not ``shown``."""


def render(table: pd.DataFrame, form: str, columns: Sequence[str] | None = None) -> str:
    """Writes the table as text with its notes below it (in CSV without notes).

    Args:
        table: the table; its notes are ``attrs["notes"]``.
        form: one of :data:`FORMATS` except parquet, which is not text.
        columns: the columns in order. By default csv and json have all columns, except empty ones
            of the final stage's evaluations. Markdown and latex have the columns that people read
            and whose values differ between rows. Text has as many of these as fit into
            :data:`WIDTH` characters, the most important ones, and a line names the others.

    JSON is ``{"rows": [...], "notes": [...]}``; unknown values are null.
    """
    notes = [one_line(note) for note in table.attrs.get("notes", [])]
    forms: dict[str, Callable[[], str]] = {
        "text": lambda: _text(table, columns, notes),
        "csv": lambda: _csv(_taken(table, columns)),
        "markdown": lambda: _markdown(_shown(table, columns)) + _below("\n- ", map(_safe, notes)),
        "latex": lambda: _latex(_shown(table, columns)) + _below("% ", notes),
        "json": lambda: _json(_taken(table, columns), notes),
    }
    if form not in forms:
        raise InputError(f"--format: {unknown('format', form, FORMATS)}")
    return forms[form]()


def write(
    table: pd.DataFrame,
    form: str | None,
    out: Path | None,
    columns: Sequence[str] | None = None,
) -> str:
    """Writes the table to a file, or returns it for the screen; returns the text to print.

    The default form follows from the file's ending; without a file it is text.
    """
    if form is None:
        suffixes = {suffix: name for name, suffix in FORMATS.items()}
        form = "text" if out is None else suffixes.get(out.suffix, "")
        if not form:
            raise InputError(
                f"--out: {out}: the ending is none of {', '.join(suffixes)}: say --format"
            )
    if form == "parquet":
        if out is None:
            raise InputError("--format: parquet is no text: give a file with --out")
        write_output(out, _taken(table, columns).to_parquet(index=False))
        return f"wrote {out}"
    text = render(table, form, columns)
    if out is None:
        return text
    write_output(out, text + "\n")
    return f"wrote {out}"


def _taken(table: pd.DataFrame, columns: Sequence[str] | None) -> pd.DataFrame:
    if columns is None:
        # So that a table of records from before there were these columns stays as it was written.
        evaluated = metrics_of(table).evaluated
        columns = [c for c in table.columns if c not in evaluated or table[c].notna().any()]
    return table[list(columns)]


def _text(table: pd.DataFrame, columns: Sequence[str] | None, notes: Sequence[str]) -> str:
    shown, left = _fitting(table) if columns is None else (_shown(table, columns), [])
    if left:
        notes = [*notes, f"columns that are not shown: {', '.join(left)}; --columns all shows all"]
    return "\n".join([shown.to_string(index=False), *map(wrapped, notes)])


def wrapped(text: str) -> str:
    """Breaks a line of text at :data:`WIDTH` characters; the following lines are indented."""
    kept = text.replace(" %", "\N{NO-BREAK SPACE}%")  # a number stays beside its sign
    lines = textwrap.fill(
        kept, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def _fitting(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Returns the most important columns that fit, and the names of those that do not."""
    shown, metrics = _shown(table, None), metrics_of(table)
    first = [
        "campaign", "name", "seed", "kind", "group", metrics.test, "test_std", "seeds", "rank",
        "params", "macs", "latency_ms", *metrics.on_predictions,
        *(metric.name for metric in metrics.reported), metrics.validation, metrics.search, "pareto",
    ]  # fmt: skip
    kept: list[str] = []
    room = WIDTH + 1  # a space is between columns
    for name in sorted(shown, key=lambda name: first.index(name) if name in first else len(first)):
        room -= 1 + max(len(name), int(shown[name].str.len().max() if len(shown) else 0))
        if room < 0 and len(kept) > 1:
            break
        kept.append(name)
    return shown[[n for n in shown if n in kept]], [n for n in shown if n not in kept]


def _below(mark: str, notes: Iterable[str]) -> str:
    return "".join(f"\n{mark}{note}" for note in notes)


def _json(table: pd.DataFrame, notes: Sequence[str]) -> str:
    known = table.astype("object").where(table.notna(), None)
    lines = ",\n".join(f"  {json.dumps(row)}" for row in known.to_dict("records"))
    return f'{{"rows": [\n{lines}\n],\n"notes": {json.dumps(list(notes), indent=1)}}}'


def _csv(table: pd.DataFrame) -> str:
    safe = table.copy()
    for column in table.select_dtypes(["object", "string"]):
        safe[column] = table[column].map(spreadsheet_cell, na_action="ignore")
    text: str = safe.to_csv(index=False)
    return text.rstrip("\n")


def _markdown(shown: pd.DataFrame) -> str:
    right = [_is_number(shown, column) for column in shown]
    text: str = shown.map(markdown).to_markdown(
        index=False,
        disable_numparse=True,
        colalign=["right" if number else "left" for number in right],
    )
    return text


def _safe(note: str) -> str:
    """Returns a note without HTML and links; its brackets may be those of intervals."""
    return html.escape(note, quote=False).replace("](", "]\\(")


def _latex(shown: pd.DataFrame) -> str:
    """Writes a LaTeX table with the rules of the package booktabs."""
    form = "".join("r" if _is_number(shown, column) else "l" for column in shown)
    text: str = shown.to_latex(index=False, escape=True, column_format=form)
    return text


def _is_number(shown: pd.DataFrame, column: str) -> bool:
    return bool(shown.attrs["numbers"][column])


def _shown(table: pd.DataFrame, columns: Sequence[str] | None) -> pd.DataFrame:
    """Formats values for people: counts with separators, fractions with four decimals."""
    if columns is None:
        columns = [name for name in table.columns if _worth(table, name)]
    forms = _forms(metrics_of(table))
    shown = pd.DataFrame(
        {name: table[name].map(_cell(forms.get(name, "id"))) for name in columns}, dtype="str"
    )
    if "flops" in shown and WITHOUT in table:
        lacking = table[WITHOUT].map(lambda what: "" if pd.isna(what) else f" (without {what})")
        shown["flops"] += lacking.astype("str")
    numeric, truth = pd.api.types.is_numeric_dtype, pd.api.types.is_bool_dtype
    shown.attrs["numbers"] = {
        name: numeric(table[name]) and not truth(table[name]) for name in columns
    }
    return shown


def _worth(table: pd.DataFrame, name: str) -> bool:
    """Tells if a column is shown to people by default."""
    if name in ("campaign", "group"):  # else they are one for all
        return bool(table[name].nunique() > 1)
    metric = metrics_of(table).get(name)
    hidden = name in _FOR_PROGRAMS or (metric is not None and not metric.shown)
    return not hidden and bool(table[name].notna().any() or table.empty)


def _forms(metrics: Catalogue) -> dict[str, Form]:
    """Returns the formats of values by column; other columns are written as they are."""
    derived = (metrics.search, "validation_std", "test_std", "test_low", "test_high")
    return {
        **{name: metric.form for name, metric in metrics.items()},
        **dict.fromkeys(derived, metrics.primary.form),
    }


_WRITTEN: dict[Form, str] = {
    "count": "{:,.0f}",
    "id": "{}",
    "fraction": "{:.4f}",
    "number": "{:.4f}",
    "milliseconds": "{:,.3f}",
    "seconds": "{:,.1f}",
}


def _cell(form: Form) -> Callable[[Any], str]:
    def text(value: Any) -> str:
        if pd.isna(value):
            return ""
        if isinstance(value, bool):
            return "yes" if value else ""
        return one_line(_WRITTEN[form].format(value))

    return text

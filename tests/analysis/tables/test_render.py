"""Each form of a table is read back by somebody else."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from nas.analysis.tables.render import render, write
from nas.errors import InputError


@pytest.fixture
def table() -> pd.DataFrame:
    found = pd.DataFrame({
        "name": ["a_b|c", "50 % & {more}"],
        "rank": pd.array([1, None], dtype="Int64"),
        "pareto": [True, False],
        "macs": [1234567, 8],
        "test_accuracy": [0.1 + 0.2, None],
        "train_seconds": [12345.678, None],
        "fingerprint": ["f", "g"],
        "group": ["A", "A"],
    })  # fmt: skip
    found.attrs["notes"] = ["one note", "50 % of it"]
    return found


def test_text_is_for_people(table: pd.DataFrame) -> None:
    head, first, second, *notes = render(table, "text").splitlines()
    assert head.split() == ["name", "rank", "pareto", "macs", "test_accuracy", "train_seconds"]
    assert first.split() == ["a_b|c", "1", "yes", "1,234,567", "0.3000", "12,345.7"]
    assert second.split() == ["50", "%", "&", "{more}", "8"]
    assert notes == ["one note", "50 % of it"]


def test_text_fits_the_width_and_names_what_it_leaves_out(table: pd.DataFrame) -> None:
    """The most important columns come first; the order remains that of the table."""
    wide = pd.concat([table.assign(kind="classic", seeds=5, test_std=0.1)] * 2, axis=1)
    wide = wide.loc[:, ~wide.columns.duplicated()].assign(
        validation_accuracy=0.5, search_accuracy=0.5, latency_ms=1.0, test_low=0.1, test_high=0.2
    )
    wide.attrs = table.attrs | {"notes": ["one note " * 30]}
    head, *rest = render(wide, "text").splitlines()
    assert all(len(line) <= 100 for line in (head, *rest))
    shown = head.split()
    assert shown == [name for name in wide.columns if name in shown]
    assert {"name", "kind", "test_accuracy", "test_std", "seeds", "macs"} < set(shown)
    left = " ".join(rest).partition("columns that are not shown: ")[2].partition(";")[0]
    assert {*left.split(", "), *shown} == {*wide.columns} - {"fingerprint", "group"}
    every = render(wide, "text", list(wide.columns))
    assert len(every.splitlines()[0]) > 100
    assert "not shown" not in every


def test_a_long_name_is_kept(table: pd.DataFrame) -> None:
    long = table.assign(name=["x" * 120, "y"], kind="classic")
    long.attrs = table.attrs
    assert render(long, "text").splitlines()[0].split()[:2] == ["name", "kind"]


def test_flops_say_in_the_cell_what_they_leave_out(table: pd.DataFrame) -> None:
    lacking = table.assign(flops=[1234567, 8], flops_without=["attention", None])
    assert "flops" not in render(lacking, "text")
    lines = render(lacking, "markdown", ["flops", "macs"]).splitlines()
    assert lines[2].split("|")[1].strip() == "1,234,567 (without attention)"
    assert lines[3].split("|")[1].strip() == "8"
    assert render(lacking, "csv", ["flops", "flops_without"]).splitlines()[1:] == [
        "1234567,attention", "8,"
    ]  # fmt: skip


def test_columns_in_their_order(table: pd.DataFrame) -> None:
    head = render(table, "text", ["fingerprint", "name"]).splitlines()[0]
    assert head.split() == ["fingerprint", "name"]
    assert render(table, "csv", ["macs"]).splitlines() == ["macs", "1234567", "8"]


def test_csv_reads_back_equal(table: pd.DataFrame) -> None:
    back = pd.read_csv(io.StringIO(render(table, "csv")))
    pd.testing.assert_frame_equal(back, table, check_dtype=False)


def test_json_reads_back_equal(table: pd.DataFrame) -> None:
    read = json.loads(render(table, "json"))
    assert read["notes"] == table.attrs["notes"]
    assert read["rows"][0] == table.iloc[0].to_dict()
    assert read["rows"][1]["rank"] is read["rows"][1]["test_accuracy"] is None


def test_parquet_reads_back_equal_types_too(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    assert write(table, None, path) == f"wrote {path}"
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)


def test_the_form_follows_the_ending(table: pd.DataFrame, tmp_path: Path) -> None:
    for ending, begin in ((".md", "| name"), (".tex", r"\begin{tabular}"), (".csv", "name,rank")):
        path = tmp_path / f"table{ending}"
        write(table, None, path)
        assert path.read_text().startswith(begin)
    write(table, "csv", tmp_path / "table.md")
    assert (tmp_path / "table.md").read_text().startswith("name,rank")


def test_markdown_has_as_many_cells_as_columns(table: pd.DataFrame) -> None:
    lines = [line for line in render(table, "markdown").splitlines() if line.startswith("|")]
    cells = [line.replace(r"\|", "/").strip("|").split("|") for line in lines]
    assert [len(row) for row in cells] == [6] * 4
    assert [cell.strip() for cell in cells[2]] == ["a_b/c", "1", "yes", "1,234,567", "0.3000",
                                                   "12,345.7"]  # fmt: skip


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_pandoc_reads_the_table_and_its_cells(table: pd.DataFrame, form: str) -> None:
    pandoc = shutil.which("pandoc")
    if pandoc is None:
        pytest.skip("pandoc is not installed")
    given = render(table, form)
    command = [pandoc, "--from", "gfm" if form == "markdown" else form, "--to", "json"]
    read = json.loads(subprocess.run(command, input=given, capture_output=True, text=True,
                                     check=True).stdout)  # fmt: skip
    found = next(block["c"] for block in read["blocks"] if block["t"] == "Table")
    rows = [row for body in found[4] for row in body[3]]
    texts = [[_words(cell) for cell in row[1]] for row in rows]
    assert texts[0][:4] == ["a_b|c", "1", "yes", "1,234,567"]
    assert texts[1][0] == "50 % & {more}"


def _words(node: object) -> str:
    if isinstance(node, list):
        return "".join(map(_words, node))
    if isinstance(node, dict):
        if node["t"] in ("Space", "SoftBreak"):
            return " "
        content = node.get("c", "") if node["t"] in ("Str", "Plain", "Para") else ""
        return content if isinstance(content, str) else _words(content)
    return ""


def test_pdflatex_compiles_the_table(table: pd.DataFrame, tmp_path: Path) -> None:
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("pdflatex is not installed")
    text = "\n".join([r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}",
                      render(table, "latex"), r"\end{document}"])  # fmt: skip
    (tmp_path / "paper.tex").write_text(text)
    subprocess.run([pdflatex, "-halt-on-error", "paper.tex"], cwd=tmp_path, check=True,
                   capture_output=True)  # fmt: skip


def test_latex_escapes_and_balances(table: pd.DataFrame) -> None:
    text = render(table, "latex")
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    # Cells: separators that are not escaped, one fewer than columns.
    assert [line.replace(r"\&", "").count("&") for line in rows] == [5] * 3
    assert r"50 \% \& \{more\}" in text
    assert r"a\_b|c" in text


def test_bad_input(table: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown format 'html'; allowed: text, csv"):
        render(table, "html")
    with pytest.raises(
        InputError, match=r"--out: .*: the ending is none of \.txt, .*: say --format"
    ):
        write(table, None, tmp_path / "table.xyz")
    with pytest.raises(InputError, match="parquet is no text: give a file with --out"):
        write(table, "parquet", None)

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from nas.analysis.plots.campaign import read
from nas.analysis.plots.choices import frequencies, roles
from nas.analysis.plots.kinds import figure
from tests.analysis.plots.campaigns import ask, write


def test_operations_are_words_that_many_choices_share() -> None:
    genotypes = [
        {"width": 8, "stem": "a", **{f"cell.node{n}.operation": op for n, op in enumerate(ops)},
         **{f"cell.node{n}.input": source for n, source in enumerate(("input", "node0", "node1"))},
         **{f"cell.node{n}.inputs": f"input+node{n}" for n in range(3)},
         **{f"stage{n}.depth": n for n in range(4)}}
        for ops in (("conv", "pool", "conv"), ("conv", "conv", "pool"))
    ]  # fmt: skip
    operations = [f"cell.node{n}.operation" for n in range(3)]
    assert roles(genotypes) == {"operation": operations}
    edges = {f"edge{i}-{j}": "none" if i else "conv" for i in range(3) for j in range(i)}
    assert roles([edges, {**edges, "edge1-0": "conv"}]) == {"edge": list(edges)}


def test_frequencies_are_shares_of_the_answers_in_the_window() -> None:
    genotypes = [
        {"a": "conv", "b": "conv"},
        {"a": "conv", "b": "pool"},
        {"a": "pool"},  # b was not asked
        {"a": "pool", "b": "pool"},
    ]
    table = frequencies(genotypes, ["a", "b"], window=2)
    assert list(table.columns) == ["conv", "pool"]
    assert list(table.index) == [2, 3, 4]
    assert table["conv"].to_numpy() == pytest.approx([3 / 4, 1 / 3, 0])
    assert table.sum(axis=1).to_numpy() == pytest.approx(1)


def test_windows_without_a_choice_do_not_empty_the_picture(tmp_path: Path) -> None:
    names = [f"node{n}.operation" for n in range(3)]
    records = []
    for number in range(30):
        chosen = dict.fromkeys(names, "conv" if number % 2 else "pool")
        records += [ask(f"evolution-{number:04}", genotype=chosen if number < 10 else {"width": 1})]
    drawn = figure("operations", read(write(tmp_path, records)))
    assert isinstance(drawn, Figure)
    [mesh] = drawn.axes[0].collections
    assert mesh.get_clim() == (0, 1)

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from nas.analysis.plots.campaign import read
from nas.analysis.plots.choices import frequencies, importances, roles
from nas.analysis.plots.kinds import figure
from tests.analysis.plots.campaigns import ask, result, write


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


@pytest.mark.parametrize("conditional", [False, True])
def test_importance_finds_the_choice_that_alone_decides(conditional: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = []
    for number in range(80):
        genotype = {name: int(rng.integers(3)) for name in ("first", "decides", "last")}
        if conditional and genotype["first"]:
            genotype["inner"] = int(rng.integers(3))
        trial = f"random-{number:04d}"
        records.append(ask(trial, genotype=genotype))
        records.append(result(trial, validation_accuracy=genotype["decides"] / 4 + 0.1))
    found, told = importances(read(write(tmp_path, records)))
    assert next(iter(found)) == "decides"
    assert found["decides"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    assert ("PED-ANOVA" in told, "fANOVA" in told) == (conditional, not conditional)
    assert set(found) == {"first", "decides", "last"} | ({"inner"} if conditional else set())


def test_importance_is_for_the_best_not_for_the_worst(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = []
    for number in range(120):
        best, worst = (int(each) for each in rng.integers(3, size=2))
        genotype = {"best": best, "worst": worst} | ({"inner": 0} if rng.random() < 0.5 else {})
        value = 0.8 if best == 2 else 0.5 if worst < 2 else 0.2
        trial = f"random-{number:04d}"
        records += [ask(trial, genotype=genotype), result(trial, validation_accuracy=value)]
    found, told = importances(read(write(tmp_path, records)))
    assert "PED-ANOVA" in told
    assert found["best"] > 0.8 > found["worst"]


def test_without_choices_nothing_is_important(tmp_path: Path) -> None:
    records = []
    for number in range(10):
        trial = f"random-{number:04d}"
        records += [ask(trial), result(trial, validation_accuracy=number / 10)]
    assert importances(read(write(tmp_path, records))) == ({}, "the space has no choices")


def test_a_choice_of_many_options_is_not_fanovas(tmp_path: Path) -> None:
    """Its time doubles with each option: thirty would take forever."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(120):
        genotype = {"wide": int(rng.integers(30)), "decides": int(rng.integers(3))}
        trial = f"random-{number:04d}"
        records.append(ask(trial, genotype=genotype))
        records.append(result(trial, validation_accuracy=genotype["decides"] / 4 + 0.1))
    found, told = importances(read(write(tmp_path, records)))
    assert "PED-ANOVA" in told
    assert next(iter(found)) == "decides"


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

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nas.analysis.plots.campaign import read
from nas.analysis.plots.importance import importances
from nas.analysis.plots.kinds import figure
from tests.analysis.plots.campaigns import ask, result, write


def drawn(trials: int, choices: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {f"c{i}": rng.integers(3, size=trials) for i in range(choices)}
    return pd.DataFrame(columns, dtype=object)


def test_shares_are_the_total_sobol_indices_and_a_choice_without_effect_is_noise() -> None:
    """3a + b, with a and b of 0, 1, 2, has the variance 6 + 2/3, and its ranks are as far apart."""
    options = drawn(400, 4)
    values = 3 * options["c0"].astype(float) + options["c1"].astype(float)
    found = importances(options, values)
    assert list(found.shares.index[:2]) == ["c0", "c1"]
    assert found.shares["mean"][["c0", "c1"]].tolist() == pytest.approx([0.9, 0.1], abs=0.03)
    assert found.noise[["c0", "c1", "c2", "c3"]].tolist() == [False, False, True, True]
    assert found.explained == pytest.approx(1, abs=0.01)


def test_a_choice_that_works_through_another_has_its_part_by_enumeration() -> None:
    """The total index of a, in the ranks r of the product ab, is 1 - Var(E[r | b]) / Var(r)."""
    options = drawn(400, 4)
    values = (options["c0"] * options["c1"]).astype(float)
    ranks = rankdata([a * b for a in range(3) for b in range(3)]).reshape(3, 3)
    expected = 1 - ranks.mean(axis=0).var() / ranks.var()
    assert expected > 0.6  # so the shares add up to more than 1
    shares = importances(options, values).shares["mean"]
    assert shares[["c0", "c1"]].tolist() == pytest.approx([expected] * 2, abs=0.05)


def test_a_range_tells_choices_without_effect_from_others() -> None:
    wrong = right = 0
    for seed in range(2):
        options = drawn(60, 8, seed)
        noise = np.random.default_rng(seed).normal(0, 0.5, len(options))
        told = importances(options, options["c0"].astype(float) + noise).noise
        right += not told["c0"]
        wrong += int((~told.drop("c0")).sum())
    assert right == 2
    assert wrong <= 2  # of 14


def test_choices_that_are_not_always_made_and_words_are_drawn(tmp_path: Path) -> None:
    rng, records = np.random.default_rng(0), []
    for number in range(80):
        genotype = {"decides": str(rng.choice(["conv", "pool"])), "wide": int(rng.integers(30))}
        genotype |= {"same": 1} | ({"rare": number} if number < 9 else {})
        if genotype["decides"] == "conv":
            genotype["kernel"] = int(rng.integers(3))
        trial = f"random-{number:04d}"
        value = 0.2 if genotype["decides"] == "pool" else 0.5 + genotype["kernel"] / 10
        records += [ask(trial, genotype=genotype), result(trial, validation_accuracy=value)]
    figured = figure("importance", read(write(tmp_path, records)))
    assert isinstance(figured, Figure)
    labels = [text.get_text() for text in figured.axes[0].get_yticklabels()]
    assert set(labels) == {"decides", "kernel", "wide"}
    told = dict(zip(labels, [text.get_text() for text in figured.axes[0].texts], strict=True))
    assert [name for name, text in told.items() if "may be noise" in text] == ["wide"]
    assert figured.get_suptitle().startswith(
        "validation accuracy: 2 of 3 choices can be told from noise"
    )


def test_without_choices_nothing_is_important(tmp_path: Path) -> None:
    records = []
    for number in range(10):
        trial = f"random-{number:04d}"
        records += [ask(trial), result(trial, validation_accuracy=number / 10)]
    assert figure("importance", read(write(tmp_path, records))) == (
        "no choice was made in different ways by ten trials"
    )

"""Joint architecture and hyperparameter search: which recipe a trial is trained by."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.drive.run import run
from nas.campaigns.drive.runner import Runner
from nas.campaigns.engines.base import Outcome
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.hyperparameters import own_recipe
from nas.campaigns.store.log import RecordLog
from nas.errors import InputError
from nas.spaces.choices import recipe_choices
from tests.campaigns import toy
from tests.campaigns.lines import read_records

SEARCHED = "hyperparameters: {learning_rate: [0.01, 0.1], weight_decay: [0, 0.5]}\n"

PYTHON = """
import nas

def space(choose, *, input_shape, classes):
    g = nas.Builder(input_shape)
    x = g.conv(g.input, choose("width", [1, 2, 3, 4]), kernel=1)
    choose("recipe.learning_rate", [0.01, 0.1])
    return g.build(g.linear(g.global_pool(x), classes))
"""

CAMPAIGN = toy.CAMPAIGN.replace(
    "tournament_size: 2}", "tournament_size: 2, mutations: {choice: 1}, neutral: keep}"
)


def payloads(folder: Path) -> dict[str, dict[str, Any]]:
    """The recipe that each trial of a campaign is given."""
    found = {}
    with RecordLog(folder) as log:
        runner = Runner(load_campaign(folder), log)
        while trial := runner.next():
            found[trial.id] = trial.payload["recipe"]
            score = found[trial.id]["learning_rate"]
            runner.done(trial.id, Outcome("completed", {"validation_accuracy": score}, None, 0.0))
    return found


def with_python_space(folder: Path, text: str = PYTHON) -> Path:
    (folder / "mine.py").write_text(text)
    campaign = toy.CAMPAIGN.replace("space: tiny.yaml", "space: mine.py:space")
    (folder / "campaign.yaml").write_text(campaign)
    return folder


@pytest.mark.parametrize("python", [False, True], ids=["yaml", "python"])
def test_each_trial_is_trained_by_its_own_choices_and_classics_by_the_campaigns(
    folder: Path, python: bool
) -> None:
    if python:
        with_python_space(folder)
    else:
        toy.write(folder, CAMPAIGN + SEARCHED)
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("trials: 4", "trials: 12"))
    base = load_campaign(folder).recipe.model_dump(mode="json")
    trained = payloads(folder)
    asks = {r["trial"]: r for r in read_records(folder) if r["type"] == "ask"}
    assert set(trained) <= set(asks)
    keys = {"learning_rate"} if python else {"learning_rate", "weight_decay"}
    for trial in trained:
        ask = asks[trial]
        own = recipe_choices(ask.get("genotype", {}))
        assert set(own) == (set() if "classic" in ask else keys)
        assert trained[trial] == {**base, **own}, trial
    rates = {recipe["learning_rate"] for trial, recipe in trained.items() if "evol" in trial}
    assert rates == {0.01, 0.1}
    (final,) = (ask for trial, ask in asks.items() if trial.startswith("final-evolution"))
    assert final["genotype"] == asks[final["label"]]["genotype"]
    assert trained[final["trial"]]["learning_rate"] == 0.1  # which the objective was


def test_the_table_tells_rows_of_unlike_recipes(folder: Path) -> None:
    toy.write(folder, toy.CAMPAIGN + SEARCHED)
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    table = campaign_table(folder)
    told = dict(zip(table["name"], table["recipe"], strict=True))
    assert pd.isna(told.pop("resnet20"))
    assert all(re.fullmatch(r"learning_rate 0\.\d+, weight_decay 0(\.5)?", own)
               for own in told.values())  # fmt: skip
    # Ranked with those of the same recipe alone; the notes say why.
    pairs = set(zip(table["recipe"].fillna(""), table["group"], strict=True))
    assert len(pairs) == table["group"].nunique() == len({recipe for recipe, _ in pairs})
    notes = table.attrs["notes"]
    assert any("group B is not ranked with A: recipe.learning_rate 0." in n for n in notes)
    assert any(
        "no verdict against classics: none is in the comparability group" in n for n in notes
    )
    assert "recipe" in render(table, "text")


def test_without_hyperparameters_the_table_says_nothing_of_recipes(folder: Path) -> None:
    run(folder, evaluator=f"{toy.HERE}:evaluate")
    table = campaign_table(folder)
    assert table["recipe"].isna().all()
    assert set(table["group"]) == {"A"}
    assert "recipe" not in render(table, "text").splitlines()[0]


def test_combinations_that_make_no_recipe_are_drawn_again(folder: Path) -> None:
    campaign = toy.CAMPAIGN.replace("epochs: 1", "epochs: 4").replace("trials: 4", "trials: 20")
    toy.write(folder, campaign + "hyperparameters: {epochs: [2, 4], warmup_epochs: [1, 4]}\n")
    trained = payloads(folder)
    pairs = {(recipe["epochs"], recipe["warmup_epochs"]) for recipe in trained.values()}
    assert pairs == {(2, 1.0), (4, 1.0), (4, 4.0)}
    assert load_campaign(folder).space.size().count * 4 % 3 == 0


def test_own_initialisation_may_be_searched(folder: Path) -> None:
    toy.write(
        folder, toy.CAMPAIGN + "hyperparameters: {initialization: [reference, xavier_normal]}\n"
    )
    schemes = {trial: recipe["initialization"] for trial, recipe in payloads(folder).items()}
    found = {scheme for trial, scheme in schemes.items() if "resnet20" not in trial}
    assert found == {"default", "xavier_normal"}  # a found network has no reference
    assert schemes["final-resnet20-seed0"] == "kaiming_normal"  # the preset's


def test_a_space_that_asks_wrongly_for_the_recipe_is_refused(folder: Path) -> None:
    for old, new, message in [
        ("learning_rate", "learning_rte", "recipe.learning_rte: unknown key 'learning_rte' (did"),
        ("0.01, 0.1", "'fast', 'slow'", "recipe.learning_rate: Input should be a valid number"),
    ]:
        with_python_space(folder, PYTHON.replace(old, new))
        with pytest.raises(InputError, match=re.escape(message)) as caught:
            load_campaign(folder)
        assert str(caught.value).startswith(f"{folder / 'campaign.yaml'}: ")
    with_python_space(folder)
    path = folder / "campaign.yaml"
    path.write_text(path.read_text() + SEARCHED)
    with pytest.raises(InputError, match=r"mine.py:space: already asks recipe.learning_rate"):
        load_campaign(folder)


def test_a_genotype_without_recipe_keeps_the_campaigns(folder: Path) -> None:
    base = load_campaign(folder).recipe
    assert own_recipe(base, {"width": 3}) is base
    changed = own_recipe(base, {"recipe.epochs": 7, "width": 3})
    assert changed == base.model_copy(update={"epochs": 7})
    assert changed.fingerprint != base.fingerprint

"""The final stage retrains the best descendant of each initial genotype, if it is asked to."""

from pathlib import Path
from typing import Any

import pytest

from nas.campaigns.drive.final_stage import by_lineage
from nas.campaigns.drive.run import run
from nas.campaigns.store.history import History
from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Ask
from nas.cli import main
from tests.campaigns import toy
from tests.campaigns.lines import ask

CAMPAIGN = """
space: primitives
searcher: {{name: evolution, population_size: 4, tournament_size: 2, initial: [lenet5, vgg8]}}
random_baseline: true
budget: {{trials: 12}}
data: {{name: digits, resolution: 16}}
recipe: {{preset: quick, epochs: 1}}
final: {{top: 3, classics: [], lineages: {lineages}}}
engine: serial
seed: {seed}
"""


def descended(**founders: tuple[int, ...]) -> list[Ask]:
    """Asks 0 to 9, of which each name, but `random`, is that of an initial genotype."""
    parents: dict[int, tuple[str, int | None]] = {}
    for name, numbers in founders.items():
        for place, number in enumerate(numbers):
            parents[number] = name, numbers[place - 1] if place else None
    made = []
    for number, (name, parent) in sorted(parents.items()):
        initial = {} if name == "random" or parent is not None else {"initial": name}
        note = {"parent": parent} if parent is not None else initial
        made.append(ask(trial=f"a-{number:04}", number=number, note=note))
    return made


@pytest.mark.parametrize(
    ("ranked", "expected"),
    [
        ([8, 5, 2, 9, 7, 1, 0], [8, 9, 5, 2, 7, 1, 0]),  # from lenet5, and the best from vgg8
        ([4, 8, 5, 9, 1], [4, 8, 9, 5, 1]),  # a random one is the best
        ([6, 4, 3, 8], [6, 8, 4, 3]),  # no random one is put forward
        ([0, 2, 5], [0, 2, 5]),
        ([], []),
    ],
)
def test_the_best_comes_first_and_then_the_best_of_each_other_kind(
    ranked: list[int], expected: list[int]
) -> None:
    asks = descended(lenet5=(0, 2, 5, 8), vgg8=(1, 7, 9), random=(3, 4, 6))
    history = History(Path(), asks)
    found = by_lineage((asks[number] for number in ranked), history)
    assert [each.number for each in found] == expected


@pytest.mark.parametrize(
    "note",
    [{"parent": 0}, {"from": 0, "climb": 1}, {"parents": [0, 1]}],
    ids=lambda note: next(iter(note)),
)
def test_descent_is_read_from_the_notes_of_every_searcher(note: dict[str, Any]) -> None:
    first = ask(trial="a-0000", number=0, note={"initial": "vgg8"})
    child = ask(trial="a-0001", number=1, note=note)
    assert History(Path(), [first, child]).founder(child) == (first, 1)


@pytest.mark.parametrize("seed", range(3))
def test_a_campaign_retrains_them_and_its_check_follows(tmp_path: Path, seed: int) -> None:
    chosen = {}
    for lineages in ("false", "true"):
        folder = tmp_path / lineages
        folder.mkdir()
        text = CAMPAIGN.format(lineages=lineages, seed=seed)
        (folder / "campaign.yaml").write_text(text)
        run(folder, evaluator=f"{toy.HERE}:evaluate")
        history = History(folder, read_records(folder))
        labels = [each.label for each in history.asks.values() if each.stage == "final"]
        founders = {
            label: history.founder(history.asks[label])[0].note.get("initial") for label in labels
        }
        kinds = ("evolution", "random")
        chosen[lineages] = [[f for label, f in founders.items() if k in label] for k in kinds]
        assert main(["check", str(folder)]) == 0
    (plain, of_random), (spread, of_random_too) = chosen["false"], chosen["true"]
    assert spread[0] == plain[0]  # the best one
    assert {"lenet5", "vgg8"} <= set(spread)
    assert of_random == of_random_too

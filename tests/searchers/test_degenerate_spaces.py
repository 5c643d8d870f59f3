"""Spaces with one architecture, or without neighbours: the search ends, the final stage runs."""

from pathlib import Path

import pytest

from nas.campaigns.drive.run import run
from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Ask, Result
from nas.cli import main
from tests.campaigns import toy

SPACES = """
import nas
from nas.spaces.choices import Infeasible


def network(input_shape, classes, width):
    g = nas.Builder(input_shape)
    return g.build(g.linear(g.global_pool(g.conv(g.input, width, 1)), classes))


def no_choice(choose, *, input_shape, classes):
    return network(input_shape, classes, 4)


def one_option(choose, *, input_shape, classes):
    return network(input_shape, classes, choose("width", [4]))


def same_network(choose, *, input_shape, classes):
    choose("unused", ["a", "b", "c"])
    return network(input_shape, classes, 4)


def isolated(choose, *, input_shape, classes):
    width, again = choose("width", [1, 2, 3]), choose("again", [1, 2, 3])
    if width != again:
        raise Infeasible("they differ")
    return network(input_shape, classes, width)
"""

ARCHITECTURES = {"no_choice": 1, "one_option": 1, "same_network": 1, "isolated": 3}

CAMPAIGN = """
space: "spaces.py:{space}"
searcher: {{name: evolution, population_size: 3, tournament_size: 2}}
budget: {{trials: 12}}
data: {{name: digits, split: {{train: 0.6, validation: 0.2, test: 0.2}}}}
recipe: {{preset: quick, epochs: 4}}
final: {{top: 2, top_random: 1, classics: [], seeds: [0]}}
engine: {{name: serial}}
"""


@pytest.mark.parametrize("space", ARCHITECTURES)
def test_the_search_ends_and_the_final_stage_runs(
    space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.searchers.duplicates.LIMIT", 120)  # it is 1000
    (tmp_path / "spaces.py").write_text(SPACES)
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN.format(space=space))
    run(tmp_path, evaluator=f"{toy.HERE}:evaluate")
    records = read_records(tmp_path)
    asks = [each for each in records if isinstance(each, Ask)]
    assert all(each.completed for each in records if isinstance(each, Result))
    searched = {ask.fingerprint for ask in asks if ask.kind == "searched"}
    assert 1 <= len(searched) <= ARCHITECTURES[space]
    final = {ask.fingerprint for ask in asks if ask.stage == "final"}
    assert len(final) >= min(2, len(searched))
    assert main(["check", str(tmp_path)]) == 0

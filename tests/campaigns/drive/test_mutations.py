"""Mutations of a campaign: recorded with the child, replayed, and kept when a version changes."""

import json
from pathlib import Path
from typing import Any

import pytest

from nas.analysis.audit.check import check
from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.store.defaults import EARLIER
from nas.errors import InputError
from nas.spaces.families.free_graph import _Bound
from nas.spaces.mutations import Mutations
from tests.campaigns import toy
from tests.campaigns.lines import read_records

EVALUATE = f"{toy.HERE}:evaluate"
PLAIN = """
space: tiny.yaml
searcher: {name: evolution, population_size: 2, tournament_size: 2}
budget: {trials: 12}
random_baseline: false
duplicates: evaluate
data: {name: digits, split: {train: 0.6, validation: 0.2, test: 0.2}}
recipe: {preset: quick, epochs: 1}
final: {top: 0}
engine: {name: serial}
"""


def notes(folder: Path) -> list[dict[str, Any]]:
    return [record["note"] for record in read_records(folder) if record["type"] == "ask"]


def more_trials(folder: Path, before: int, after: int) -> None:
    file = folder / "campaign.yaml"
    file.write_text(file.read_text().replace(f"trials: {before}", f"trials: {after}"))


def replayed(folder: Path) -> list[str]:
    return list(check(folder, replay=True).problems)


def test_a_child_is_recorded_with_its_mutation_and_made_again(tmp_path: Path) -> None:
    folder = toy.write(tmp_path / "new", PLAIN)
    run(folder, evaluator=EVALUATE)
    made = {note["mutation"] for note in notes(folder) if "parent" in note}
    assert len(made) > 1
    assert made <= set(_Bound.mutations.weights)
    recorded = read_records(folder)[0]["specification"]["mutations"]
    assert recorded == _Bound.mutations.model_dump()
    assert replayed(folder) == []
    whole = toy.write(tmp_path / "whole", PLAIN)
    more_trials(whole, 12, 20)
    run(whole, evaluator=EVALUATE)
    more_trials(folder, 12, 20)
    run(folder, evaluator=EVALUATE)
    assert toy.genotypes(folder) == toy.genotypes(whole)


def test_a_campaign_of_an_earlier_version_goes_on_as_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = toy.write(tmp_path / "old", PLAIN)
    with monkeypatch.context() as earlier:
        earlier.setattr(_Bound, "mutations", Mutations(**EARLIER["mutations"]))
        run(folder, evaluator=EVALUATE)
    _forget(folder / "records.jsonl")
    _forget(folder / "resolved.json")
    assert replayed(folder) == []
    more_trials(folder, 12, 20)
    run(folder, evaluator=EVALUATE)
    assert len(notes(folder)) == 20
    assert not any("mutation" in note for note in notes(folder))
    assert replayed(folder) == []


def _forget(path: Path) -> None:
    """Takes out of a file what earlier versions did not write."""
    kept = []
    for line in path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]:
        record = json.loads(line)
        if specification := record.get("specification"):
            del specification["mutations"]
            for option in ("mutations", "neutral"):
                del specification["searcher"][option]
        kept.append(json.dumps(record))
    path.write_text("\n".join(kept) + "\n")


def test_mutations_are_named_in_the_campaign(tmp_path: Path) -> None:
    named = PLAIN.replace("population_size", "mutations: {remove_node: 1}, population_size")
    folder = toy.write(tmp_path / "named", named)
    run(folder, evaluator=EVALUATE)
    children = [note for note in notes(folder) if "parent" in note]
    assert children
    assert {note["mutated"] for note in children} == {"cell.nodes"}
    # A cell of one node cannot lose it, which does not end the search.
    assert any("childless" in note for note in notes(folder))
    folder.joinpath("campaign.yaml").write_text(PLAIN)  # another specification
    with pytest.raises(InputError, match=r"searcher\.mutations"):
        run(folder, evaluator=EVALUATE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("mutations: {stpe: 1}", "unknown mutation 'stpe' (did you mean 'step'?); allowed: choice"),
        ("mutations: {step: 0}", "searcher.mutations.step: Input should be greater than 0, got 0"),
        ("mutations: {}", "searcher.mutations: Dictionary should have at least 1 item"),
        ("neutral: maybe", "searcher.neutral: Input should be 'keep' or 'redraw', got 'maybe'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, options: str, said: str) -> None:
    folder = toy.write(tmp_path, PLAIN.replace("population_size", f"{options}, population_size"))
    with pytest.raises(InputError) as error:
        load_campaign(folder)
    assert said in str(error.value)
    assert "campaign.yaml" in str(error.value)

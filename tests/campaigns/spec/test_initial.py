"""Where a search starts: members, genotypes, classics and networks of other campaigns."""

import json
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.initial import initial_genotypes
from nas.campaigns.spec.specification import specification
from nas.cli import main
from nas.errors import InputError
from nas.spaces.constrained_space import constrained
from nas.spaces.constraints import Constraints
from nas.spaces.search_space import SearchSpace
from tests.campaigns import toy

SHAPE = (1, 16, 16)
GENOTYPE = (
    "{stages: 1, width: 3, stage0.cells: 1, cell.nodes: 1, cell.node0.operation: conv, "
    "cell.node0.input: input, cell.node0.second_input: null}"
)


def primitives(**limits: int) -> SearchSpace:
    space = nas.space("primitives", SHAPE, 10)
    return constrained(space, Constraints(**limits), Path())


def with_initial(folder: Path, initial: str, size: int = 2) -> Path:
    text = toy.CAMPAIGN.replace(
        "population_size: 2,", f"population_size: {size}, initial: {initial},"
    )
    return toy.write(folder, text)


def search_asks(folder: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "records.jsonl").read_text().splitlines())
    return [line for line in lines if line["type"] == "ask" and line["trial"].startswith("evol")]


def test_without_constraints_the_classics_are_the_members_themselves() -> None:
    found = initial_genotypes("classics", primitives(), Path())
    assert list(found.genotypes) == list(primitives().members)
    for name, genotype in found.genotypes.items():
        assert genotype == primitives().members[name]
    assert found.left_out == ()


def test_classics_are_as_wide_as_the_constraints_allow() -> None:
    space = primitives(macs=170_000)
    found = initial_genotypes("classics", space, Path())
    assert list(found.genotypes) == [
        "lenet5",
        "resnet20, multiplier 0.125",
        "se_resnet20, multiplier 0.125",
    ]
    assert found.left_out == ("nin", "vgg8", "inception_small", "mobilenet_v2")
    assert "at no multiplier: nin, vgg8, inception_small, mobilenet_v2" in found.note
    for genotype in found.genotypes.values():
        space.validate(genotype)
        assert list(genotype) == list(space.run(lambda name, _, g=genotype: g[name])[0])
    # The next option of the multiplier is over the limit.
    narrow = nas.cost(nas.classic("resnet20", SHAPE, 10, width=0.125)).macs
    assert narrow <= 170_000 < nas.cost(nas.classic("resnet20", SHAPE, 10, width=0.25)).macs
    assert nas.cost(space.decode(found.genotypes["resnet20, multiplier 0.125"])).macs == narrow


@pytest.mark.parametrize("limits", [Constraints(), Constraints(macs=500_000)])
def test_a_classic_that_the_images_are_too_small_for_is_left_out(limits: Constraints) -> None:
    space = constrained(nas.space("primitives", (1, 8, 8), 10), limits, Path())
    found = initial_genotypes("classics", space, Path())
    assert "lenet5" in found.left_out
    assert any(name.startswith("resnet20") for name in found.genotypes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["resnet21"], "0: space primitives: unknown member 'resnet21' (did you mean 'resnet20'?)"),
        (["lenet5", "vgg16"], "1: vgg16 is a classic outside the space primitives; allowed: lenet"),
        (["vgg8"], "0: vgg8: space primitives: not in the space: macs is 23,745,536, over the lim"),
        (["lenet5", "lenet5"], "1: lenet5 is given twice"),
        ([{"stages": 1}], "0: genotype 0: space primitives: choice 'activation' is missing"),
        (3, "must be a member of the space, a genotype, classics, or a reference such as"),
        ("missing:best", "missing:best: there is no folder missing"),
    ],
)
def test_a_wrong_entry_is_named(given: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        initial_genotypes(given, primitives(macs=170_000), Path())
    assert str(caught.value).startswith(message)


def test_no_classic_at_all_is_one_message(folder: Path) -> None:
    with pytest.raises(
        InputError, match="no classic fits the images and the constraints; the last: mobil"
    ):
        initial_genotypes("classics", primitives(macs=1000), Path())
    with_initial(folder, "classics")
    with pytest.raises(InputError) as caught:
        load_campaign(folder)
    assert str(caught.value) == (
        f"{folder}/campaign.yaml: searcher.initial: space tiny: none of its members is a classic; "
        "allowed: none, as it has no members"
    )


def test_a_campaign_starts_from_a_genotype_and_resumes_exactly(folder: Path) -> None:
    with_initial(folder, f"[{GENOTYPE}]", size=3)
    run(folder, evaluator=toy.evaluate)
    first, second, *children = search_asks(folder)
    assert first["genotype"]["width"] == 3
    assert first["note"] == {"initial": "genotype 0"}
    assert "note" not in second or "initial" not in second["note"]
    assert all("parent" in child["note"] for child in children[1:])
    assert specification(load_campaign(folder))["searcher"]["initial"] == {
        "genotype 0": first["genotype"]
    }
    assert main(["check", str(folder), "--replay"]) == 0
    whole = search_asks(folder)
    # Interrupted after the first line of the first trial, it goes on in the same way.
    records = folder / "records.jsonl"
    records.write_text("".join(records.read_text().splitlines(keepends=True)[:2]))
    run(folder, evaluator=toy.evaluate)
    assert [ask["genotype"] for ask in search_asks(folder)] == [ask["genotype"] for ask in whole]


def test_another_start_is_another_experiment(folder: Path) -> None:
    with_initial(folder, f"[{GENOTYPE}]")
    run(folder, evaluator=toy.evaluate)
    with_initial(folder, f"[{GENOTYPE.replace('width: 3', 'width: 4')}]")
    with pytest.raises(InputError, match=r"initial.genotype 0.width: recorded 3, now 4"):
        run(folder, evaluator=toy.evaluate)


def test_a_campaign_starts_from_the_best_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    old = toy.write(tmp_path / "old")
    run(old, evaluator=toy.evaluate)
    new = with_initial(tmp_path / "new", f'["../old:best", {GENOTYPE}]')
    run(new, evaluator=toy.evaluate)
    best = nas.results(old)
    best = best[(best["stage"] == "final") & (best["kind"] == "searched")].iloc[0]
    first = search_asks(new)[0]
    assert first["fingerprint"] == best["fingerprint"]
    assert first["note"] == {"initial": "../old:best"}
    trials = nas.results(new)
    assert trials[trials["trial"] == "evolution-0000"]["initial"].item() == "../old:best"
    assert main(["show", f"{new}:evolution-0000"]) == 0
    assert ", is ../old:best, " in capsys.readouterr().out
    child = search_asks(new)[2]
    parent = ("../old:best", "genotype 1")[child["note"]["parent"]]
    assert main(["show", f"{new}:{child['trial']}"]) == 0
    assert f", 1 mutation from {parent}, " in capsys.readouterr().out


def test_random_search_starts_from_nothing(folder: Path) -> None:
    toy.write(
        folder,
        toy.CAMPAIGN.replace(
            "{name: evolution, population_size: 2, tournament_size: 2}",
            f"{{name: random, initial: [{GENOTYPE}]}}",
        ),
    )
    with pytest.raises(InputError, match="searcher random: initial: it cannot start"):
        load_campaign(folder)


OWN = """
import nas.blocks


def space(choose, *, input_shape, classes):
    width = choose("width", [2, 4, 8])

    def build():
        g = nas.Builder(input_shape)
        x = nas.blocks.conv_norm(g, g.input, width)
        return g.build(g.linear(g.global_pool(x), classes))

    return build


space.members = {"narrow": {"width": 2}, "wide": {"width": 8}}
"""


def test_a_space_in_python_has_members(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    space = nas.space(f"{tmp_path}/own.py:space", (1, 8, 8), 10)
    assert list(space.members) == ["narrow", "wide"]
    assert initial_genotypes(["wide"], space, tmp_path).genotypes == {"wide": {"width": 8}}
    assert main(["show", f"{tmp_path}/own.py:space:wide", "--input", "1,8,8"]) == 0
    (tmp_path / "own.py").write_text(OWN + 'space.members = ["narrow"]\n')
    with pytest.raises(InputError, match="members must be a mapping of names to genotypes, got"):
        nas.space(f"{tmp_path}/own.py:space", (1, 8, 8), 10)


def test_children_of_classics_are_of_the_space() -> None:
    space = primitives(macs=170_000)
    found = initial_genotypes("classics", space, Path()).genotypes
    searcher = nas.searcher(
        "evolution", space=space, seed=0, population_size=3, tournament_size=2, initial=found
    )
    for number, name in enumerate(found):
        proposal = searcher.ask(number)
        assert proposal is not None
        assert proposal.note == {"initial": name}
        searcher.tell(nas.Observation(number, proposal.genotype, (float(number),), proposal.note))
    child = searcher.ask(3)
    assert child is not None
    assert child.note["parent"] in range(3)
    space.validate(child.genotype)

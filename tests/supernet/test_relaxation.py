"""A relaxed space is its members, weighted; its alphas have the gradient of the definition."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

import nas
from nas.architecture.graph import Architecture
from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.cli import main
from nas.errors import InputError
from nas.spaces.finishing import finished
from nas.supernet.gradient import gradients_of_choices, largest_eigenvalue
from nas.supernet.member import Member
from nas.supernet.mixing import plain_norms
from nas.supernet.relaxation import Method, Relaxation

DATA = Path(__file__).parents[3] / "shared" / "data" / "nas"
TINY: dict[str, dict[str, Any]] = {
    "nasbench201": {"channels": 4, "cells": 1, "stages": 2, "own_weights": True},
    "darts": {"channels": 8, "cells": 1, "stages": 2, "nodes": 2, "published": []},
}


def tiny(name: str) -> nas.SearchSpace:
    return nas.space(name, input_shape=(3, 8, 8), classes=3, **TINY[name])


@pytest.mark.parametrize(("channels", "cells", "size"), [(16, 2, 1_930_618), (8, 1, 394_210)])
def test_counts_of_darts(channels: int, cells: int, size: int) -> None:
    """The search network of quark0/darts: C=16 with 8 layers, and C=8 with 5."""
    relaxation = Relaxation(nas.space("darts", channels=channels, cells=cells))
    assert relaxation.bank.size == size
    assert relaxation.alphas.numel() == 224


@pytest.mark.skipif(not DATA.exists(), reason="the reference values are not at hand")
def test_the_discretisation_is_that_of_the_authors_code() -> None:
    known = json.loads((DATA / "darts_genotype_parse_reference.json").read_text())
    space = nas.space("darts")
    mixtures = space.language.mixtures()
    assert mixtures is not None
    assert list(mixtures.blocks) == known["primitives"]
    assert len(known["draws"]) == 20
    for draw in known["draws"]:
        rows = torch.tensor([*draw["alphas_normal"], *draw["alphas_reduce"]]).softmax(1)
        weights = {
            edge: dict(zip(mixtures.blocks, row.tolist(), strict=True))
            for edge, row in zip(mixtures.edges, rows, strict=True)
        }
        cells = [[tuple(edge) for edge in draw[name]] for name in ("normal", "reduce")]
        expected = space.from_string(
            f"Genotype(normal={cells[0]}, normal_concat=range(2, 6), "
            f"reduce={cells[1]}, reduce_concat=range(2, 6))"
        )
        found = mixtures.discretise(weights)
        assert found == expected
        # No other member is stronger: this is what makes it the result of the search.
        drawn = [space.sample(np.random.default_rng(seed)) for seed in range(20)]
        best = mixtures.strength(found, weights)
        assert all(mixtures.strength(each, weights) < best for each in drawn)


@pytest.mark.parametrize("method", ["darts", "gdas"])
def test_with_all_weight_on_one_operation_it_is_a_member(method: Method) -> None:
    space = tiny("nasbench201")
    relaxation = Relaxation(space, method, seed=2)
    genotype = space.sample(np.random.default_rng(5))
    options = list(relaxation.mixtures.blocks)
    for row, operation in enumerate(relaxation.mixtures.chosen(genotype).values()):
        relaxation.alphas[row, options.index(operation)] = 1e4
    assert relaxation.genotype() == genotype
    member = Member(
        relaxation.bank,
        plain_norms(space.decode(genotype), lambda name: name.startswith("stem")),
    )
    x = torch.randn(4, 3, 8, 8)
    assert torch.allclose(relaxation.eval()(x), member.eval()(x), atol=1e-6)


def test_gdas_runs_one_operation_of_every_edge() -> None:
    torch.manual_seed(1)  # with another one, a path of zeros may be drawn, which has no gradient
    relaxation = Relaxation(tiny("nasbench201"), "gdas")
    relaxation.alphas.requires_grad_()
    relaxation(torch.randn(4, 3, 8, 8)).square().sum().backward()
    trained = {n for n, p in relaxation.bank.named_parameters() if p.grad is not None}
    for cell in (0, 2):  # each convolution of a cell is an edge's
        assert sum("nor_conv" in name and f"cells|{cell}|" in name for name in trained) <= 6
    assert relaxation.alphas.grad is not None
    assert relaxation.alphas.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "method", "rate"),
    [
        ("nasbench201", "darts", 0.0),
        ("nasbench201", "darts", 0.3),
        ("darts", "darts", 0.3),
        ("darts", "pc_darts", 0.3),
    ],
)
def test_gradients_are_finite_differences(name: str, method: Method, rate: float) -> None:
    """The loss after one step on the training loss, by its definition (Liu et al. 2019, eq. 6)."""
    relaxation = Relaxation(tiny(name), method).double()
    generator = torch.Generator().manual_seed(4)
    relaxation.alphas.normal_(generator=generator)
    batches = [torch.randn(6, 3, 8, 8, generator=generator).double() for _ in range(2)]
    labels = [torch.randint(3, (6,), generator=generator) for _ in range(2)]

    def loss(part: int) -> Any:
        return lambda forward: cross_entropy(forward(batches[part]), labels[part])

    def ahead() -> float:
        weights = list(relaxation.parameters())
        before = [weight.detach().clone() for weight in weights]
        slopes = torch.autograd.grad(loss(0)(relaxation), weights, allow_unused=True)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                weight -= 0.0 if slope is None else rate * slope
            found = float(loss(1)(relaxation))
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
        return found

    def differences(choice: Tensor) -> list[float]:
        found, step = [], 1e-6
        for place in places[choice.ndim]:
            values = []
            for sign in (1, -1):
                choice[place] += sign * step
                values.append(ahead())
                choice[place] -= sign * step
            found.append((values[0] - values[1]) / (2 * step))
        return found

    edges, operations = relaxation.alphas.shape
    places: dict[int, list[Any]] = {
        1: list(range(0, edges, 2)),
        2: [(edge, (2 * edge + 1) % operations) for edge in range(0, edges, 2)],
    }
    expected = [differences(choice) for choice in relaxation.choices]
    for choice in relaxation.choices:
        choice.requires_grad_()
    gradients = gradients_of_choices(relaxation, loss(0), loss(1), rate)
    for choice, gradient, finite in zip(relaxation.choices, gradients, expected, strict=True):
        found = [float(gradient[place]) for place in places[choice.ndim]]
        assert found == pytest.approx(finite, rel=1e-5, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_the_largest_eigenvalue_is_that_of_the_whole_hessian(name: str) -> None:
    relaxation = Relaxation(tiny(name)).double().eval()
    generator = torch.Generator().manual_seed(4)
    relaxation.alphas.normal_(generator=generator)
    images = torch.randn(6, 3, 8, 8, generator=generator).double()
    labels = torch.randint(3, (6,), generator=generator)

    def loss(alphas: Tensor) -> Tensor:
        return cross_entropy(functional_call(relaxation, {"alphas": alphas}, (images,)), labels)

    size = relaxation.alphas.numel()
    whole = torch.autograd.functional.hessian(loss, relaxation.alphas.clone()).view(size, size)
    relaxation.alphas.requires_grad_()
    found = largest_eigenvalue(relaxation, lambda f: cross_entropy(f(images), labels))
    assert found == pytest.approx(torch.linalg.eigvalsh(whole)[-1].item(), rel=0.01)


def test_spaces_that_cannot_be_mixed_are_refused() -> None:
    with pytest.raises(InputError, match="edge_cell"):
        Relaxation(nas.space("natsbench_size"))
    headed = finished(
        tiny("nasbench201"), lambda made: Architecture(made.input_shape, made.nodes[:1], ["stem.0"])
    )
    with pytest.raises(InputError, match="return a vector"):
        Relaxation(headed)


CAMPAIGN = """
space: {name: nasbench201, nodes: 3, channels: 4, cells: 1, stages: 2}
searcher: gradient
random_baseline: false
objectives: [strength]
budget: {trials: 4}
evaluator: {name: gradient, epochs: 3, order: 2, learning_rate: 0.1}
data: {name: digits, split: {train: 0.2, validation: 0.2, test: 0.6}}
recipe: {preset: quick, epochs: 1, batch_size: 64}
final: {top: 1, seeds: [0]}
engine: {name: serial}
"""


def test_a_campaign_retrains_what_gradients_have_chosen(tmp_path: Path) -> None:
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    run(tmp_path)
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    asks = {record["trial"]: record for record in records if record["type"] == "ask"}
    results = {record["trial"]: record for record in records if record["type"] == "result"}
    first = results["gradient-0000"]
    assert first["epochs"] == 3
    last = first["metrics"]["shared_curve"][-1]
    heaviest = {
        edge: last["mixed"][max(range(5), key=weights.__getitem__)]
        for edge, weights in last["mixture"].items()
    }
    assert asks["gradient-0001"]["genotype"] == last["genotype"] == heaviest
    assert last["hessian"] > 0
    assert last["skips"] == sum(each == "skip_connect" for each in heaviest.values()) / 3
    (final,) = (each for each in asks.values() if each["stage"] == "final")
    assert final["genotype"] == heaviest
    assert results[final["trial"]]["metrics"]["test_accuracy"] > 0
    assert main(["check", str(tmp_path), "--replay"]) == 0


def test_its_result_is_evaluated_even_if_the_budget_is_spent(tmp_path: Path) -> None:
    text = CAMPAIGN.replace("trials: 4", "trials: 9, accelerator_hours: 1e-6")
    (tmp_path / "campaign.yaml").write_text(text.replace("epochs: 3, order: 2", "epochs: 1"))
    run(tmp_path)
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    asked = [record["trial"] for record in records if record["type"] == "ask"]
    assert asked[:2] == ["gradient-0000", "gradient-0001"]
    assert asked[2].startswith("final-")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("trials: 4", "trials: 1", "budget.trials"),
        ("trials: 4", "epochs: 40", "budget.epochs"),
        ("trials: 4", "trials: 4, epochs: 3", "budget.epochs"),
        ("order: 2", "order: 2, method: gdas", "order"),
        ("objectives: [strength]\n", "", "strength"),
        ("name: gradient, epochs: 3, order: 2, learning_rate: 0.1", "name: training",
         "evaluator.name"),
        ("{name: nasbench201, nodes: 3, channels: 4, cells: 1, stages: 2}", "natsbench_size",
         "no edges"),
    ],
)  # fmt: skip
def test_bad_input_is_one_message(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in CAMPAIGN
    text = CAMPAIGN.replace(old, new)
    if "name: training" in new:
        text = text.replace("objectives: [strength]\n", "")
    (tmp_path / "campaign.yaml").write_text(text)
    with pytest.raises(InputError, match=said):
        load_campaign(tmp_path)

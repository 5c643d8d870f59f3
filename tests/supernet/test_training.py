"""A space is trained like a network, and searched with the weights that its members share."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import nas
from nas.analysis.tables.comparability import setting
from nas.analysis.tables.networks import campaign_table
from nas.architecture.graph import Architecture
from nas.blocks import conv_norm
from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.cli import main
from nas.configuration import Named
from nas.evaluators import gradient, supernet
from nas.evaluators.supernet import FILE_NAME
from nas.evaluators.work import complete
from nas.jobs import names as named
from nas.jobs.inputs import trained
from nas.memory import TooLarge
from nas.spaces.choices import Choose, Genotype
from nas.spaces.constrained_space import constrained
from nas.spaces.constraints import Constraints
from nas.spaces.search_space import SearchSpace
from nas.supernet.bank import Bank, Kernels, carry
from nas.supernet.member import Member
from nas.supernet.network import (
    SAMPLINGS,
    SandwichTrainer,
    Supernet,
    SupernetTrainer,
    fair,
    sandwich,
    shrinking,
    uniform,
)
from nas.tasks import make
from nas.training import data
from nas.training.data import Part, SearchData
from nas.training.evaluation import evaluate
from nas.training.loop import Trainer
from nas.training.recipe import resolve

SPACE = {"input_shape": (1, 8, 8), "classes": 10, "channels": 2, "cells": 1}

CAMPAIGN = """
space: {name: nasbench201, channels: 2, cells: 1}
searcher: {name: evolution, population_size: 4, tournament_size: 2}
random_baseline: false
budget: {trials: 8}
evaluator: {name: supernet, epochs: 2, recalibration: 2, sampling: fair}
data: {name: digits, split: {train: 0.3, validation: 0.2, test: 0.5}}
recipe: {preset: quick, epochs: 1, batch_size: 128}
final: {top: 1, seeds: [0], shared: 1}
engine: {name: serial}
"""


def few_digits() -> SearchData:
    split = {"train": 0.2, "validation": 0.1, "test": 0.7}
    return data.search_data(data.resolve({"name": "digits", "split": split}))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_training_goes_on_bit_for_bit_from_a_checkpoint(optimizer: str) -> None:
    images = few_digits()
    recipe = resolve({"preset": "quick", "epochs": 2, "batch_size": 64, "optimizer": optimizer})
    space = nas.space("nasbench201", **SPACE)

    def trainer() -> Trainer:
        return SupernetTrainer(lambda: Supernet(space, 12, seed=3), images, recipe, 0)

    whole, first, second = trainer(), trainer(), trainer()
    whole.run(2)
    first.run(1)
    second.load_state_dict(first.state_dict())
    second.run(2)
    for name, value in whole.state_dict()["network"].items():
        assert torch.equal(value, second.state_dict()["network"][name]), name


def test_fair_sampling_takes_every_option_equally_often() -> None:
    space = nas.space("nasbench201", **SPACE)
    drawn = list(islice(fair(space, np.random.default_rng(0)), 50))
    for name in drawn[0]:
        assert set(Counter(genotype[name] for genotype in drawn).values()) == {10}


def macs(space: SearchSpace, genotype: Genotype) -> int:
    return space.decode(genotype).cost.macs


@pytest.mark.parametrize("name", ["nasbench201", "natsbench_size", "constrained"])
def test_the_sandwich_rule_trains_the_largest_and_the_smallest(name: str) -> None:
    if name == "natsbench_size":
        space = nas.space(name, (1, 8, 8), 10, stages=2, channels=[4, 8])
    else:
        space = nas.space("nasbench201", **SPACE, nodes=3)
    if name == "constrained":
        space = constrained(space, Constraints(macs=9_000), Path())
    drawn = list(islice(sandwich(space, np.random.default_rng(0)), 8))
    every = [macs(space, genotype) for genotype in space.enumerate()]
    assert [macs(space, genotype) for genotype in drawn[::4]] == [max(every)] * 2
    assert [macs(space, genotype) for genotype in drawn[1::4]] == [min(every)] * 2


def test_shrinking_begins_with_the_largest_and_ends_with_all() -> None:
    space = nas.space("natsbench_size", (1, 8, 8), 10, stages=2, channels=[4, 8, 12, 16])
    drawn = list(shrinking(space, np.random.default_rng(0), 400))
    names = list(drawn[0])
    for last, allowed in ((101, [16]), (200, [12, 16]), (400, [4, 8, 12, 16])):
        assert {genotype[name] for genotype in drawn[:last] for name in names} == set(allowed)
    for name in names:  # the last quarter is uniform: 25 of each, 99.9 % within 10 and 40
        counts = Counter(genotype[name] for genotype in drawn[300:])
        assert all(10 <= counts[each] <= 40 for each in (4, 8, 12, 16))
    limit = int(np.median([macs(space, genotype) for genotype in space.enumerate()]))
    limited = constrained(space, Constraints(macs=limit), Path())
    drawn = list(shrinking(limited, np.random.default_rng(0), 50))
    assert all(macs(space, genotype) <= limit for genotype in drawn)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("limits", [{"macs": 10**6}, {"macs": 10**6, "fit": "multiplier"}])
def test_members_are_drawn_where_options_depend_on_answers(
    sampling: str, limits: dict[str, Any]
) -> None:
    whole = nas.space(
        "primitives", (1, 12, 12), 10, multiplier=[0.1, 0.2], stages=[2, 3], cells=[1], nodes=[2, 3]
    )
    space = constrained(whole, Constraints(**limits), Path())
    for genotype in islice(SAMPLINGS[sampling](space, np.random.default_rng(0), 40), 40):
        space.validate(genotype)


def test_a_space_that_is_too_large_is_refused_before_it_takes_the_memory() -> None:
    space = nas.space("primitives", (1, 12, 12), 10)
    with pytest.raises(TooLarge, match=r"^shared weights .* limit the space with constraints"):
        Supernet(space, 4, "sandwich")


def elastic(choose: Choose) -> Architecture:
    g = nas.Builder((1, 8, 8))
    kernel = choose("kernel", [3, 5])
    x = conv_norm(g, g.input, choose("width", [4, 6, 8]), kernel=kernel, names=("conv", "norm"))
    return g.build(g.linear(g.global_pool(x), 10))


def elastic_net(steps: int, kernels: Kernels = "own") -> Supernet:
    space = SearchSpace(elastic, "elastic")
    made = Supernet(space, steps, kernels=kernels)
    for kernel in (3, 5):
        made.member(space.decode({"kernel": kernel, "width": 8}))
    return made


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_a_step_trains_the_weights_of_its_member_as_if_it_were_alone(optimizer: str) -> None:
    images = few_digits()
    recipe = resolve({"preset": "quick", "epochs": 1, "optimizer": optimizer})
    trainer = SupernetTrainer(lambda: elastic_net(3), images, recipe, 0)
    supernet = trainer._network.train()
    assert isinstance(supernet, Supernet)
    small = {"kernel": 3, "width": 6}
    supernet._members = [small] * 3
    member = supernet.member(supernet._space.decode(small))
    alone = Trainer(member.network, images, recipe, 0)
    alone._network.load_state_dict(member.weights())
    alone._network.train()
    expected = {name: each.clone() for name, each in supernet.bank.state_dict().items()}
    for step in range(3):
        x = torch.randn(16, *images.input_shape, generator=torch.Generator().manual_seed(step))
        y = torch.arange(16) % 10
        for each in (trainer, alone):
            each._update(x, y)
    weights = member.weights()
    for name, tensor in alone._network.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    for used in member._used.values():
        for name in used.sizes:
            carry(weights[used.slot.path(name)], expected[used.slot.named(name)])
    for name, tensor in supernet.bank.state_dict().items():  # nothing else has changed
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("kernels", ["own", "centre"])
def test_the_gradients_of_parts_are_those_of_the_shared_weights(kernels: Kernels) -> None:
    images = few_digits()
    supernet = elastic_net(1, kernels).train()
    x = torch.randn(4, *images.input_shape)
    some = [{"kernel": 3, "width": 4}, {"kernel": 5, "width": 6}, {"kernel": 3, "width": 6}]
    members = [supernet.member(supernet._space.decode(each)) for each in some]

    def backward() -> None:
        torch.stack([member.train()(x).square().mean() for member in members]).sum().backward()

    backward()
    with supernet.bank.lending() as used:
        backward()
    parts = dict(used)
    for name, whole in supernet.bank.named_parameters():
        if whole.grad is None:
            assert whole not in parts, name
            continue
        found = torch.zeros_like(whole)
        assert parts[whole].grad is not None
        carry(parts[whole].grad, found)
        assert torch.allclose(found, whole.grad, atol=1e-6), name


def test_the_others_learn_from_the_largest() -> None:
    images = few_digits()
    space = nas.space("nasbench201", **SPACE)
    trainer = SandwichTrainer(
        lambda: Supernet(space, 9, "sandwich", seed=1),
        images,
        resolve({"preset": "quick", "epochs": 1, "label_smoothing": 0.1}),
        0,
    )
    network = trainer.network.train()
    assert isinstance(network, Supernet)
    x, y = torch.randn(8, 1, 8, 8), torch.arange(8)
    outputs = [network(x) for _ in range(4)]
    network.step.zero_()
    found = trainer._loss(x, y)
    teacher = outputs[0].detach().softmax(1)
    expected = cross_entropy(outputs[0], y, label_smoothing=0.1)
    for each in outputs[1:]:
        expected = expected - (teacher * each.log_softmax(1)).sum(1).mean()
    assert torch.allclose(found, expected)
    assert int(network.step) == 4


def test_only_members_within_the_constraints_are_drawn(tmp_path: Path) -> None:
    limited = CAMPAIGN.replace("space:", "constraints: {macs: 9_000}\nspace:")
    (tmp_path / "campaign.yaml").write_text(limited)
    space = load_campaign(tmp_path).space
    for sampling in (uniform, fair):
        drawn = islice(sampling(space, np.random.default_rng(0)), 20)
        assert all(space.decode(genotype).cost.macs <= 9_000 for genotype in drawn)


def test_recalibrated_statistics_are_the_means_over_the_batches() -> None:
    space = nas.space("nasbench201", **SPACE)
    bank = Bank()
    member = Member(bank, space.decode(space.sample(np.random.default_rng(1)))).eval()
    kept = {name: buffer.clone() for name, buffer in bank.named_buffers()}
    network = member.network()
    batches = [torch.randn(16, 1, 8, 8) for _ in range(3)]
    member.recalibrate(batches)
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # torch's cumulative average
    with torch.no_grad():
        for images in batches:
            network(images)
    assert torch.allclose(member(batches[0]), network.eval()(batches[0]), atol=1e-5)
    assert not member.training
    for name, buffer in bank.named_buffers():
        if "running" in name:
            assert torch.equal(buffer, kept[name])


def test_a_campaign_trains_the_shared_weights_once(tmp_path: Path) -> None:
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    run(tmp_path)
    assert (tmp_path / FILE_NAME).exists()
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    results = [record for record in records if record["type"] == "result"]
    assert [record["epochs"] for record in results] == [2, *[0] * (len(results) - 3), 1, 0]
    assert main(["check", str(tmp_path), "--replay"]) == 0
    of = {record["trial"]: record["metrics"] for record in results}
    name = results[-1]["trial"].removeprefix("final-")
    assert results[-2]["metrics"]["test_accuracy"] > 0
    shared, seen = of[f"final-{name}"], of[name.removesuffix("-shared")]
    assert shared["validation_accuracy"] == seen["validation_accuracy"]
    table = campaign_table([tmp_path]).set_index("kind")
    assert table.group["shared weights"] != table.group["searched"]
    known = records[0]["specification"]
    trained_alone = {key: value for key, value in known.items() if key != "evaluator"}
    assert setting(known, "final") == setting(trained_alone, "final")
    assert setting(known, "search") != setting(trained_alone, "search")
    # Its weights are those with which it was evaluated, and can be exported.
    reference = named.reference(f"{tmp_path}:{name}")
    known, task = reference.data()
    network = trained(name, reference)
    found = evaluate([network], {"test": data.held_out(known)}, data.search_data(known), task)
    assert found["test"]["accuracy"] == shared["test_accuracy"]
    out = ["--to", "torchscript", "--out", str(tmp_path / "member.pt")]
    assert main(["export", f"{tmp_path}:{name}", *out]) == 0


def test_resumed_it_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, text in ((whole, CAMPAIGN), (parts, CAMPAIGN.replace("trials: 8", "trials: 3"))):
        folder.mkdir()
        (folder / "campaign.yaml").write_text(text)
    run(whole)
    run(parts)
    monkeypatch.setattr("nas.evaluators.sharing._LOADED", {})
    (parts / "campaign.yaml").write_text(CAMPAIGN)
    run(parts)
    found = [
        {r["trial"]: r["metrics"]["validation_accuracy"] for r in map(json.loads, lines)
         if r["type"] == "result" and r["trial"].startswith("evolution")}
        for lines in ((f / "records.jsonl").read_text().splitlines() for f in (whole, parts))
    ]  # fmt: skip
    assert found[0] == found[1]


def test_ray_can_send_the_space_to_its_workers(tmp_path: Path) -> None:
    pickle = pytest.importorskip("ray.cloudpickle")
    text = CAMPAIGN.replace("{name: nasbench201, channels: 2, cells: 1}", "primitives")
    (tmp_path / "campaign.yaml").write_text(text)
    sent = pickle.loads(pickle.dumps(load_campaign(tmp_path).evaluator.evaluate))
    space = sent.options["space"]
    assert space.decode(space.sample(np.random.default_rng(0))).cost.macs > 0


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("epochs: 0", "evaluator.epochs"),
        ("epochs: 2, sampling: greedy", "evaluator.sampling"),
        ("epochs: 2, kernels: big", "evaluator.kernels"),
        ("epoch: 2", "evaluator.epoch"),
    ],
)
def test_bad_options_are_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, said: str
) -> None:
    text = CAMPAIGN.replace("epochs: 2, recalibration: 2, sampling: fair", option)
    (tmp_path / "campaign.yaml").write_text(text)
    assert main(["run", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_file_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN.replace("trials: 8", "trials: 2"))
    run(tmp_path)
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    file, records = tmp_path / FILE_NAME, tmp_path / "records.jsonl"
    content, known = bytearray(file.read_bytes()), records.read_bytes()
    middle = len(content) // 2
    for position in range(middle, middle + 256):  # more than what pads the parts of the file
        content[position] ^= 255
    file.write_bytes({"cut": content[:middle], "flipped": content, "empty": b""}[damage])
    capsys.readouterr()
    assert main(["run", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"{FILE_NAME}: is damaged; delete it" in error
    assert "Traceback" not in error
    assert records.read_bytes() == known
    file.unlink()
    assert main(["run", str(tmp_path)]) == 0


VALUES = np.random.default_rng(0).normal((1e3, -50), (3, 0.1), (64, 2)).astype(np.float32)


@pytest.mark.parametrize("head", [pytest.param(None, id="regression"), "towers"])
def test_shared_weights_begin_as_the_task_begins(head: str | None) -> None:
    """They are those of a bank without a task, but the last layer is prepared."""
    space = nas.space("nasbench201", (1, 16, 16), 2, channels=2, cells=1)
    member = space.decode(space.sample(np.random.default_rng(0)))
    task = make(
        Named(name="detection", head=head, strides=[4]) if head else Named(name="regression")
    )
    member = task.network(member, 2)
    before = Member(Bank(seed=1), member).weights()
    after = Member(Bank(seed=1, start=lambda a: task.start(a, VALUES)), member).weights()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    (weight,) = (name for name in changed if name.endswith("weight"))
    bias = weight.replace("weight", "bias")
    assert changed == {weight, bias}
    if head:
        assert after[weight].std().item() == pytest.approx(0.01, rel=0.2)
        assert not after[bias].any()
    else:
        spread = torch.from_numpy(VALUES.std(0))
        assert torch.allclose(after[weight], before[weight] * spread[:, None])
        assert torch.allclose(after[bias], torch.from_numpy(VALUES.mean(0)))


OPTIONS: dict[str, dict[str, Any]] = {
    "supernet": {"sampling": "uniform", "kernels": "own", "affine": True, "recalibration": 1},
    "gradient": {"method": "darts", "order": 1, "learning_rate": 3e-4, "weight_decay": 1e-3},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_shared_weights_begin_at_values_of_any_unit(name: str, tmp_path: Path) -> None:
    space = nas.space("nasbench201", **{**SPACE, "classes": 2}, nodes=3)
    images = np.random.default_rng(1).integers(0, 256, (64, 1, 8, 8)).astype(np.uint8)
    part = Part(images, VALUES)
    genotype = space.sample(np.random.default_rng(0))
    request = {
        "architecture": space.decode(genotype).to_json(),
        "data": {},
        "recipe": {"preset": "quick", "augment": [], "learning_rate": 1e-9},
        "seed": 0,
        "task": {"name": "regression"},
        "search_data": SearchData(part, part, (128.0,), (74.0,), 2, "split", "data"),
    }
    evaluate = {"supernet": supernet.evaluate, "gradient": gradient.evaluate}[name]
    work = evaluate(request, space=space, folder=str(tmp_path), epochs=1, **OPTIONS[name])
    (point,) = complete(work)["shared_curve"]
    assert point["train_loss"] < 20 * VALUES.var(0).mean()  # the mean square is 5e5

"""Starting from weights: what is taken, what is frozen, and that it pays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.network import Network, compile
from nas.classics import classic
from nas.errors import InputError
from nas.training import data
from nas.training.data import Part, SearchData
from nas.training.loop import Trainer
from nas.training.recipe import Recipe, resolve
from nas.training.transfer import Start, frozen_nodes


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(**overrides: Any) -> Recipe:
    return resolve({"preset": "quick", "epochs": 1, "warmup_epochs": 0, **overrides})


def network(classes: int = 5) -> Architecture:
    g = Builder((1, 8, 8))
    x = g.relu(g.batch_norm(g.conv(g.input, 8, 3, padding=1, name="conv1"), name="bn1"))
    x = g.relu(g.batch_norm(g.conv(x, 16, 3, 2, padding=1, name="conv2"), name="bn2"))
    x = g.dropout(g.global_pool(x))
    return g.build(g.linear(x, classes, name="head"))


def digits(classes: range, per_class: int | None = None) -> SearchData:
    """Some classes of the digits, numbered from 0, with so many training images of each."""
    split = {"train": 0.5, "validation": 0.25, "test": 0.25}
    whole = data.search_data(data.resolve({"name": "digits", "split": split}))

    def part(of: Part, count: int | None) -> Part:
        chosen = [np.flatnonzero(of.labels == label)[:count] for label in classes]
        index = np.concatenate(chosen)
        return Part(of.images[index], of.labels[index] - classes.start)

    train, validation = part(whole.train, per_class), part(whole.validation, None)
    return SearchData(train, validation, whole.mean, whole.std, len(classes), "")


def trained(start: Start | None, images: SearchData, **how: Any) -> Network:
    trainer = Trainer(
        lambda: compile(network(images.classes)),
        images,
        recipe(**how),
        0,
        start=None if start is None else start.apply,
    )
    made = trainer.run(recipe(**how).epochs).network
    assert isinstance(made, Network)
    return made


def test_what_fits_is_taken_and_the_rest_is_drawn(tmp_path: Path) -> None:
    torch.manual_seed(1)
    weights = compile(network(classes=7)).state_dict()
    save_file(weights, tmp_path / "w.safetensors")
    start = Start.from_file(tmp_path / "w.safetensors")
    made = compile(network(classes=5))
    head = made.get_parameter("head.weight").clone()
    start.apply(made)
    for name, tensor in made.state_dict().items():
        if name.startswith("head"):
            continue
        assert torch.equal(tensor, weights[name])
    assert torch.equal(made.get_parameter("head.weight"), head)
    with pytest.raises(InputError, match=r"w.safetensors: no tensor has the name and the shape"):
        start.apply(compile(classic("nin")))


def test_counters_of_batch_norms_are_nothing_to_start_from() -> None:
    weights = compile(classic("resnet20", (3, 32, 32), 100, width=0.25)).state_dict()
    start = Start(weights, source="narrow.pt")
    with pytest.raises(InputError, match=r"narrow.pt: no tensor has .* conv1.weight 4x3x3x3, .* "):
        start.apply(compile(classic("resnet20", (3, 32, 32), 10, width=0.5)))


def test_a_small_part_of_the_network_is_refused_unless_told() -> None:
    weights = compile(network()).state_dict()
    part = {name: tensor for name, tensor in weights.items() if name.startswith("conv1")}
    message = r"part.pt: only 80 of the network's 1,381 parameters .* add --partial"
    with pytest.raises(InputError, match=message):
        Start(part, source="part.pt").apply(compile(network()))
    assert Start(part, partial=True).apply(compile(network())).params == 80


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (3, 5)])
def test_a_first_layer_is_adapted_to_other_channels(before: int, after: int) -> None:
    weights = compile(classic("resnet20", (before, 32, 32), 10)).state_dict()
    made = compile(classic("resnet20", (after, 32, 32), 10))
    started = Start(prefixed(weights)).apply(made)
    assert started.params == made.architecture.cost.params
    # A grey image gives the same output as the same grey in every channel.
    grey = torch.rand(2, 1, 32, 32)
    source = compile(classic("resnet20", (before, 32, 32), 10))
    source.load_state_dict(weights)
    source.eval()
    expected = source(grey.expand(-1, before, -1, -1))
    found = made.eval()(grey.expand(-1, after, -1, -1))
    assert torch.allclose(found, expected, atol=1e-5)


def prefixed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"module.{name}": tensor for name, tensor in weights.items()}


def test_integers_are_no_weights() -> None:
    weights = compile(network()).state_dict()
    weights["conv2.weight"] = weights["conv2.weight"].to(torch.int8)
    with pytest.raises(InputError, match=r"q.pt: conv2.weight holds integers"):
        Start(weights, source="q.pt").apply(compile(network()))


def test_what_is_left_as_drawn_is_told() -> None:
    weights = compile(classic("resnet20", (3, 32, 32), 100, width=0.25)).state_dict()
    made = compile(classic("resnet20", (3, 32, 32), 10, width=0.25))
    started = Start(weights).apply(made)
    assert started.drawn == ("fc.weight", "fc.bias")
    assert started.params == made.architecture.cost.params - (16 * 10 + 10)


@pytest.mark.parametrize(
    ("freeze", "trained_modules"),
    [
        ("none", {"conv1", "bn1", "conv2", "bn2", "head"}),
        ("body", {"head"}),
        ("until=bn1", {"conv2", "bn2", "head"}),
    ],
)
def test_what_is_frozen_does_not_move(freeze: str, trained_modules: set[str]) -> None:
    images = digits(range(5), per_class=20)
    weights = trained(None, digits(range(5, 10))).state_dict()
    made = trained(Start(weights, freeze), images)
    moved = {
        name.rpartition(".")[0]
        for name, tensor in made.state_dict().items()
        if not torch.equal(tensor, weights[name])
    }
    assert moved == trained_modules


def test_the_body_of_a_classic_is_all_but_its_classifier() -> None:
    for name, head in (
        ("resnet18", {"fc"}),
        ("mobilenet_v2", {"classifier.1"}),
        ("vgg11", {"classifier.6"}),
    ):
        architecture = classic(name, (3, 64, 64), 10)
        frozen = frozen_nodes(architecture, "body")
        assert {n.name for n in architecture.nodes} - set(frozen) == head
    with_heads = classic("googlenet", (3, 224, 224), 10, auxiliary=True)
    left = {n.name for n in with_heads.nodes} - set(frozen_nodes(with_heads, "body"))
    assert left == {"fc", "aux1.fc2", "aux2.fc2"}


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        ("all", "freeze: must be none, body or until=NODE, got 'all'"),
        ("until=conv3", r"unknown node 'conv3' \(did you mean 'conv2'"),
    ],
)
def test_what_cannot_be_frozen_is_named(freeze: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        frozen_nodes(network(), freeze)


def test_a_parameter_that_is_a_node_by_itself_is_frozen() -> None:
    architecture = classic("convnext_tiny", (3, 32, 32), 10, width=0.125)
    weights = compile(architecture).state_dict()
    made = compile(architecture)
    Start(weights, "body").apply(made)
    trained = {name for name, p in made.named_parameters() if p.requires_grad}
    assert trained == {"classifier.2.weight", "classifier.2.bias"}
    scale = "features.1.0.layer_scale"
    with pytest.raises(InputError, match=f"has no fitting {scale}, which should be frozen"):
        Start({n: t for n, t in weights.items() if n != scale}, "body").apply(compile(architecture))


def test_a_network_without_a_linear_classifier_is_told_what_to_name() -> None:
    with pytest.raises(InputError, match="no linear head; name the last node to freeze"):
        frozen_nodes(classic("nin", (3, 32, 32), 10), "body")


def test_something_must_be_left_to_train() -> None:
    weights = compile(network()).state_dict()
    with pytest.raises(InputError, match="freeze: until=head: leaves no parameter to train"):
        Start(weights, "until=head").apply(compile(network()))


def test_a_frozen_layer_needs_weights() -> None:
    made = compile(network())
    weights = {n: t for n, t in made.state_dict().items() if not n.startswith("conv2")}
    with pytest.raises(InputError, match=r"has no fitting conv2.weight, which should be frozen"):
        Start(weights, "body", partial=True).apply(made)

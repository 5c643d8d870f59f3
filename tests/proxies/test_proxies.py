"""Zero-cost proxies: on any network, against closed forms, plain torch and published values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import nas
from nas.architecture.graph import Architecture
from nas.architecture.node import Node
from nas.architecture.operations import Flatten, Linear, Zero
from nas.proxies import PROXIES, Batch, measure
from nas.proxies.base import Run
from tests.architecture.examples import architectures, with_attention

ALL = {name: PROXIES[name] for name in PROXIES}
CLASSES = 3


def batch(architecture: nas.Architecture, size: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(size, *architecture.input_shape, generator=generator)
    return Batch(images, torch.arange(size) % architecture.output_shape[0])


def network(architecture: nas.Architecture, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nas.compile(architecture)


def value(name: str, architecture: nas.Architecture, given: Batch | None = None) -> float:
    given = given or batch(architecture)
    return PROXIES[name](network(architecture), given, torch.Generator().manual_seed(1))


def classifier(body: Architecture) -> Architecture:
    """Adds a linear head to the first output; the other outputs remain auxiliary heads."""
    flat = Node("flat", Flatten(), body.outputs[:1])
    head = Node("head", Linear(CLASSES), ("flat",))
    return Architecture(body.input_shape, [*body.nodes, flat, head], ["head", *body.outputs[1:]])


def state(network: Any, generator: torch.Generator) -> list[Any]:
    modules = list(network.modules())
    return [
        {name: value.clone() for name, value in network.state_dict().items()},
        [parameter.requires_grad for parameter in network.parameters()],
        [parameter.grad for parameter in network.parameters()],
        [module.training for module in modules],
        [len(module._forward_hooks) + len(module._backward_hooks) for module in modules],
        [id(module) for module in modules],
        torch.get_rng_state(),
        generator.get_state(),
    ]


@settings(max_examples=30)
@given(st.one_of(architectures(), with_attention()), st.booleans())
def test_every_proxy_measures_any_network_and_leaves_it_as_found(
    body: Architecture, training: bool
) -> None:
    architecture = classifier(body)
    measured = network(architecture).train(training)
    for parameter in list(measured.parameters())[:1]:
        parameter.requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    before = state(measured, generator)
    together = measure(ALL, measured, batch(architecture), generator)
    torch.testing.assert_close(before, state(measured, generator), rtol=0, atol=0)
    for name in ("zen", "nwot", "grad_norm", "trainability"):
        alone = PROXIES[name](measured, batch(architecture), generator)
        assert alone == pytest.approx(together[name].value, rel=1e-4, nan_ok=True)
    assert all(isinstance(each.value, float) for each in together.values())


ACTIVATIONS = ["relu", "sigmoid", "hard_sigmoid", "hard_swish", "gelu"]


def small(activation: str = "relu", bias: bool = True) -> Architecture:
    """A network in which every kind of layer has an input that differs between images."""
    g = nas.Builder((2, 8, 8))
    x = g.conv(g.input, 6, kernel=3, padding="same", bias=bias)
    x = g.activation(g.batch_norm(x), activation)
    x = g.add(x, g.activation(g.conv(x, 6, kernel=1, bias=bias), activation))
    return g.build(g.linear(g.global_pool(x), CLASSES, bias=bias))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_proxy_is_defined_whatever_the_activation(activation: str) -> None:
    architecture = small(activation)
    found = measure(ALL, network(architecture), batch(architecture), torch.Generator())
    assert all(math.isfinite(each.value) for each in found.values()), found


def test_the_cheap_proxies_share_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward = Run.__call__

    def counted(self: Run, images: Tensor) -> dict[str, Tensor]:
        calls.append(1)
        return forward(self, images)

    monkeypatch.setattr(Run, "__call__", counted)
    architecture = small()
    cheap = {name: PROXIES[name] for name in ("grad_norm", "snip", "fisher", "l2_norm", "plain")}
    measure(cheap, network(architecture), batch(architecture), torch.Generator())
    assert len(calls) == 1
    more = cheap | {name: PROXIES[name] for name in ("jacob_cov", "epe_nas", "nwot")}
    measure(more, network(architecture), batch(architecture), torch.Generator())
    assert len(calls) == 2


# --- against plain torch ---


def test_saliencies_are_those_of_plain_torch() -> None:
    architecture = small()
    images, labels, _ = batch(architecture)
    model = network(architecture)
    outputs: list[Tensor] = []
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers:
        layer.register_forward_hook(lambda _, __, out: out.retain_grad() or outputs.append(out))
    cross_entropy(model(images), labels).backward()
    pairs = [(layer.weight.detach(), layer.weight.grad) for layer in layers]
    fisher = 0.0
    for layer, out in zip(layers, outputs, strict=True):
        channels = (out * out.grad).detach().reshape(len(out), out.shape[1], -1).sum(2)
        fan = layer.weight[0].numel()
        fisher += fan * float((channels**2).mean(0).sum() / 2)
    expected = {
        "grad_norm": sum(float(g.norm()) for _, g in pairs),
        "snip": sum(float((w * g).abs().sum()) for w, g in pairs),
        "plain": sum(float((w * g).sum()) for w, g in pairs),
        "l2_norm": sum(float(w.norm()) for w, _ in pairs),
        "fisher": fisher,
    }
    for name, number in expected.items():
        assert value(name, architecture) == pytest.approx(number, rel=1e-4), name


def test_grasp_is_that_of_the_whole_hessian() -> None:
    g = nas.Builder((4,))
    architecture = g.build(
        g.linear(g.activation(g.linear(g.input, 3, bias=False), "tanh"), CLASSES, bias=False)
    )
    images, labels, _ = batch(architecture)
    first, second = (p.detach() for p in network(architecture).parameters())
    cut = first.numel()

    def loss(weights: Tensor) -> Tensor:
        inner = images @ weights[:cut].reshape(first.shape).T
        return cross_entropy(inner.tanh() @ weights[cut:].reshape(second.shape).T, labels)

    weights = torch.cat([first.flatten(), second.flatten()])
    gradient = torch.autograd.functional.jacobian(loss, weights)
    hessian = torch.autograd.functional.hessian(loss, weights)
    expected = -(weights * (hessian @ gradient)).sum().item()
    assert value("grasp", architecture) == pytest.approx(expected, rel=1e-4)


def jacobian(architecture: Architecture) -> np.ndarray:
    images = batch(architecture).images.requires_grad_()
    network(architecture)(images).sum().backward()
    return images.grad.flatten(1).double().numpy()


def test_scores_of_jacobians_are_those_of_numpy() -> None:
    architecture = small()
    rows, labels = jacobian(architecture), batch(architecture).labels.numpy()
    eigenvalues = np.linalg.eigvals(np.corrcoef(rows)).real + 1e-5
    expected = -np.sum(np.log(eigenvalues) + 1 / eigenvalues)
    assert value("jacob_cov", architecture) == pytest.approx(expected, rel=1e-3)
    by_class = [np.corrcoef(rows[labels == label]) for label in range(CLASSES)]
    expected = sum(abs(np.log(np.abs(matrix) + 1e-5).sum()) for matrix in by_class)
    assert value("epe_nas", architecture) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("activation", ["relu", "gelu", "hard_swish"])
def test_nwot_counts_equal_signs_before_every_activation(activation: str) -> None:
    g = nas.Builder((5,))
    x = g.activation(g.linear(g.input, 40), activation)
    architecture = g.build(g.linear(x, CLASSES))
    layer = network(architecture).get_submodule(architecture.nodes[0].name)
    with torch.no_grad():
        signs = (layer(batch(architecture).images) > 0).numpy()
    kernel = (signs[:, None] == signs).sum(2)
    expected = np.linalg.slogdet(kernel.astype(float))[1]
    assert value("nwot", architecture) == pytest.approx(expected, rel=1e-6)


def test_nwot_counts_each_of_several_activations_of_one_input() -> None:
    def branches(number: int) -> Architecture:
        g = nas.Builder((5,))
        x = g.linear(g.input, 40)
        return g.build(g.linear(g.add(*(g.relu(x) for _ in range(number))), CLASSES))

    images = len(batch(branches(1)).labels)
    expected = value("nwot", branches(1)) + images * math.log(3)
    assert value("nwot", branches(3)) == pytest.approx(expected, rel=1e-6)


def test_zen_is_defined_where_a_part_of_the_network_is_dead() -> None:
    g = nas.Builder((3, 6, 6))
    x = g.conv(g.input, 4, kernel=3)
    dead = g.batch_norm(g.add_operation(Zero(), x))
    architecture = g.build(g.linear(g.global_pool(g.add(x, dead)), CLASSES))
    assert math.isfinite(value("zen", architecture))


def test_every_proxy_measures_a_network_whose_input_is_lost() -> None:
    """Behind a zero operation, a map is constant, but what is made of it has weights."""
    g = nas.Builder((3, 6, 6))
    x = g.add_operation(Zero(), g.conv(g.input, 4, kernel=3))
    for _ in range(2):
        x = g.conv(x, 4, kernel=3, padding="same")
    architecture = g.build(g.linear(g.global_pool(x), CLASSES))
    generator = torch.Generator().manual_seed(1)
    found = measure(ALL, network(architecture), batch(architecture), generator)
    assert all(isinstance(each.value, float) for each in found.values())
    assert found["trainability"].value < -1e5


def test_a_growth_that_is_not_defined_is_not_left_out() -> None:
    g = nas.Builder((3, 6, 6))
    x = g.input
    for _ in range(3):
        x = g.conv(x, 4, kernel=3, padding="same")
    x = g.conv(g.add_operation(Zero(), x), 4, kernel=3, padding="same")
    assert math.isnan(value("progressivity", g.build(g.linear(g.global_pool(x), CLASSES))))


def test_networks_without_weights_have_no_value() -> None:
    g = nas.Builder((CLASSES, 6, 6))
    architecture = g.build(g.global_pool(g.relu(g.input)))
    generator = torch.Generator().manual_seed(1)
    found = measure(ALL, network(architecture), batch(architecture), generator)
    assert all(isinstance(each.value, float) for each in found.values())
    assert all(math.isnan(found[name].value) for name in ("synflow", "grasp", "zen"))


@pytest.mark.parametrize("size", [2, 3])
def test_zico_needs_halves_of_two_images(size: int) -> None:
    g = nas.Builder((4,))
    architecture = g.build(g.linear(g.batch_norm(g.linear(g.input, 3)), CLASSES))
    assert math.isnan(value("zico", architecture, batch(architecture, size)))
    assert math.isfinite(value("zico", architecture, batch(architecture, 4)))


def test_zico_divides_by_the_deviation_of_two_halves() -> None:
    g = nas.Builder((4,))
    architecture = g.build(g.linear(g.input, CLASSES))
    images, labels, _ = batch(architecture)
    found = []
    for half in (slice(0, 3), slice(3, 6)):
        model = network(architecture)
        cross_entropy(model(images[half]), labels[half]).backward()
        found.append(next(model.parameters()).grad.numpy())
    ratio = np.abs(found).mean(0) / np.std(found, axis=0)
    assert value("zico", architecture) == pytest.approx(np.log(ratio.sum()), rel=1e-4)
    twice = Batch(images[:3].repeat(2, 1), labels[:3].repeat(2))
    assert value("zico", architecture, twice) == 0.0


# --- closed forms ---


def chain(norms: bool = False, activation: str = "") -> Architecture:
    g = nas.Builder((2, 5, 5))
    x = g.input
    for channels in (4, 3):
        x = g.conv(x, channels, kernel=1, bias=False)
        x = g.batch_norm(x) if norms else x
        x = g.activation(x, activation) if activation else x
    return g.build(g.linear(g.global_pool(x), CLASSES, bias=False))


@pytest.mark.parametrize(("norms", "activation"), [(False, ""), (True, "relu"), (True, "tanh")])
def test_synflow_of_a_chain_sums_the_products_over_its_paths(norms: bool, activation: str) -> None:
    architecture = chain(norms, activation)
    paths = np.ones(2)
    layers = [p.detach().double().abs() for p in network(architecture).parameters() if p.ndim > 1]
    for weight in layers:
        paths = weight.flatten(1).numpy() @ paths
    expected = math.log(len(layers) * paths.sum())
    assert value("synflow", architecture) == pytest.approx(expected, rel=1e-6)


def test_what_a_proxy_must_not_depend_on() -> None:
    architecture = small()
    given = batch(architecture)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = Batch(given.images[order], given.labels[order])
    noise = Batch(torch.randn_like(given.images), given.labels.flip(0))
    for name in set(ALL) - {"zico"}:
        assert value(name, architecture) == pytest.approx(
            value(name, architecture, shuffled), rel=2e-3, abs=1e-5
        ), f"{name} depends on the order of images"
    for name in ("synflow", "zen", "l2_norm", "expressivity", "progressivity", "trainability"):
        assert value(name, architecture) == value(name, architecture, noise), name


def test_zen_and_blocks_draw_weights_of_their_own() -> None:
    architecture = small(bias=False)
    given, generator = batch(architecture), torch.Generator().manual_seed(1)
    for name in ("zen", "expressivity", "progressivity", "trainability"):
        one, other = (PROXIES[name](network(architecture, s), given, generator) for s in (0, 1))
        assert one == other
        assert one != PROXIES[name](network(architecture), given, torch.Generator().manual_seed(2))


def test_bounds_of_az_nas() -> None:
    g = nas.Builder((3, 8, 8))
    x = g.relu(g.batch_norm(g.conv(g.input, 16, kernel=3, padding="same")))
    x = g.relu(g.batch_norm(g.conv(x, 16, kernel=3, stride=2, padding=1)))
    architecture = g.build(g.linear(g.global_pool(x), CLASSES))
    given = batch(architecture, 32)
    # The stem's 16 channels are made of 27 numbers, so at most 16 components have equal shares.
    assert 1.0 < value("expressivity", architecture, given) <= 2 * math.log(16)
    assert value("trainability", architecture, given) <= 0
    assert value("complexity", architecture) == architecture.cost.flops


# --- published values ---


def test_ranks_agree_with_published_values(shared_data: Any) -> None:
    from tests.benchmarks.proxies import batch as published_batch
    from tests.benchmarks.proxies import decode, published, spearman

    late = published("nb201_zerocost_725x2.csv.gz").loc["ImageNet16-120"]
    codes = ["133220", "410431", *late.index[::90]]
    names = ["grad_norm", "snip", "fisher", "l2_norm", "synflow", "nwot"]
    images = published_batch("ImageNet16-120")
    images = Batch(images.images[:16], images.labels[:16])
    rows = {
        code: {
            name: each.value
            for name, each in measure(
                {name: PROXIES[name] for name in names},
                network(decode(code, "ImageNet16-120")),
                images,
                torch.Generator(),
            ).items()
        }
        for code in codes
    }
    ours = pd.DataFrame.from_dict(rows, orient="index")
    for name in names:
        assert spearman(ours[name], late[name])[0] > 0.85, name
    assert ours["synflow"].tolist() == pytest.approx(late.loc[codes, "synflow"].tolist(), rel=0.05)

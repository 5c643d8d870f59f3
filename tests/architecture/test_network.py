"""The network: what a hand-written module with the same weights computes, and nothing else."""

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.architecture.names import fault
from nas.architecture.network import Network, compile
from nas.architecture.node import Node
from nas.architecture.operations import ArchitectureError, Linear


class Reference(nn.Module):
    """A small net with a shortcut, squeeze-and-excitation, a branch and an auxiliary head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8))
        self.block = nn.ModuleDict(
            {
                "conv": nn.Conv2d(8, 8, 3, 1, 1, groups=2),
                "squeeze": nn.Conv2d(8, 2, 1),
                "excite": nn.Conv2d(2, 8, 1),
            }
        )
        self.aux = nn.Linear(8, 5)
        self.fc = nn.Linear(16 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = functional.relu(self.stem(x))
        y = self.block["conv"](x)
        gate = functional.relu(self.block["squeeze"](y.mean((2, 3), keepdim=True)))
        y = functional.relu(x + y * torch.sigmoid(self.block["excite"](gate)))
        head = self.aux(functional.dropout(y.mean((2, 3)), 0.5, self.training))
        z = torch.cat([functional.max_pool2d(y, 3, 2, 1), functional.avg_pool2d(y, 2)], 1)
        main = self.fc(functional.dropout(z.flatten(1), 0.5, self.training))
        return (main, head) if self.training else main


def ours() -> Architecture:
    g = Builder((3, 16, 16))
    with g.scope("stem"):
        x = g.conv(g.input, 8, 3, 2, 1, bias=False, name="0")
        x = g.relu(g.batch_norm(x, name="1"))
    with g.scope("block"):
        y = g.conv(x, 8, 3, 1, "same", groups=2, name="conv")
        gate = g.relu(g.conv(g.global_pool(y, keep_axes=True), 2, 1, name="squeeze"))
        gate = g.activation(g.conv(gate, 8, 1, name="excite"), "sigmoid")
        y = g.relu(g.add(x, g.multiply(y, gate)))
    head = g.linear(g.dropout(g.global_pool(y)), 5, name="aux")
    z = g.concat(g.max_pool(y, 3, 2, 1), g.avg_pool(y, 2))
    return g.build(g.linear(g.dropout(g.flatten(z)), 10, name="fc"), head)


def sequence() -> Architecture:
    g = Builder((4, 20))
    x = g.relu(g.batch_norm(g.conv(g.input, 6, 5, 2, "same")))
    x = g.add(x, g.depthwise(x, 3, padding=1))
    return g.build(g.linear(g.global_pool(g.max_pool(x, 2)), 3))


def volume() -> Architecture:
    g = Builder((1, 6, 8, 10))
    x = g.activation(g.batch_norm(g.conv(g.input, 4, (1, 3, 3), (1, 2, 2), "same")), "silu")
    x = g.avg_pool(g.concat(x, g.conv(x, 2, 3, padding="same")), 2)
    return g.build(g.linear(g.flatten(g.adaptive_avg_pool(x, (1, 2, 2))), 3))


def grid() -> Architecture:
    return ours().inference()


every_rank = pytest.mark.parametrize("make", [sequence, grid, ours, volume])


def batch(architecture: Architecture, size: int = 4) -> Tensor:
    return torch.randn(size, *architecture.input_shape)


def pair() -> tuple[Network, Reference]:
    network, reference = compile(ours()), Reference()
    network.load_state_dict(reference.state_dict(), strict=True)
    return network, reference


# --- equal to the reference ---


def test_state_dicts_are_the_same_both_ways() -> None:
    network, reference = pair()
    assert set(network.state_dict()) == set(reference.state_dict())
    reference.load_state_dict(compile(ours()).state_dict(), strict=True)


def test_eval_output_equals_the_reference() -> None:
    network, reference = pair()
    x = batch(ours())
    network.eval(), reference.eval()
    with torch.no_grad():
        assert torch.equal(network(x), reference(x))


def test_training_equals_the_reference() -> None:
    """Outputs (dropout drawn in the reference's order), gradients and running statistics."""
    network, reference = pair()
    x, results = batch(ours()), []
    for module in (network, reference):
        torch.manual_seed(1)
        main, head = module.train()(x)
        (main.square().sum() + head.square().sum()).backward()
        gradients = {name: p.grad for name, p in module.named_parameters()}
        results.append({"main": main, "head": head, **gradients, **dict(module.named_buffers())})
    assert set(results[0]) == set(results[1])
    for name, value in results[1].items():
        torch.testing.assert_close(results[0][name], value, msg=name)


# --- auxiliary heads ---


def test_heads_are_called_in_training_and_not_in_eval() -> None:
    network = compile(ours())
    calls: list[str] = []
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    x = batch(ours())
    for _ in range(2):
        main, head = network.train()(x)
        assert (main.shape, head.shape) == ((4, 10), (4, 5))
        assert {"aux", "dropout1"} <= set(calls)
        calls.clear()
        output = network.eval()(x)
        assert isinstance(output, Tensor)
        assert output.shape == (4, 10)
        assert "fc" in calls
        assert not {"aux", "dropout1"} & set(calls)
        calls.clear()
    assert len(list(network.parameters())) == len(list(Reference().parameters()))


def test_mode_reaches_a_network_inside_a_module() -> None:
    outer = nn.Sequential(nn.Identity(), compile(ours()))
    assert isinstance(outer(batch(ours())), tuple)
    assert isinstance(outer.eval()(batch(ours())), Tensor)


def test_without_heads_both_modes_return_a_tensor() -> None:
    network = compile(grid())
    assert network(batch(grid())).shape == network.eval()(batch(grid())).shape == (4, 10)


# --- every rank ---


@every_rank
def test_output_and_gradients(make: object) -> None:
    architecture = make()  # type: ignore[operator]
    network = compile(architecture)
    outputs = network(batch(architecture))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for name, output in zip(architecture.outputs, outputs, strict=True):
        assert output.shape == (4, *architecture.shapes[name])
    sum(output.square().sum() for output in outputs).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@every_rank
def test_the_batch_is_free(make: object) -> None:
    """No operation mixes images in eval mode, whatever the batch size."""
    network = compile(make()).eval()  # type: ignore[operator]
    x = batch(network.architecture, 5)
    with torch.no_grad():
        one_by_one = torch.cat([network(x[i : i + 1]) for i in range(5)])
        torch.testing.assert_close(network(x), one_by_one)


# --- weights ---


def test_same_seed_same_weights() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.detach().flatten() for p in compile(ours()).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_weights_are_torchs_own_in_node_order() -> None:
    g = Builder((3, 8, 8))
    b = g.conv(g.input, 4, 3, name="z")
    network = compile(g.build(g.linear(g.global_pool(b), 2, name="a.b")))
    torch.manual_seed(0)
    expected = {"z": nn.Conv2d(3, 4, 3), "a.b": nn.Linear(4, 2)}
    torch.manual_seed(0)
    network = compile(network.architecture)
    for name, module in expected.items():
        assert torch.equal(network.get_submodule(name).weight, module.weight)
        assert torch.equal(network.get_submodule(name).bias, module.bias)


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "torch.save"])
@pytest.mark.parametrize("training", [True, False])
def test_copies_keep_weights_and_mode(how: str, training: bool) -> None:
    network = compile(ours())
    network(batch(ours()))  # moves the running statistics
    network.train(training)
    random_state = torch.get_rng_state()
    if how == "pickle":
        again = pickle.loads(pickle.dumps(network))
    elif how == "deepcopy":
        again = copy.deepcopy(network)
    else:
        file = io.BytesIO()
        torch.save(network, file)
        file.seek(0)
        again = torch.load(file, weights_only=False)
    assert torch.equal(torch.get_rng_state(), random_state), "a copy draws no random numbers"
    assert isinstance(again, Network)
    assert again.architecture == network.architecture
    assert {m.training for m in again.modules()} == {training}
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
        assert again.state_dict()[name].data_ptr() != value.data_ptr(), name
    assert [n for n, _ in again.named_parameters()] == [n for n, _ in network.named_parameters()]
    assert all(p.requires_grad for p in again.parameters())
    x, outputs = batch(ours()), []
    for each in (network, again):
        torch.manual_seed(1)
        outputs.append(each(x))
        each.train(not training)(x)
    torch.testing.assert_close(outputs[1], outputs[0])


def test_device_and_type_are_kept() -> None:
    network = copy.deepcopy(compile(sequence()).double())
    assert {p.dtype for p in network.parameters()} == {torch.float64}
    with torch.device("meta"):
        assert {p.device.type for p in compile(sequence()).parameters()} == {"meta"}


@pytest.mark.parametrize(
    "name", ["class", "self", "training", "a.forward", "graph", "None", "_modules", "a.__b"]
)
def test_names_that_torch_or_python_reserve(name: str) -> None:
    with pytest.raises(ArchitectureError, match=f"node '{name}': the name '.*' is reserved"):
        Architecture((3,), [Node(name, Linear(3), ("input",))], [name])


def test_no_attribute_of_a_network_is_a_free_name() -> None:
    network = compile(Architecture((3,), [Node("only", Linear(3), ("input",))], ["only"]))
    own = {*dir(fx.GraphModule), *dir(network)} - {"only"}
    assert {name for name in own if fault(name) is None} == set()


@pytest.mark.parametrize("name", ["0", "0.1", "input_1", "output", "add", "torch", "type_", "a-b"])
def test_names_that_only_look_so(name: str) -> None:
    nodes = [Node(name, Linear(3), ("input",)), Node("last", Linear(3), (name,))]
    network = compile(Architecture((3,), nodes, ["last"]))
    first, last = network.get_submodule(name), network.get_submodule("last")
    x = torch.randn(2, 3)
    torch.testing.assert_close(network(x), last(first(x)))

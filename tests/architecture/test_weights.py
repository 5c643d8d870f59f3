"""State dicts from files: torchvision's and timm's own, and every way one can fail to fit."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import nas
from nas.architecture.builder import Builder
from nas.architecture.network import Network, compile
from nas.errors import InputError
from tests.classics.references import timm, torchvision_models


def small() -> Network:
    g = Builder((3, 8, 8))
    x = g.batch_norm(g.conv(g.input, 4, 3, name="conv"), name="norm")
    return compile(g.build(g.linear(g.global_pool(x), 5, name="fc")))


def random_state() -> dict[str, Tensor]:
    state = small().state_dict()
    return {name: torch.rand_like(tensor.float()).to(tensor) for name, tensor in state.items()}


def save(state: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_reference_loads(tmp_path: Path, library: str, name: str) -> None:
    ours = "mobilenet_v3_small" if library == "torchvision" else "mobilenetv1_100"
    models: Any = torchvision_models() if library == "torchvision" else timm()
    build = models.mobilenet_v3_small if library == "torchvision" else models.create_model
    reference = (build() if library == "torchvision" else build(ours)).eval()
    path = save(reference.state_dict(), tmp_path / name)
    network = nas.compile(nas.classic(ours)).eval()
    nas.load_weights(network, str(path))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = reference(image), network(image)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_every_number_is_copied_with_the_networks_dtype(tmp_path: Path, name: str) -> None:
    state = random_state()
    network = small().double()
    before = [id(parameter) for parameter in network.parameters()]
    nas.load_weights(network, save(state, tmp_path / name))
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor.to(state[key].dtype), state[key])
        assert tensor.dtype == (torch.int64 if key.endswith("tracked") else torch.float64)
    assert [id(parameter) for parameter in network.parameters()] == before


def test_a_batch_norm_of_old_may_lack_its_counter(tmp_path: Path) -> None:
    state = random_state()
    del state["norm.num_batches_tracked"]
    network = small()
    counter = network.state_dict()["norm.num_batches_tracked"].clone()
    nas.load_weights(network, save(state, tmp_path / "old.pth"))
    loaded = network.state_dict()
    assert torch.equal(loaded.pop("norm.num_batches_tracked"), counter)
    assert loaded.keys() == state.keys()
    for key, tensor in loaded.items():
        assert torch.equal(tensor, state[key]), key


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_does_not_fit_is_one_message(tmp_path: Path, suffix: str) -> None:
    state = random_state()
    network = small()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    for key in ("conv.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"):
        del state[key]
    state |= {"head.weight": torch.zeros(2), "fc.weight": torch.zeros(5, 3)}
    path = save(state, tmp_path / f"other{suffix}")
    with pytest.raises(InputError) as error:
        nas.load_weights(network, path)
    assert str(error.value) == (
        f"{path}: does not fit the network: "
        "missing: conv.bias, norm.weight, norm.bias and 2 more; unexpected: head.weight; "
        "misshapen: fc.weight (5x3 in the file, 5x4 in the network)"
    )
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


FILES = {
    "torn.pth": b"PK\x03\x04 torn",
    "empty.pth": b"",
    "text.pt": b"hello",
    "torn.safetensors": b"\x08\x00\x00\x00\x00\x00\x00\x00{}",
    "empty.safetensors": b"",
    "code.pth": pickle.dumps(Command(), protocol=2),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(FILES[name])
    with pytest.raises(InputError) as error:
        nas.load_weights(small(), path)
    assert str(error.value).startswith(f"{path}: is not a readable state dict: ")
    assert len(str(error.value).splitlines()) == 1
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors", "folder"])
def test_a_file_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=f"{name}: cannot be read: (No such|Is a dir)"):
        nas.load_weights(small(), tmp_path / name)


def test_what_holds_a_state_dict_is_not_one(tmp_path: Path) -> None:
    checkpoint = OrderedDict(model=random_state(), epoch=3, lr=0.1, args={}, seed=0)
    path = save(checkpoint, tmp_path / "checkpoint.pth")
    with pytest.raises(InputError, match="not tensors: model, epoch, lr and 2 more"):
        nas.load_weights(small(), path)
    path = save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="must hold a state dict, holds a list"):
        nas.load_weights(small(), path)


def test_any_module_will_do(tmp_path: Path) -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    nas.load_weights(target, save(source.state_dict(), tmp_path / "linear.pth"))
    assert torch.equal(source.weight, target.weight)

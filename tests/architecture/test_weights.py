"""State dicts from files: torchvision's and timm's own, and every way one can fail to fit."""

import io
import pickle
import re
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import nas
from nas.architecture.builder import Builder
from nas.architecture.network import Network, compile
from nas.architecture.weights import read_weights
from nas.errors import InputError
from tests.classics.references import randomised, timm, torchvision_models


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
        "misshapen: fc.weight (5x3 in the file, 5x4 in the network); to take only what fits, such "
        "as all layers but the classifier, start a training from it: nas train --from"
    )
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


def of_numpy() -> bytes:
    numpy.savez(file := io.BytesIO(), weight=numpy.zeros(3))
    return file.getvalue()


FILES = {
    "torn.pth": (b"PK\x03\x04 torn", "it is damaged, or was not saved by torch.save"),
    "empty.pth": (b"", "it is empty"),
    "text.pt": (b"<html>404", "it was not saved by torch.save, .* do not begin with b'<html>404'"),
    "arrays.npz": (of_numpy(), "it holds arrays of numpy; save them with torch.save"),
    "pointer.pth": (b"version https://git-lfs.github.com/spec/v1\n", "with git lfs pull"),
    "torn.safetensors": (b"\x08\x00\x00\x00\x00\x00\x00\x00{}", "deserializing"),
    "empty.safetensors": (b"", "it is empty"),
    "code.pth": (pickle.dumps(Command(), protocol=2), "it holds a Python object beside tensors"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    content, reason = FILES[name]
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as error:
        nas.load_weights(small(), path)
    assert str(error.value).startswith(f"{path}: is not a readable state dict: ")
    assert len(str(error.value).splitlines()) == 1
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors", "folder"])
def test_a_file_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(
        InputError, match=f"{name}: cannot be read: (No such|it is not a regular file)"
    ):
        nas.load_weights(small(), tmp_path / name)


def test_what_is_no_state_dict(tmp_path: Path) -> None:
    path = save({"conv": 3, "epoch": 1, "lr": 0.1, "seed": 0}, tmp_path / "checkpoint.pth")
    with pytest.raises(
        InputError, match=r"not tensors: conv, epoch, lr and 1 more; save the state"
    ):
        nas.load_weights(small(), path)
    path = save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="must hold a state dict, holds a list"):
        nas.load_weights(small(), path)
    for empty in ({}, {"state_dict": {}}):
        with pytest.raises(InputError, match="holds no tensors"):
            nas.load_weights(small(), save(empty, tmp_path / "empty.pth"))
    diverged = {**random_state(), "fc.bias": torch.full((5,), torch.nan)}
    with pytest.raises(InputError, match=r"fc\.bias holds nan or infinity"):
        nas.load_weights(small(), save(diverged, tmp_path / "diverged.pth"))


def prefixed(state: dict[str, Tensor], *begins: str) -> dict[str, Tensor]:
    return {"".join(begins) + name: tensor for name, tensor in state.items()}


STATE = random_state()
OTHER = {name: torch.zeros_like(tensor) for name, tensor in STATE.items()}

WRAPPED: dict[str, Any] = {
    "parallel": prefixed(STATE, "module."),
    "compiled": prefixed(STATE, "_orig_mod."),
    "both": prefixed(STATE, "module.", "_orig_mod."),
    "compiled in part": {name.replace("norm.", "norm._orig_mod."): t for name, t in STATE.items()},
    "lightning": {"state_dict": prefixed(STATE, "model."), "epoch": 3, "hyper_parameters": {}},
    "torchvision": {"model": STATE, "optimizer": {"state": {}}, "args": Namespace(lr=0.1)},
    "average of torch": {
        "model": prefixed(OTHER, "module."),
        "model_ema": {"n_averaged": torch.tensor(7), **prefixed(STATE, "module.")},
    },
    "average of timm": {"state_dict": OTHER, "state_dict_ema": STATE, "metric": 0.5},
    "twice": {"model": {"state_dict": prefixed(STATE, "net.backbone.")}},
}


PARTS = {
    "lightning": "state_dict",
    "torchvision": "model",
    "average of torch": "model_ema",
    "average of timm": "state_dict_ema",
    "twice": "model.state_dict",
}


@pytest.mark.parametrize(("name", "held"), WRAPPED.items())
def test_wrappers_are_removed(tmp_path: Path, name: str, held: Any) -> None:
    network = small()
    path = save(held, tmp_path / "checkpoint.pth")
    nas.load_weights(network, path)
    assert read_weights(path).part == PARTS.get(name, "")
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, STATE[key]), key


def densenet_names_of_old(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names as in torchvision's file densenet121-a639ec97.pth."""
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])")
    return {old.sub(r"\1.\2", name): tensor for name, tensor in state.items()}


def test_a_published_densenet_loads(tmp_path: Path) -> None:
    reference = torchvision_models().densenet121().eval()
    state = densenet_names_of_old(reference.state_dict())
    state = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    assert len(state) == 606
    network = nas.compile(nas.classic("densenet121")).eval()
    nas.load_weights(network, save(state, tmp_path / "densenet121-a639ec97.pth"))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = reference(image), network(image)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_inception_with_its_transformed_input(tmp_path: Path) -> None:
    build = torchvision_models().inception_v3
    shape = torch.randn(2, 3, 96, 96)
    reference = randomised(lambda: build(init_weights=False, aux_logits=False), shape)
    reference.transform_input = True
    path = save(reference.state_dict(), tmp_path / "inception_v3_google-0cc3c7bd.pth")
    network = nas.compile(nas.classic("inception_v3", auxiliary=False)).eval()
    nas.load_weights(network, path, transform_input=True)
    with torch.no_grad():
        expected, found = reference(shape), network(shape)
    assert (found - expected).abs().max() <= 1e-3 * expected.abs().max()
    googlenet = nas.compile(nas.classic("googlenet"))
    saved = save(googlenet.state_dict(), tmp_path / "googlenet.pth")
    with pytest.raises(InputError, match=r"conv1\.conv, must have .* no padding; normalise"):
        nas.load_weights(googlenet, saved, transform_input=True)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.zeros(5, 4, dtype=torch.complex64), "fc.weight holds complex numbers .complex64."),
        (torch.zeros(5, 4, dtype=torch.int8), "fc.weight holds integers, .*quantised .*int8"),
        (torch.zeros(5, 4, device="meta"), "fc.weight was saved without its numbers"),
        (torch.zeros(5, 0), r"misshapen: fc.weight \(5x0 in the file"),
    ],
)
def test_tensors_of_another_kind_are_refused(tmp_path: Path, tensor: Tensor, said: str) -> None:
    path = save({**STATE, "fc.weight": tensor}, tmp_path / "w.pth")
    network = small()
    before = {key: each.clone() for key, each in network.state_dict().items()}
    with pytest.raises(InputError, match=said):
        nas.load_weights(network, path)
    assert all(torch.equal(each, before[key]) for key, each in network.state_dict().items())


def test_sparse_half_and_quantised_tensors_load(tmp_path: Path) -> None:
    exact = (STATE["fc.weight"] * 4).round() / 4
    quantised = torch.quantize_per_tensor(exact, 0.25, 0, torch.qint8)
    for tensor in (exact.to_sparse(), exact.to_sparse_csr(), exact.half(), quantised):
        network = small()
        nas.load_weights(network, save({**STATE, "fc.weight": tensor}, tmp_path / "w.pth"))
        assert torch.equal(network.get_parameter("fc.weight"), exact)


def test_a_torchscript_archive_has_a_way_out(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(3, 2)).save(tmp_path / "script.pt")  # type: ignore[no-untyped-call]
    with pytest.raises(InputError, match=r"save torch\.jit\.load\(file\)\.state_dict\(\)"):
        nas.load_weights(small(), tmp_path / "script.pt")


def test_another_number_of_classes_names_the_way_out(tmp_path: Path) -> None:
    path = save({**STATE, "fc.weight": torch.zeros(7, 4)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"7x4 in the file.*start a training from it: nas train"):
        nas.load_weights(small(), path)


def test_any_module_will_do(tmp_path: Path) -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    nas.load_weights(target, save(source.state_dict(), tmp_path / "linear.pth"))
    assert torch.equal(source.weight, target.weight)

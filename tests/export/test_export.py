"""Every form is read back and compared; what fails leaves nothing behind."""

import copy
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import nas
from nas.architecture.builder import Builder
from nas.architecture.network import Network, compile
from nas.cli import main
from nas.errors import InputError
from nas.export.exporting import export
from nas.export.formats import FORMATS
from nas.export.job import Written
from nas.export.parity import ExportError, difference, draw_weights, random_inputs
from tests.export.ten import in_another_environment


@pytest.fixture(scope="module")
def network() -> Network:
    """A net with a shortcut, squeeze-and-excitation, asymmetric padding and an auxiliary head."""
    g = Builder((3, 16, 16))
    x = g.relu(g.batch_norm(g.conv(g.input, 8, 3, 2, "same", bias=False)))
    with g.scope("block"):
        y = g.batch_norm(g.conv(x, 8, 3, padding=1))
        gate = g.activation(g.conv(g.global_pool(y, keep_axes=True), 8, 1), "hard_sigmoid")
        x = g.relu(g.add(g.multiply(y, gate), x))
    head = g.linear(g.global_pool(x), 5, name="aux")
    made = compile(g.build(g.linear(g.flatten(g.max_pool(x, 2)), 10, name="fc"), head))
    draw_weights(made)
    return made.eval()


def expected(network: Network, x: Tensor) -> Tensor:
    with torch.no_grad():
        return network(x)


def images(number: int) -> Tensor:
    return torch.randn(number, 3, 16, 16, generator=torch.Generator().manual_seed(5))


def test_python_and_its_weights(network: Network, tmp_path: Path) -> None:
    done = export(network, "python", "my net", tmp_path / "net.py")
    assert done.paths == (tmp_path / "net.py", tmp_path / "net_weights.pt")
    assert sorted(tmp_path.iterdir()) == sorted(done.paths)
    torch.save((images(2), expected(network, images(2))), tmp_path / "data.pt")
    told = in_another_environment(
        sys.executable, done.paths[0], "MyNet", done.paths[1], tmp_path / "data.pt"
    )
    assert told["difference"] <= 1e-6
    assert told["macs"] == network.architecture.cost.macs
    assert told["params"] == network.architecture.cost.params + 8 * 5 + 5  # the head's
    doc = done.paths[0].read_text()
    assert f"{network.architecture.cost.params:,} parameters" in doc
    assert "[batch, 3, 16, 16]" in doc
    assert 'torch.load("net_weights.pt", weights_only=True)' in doc


def test_json_and_its_weights(network: Network, tmp_path: Path) -> None:
    done = export(network, "json", "net", tmp_path / "net.json")
    again = compile(nas.Architecture.from_json(done.paths[0].read_text()))
    nas.load_weights(again, done.paths[1])
    assert again.architecture == network.architecture
    assert torch.equal(expected(again.eval(), images(2)), expected(network, images(2)))


@pytest.mark.parametrize("dynamic", [False, True])
def test_onnx(network: Network, tmp_path: Path, dynamic: bool) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    file = tmp_path / "net.onnx"
    opset = 19 if dynamic else None
    done = export(network, "onnx", "net", file, opset=opset, dynamic_batch=dynamic)
    assert done.input == f"float32 [{'batch' if dynamic else 1}, 3, 16, 16], normalised"
    assert list(tmp_path.iterdir()) == [file]
    (version,) = {entry.version for entry in onnx.load(str(file)).opset_import}
    assert done.note.startswith(f"opset {version},")
    assert version == (opset or version)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    x = images(4 if dynamic else 1)
    (output,) = session.run(None, {"input": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(output), expected(network, x))


def test_torchscript(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "net.torchscript"
    assert "deprecated" in export(network, "torchscript", "net", file).note
    loaded = torch.jit.load(file)
    torch.testing.assert_close(loaded(images(5)), expected(network, images(5)))


def test_torch_export(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "net.pt2"
    export(network, "torch-export", "net", file, dynamic_batch=True)
    loaded = torch.export.load(file).module()
    torch.testing.assert_close(loaded(images(5)), expected(network, images(5)))


def test_the_network_stays_as_it_is(network: Network, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    export(network, "python", "net", tmp_path / "net.py")
    assert network.training
    network.eval()
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


# --- what fails ---


def wrong(network: Network, factor: float) -> Written:
    return Written(lambda x: network(x) * factor, "")


@pytest.mark.parametrize("factor", [1 + 2e-4, float("nan")])
def test_another_output_is_not_written(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    python = FORMATS["python"]

    def write(job):  # type: ignore[no-untyped-def]
        python.write(job)
        return wrong(network, factor)

    monkeypatch.setitem(FORMATS, "python", replace(python, write=write))
    (tmp_path / "net.py").write_text("mine")
    with pytest.raises(ExportError, match="differs from the network by"):
        export(network, "python", "net", tmp_path / "net.py")
    assert [path.name for path in tmp_path.iterdir()] == ["net.py"]
    assert (tmp_path / "net.py").read_text() == "mine"


def test_parity_hears_a_wiring_error(network: Network) -> None:
    """Leaving out any one layer shows under drawn weights."""
    inputs = random_inputs((3, 16, 16), (1, 3))
    with torch.no_grad():
        for name, module in network.named_modules():
            if name and not name.startswith("aux") and not list(module.children()):
                hook = module.register_forward_hook(lambda _, args, out: out * 1.01)
                reference = compile(network.architecture)
                reference.load_state_dict(network.state_dict())
                with pytest.raises(ExportError):
                    difference(reference.eval(), network, inputs)
                hook.remove()
    assert difference(network, network, inputs) == 0


def test_drawn_weights_do_not_make_rounding_grow() -> None:
    """Else right exports of deep cell networks are refused: this one differed by 1.4e-4."""
    space = nas.space("amoebanet")
    made = compile(space.decode(space.sample(np.random.default_rng(4))))
    draw_weights(made)
    exact = copy.deepcopy(made).double().eval()
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    truth = expected(exact, x.double())
    apart = (expected(made.eval(), x) - truth).abs().max() / truth.abs().max()
    assert apart < 3e-5


def test_what_torch_cannot_write_is_told(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    g = Builder((4, 5, 6, 7))
    odd = compile(g.build(g.adaptive_avg_pool(g.input, (1, 1, 2))))
    with pytest.raises(ExportError, match=r"torch\.onnx: No ONNX function .*adaptive_avg_pool3d"):
        export(odd, "onnx", "odd", tmp_path / "odd.onnx")
    assert not list(tmp_path.iterdir())


def test_an_opset_that_torch_cannot_write(network: Network, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    with pytest.raises(ExportError, match="opset 15"):
        export(network, "onnx", "net", tmp_path / "net.onnx", opset=15)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_says_how(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name)
    )
    with pytest.raises(
        InputError, match=r"needs onnxruntime: .*pip install '\.\[export\]' in the folder"
    ):
        export(network, "onnx", "net", tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_bad_input(network: Network, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'python'"):
        export(network, "pyton", "net")
    with pytest.raises(InputError, match="--opset: only onnx has"):
        export(network, "python", "net", opset=20)
    with pytest.raises(InputError, match="json takes any batch size"):
        export(network, "json", "net", dynamic_batch=True)
    with pytest.raises(InputError, match="there is no folder"):
        export(network, "json", "net", tmp_path / "none" / "net.json")
    with pytest.raises(InputError, match="is a folder"):
        export(network, "json", "net", tmp_path)
    kept = tmp_path / "net_weights.pt"
    with pytest.raises(InputError, match=r"net_weights\.pt would replace"):
        export(network, "python", "net", tmp_path / "net.py", keep=[kept])


# --- the command ---


def test_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    architecture = nas.classic("resnet20", (3, 8, 8), 4)
    Path("mine.json").write_text(architecture.to_json())
    made = compile(architecture)
    draw_weights(made)
    torch.save(made.state_dict(), "trained.pt")
    assert main(["export", "mine.json", "--to", "python", "--weights", "trained.pt"]) == 0
    out = capsys.readouterr().out
    assert "wrote mine.py, mine_weights.pt: class Mine" in out
    assert "output scores [batch, 4]" in out
    assert "at batch 1 and 3" in out
    held, given = torch.load("mine_weights.pt"), torch.load("trained.pt")
    assert all(torch.equal(held[name], given[name]) for name in given)
    assert main(["export", "resnet20", "--input", "3,8,8", "--to", "python"]) == 0
    assert "weights are random, none are written" in capsys.readouterr().out
    assert not Path("resnet20_weights.pt").exists()
    assert main(["export", "mine.json", "--to", "json"]) == 2
    assert "mine.json would replace" in capsys.readouterr().err

"""Reconstruction: SSIM by scikit-image's values, chance, noise, the decoder, a whole training."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import nas
from nas.cli import main
from nas.errors import InputError
from nas.tasks.reconstruction import Reconstruction, ssim


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 16, 16), 0.22452046469097908),
        ((3, 20, 12), 0.1407862973830538),
        ((1, 8, 9, 10), 0.06536007283642387),
    ],
)
def test_ssim_is_that_of_scikit_image(shape: tuple[int, ...], expected: float) -> None:
    """Expected values: structural_similarity of scikit-image 0.26, data_range 1, channel_axis 0."""
    i = torch.arange(math.prod(shape)).view(1, *shape).double()
    one = 0.5 + 0.5 * (i * 0.37).sin()
    other = 0.5 + 0.4 * (i * 0.37 + 0.5).sin() * (i * 0.011).cos()
    assert ssim(one, other).item() == pytest.approx(expected, rel=1e-9)
    assert ssim(one, one).item() == pytest.approx(1)


def test_the_level_of_chance_is_the_mean_image() -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8)))
    task = Reconstruction()
    targets = task.targets(images, 0)
    found = task.evaluate(targets, targets)
    assert (found["loss"], found["ssim"]) == (0, pytest.approx(1))
    assert found["chance"]["loss"] == pytest.approx(np.var(images.numpy() / 255, axis=0).mean())


def test_noise_is_added_to_what_the_network_sees_alone() -> None:
    images = torch.full((2, 1, 100, 100), 128, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    seen = Reconstruction(noise=0.1).inputs(images, generator)
    assert seen.std().item() == pytest.approx(25.5, rel=0.02)
    assert seen.mean().item() == pytest.approx(128, abs=1)
    assert Reconstruction().inputs(images, generator) is images


@pytest.mark.parametrize("size", [(1, 28, 28), (3, 25, 18), (1, 9, 12, 10)])
@pytest.mark.parametrize("mode", ["transposed", "nearest", "linear"])
@pytest.mark.parametrize("bottleneck", [5, None])
def test_a_decoder_returns_to_every_size(size: Any, mode: str, bottleneck: int | None) -> None:
    head = {"name": "decoder", "mode": mode, "bottleneck": bottleneck, "width": 4}
    task = Reconstruction(head=nas.configuration.Named(**head))
    backbone = nas.classic("resnet20", size, task.outputs(size, 0), width=0.25)
    made = task.network(backbone, task.outputs(size, 0))
    task.check_fit(made, size, 0)
    with torch.no_grad():
        pixels = nas.compile(made).eval()(torch.randn(2, *size))
    assert pixels.shape == (2, *size)
    assert 0 <= pixels.min() <= pixels.max() <= 1
    if bottleneck is not None:  # all that passes is a vector of this length
        assert made.shapes["classifier.bottleneck"] == (bottleneck, *[1] * (len(size) - 1))


def test_series_and_small_images_are_refused() -> None:
    for shape in ((1, 100), (1, 6, 9)):
        with pytest.raises(InputError, match="needs images or volumes with sides of at least 7"):
            Reconstruction().outputs(shape, 0)


def test_an_autoencoder_is_trained_used_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    task = "{name: reconstruction, noise: 0.1, head: {name: decoder, bottleneck: 8}}"
    assert not main(
        ["train", "lenet5:width=0.5", "--data", "{name: digits, resolution: 16}", "--task", task,
         "--recipe", "quick", "--set", "epochs=2", "augment=[]", "--out", "made"]
    )  # fmt: skip
    row = json.loads((tmp_path / "made" / "row.json").read_text())
    assert row["test"]["loss"] < row["test"]["chance"]["loss"]
    capsys.readouterr()
    assert not main(["export", "made", "--to", "torchscript"])
    assert "its script answers 8 test pictures" in capsys.readouterr().out
    Image.fromarray(np.zeros((16, 16), np.uint8)).save("one.png")
    assert not main(["predict", "made", "one.png", "--out", "pictures"])
    (made,) = (tmp_path / "pictures").iterdir()
    assert np.asarray(Image.open(made)).shape == (16, 16)

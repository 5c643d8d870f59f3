"""Style transfer and exciting patches, on a small trained network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.cli import main
from nas.errors import InputError
from nas.jobs import names
from nas.jobs.inputs import images_of, trained
from nas.jobs.visual import gram, patches, style


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = str(tmp_path_factory.mktemp("visual") / "made")
    assert not main(
        ["train", "resnet20:width=0.25", "--data", "{name: digits, resolution: 16}",
         "--recipe", "quick", "--set", "epochs=1", "augment=[]", "--out", out]
    )  # fmt: skip
    return out


def test_the_gram_matrix() -> None:
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    assert gram(maps).tolist() == [[[5 / 2, 11 / 2], [11 / 2, 25 / 2]]]


def test_a_picture_takes_the_style_of_another(network: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(24), np.arange(24)).astype(np.uint8) * 5
    rough = rng.integers(0, 256, (24, 24)).astype(np.uint8)
    for name, pixels in (("smooth", smooth), ("rough", rough)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    content, model = tmp_path / "smooth.png", tmp_path / "rough.png"
    assert (style(network, content, content, 24, steps=5)[0] == smooth).all()  # nothing to change
    plain, strong = (style(network, content, model, 24, w, 20)[0] for w in (1e-6, 1e4))
    before = np.abs(np.diff(smooth.astype(float))).mean()
    assert np.abs(plain.astype(float) - smooth).mean() < 2
    assert np.abs(np.diff(strong.astype(float))).mean() > 2 * before


def test_patches_are_what_the_most_excited_positions_see(network: str) -> None:
    made = trained(network, names.reference(network))
    first = next(node for node in made.architecture.nodes if node.operation.kind == "conv")
    found = patches(network, first.name, channel=1, count=4)
    held = list(images_of(network, names.reference(network), "validation"))
    places, images = [place for place, _, _ in held], [image for _, image, _ in held]
    values = []
    made.get_submodule(first.name).register_forward_hook(
        lambda _, __, output: values.append(output[:, 1].flatten(1).amax(1))
    )
    preprocessing = names.reference(network).preprocessing
    assert preprocessing is not None
    pixels = torch.from_numpy(np.stack(images)).float()
    normal = (pixels - preprocessing.mean[0]) / preprocessing.std[0]
    made(normal)
    best = values[0].argsort(descending=True, stable=True)[:4].tolist()
    assert [each.place for each in found] == [places[index] for index in best]
    weight = made.get_parameter(f"{first.name}.weight")[1]
    for patch, index in zip(found, best, strict=True):
        assert patch.value == pytest.approx(values[0][index].item(), rel=1e-5)
        assert patch.pixels.shape == (1, 3, 3)
        if patch.pixels.all():  # else a part may lie outside, where the network sees the mean
            seen = (torch.from_numpy(patch.pixels) - preprocessing.mean[0]) / preprocessing.std[0]
            assert (seen * weight).sum().item() == pytest.approx(patch.value, rel=1e-4)


def test_wrong_nodes_and_channels_are_named(network: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is no node with a map; allowed: "):
        patches(network, "nothing", 0)
    node = trained(network, names.reference(network)).architecture.nodes[0].name
    with pytest.raises(InputError, match=f"{node} has the channels 0 to 3, got 9"):
        patches(network, node, 9)
    assert not main(["patches", network, node, "--out", str(tmp_path / "made.png")])
    assert Image.open(tmp_path / "made.png").size == (11, 11)

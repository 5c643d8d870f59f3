"""Puts normalisation and probabilities into an export, and checks its script on pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from nas.export.layout import laid_out
from nas.export.parity import TOLERANCE, ExportError
from nas.preprocessing import Preprocessing

Pixels = npt.NDArray[np.uint8]

_TIES = 1e-3
"""The share of the pixels of a mask whose class may differ, where two are equally probable."""

_STEP = 0.51 / 255
"""How much pixels from 0 to 1 may differ by rounding."""

_SECONDS = 300.0
"""How long the script may take for the pictures of the check."""


@dataclass(frozen=True)
class Samples:
    """Images of the data set on which an exported network is checked and measured.

    Attributes:
        pictures: a few images, uint8 [N, C, H, W].
        predictions: what the project's own evaluation predicts for them, [N, outputs].
        calibration: training images by which int8 chooses its scales, uint8 [N, C, H, W].
        test: returns the test images and labels, some at a time; it can be called again.
    """

    pictures: Pixels
    predictions: Tensor
    calibration: Pixels | None = None
    test: Callable[[], Iterable[tuple[Pixels, npt.NDArray[Any]]]] | None = None


class OnPictures(nn.Module):
    """A trained network with its normalisation, from pixels to predictions.

    Args:
        network: the network, which takes normalised images.
        preprocessing: what it was trained with.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self.activation = preprocessing.activation
        self.boxes = preprocessing.output == "boxes"
        ones = (1,) * (len(preprocessing.input_shape) - 1)
        for name, values in (("mean", preprocessing.mean), ("std", preprocessing.std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, *ones))

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns the predictions for pixels from 0 to 255, uint8 or float [batch, C, H, W]."""
        outputs: Tensor = self.network((pictures.float() - self.mean) / self.std)
        if self.boxes:
            return torch.cat([outputs[..., :4], outputs[..., 4:].sigmoid()], -1)
        if self.activation == "sigmoid()":
            return outputs.sigmoid()
        return outputs.softmax(1) if self.activation else outputs


def on_pictures_source(name: str, base: str, preprocessing: Preprocessing) -> str:
    """Writes :class:`OnPictures` as a class of Python, a subclass of the network's class ``base``.

    It has the same state dict as ``base``. In training mode it returns the outputs of ``base``,
    because a loss needs scores, and there may be auxiliary heads.
    """
    sizes = ", ".join(map(str, preprocessing.input_shape))
    ones = ", 1" * (len(preprocessing.input_shape) - 1)
    returned = "outputs"
    if preprocessing.output == "boxes":
        probabilities = "torch.cat([outputs[..., :4], outputs[..., 4:].sigmoid()], -1)"
        returned += f" if self.training else {probabilities}"
    elif preprocessing.activation:
        returned += f" if self.training else outputs.{preprocessing.activation}"
    lines = [
        f"class {name}({base}):",
        f'    """Takes pixels from 0 to 255, [batch, {sizes}]; returns {preprocessing.output}.',
        "",
        f"    In training mode it returns the scores of {base}." if returned != "outputs"
        else f"    It normalises them for {base}.",
        '    """',
        "",
        "    pixel_mean: Tensor",
        "    pixel_std: Tensor",
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
    ]  # fmt: skip
    for attribute in ("mean", "std"):
        values = list(getattr(preprocessing, attribute))
        lines += [
            f"        {attribute} = torch.tensor({values}).view(1, -1{ones})",
            f'        self.register_buffer("pixel_{attribute}", {attribute}, persistent=False)',
        ]
    lines += [
        "",
        "    def forward(self, pictures: Tensor) -> Tensor:",
        "        outputs = super().forward((pictures.float() - self.pixel_mean) / self.pixel_std)",
        f"        return {returned}",
    ]
    return "\n".join(part for line in lines for part in laid_out(line))


def check_pictures(place: Path, preprocessing: Preprocessing, samples: Samples) -> int:
    """Runs the script on pictures in files and compares its answers with the project's own.

    Args:
        place: the script, in the folder of the exported file.
        preprocessing: what the network was trained with.
        samples: the pictures, and what the project predicts for them.

    Returns the number of pictures. Raises :class:`ExportError` if a class differs, if a value
    differs by more than :data:`TOLERANCE`, or if the script fails.
    """
    files = [
        _write(place.parent / f"picture{number}", image, preprocessing).name
        for number, image in enumerate(samples.pictures)
    ]
    done = subprocess.run(
        [sys.executable, place.name, *files],
        cwd=place.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # single pictures need no more
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ExportError(f"its script {place.name} fails: {reason}")
    answers = done.stdout.splitlines()
    for file, answer, expected in zip(files, answers, samples.predictions, strict=True):
        told = answer.removeprefix(f"{file} ")
        if preprocessing.output == "masks":
            with Image.open(place.parent / told) as mask:
                differing = (torch.from_numpy(np.array(mask)) != expected.argmax(0)).sum().item()
            apart = differing / expected[0].numel()
            apart = 0.0 if apart < _TIES else apart
        elif preprocessing.output == "boxes":
            apart = _boxes_apart(json.loads(told), expected, preprocessing)
        elif preprocessing.output == "images" and preprocessing.colour is not None:
            with Image.open(place.parent / told) as picture:
                pixels = torch.from_numpy(np.array(picture)).view(*expected.shape[1:], -1)
            apart = (pixels.movedim(-1, 0) / 255 - expected).abs().max().item()
            apart = 0.0 if apart < _STEP else apart
        elif preprocessing.classes is None:
            values = torch.tensor(json.loads(told))
            apart = (values - expected).abs().max().item() / (expected.abs().max().item() or 1.0)
        else:
            name, _, value = told.rpartition(" ")
            label = preprocessing.classes[int(expected.argmax())]
            if name != label:
                raise ExportError(
                    f"from a file, its class of a test picture is {name}, not {label}"
                )
            apart = abs(float(value) - expected.max().item())
        if not apart <= TOLERANCE:
            raise ExportError(
                f"from a file, its answer for a test picture differs by {apart:.1e}, more than "
                f"{TOLERANCE:.0e}"
            )
    return len(files)


def _boxes_apart(
    answer: list[dict[str, Any]], expected: Tensor, preprocessing: Preprocessing
) -> float:
    """Returns by how much boxes that the script has found differ; 1 if others are found.

    Of less probable boxes, another may be suppressed or left out by rounding.
    """
    from nas.boxes import LEAST, likely

    _, height, width = preprocessing.input_shape
    names = preprocessing.classes or ()
    rows = likely(expected, (height, width), preprocessing.nms or 1.0)
    sides = np.array([width, height, width, height, 1.0])
    here = [(names[int(row[5])], row[:5] / sides) for row in rows]
    there = [(each["class"], np.array([*each["box"], each["probability"]]) / sides)
             for each in answer]  # fmt: skip
    return max(
        (
            min((np.abs(values - other).max() for kind, other in others if kind == name), default=1)
            for ours, others in ((here, there), (there, here))
            for name, values in ours
            if values[4] >= 2 * LEAST
        ),
        default=0.0,
    )


def _write(path: Path, image: Pixels, preprocessing: Preprocessing) -> Path:
    """Writes an image as a picture without loss, or as an array if it is no picture.

    The values of such an array are those that become its pixels.
    """
    if preprocessing.low is not None and preprocessing.high is not None:
        ones = (1,) * (image.ndim - 1)
        low, high = (np.reshape(v, (-1, *ones)) for v in (preprocessing.low, preprocessing.high))
        np.save(path.with_suffix(".npy"), low + image * (high - low) / 255)
        return path.with_suffix(".npy")
    if image.ndim != 3 or len(image) not in (1, 3):
        np.save(path.with_suffix(".npy"), image)
        return path.with_suffix(".npy")
    pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
    Image.fromarray(pixels).save(path.with_suffix(".png"))
    return path.with_suffix(".png")

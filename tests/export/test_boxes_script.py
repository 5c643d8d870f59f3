"""The script beside an exported detector finds the boxes that ``nas predict`` finds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image

from nas.boxes import likely
from nas.export.script import Runtime, script
from nas.preprocessing import Preprocessing
from nas.training.datasets.pictures import put_back

HEIGHT, WIDTH = 24, 32
NAMES = ("a", "b", "c")


def outputs() -> Any:
    """Boxes around a few places, many of which overlap, and their probabilities, [P, 4 + 3]."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(-2, 34, (8, 2))[rng.integers(0, 8, 200)] + rng.normal(0, 1.5, (200, 2))
    sides = rng.uniform(2, 12, (200, 2))
    corners = np.hstack([centres - sides / 2, centres + sides / 2])
    return np.hstack([corners, rng.uniform(0, 1, (200, 3)) ** 3]).astype(np.float32)


@pytest.mark.parametrize("fit", ["crop", "squeeze"])
@pytest.mark.parametrize("size", [(32, 24), (90, 40), (21, 50)])
def test_boxes_are_suppressed_and_put_back_as_by_predict(
    tmp_path: Path, fit: Literal["crop", "squeeze"], size: tuple[int, int]
) -> None:
    found = outputs()
    np.save(tmp_path / "outputs.npy", found)
    (tmp_path / "net_metadata.json").write_text(json.dumps({"preprocessing": {"classes": NAMES}}))
    Image.new("RGB", size).save(tmp_path / "a.png")
    how = Preprocessing(
        input_shape=(3, HEIGHT, WIDTH), colour="rgb", fit=fit, mean=(0.0,) * 3, std=(1.0,) * 3,
        output="boxes", classes=NAMES, nms=0.4,
    )  # fmt: skip
    net = Path("net")
    text = script(Runtime((), (), 'numpy.load("outputs.npy")'), net, net, "", how)
    (tmp_path / "predict.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "predict.py", "a.png"], cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    told = json.loads(done.stdout.partition(" ")[2])
    rows = likely(torch.from_numpy(found), (HEIGHT, WIDTH), 0.4)
    assert 20 < len(rows) <= 100
    assert [each["class"] for each in told] == [NAMES[int(row[5])] for row in rows]
    assert np.allclose([each["probability"] for each in told], rows[:, 4])
    boxes = np.array([each["box"] for each in told])
    assert np.allclose(boxes, put_back(rows[:, :4], size, (HEIGHT, WIDTH), fit), atol=1e-4)
    if fit == "squeeze":
        assert boxes[:, [0, 2]].max() <= size[0] + 1e-4
        assert np.allclose(boxes[:, 0] / size[0], rows[:, 0] / WIDTH, atol=1e-5)

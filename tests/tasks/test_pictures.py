"""The pictures of a report show what is true and what is predicted, where it is."""

import numpy as np
import torch

from nas.tasks.landmarks import Landmarks
from nas.tasks.pictures import PALETTE, ROWS
from nas.tasks.segmentation import Segmentation

GREY = np.full((6, 1, 12, 24), 100, np.uint8)


def test_masks_are_colours_and_ignored_pixels_stay() -> None:
    targets = torch.zeros(6, 12, 24, dtype=torch.int64)
    targets[:, :, 12:18], targets[:, :, 18:] = 1, 255
    scores = torch.nn.functional.one_hot(targets.clamp(max=1), 2).movedim(-1, 1).float()
    rows = Segmentation().pictures(GREY, scores, targets, ("a", "b"))
    assert len(rows) == ROWS
    truth, prediction = np.asarray(rows[0]["truth"]), np.asarray(rows[0]["prediction"])
    assert truth.shape == (120, 240, 3)  # enlarged ten times
    assert np.array_equal(truth[:, :180], prediction[:, :180])
    assert (truth[:, 180:] == 100).all()
    assert (prediction[:, 180:] != 100).any()
    for start, colour in ((0, PALETTE[0]), (120, PALETTE[1])):
        expected = 100 + (colour.astype(float) - 100) * 140 / 255
        assert np.abs(truth[5, start + 5] - expected).max() <= 1


def test_points_are_where_they_should_be() -> None:
    points = torch.tensor([[0.25, 0.25, 0.75, 0.375]]).repeat(6, 1)
    rows = Landmarks().pictures(GREY, points, points, ())
    drawn = np.asarray(rows[0]["truth"])
    changed = np.argwhere((drawn != 100).any(2))
    assert changed.min(0).tolist() == [58, 58]
    assert changed.max(0).tolist() == [92, 182]
    assert np.array_equal(drawn, np.asarray(rows[0]["prediction"]))

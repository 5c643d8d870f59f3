"""Rectangles on noise, with masks: 0 is the ground, 1 a bright rectangle, 2 a dark one."""

import numpy as np


def shapes():
    rng = np.random.default_rng(0)
    images = rng.integers(90, 160, (60, 16, 12, 1), dtype=np.uint8)
    masks = np.zeros((60, 16, 12), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        for label, colour in ((1, 250), (2, 5)):
            top, left = rng.integers(0, 10), rng.integers(0, 7)
            image[top : top + 6, left : left + 5] = colour
            mask[top : top + 6, left : left + 5] = label
        mask[:, 0] = 255
    return images, masks

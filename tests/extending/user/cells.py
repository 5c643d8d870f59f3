"""Rectangles on noise, with their boxes: class 0 is bright, class 1 dark."""

import numpy as np


def cells():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(60):
        image = rng.integers(90, 160, (24, 32, 1), dtype=np.uint8)
        boxes = []
        for colour in (250, 5):
            top, left = rng.integers(0, 14), rng.integers(0, 20)
            height, width = rng.integers(7, 11, 2)
            image[top : top + height, left : left + width] = colour
            boxes.append([left, top, left + width, top + height])
        held.append((image, {"boxes": boxes, "labels": ["bright", "dark"]}))
    return held[:40], held[40:]

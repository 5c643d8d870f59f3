"""A data set: pictures of one grey per class."""

import numpy as np


def greys(*, images: int = 60):
    return [(np.full((8, 8), 80 * (i % 3), np.uint8), i % 3) for i in range(images)]

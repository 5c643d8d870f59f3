"""scikit-learn's digits, which need no download."""

from functools import cache

import numpy as np

from nas.training.datasets.images import Images, Resolution, resize
from nas.training.datasets.stored import Integers, Pixels


def digits(*, resolution: Resolution = None) -> Images:
    """scikit-learn's bundled digits: 1,797 grey 8x8 images of 10 classes, no official test part.

    They are half of the UCI set (Alpaydin & Kaynak 1998, doi:10.24432/C50P49). Values from 0 to 16
    are scaled to 0 to 255.

    Args:
        resolution: the side of the images in pixels; 8 if not given.
    """
    pixels, labels = _read()
    return Images(resize(pixels, resolution), labels, classes=10)


@cache  # 0.1 MB; parsing the text takes longer than many test campaigns
def _read() -> tuple[Pixels, Integers]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    pixels.flags.writeable = labels.flags.writeable = False
    return pixels, labels

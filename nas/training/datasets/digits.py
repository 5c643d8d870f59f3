"""The data set that needs no download."""

import numpy as np

from nas.training.datasets.images import Images, Resolution, resize


def digits(*, resolution: Resolution = None) -> Images:
    """scikit-learn's bundled digits: 1,797 grey 8x8 images of 10 classes, no official test part.

    Half of the UCI set (Alpaydin & Kaynak 1998, doi:10.24432/C50P49); values 0 to 16 are scaled
    to 0 to 255.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    return Images(resize(pixels, resolution), bunch.target.astype(np.int64), classes=10)

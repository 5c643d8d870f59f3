"""The rules by which a width is scaled and rounded."""


def scaled(channels: int, width: float) -> int:
    """Return ``channels`` times ``width``, at least one."""
    return max(round(channels * width), 1)


def divisible(channels: float, divisor: int = 8) -> int:
    """Return the nearest multiple of ``divisor`` that is at most a tenth below ``channels``.

    This is MobileNet's rule (tensorflow/models, ``_make_divisible``), which torchvision keeps.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor

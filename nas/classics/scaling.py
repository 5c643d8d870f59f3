"""How widths scale: the rules that the ``width`` option of a classic follows."""


def scaled(channels: int, width: float) -> int:
    """``channels`` times ``width``, at least one."""
    return max(round(channels * width), 1)


def divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of ``divisor``, not more than a tenth below ``channels``.

    MobileNet's rule (tensorflow/models, ``_make_divisible``), which torchvision keeps.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor

"""Writes numbers for people."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """Writes a count with its noun: ``1 epoch``, ``2,126 epochs``.

    Args:
        count: the count.
        noun: the noun for one.
        plural: the noun for several; by default the noun with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def compact(count: float) -> str:
    """Writes a count with three digits: ``912``, ``4.51M``."""
    for unit in ("", "K", "M", "G"):
        if count < 999.5:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g}T"

"""Makes the texts on axes and beside marks."""

from __future__ import annotations

from nas.metrics import Catalogue


def axis(metric: str, metrics: Catalogue) -> str:
    """Writes a metric with its unit."""
    return metrics[metric].axis if metric in metrics else plain(metric)


def plain(metric: str) -> str:
    """Writes a metric without its unit."""
    return metric.replace("_", " ")


def short(trial: str) -> str:
    """Writes a search trial by its number: ``evolution-0012`` is 12."""
    number = trial.rpartition("-")[2]
    return str(int(number)) if number.isdecimal() else trial


def network(name: str, kind: str) -> str:
    """An architecture of a table: ``searched 12``, or by its name if no search suggested it."""
    return name if kind in ("classic", "ensemble", "shared weights") else f"{kind} {short(name)}"


def search(name: str) -> str:
    """Writes the name of a search in words."""
    return "random search" if name == "random" else name.replace("_", " ")


def time(seconds: float) -> tuple[str, float]:
    """Chooses the unit for a time; returns its name and its number of seconds."""
    return ("h", 3600.0) if seconds > 7200 else ("min", 60.0) if seconds > 120 else ("s", 1.0)

"""What is written on axes and beside marks."""

from __future__ import annotations

from nas.metrics import Catalogue


def axis(metric: str, metrics: Catalogue) -> str:
    """A metric with its unit."""
    return metrics[metric].axis if metric in metrics else plain(metric)


def plain(metric: str) -> str:
    """A metric without."""
    return metric.replace("_", " ")


def short(trial: str) -> str:
    """A trial of a search by its number: ``evolution-0012`` is 12."""
    number = trial.rpartition("-")[2]
    return str(int(number)) if number.isdecimal() else trial


def network(name: str, kind: str) -> str:
    """An architecture of a table: classics and ensembles by name, another as ``searched 12``."""
    return name if kind in ("classic", "ensemble") else f"{kind} {short(name)}"


def search(name: str) -> str:
    """A search in words."""
    return "random search" if name == "random" else name.replace("_", " ")


def time(seconds: float) -> tuple[str, float]:
    """The unit that so long a time is read in, and how many seconds that is."""
    return ("h", 3600.0) if seconds > 7200 else ("min", 60.0) if seconds > 120 else ("s", 1.0)

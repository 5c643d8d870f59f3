"""Fair timing: what is compared runs in turns, and the table says how busy the machine was."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median, quantiles

Seconds = Mapping[str, list[float]]


def interleaved(functions: Mapping[str, tuple[Callable[[], object], int]], rounds: int) -> Seconds:
    """Return the seconds of a call, one number per round.

    Args:
        functions: by name, what is timed and how often it is called in a row, so that quick ones
            are timed over at least a millisecond.
        rounds: in each round every function has its turn, so a slow moment meets all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function, _ in functions.values():
        function()
    for _ in range(rounds):
        for name, (function, calls) in functions.items():
            started = time.perf_counter()
            for _ in range(calls):
                function()
            seconds[name].append((time.perf_counter() - started) / calls)
    return seconds


def spread(seconds: list[float], unit: float = 1e3) -> str:
    """Return the median and, in brackets, the quartiles, in milliseconds."""
    low, _, high = quantiles(seconds, n=4)
    return f"{unit * median(seconds):,.4f} [{unit * low:,.4f}, {unit * high:,.4f}]"


@contextmanager
def watched(own: int = 1) -> Iterator[None]:
    """Print how busy the machine is before and after what runs inside.

    Args:
        own: how many processes run inside.
    """
    print(f"before: {load(own)}\n", flush=True)
    yield
    print(f"\nafter: {load(own)}")


def load(own: int = 1) -> str:
    """Return one line on how busy the machine is; it says BUSY where times are of no use.

    The load of the last minute counts processes that want a core, our ``own`` included.
    """
    last, cores = os.getloadavg()[0], os.cpu_count() or 1
    limit = max(own, 0.5 * cores) + 0.2
    verdict = "BUSY: do not publish these times" if last > limit else "quiet"
    return f"load {last:.1f} on {cores} cores: {verdict}"

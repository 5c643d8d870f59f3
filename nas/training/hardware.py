"""What a trial runs on, by name."""

import os
import platform
from functools import cache
from pathlib import Path

from nas.errors import InputError


@cache
def processor() -> str:
    """The CPU's model."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def cores() -> int:
    """Counts the CPU cores that this process may use, by its affinity and its container's quota."""
    import joblib

    return int(joblib.cpu_count())


def free_cores() -> int:
    """Returns how many threads a single training should have, so that it leaves cores to others.

    These are the cores that this process may use, without the share of the machine that was busy in
    the last minute, and at least one: threads that wait for each other on busy cores are slower
    than one thread alone. If ``OMP_NUM_THREADS`` is set, its (first) number decides instead.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    busy = min(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    return max(1, round(cores() * (1 - busy)))


def device_name(device: str) -> str:
    """The model of a torch device: of the GPU for "cuda", or else of the CPU."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else processor()


def resolve_device(asked: str) -> str:
    """Replaces "auto" by cuda or cpu. Raises :class:`InputError` for cuda if there is none."""
    import torch

    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("cuda is not available here; allowed: cpu, auto")
    return "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"

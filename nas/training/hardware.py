"""What a trial runs on, by name."""

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

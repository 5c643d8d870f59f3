"""What a trial runs on, by name."""

import platform
from functools import cache
from pathlib import Path


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

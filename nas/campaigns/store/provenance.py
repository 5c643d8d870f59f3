"""Describes the environment of a run for ``resolved.json``: versions, commit and hardware."""

import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from nas.training.hardware import cores, processor

_SECONDS = 10.0
"""The time limit of external commands."""

PACKAGES = ("torch", "ray", "optuna", "numpy", "scikit-learn", "fvcore")


def environment() -> dict[str, Any]:
    """Returns versions, the code's git commit (None outside a repository), host and hardware."""
    return {
        "python": platform.python_version(),
        # The distribution has another name, and a stranger's distribution has this one.
        "versions": {
            "nas": importlib.import_module("nas").__version__,
            **{name: _version(name) for name in PACKAGES},
        },
        "git": _git(),
        "host": platform.node(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": gpus(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    code = str(Path(__file__).parent)
    commit = _output("git", "-C", code, "rev-parse", "HEAD")
    changes = _output("git", "-C", code, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit[0], "modified": bool(changes)} if commit else None


def gpus() -> list[str]:
    """Lists name and memory of each GPU of this machine."""
    return _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")


def gpu_use() -> list[int]:
    """Returns the use of each GPU of this machine in percent; empty if it is unknown."""
    told = _output("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
    return [int(percent) for percent in told if percent.strip().isdigit()]


def _output(*command: str) -> list[str]:
    """Returns the lines that a command prints; empty if it is missing, fails or hangs."""
    if shutil.which(command[0]) is None:
        return []
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):  # as nvidia-smi may do with a faulty GPU
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []

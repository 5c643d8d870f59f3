"""The reference implementations: torchvision and timm, importable beside a CPU-only torch."""

from types import ModuleType

import pytest
import torch


def _declare_missing_operators() -> None:
    # torchvision's compiled operators do not load beside a CPU-only torch of another build; its
    # Python code only needs to find the names of two of them.
    if hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)


_kept: list[torch.library.Library] = []  # a library undoes its definitions when it is collected


def torchvision_models() -> ModuleType:
    """``torchvision.models``; skips the test where torchvision is not installed."""
    _declare_missing_operators()
    return pytest.importorskip("torchvision.models")


def timm() -> ModuleType:
    """``timm``; skips the test where it is not installed."""
    _declare_missing_operators()
    return pytest.importorskip("timm")

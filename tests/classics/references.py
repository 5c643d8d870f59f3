"""The reference implementations: torchvision and timm, importable beside a CPU-only torch."""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


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


def on_cpu(build: Callable[[], nn.Module]) -> nn.Module:
    """``build()`` where it computes its widths with tensors, which need memory."""
    with torch.device("cpu"):
        return build()


@torch.no_grad()
def randomised(build: Callable[[], nn.Module], images: Tensor) -> nn.Module:
    """The network that ``build`` makes, every number in it random, in eval mode.

    Weights carry the signal through the depth, and running statistics are those of ``images``,
    then disturbed: so the output depends on the image and on every norm. The libraries' own
    initialisation, which is slow, is skipped: the network is built without memory.
    """
    with torch.device("meta"):
        network = build()
    network = network.to_empty(device="cpu").eval()
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    owned = {id(buffer) for norm in norms for buffer in norm.buffers()}
    assert all(id(buffer) in owned for buffer in network.buffers()), "constants are lost"
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            fan_in = parameter.numel() / len(parameter)
            bound = (6.0 / fan_in) ** 0.5  # He et al. 2015, as a uniform distribution: faster
            parameter.uniform_(-bound, bound)
        elif name.endswith("bias"):
            parameter.normal_(0.0, 0.1)
        else:
            parameter.uniform_(0.5, 1.5)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
        norm.train()
    network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
        deviation = norm.running_var.sqrt()
        norm.running_mean.add_(0.1 * deviation * torch.randn_like(deviation))
        norm.running_var.mul_(torch.empty_like(deviation).uniform_(0.8, 1.25))
    return network

"""Modules that operations need and torch does not have."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """In training, zeroes each sample with ``probability``, and scales up those that it keeps."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, of shape ``[batch, ...]``, with samples zeroed; in eval mode, ``x``."""
        if not self.training or self.probability == 0.0:
            return x
        keep = 1.0 - self.probability
        kept = torch.empty(x.shape[0], *(1,) * (x.ndim - 1), dtype=x.dtype, device=x.device)
        kept.bernoulli_(keep)
        return x * (kept.div_(keep) if keep > 0.0 else kept)

    def extra_repr(self) -> str:
        """Return what ``print`` shows."""
        return f"probability={self.probability}"

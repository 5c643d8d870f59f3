"""The cost of an operation or an architecture at inference."""

from typing import NamedTuple


class Cost(NamedTuple):
    """Counts at batch 1 in eval mode, for one operation or a whole architecture.

    Attributes:
        params: trainable parameters.
        macs: multiply-accumulates of convolution, linear and matrix products, without bias. Those
            of attention are included. Papers print this as "FLOPs" or "multi-adds".
        flops: the total of ``fvcore.nn.FlopCountAnalysis``: a MAC counts as one; norms and
            adaptive average pooling are added. Attention is not included.
        activations: the number of elements in the outputs of convolutions and linear layers
            (Radosavovic et al. 2020, arXiv:2003.13678, section 3), by fvcore's rule, which does
            not include attention.
    """

    params: int = 0
    macs: int = 0
    flops: int = 0
    activations: int = 0


FREE = Cost()

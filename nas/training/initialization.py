"""How the weights of a new network are drawn."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import init
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from nas.training.recipe import Initialization


def initialize(network: nn.Module, scheme: Initialization) -> None:
    """Draw the weights of all convolutions and linear layers anew; their biases become 0.

    - ``kaiming_normal``, ``kaiming_uniform``: variance 2 / fan-in, which keeps the scale of
      activations through ReLU (He et al. 2015, arXiv:1502.01852, eq. 10).
    - ``xavier_normal``, ``xavier_uniform``: variance 2 / (fan-in + fan-out), which is between
      what keeps activations and what keeps gradients through linear layers (Glorot & Bengio
      2010, eqs. 12 and 16).
    - ``default``: nothing is touched. The network keeps torch's draw: uniform within
      1 / sqrt(fan-in), biases too.

    Fan-in is the number of inputs of one output, ``channels / groups * kernel``. Fan-out is
    torch's, ``channels out * kernel``, also where there are groups. Norms and layer scales are
    left alone. Draws are from torch's global generator, in the order of the modules.
    """
    if scheme == "default":
        return
    draw = _SCHEMES[scheme]
    for module in network.modules():
        if isinstance(module, _ConvNd | nn.Linear):
            transposed = isinstance(module, _ConvTransposeNd)  # its inputs come first
            draw(module.weight.transpose(0, 1) if transposed else module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)


def _kaiming_normal(weight: Tensor) -> Tensor:
    return init.kaiming_normal_(weight, nonlinearity="relu")


def _kaiming_uniform(weight: Tensor) -> Tensor:
    return init.kaiming_uniform_(weight, nonlinearity="relu")


_SCHEMES: dict[str, Callable[[Tensor], Tensor]] = {
    "kaiming_normal": _kaiming_normal,
    "kaiming_uniform": _kaiming_uniform,
    "xavier_normal": init.xavier_normal_,
    "xavier_uniform": init.xavier_uniform_,
}

"""Proxies of weights and gradients: saliencies of pruning, summed over the network.

The sums are over the weights of convolutions and linear layers, without biases and norms, as in the
code of Abdelfattah et al. 2021, "Zero-Cost Proxies for Lightweight NAS" (arXiv:2101.08134), here
called the zero-cost paper. The first five need the one gradient of the loss, which they share.
"""

from math import fsum, nan

import torch

from nas.architecture.graph import Architecture
from nas.architecture.operations import (
    Activation,
    BatchNorm,
    GroupNorm,
    Identity,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    Multiply,
    Scale,
)
from nas.proxies.base import Probe, Proxy, gradients, without


@Proxy
def grad_norm(probe: Probe) -> float:
    """Sums the Euclidean norms of the gradients of each layer (zero-cost paper, section 3)."""
    return fsum(gradient.norm().item() for gradient in probe.gradients[0])


@Proxy
def snip(probe: Probe) -> float:
    """Sums weight times gradient, absolute: SNIP (Lee et al. 2019, arXiv:1810.02340, eqs. 4 and 5).

    It is not divided by the sum over all weights as in the paper, which would make it 1.
    """
    pairs = zip(probe.weights, probe.gradients[0], strict=True)
    return fsum((weight * gradient).abs().sum().item() for weight, gradient in pairs)


@Proxy
def plain(probe: Probe) -> float:
    """Sums weight times gradient with its sign (zero-cost paper, in its code).

    Where a norm follows a layer, the sum over the layer is zero, because its scale does not change
    the loss. So most of the value is that of the last layer.
    """
    pairs = zip(probe.weights, probe.gradients[0], strict=True)
    return fsum((weight * gradient).sum().item() for weight, gradient in pairs)


@Proxy
def l2_norm(probe: Probe) -> float:
    """Sums the Euclidean norms of the weights of each layer (zero-cost paper, in its code)."""
    return fsum(weight.norm().item() for weight in probe.weights)


@Proxy
def fisher(probe: Probe) -> float:
    """Sums the Fisher information of channels over weights (Theis et al. 2018, arXiv:1801.05787;
    Turner et al. 2020, arXiv:1906.04113, section 3).

    For each channel, output times gradient is summed over positions, squared, averaged over images
    and halved. As in the code of the zero-cost paper, outputs are those of convolutions and linear
    layers, gradients are those of the mean loss, and each weight counts with its channel.
    """
    total = []
    operations = {node.name: node.operation for node in probe.architecture.nodes}
    layers = zip(probe.layers, probe.weights, probe.gradients[1], strict=True)
    for name, weight, gradient in layers:
        product = probe.forward[name] * gradient
        axis = -1 if isinstance(operations[name], Linear) else 1
        channels = product.movedim(axis, 1).flatten(2).sum(2) if product.ndim > 2 else product
        of_channel = weight.numel() // channels.shape[1]
        total.append(of_channel * (channels.square().mean(0) / 2).sum().item())
    return fsum(total)


@Proxy
def grasp(probe: Probe) -> float:
    """Sums minus weight times Hessian times gradient: GraSP (Wang et al. 2020, arXiv:2002.07376,
    eq. 8; the sign is the paper's).

    Both gradients are those of one batch, without the paper's temperature, as in the zero-cost
    paper. The value depends much on the initial weights: see results/proxies.md. NaN without
    convolutions and linear layers.
    """
    if not probe.layers:
        return nan
    output = probe.run(probe.batch.images)[probe.architecture.outputs[0]]
    loss = probe.batch.loss(output, probe.batch.labels)
    first = gradients(loss, probe.weights, again=True)
    change = torch.stack([(each.detach() * each).sum() for each in first]).sum()
    second = gradients(change, probe.weights)
    pairs = zip(probe.weights, second, strict=True)
    return -fsum((weight * gradient).sum().item() for weight, gradient in pairs)


@Proxy
def synflow(probe: Probe) -> float:
    """Returns the logarithm of the synaptic flow: SynFlow (Tanaka et al. 2020, arXiv:2006.05467,
    eq. 2), summed over the weights of layers.

    An image of ones passes through the network with the absolute values of all parameters, in
    float64. The score sums weight times gradient of the sum of outputs. Norms, layer scales and
    activations are bypassed; for ReLU this changes nothing, as no value is negative. An activation
    that gates (which is multiplied) is kept, so that its factor stays between 0 and 1. Without
    gates, residual factors and biases, each layer of a chain has the same sum: the sum over all
    paths of the product of the absolute weights. NaN without convolutions and linear layers.
    """
    if not probe.layers:
        return nan
    run = probe.build(_linear(probe.architecture))
    network = run.network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    ones = torch.ones_like(probe.batch.images[:1], dtype=torch.float64)
    weights = run.weights(probe.layers)
    flows = gradients(run(ones)[probe.architecture.outputs[0]].sum(), weights)
    pairs = zip(weights, flows, strict=True)
    total = torch.stack([(weight * flow).sum() for weight, flow in pairs]).sum()
    return total.log().item()


@Proxy
def zico(probe: Probe) -> float:
    """Sums over layers the logarithm of mean absolute gradient over standard deviation: ZiCo (Li et
    al. 2023, arXiv:2301.11300, section 3).

    The gradients are those of two batches, as in the paper's experiments; here they are the halves
    of the batch. Weights whose gradients are equal are left out, as in the paper's code. NaN if
    half of the batch is one image, which norms cannot take.
    """
    if len(probe.batch.labels) < 4:
        return nan
    halves = []
    for part in torch.arange(len(probe.batch.labels), device=probe.batch.labels.device).chunk(2):
        output = probe.run(probe.batch.images[part])[probe.architecture.outputs[0]]
        halves.append(gradients(probe.batch.loss(output, probe.batch.labels[part]), probe.weights))
    total = 0.0
    for pair in zip(*halves, strict=True):
        both = torch.stack(pair)
        spread = both.std(0, correction=0)
        some = spread > 0
        ratio = (both.abs().mean(0)[some] / spread[some]).sum()
        total += ratio.log().item() if ratio > 0 else 0.0
    return total


_BYPASSED = (BatchNorm, GroupNorm, LayerNorm, LocalResponseNorm, Scale)


def _linear(architecture: Architecture) -> Architecture:
    """Bypasses norms, layer scales and the activations that do not gate."""
    bare = without(architecture, *_BYPASSED)
    gates = {
        name for node in bare.nodes if isinstance(node.operation, Multiply) for name in node.inputs
    }
    nodes = [
        node._replace(operation=Identity())
        if isinstance(node.operation, Activation) and node.name not in gates
        else node
        for node in bare.nodes
    ]
    return Architecture(bare.input_shape, nodes, bare.outputs)

"""Networks of pairwise cells, written a second time in plain torch.

Wired as the authors' code writes it down: a cell's states begin with the newer input, then the
older, and a string says which of all states are used up and so left out of the output. Node
names are those of ours, which are timm's.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CELLS = {
    "nasnet_a": (
        ("sep5 sep3 sep5 sep3 avg3 skip avg3 avg3 sep3 skip", "0111011100", "1000000"),
        ("sep5 sep7 max3 sep7 avg3 sep5 skip avg3 sep3 max3", "0101013220", "1110000"),
    ),
    "amoebanet_a": (
        ("avg3 max3 sep3 skip skip avg3 sep3 sep5 avg3 sep3", "0011010250", "1010010"),
        ("sep3 avg3 max3 sep7 max3 max3 sep3 1x7 avg3 sep7", "1002104010", "1100000"),
    ),
    "amoebanet_b": (
        ("1x1 max3 skip sep3 1x1 sep3 1x1 skip avg3 1x1", "1110102215", "0110010"),
        ("max2 max3 skip 3x3 atrous5 max3 skip sep3 avg3 1x1", "0021223143", "1111100"),
    ),
    "amoebanet_c": (
        ("avg3 sep3 skip sep3 avg3 sep3 skip sep3 avg3 sep3", "0000210130", "1001000"),
        ("max3 max3 sep7 sep3 sep7 max3 sep5 sep5 max3 sep3", "0020014411", "0100000"),
    ),
    "amoebanet_d": (
        ("1x1 max3 skip 1x7 1x1 1x7 max3 skip avg3 1x1", "1110002215", "0110010"),
        ("max2 max3 skip 3x3 1x7 max3 skip max2 avg3 1x1", "0021223123", "1111000"),
    ),
}
"""Normal and reduction cell: operations, the states they read, the states used up."""

Spec = tuple[str, str, str]
Axes = tuple[int, int]


def same(x: Tensor, kernel: Axes, stride: Axes, value: float = 0.0) -> Tensor:
    """Padded as TensorFlow's SAME."""
    sides = []
    for size, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides, value=value)


class Conv(nn.Conv2d):
    """Padded as SAME, without bias."""

    def __init__(
        self,
        i: int,
        o: int,
        kernel: Axes = (1, 1),
        stride: Axes = (1, 1),
        rate: int = 1,
        g: int = 1,
    ) -> None:
        super().__init__(i, o, kernel, stride, dilation=rate, groups=g, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        high, wide = (self.dilation[0] * (side - 1) + 1 for side in self.kernel_size)
        return super().forward(same(x, (high, wide), self.stride))


def named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, 1e-3)


def relu_conv(i: int, o: int, conv: nn.Module | None = None, stride: int = 1) -> nn.Module:
    return named(act=nn.ReLU(), conv=conv or Conv(i, o, stride=(stride, stride)), bn=norm(o))


def separable(i: int, o: int, kernel: int, stride: int, rate: int) -> nn.Module:
    layers: dict[str, nn.Module] = {}
    for layer in (1, 2):
        depthwise = Conv(i, i, (kernel, kernel), (stride, stride), rate, i)
        layers[f"act_{layer}"] = nn.ReLU()
        layers[f"separable_{layer}"] = named(
            depthwise_conv2d=depthwise, pointwise_conv2d=Conv(i, o)
        )
        layers[f"bn_sep_{layer}"] = norm(o)
        i, stride = o, 1
    return named(**layers)


def bottleneck(i: int, o: int, kind: str, stride: int) -> nn.Module:
    width, middle = o // 4, {}
    steps = {
        "3x3": [((3, 3), (stride, stride))],
        "1x7": [((1, 7), (1, stride)), ((7, 1), (stride, 1))],
    }
    for kernel, strides in steps[kind]:
        conv = Conv(width, width, kernel, strides)
        middle[f"conv_{kernel[0]}x{kernel[1]}"] = relu_conv(width, width, conv)
    return named(pre_1x1=relu_conv(i, width), **middle, post_1x1=relu_conv(width, o))


class Pool(nn.Module):
    def __init__(self, i: int, o: int, kind: str, stride: int) -> None:
        super().__init__()
        self.kind, self.window = kind[:3], ((int(kind[3]),) * 2, (stride, stride))
        self.conv, self.bn = (Conv(i, o), norm(o)) if i != o else (None, None)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.window
        if self.kind == "max":
            x = F.max_pool2d(same(x, kernel, stride, -torch.inf), kernel, stride)
        elif stride == (1, 1):
            x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        else:
            x = F.avg_pool2d(same(x, kernel, stride), kernel, stride)
        return x if self.conv is None else self.bn(self.conv(x))


def edge(kind: str, i: int, o: int, stride: int) -> nn.Module:
    if kind.startswith(("sep", "atrous")):
        return separable(i, o, int(kind[-1]), stride, 2 if kind.startswith("atrous") else 1)
    if kind in ("3x3", "1x7"):
        return bottleneck(i, o, kind, stride)
    if kind == "1x1" or (kind == "skip" and (stride > 1 or i != o)):
        return relu_conv(i, o, stride=stride)
    return nn.Identity() if kind == "skip" else Pool(i, o, kind, stride)


class Halved(nn.Module):
    """NASNet's factorized reduction, without its ReLU."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.path_1 = named(conv=nn.Conv2d(i, o // 2, 1, 2, bias=False))
        self.path_2 = named(conv=nn.Conv2d(i, o - o // 2, 1, 2, bias=False))
        self.final_path_bn = norm(o)

    def forward(self, x: Tensor) -> Tensor:
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.final_path_bn(torch.cat([self.path_1(x), self.path_2(shifted)], 1))


class Cell(nn.Module):
    """``older`` has twice the size if ``halves``; it is the newer input itself if None."""

    def __init__(
        self, spec: Spec, newer: int, older: int | None, halves: bool, width: int, stride: int
    ) -> None:
        super().__init__()
        operations, reads, used = spec
        self.reads, self.halves, self.raw = [int(n) for n in reads], halves, older is None
        self.conv_1x1 = relu_conv(newer, width)
        self.conv_prev_1x1 = None
        if halves:
            for name, child in Halved(older, width).named_children():
                self.add_module(name, child)
        elif older is not None:
            self.conv_prev_1x1 = relu_conv(older, width)
        channels = [width, newer if older is None else width] + [width] * 5
        self.edges = []
        for index, kind in enumerate(operations.split()):
            state = self.reads[index]
            module = edge(kind, channels[state], width, stride if state < 2 else 1)
            self.add_module(f"comb_iter_{index // 2}_{('left', 'right')[index % 2]}", module)
            self.edges.append(module)
        self.output = [state for state in range(7) if used[state] == "0"]
        for state in self.output:
            # Ours counts the older input first.
            name = f"reduction_{(1, 0)[state] if state < 2 else state}"
            if state < 2 and stride > 1:
                self.add_module(name, Halved(channels[state], width))
            elif channels[state] != width:
                self.add_module(
                    name, named(path_conv=Conv(channels[state], width), path_bn=norm(width))
                )
        self.channels = width * len(self.output)

    def forward(self, newer: Tensor, older: Tensor) -> Tensor:
        states = [self.conv_1x1(newer)]
        if self.raw:
            states.append(newer)
        elif self.halves:
            states.append(Halved.forward(self, F.relu(older)))
        else:
            states.append(self.conv_prev_1x1(older))
        for node in range(5):
            a, b = (self.edges[i](states[self.reads[i]]) for i in (2 * node, 2 * node + 1))
            states.append(a + b)
        parts = []
        for state in self.output:
            shrink = getattr(
                self, f"reduction_{(1, 0)[state] if state < 2 else state}", nn.Identity()
            )
            parts.append(shrink(states[state]))
        return torch.cat(parts, 1)


class CellNetwork(nn.Module):
    """NASNet's skeleton; ``imagenet`` has the stem of two reductions."""

    def __init__(
        self, name: str, cells: int, width: int, stem: int, classes: int, imagenet: bool
    ) -> None:
        super().__init__()
        normal, reduction = CELLS[name]
        conv = nn.Conv2d(3, stem, 3, 2 if imagenet else 1, 0 if imagenet else 1, bias=False)
        self.conv0 = named(conv=conv, bn=norm(stem))
        plan = [("cell_stem_0", width // 4, 2), ("cell_stem_1", width // 2, 2)] if imagenet else []
        for stage in range(3):
            if stage:
                plan.append((f"reduction_cell_{stage - 1}", width * 2**stage, 2))
            numbers = range(cells * stage, cells * (stage + 1))
            plan += [(f"cell_{n}", width * 2**stage, 1) for n in numbers]
        older, newer, halves = None, stem, False
        self.cells = []
        for name, channels, stride in plan:
            spec = reduction if stride == 2 else normal
            cell = Cell(spec, newer, older, halves, channels, stride)
            self.add_module(name, cell)
            self.cells.append(cell)
            older, newer, halves = newer, cell.channels, stride == 2
        self.last_linear = nn.Linear(newer, classes)

    def forward(self, x: Tensor) -> Tensor:
        older = newer = self.conv0(x)
        for cell in self.cells:
            older, newer = newer, cell(newer, older)
        return self.last_linear(F.relu(newer).mean((2, 3)))


def darts_operation(kind: str, channels: int, stride: int) -> nn.Module:
    if kind == "max":
        return nn.MaxPool2d(3, stride, 1)
    if kind == "skip":
        return nn.Identity() if stride == 1 else DartsHalved(channels, channels)
    layers: list[nn.Module] = []
    dilation = 2 if kind == "dil" else 1
    for step in (stride,) if kind == "dil" else (stride, 1):
        layers += [
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, step, dilation, dilation, channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        ]
    return named(op=nn.Sequential(*layers))


class DartsHalved(nn.Module):
    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(i, o // 2, 1, 2, bias=False)
        self.conv_2 = nn.Conv2d(i, o // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(o)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], 1))


class DartsCell(nn.Module):
    """Liu et al. 2019, figures 4 and 5: the second-order cells; states begin with the older."""

    def __init__(self, older: int, newer: int, width: int, reduces: bool, halves: bool) -> None:
        super().__init__()
        operations, self.reads = (
            ("max max skip max max skip skip max", (0, 1, 2, 1, 0, 2, 2, 1))
            if reduces
            else ("sep sep sep sep sep skip skip dil", (0, 1, 0, 1, 1, 0, 0, 2))
        )

        def project(channels: int) -> nn.Module:
            conv = nn.Conv2d(channels, width, 1, bias=False)
            return named(op=nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(width)))

        self.preprocess0 = DartsHalved(older, width) if halves else project(older)
        self.preprocess1 = project(newer)
        pairs = zip(operations.split(), self.reads, strict=True)
        self._ops = nn.ModuleList(
            darts_operation(kind, width, 2 if reduces and state < 2 else 1) for kind, state in pairs
        )

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        states = [self.preprocess0(older), self.preprocess1(newer)]
        for i in range(0, 8, 2):
            a, b = (self._ops[j](states[self.reads[j]]) for j in (i, i + 1))
            states.append(a + b)
        return torch.cat(states[2:], 1)


class Darts(nn.Module):
    """Liu et al. 2019, its network for CIFAR."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        older = newer = 3 * width
        self.stem = nn.Sequential(
            nn.Conv2d(3, newer, 3, padding=1, bias=False), nn.BatchNorm2d(newer)
        )
        self.cells = nn.ModuleList()
        halves = False
        for layer in range(layers):
            reduces = layer in (layers // 3, 2 * layers // 3)
            width *= 1 + reduces
            self.cells.append(DartsCell(older, newer, width, reduces, halves))
            older, newer, halves = newer, 4 * width, reduces
        self.classifier = nn.Linear(newer, 10)

    def forward(self, x: Tensor) -> Tensor:
        older = newer = self.stem(x)
        for cell in self.cells:
            older, newer = newer, cell(older, newer)
        return self.classifier(newer.mean((2, 3)))

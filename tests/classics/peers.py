"""Networks that torchvision and timm do not have, written a second time in plain torch.

From the papers, with the node names of ours, so that their state dicts load.
"""

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from tests.classics.references import torchvision_models


class LeNet5(nn.Module):
    """LeCun et al. 1998, figure 2, with max pooling, ReLU and full connections."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class AlexNet2012(nn.Module):
    """Krizhevsky et al. 2012: the groups as two towers in torch's own grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, 4, 2)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6, self.fc7 = nn.Linear(256 * 6 * 6, 4096), nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.norm(F.relu(self.conv1(x))), 3, 2)
        x = F.max_pool2d(self.norm(F.relu(self.conv2(x))), 3, 2)
        x = F.relu(self.conv4(F.relu(self.conv3(x))))
        x = F.max_pool2d(F.relu(self.conv5(x)), 3, 2).flatten(1)
        x = F.dropout(F.relu(self.fc6(x)), training=self.training)
        return self.fc8(F.dropout(F.relu(self.fc7(x)), training=self.training))

    @staticmethod
    def norm(x: Tensor) -> Tensor:
        """The formula of section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75."""
        squares = F.pad(x**2, (0, 0, 0, 0, 2, 2))
        total = sum(squares[:, i : i + x.shape[1]] for i in range(5))
        return x / (2 + 1e-4 * total) ** 0.75


def vgg(kernels: list[list[int]], norm: str | None = None) -> nn.Module:
    """torchvision's VGG around features of ours: Simonyan & Zisserman 2015, table 1."""
    layers: list[nn.Module] = []
    channels = 3
    for width, stage in zip((64, 128, 256, 512, 512), kernels, strict=True):
        for kernel in stage:
            layers.append(nn.Conv2d(channels, width, kernel, padding=kernel // 2))
            layers += [nn.BatchNorm2d(width)] if norm == "batch" else []
            layers.append(nn.ReLU())
            if norm == "local" and len(layers) == 2:
                layers.append(nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0))
            channels = width
        layers.append(nn.MaxPool2d(2))
    return torchvision_models().VGG(nn.Sequential(*layers), init_weights=False)


class ResidualBlock(nn.Module):
    """He et al. 2016, section 4.2: shortcuts are option A; ``squeeze`` as in Hu et al. 2018."""

    def __init__(self, channels: int, out: int, squeeze: int | None) -> None:
        super().__init__()
        self.stride, self.missing = out // channels, out - channels
        self.conv1 = nn.Conv2d(channels, out, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.se: nn.Module | None = None
        if squeeze:
            steps = {
                "pool": nn.AdaptiveAvgPool2d(1),
                "fc1": nn.Conv2d(out, out // squeeze, 1),
                "relu": nn.ReLU(),
                "fc2": nn.Conv2d(out // squeeze, out, 1),
                "gate": nn.Sigmoid(),
            }
            self.se = nn.Sequential(OrderedDict(steps))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        y = y if self.se is None else y * self.se(y)
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))
        return F.relu(y + shortcut)


class ResNetCifar(nn.Module):
    """He et al. 2016, section 4.2."""

    def __init__(self, blocks: int, squeeze: int | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, (channels, out) in enumerate(((16, 16), (16, 32), (32, 64)), start=1):
            widths = [channels, *[out] * blocks]
            stages = nn.Sequential(*(ResidualBlock(*pair, squeeze) for pair in pairwise(widths)))
            self.add_module(f"layer{stage}", stages)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class WideBlock(nn.Module):
    """Zagoruyko & Komodakis 2016, figure 1c, as xternalz/WideResNet-pytorch orders it."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.convShortcut = None
        if channels != out:
            self.convShortcut = nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return y + (x if self.convShortcut is None else self.convShortcut(active))


class WideResNet(nn.Module):
    """WRN-(6n+4)-k (Zagoruyko & Komodakis 2016, table 1)."""

    def __init__(self, blocks: int, factor: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        channels = 16
        for stage in (1, 2, 3):
            out, stride = 16 * factor * 2 ** (stage - 1), 1 if stage == 1 else 2
            layers = [WideBlock(channels, out, stride)]
            layers += [WideBlock(out, out, 1) for _ in range(blocks - 1)]
            steps = OrderedDict(layer=nn.Sequential(*layers))
            self.add_module(f"block{stage}", nn.Sequential(steps))
            channels = out
        self.bn1 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.block3(self.block2(self.block1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


def densenet_bc(layers: int, growth: int) -> nn.Module:
    """torchvision's DenseNet with the stem that Huang et al. 2017, section 3, has for CIFAR."""
    model = torchvision_models().DenseNet(growth, (layers,) * 3, 2 * growth, num_classes=10)
    for name in ("norm0", "relu0", "pool0"):
        delattr(model.features, name)
    model.features.conv0 = nn.Conv2d(3, 2 * growth, 3, padding=1, bias=False)
    return model

"""What the suites of this folder draw from: an example of every operation, and random graphs."""

from contextlib import suppress
from random import Random

from hypothesis import strategies as st

from nas.architecture.graph import Architecture
from nas.architecture.node import INPUT, Node
from nas.architecture.operations import (
    Activation,
    AdaptiveAvgPool,
    Add,
    ArchitectureError,
    Attention,
    AvgPool,
    BatchNorm,
    Boxes,
    ChannelShuffle,
    Concat,
    Conv,
    ConvTranspose,
    Dropout,
    DropPath,
    Flatten,
    GroupNorm,
    Identity,
    L2Norm,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    LogMeanSoftmax,
    MaxPool,
    MaxUnpool,
    Mean,
    Multiply,
    Operation,
    Pad,
    Permute,
    Rescale,
    Resize,
    Scale,
    Shape,
    Slice,
    Unflatten,
    Upsample,
    Zero,
    infer,
)

SEQUENCE, IMAGE, VOLUME, FEATURES = (4, 11), (4, 9, 7), (4, 5, 6, 7), (12,)

EXAMPLES: list[tuple[Operation, tuple[Shape, ...]]] = [
    (Conv(3, channels=5), (SEQUENCE,)),
    (Conv((3, 1), (2, 1), (1, 0), channels=6, dilation=(2, 1), groups=2, bias=False), (IMAGE,)),
    (Conv((5, 5), channels=4, groups=4, padding=(2, 2)), (IMAGE,)),
    (Conv((2, 3, 1), (2, 2, 2), (0, 1, 0), channels=3), (VOLUME,)),
    (ConvTranspose(3, 2, channels=5), (SEQUENCE,)),
    (
        ConvTranspose(
            (3, 2),
            (3, 2),
            (1, 0),
            channels=6,
            dilation=(1, 2),
            output_padding=(2, 1),
            groups=2,
            bias=False,
        ),
        (IMAGE,),
    ),
    (ConvTranspose((2, 1, 3), (2, 1, 1), channels=3, groups=1), (VOLUME,)),
    (MaxPool(3, 2), (SEQUENCE,)),
    (MaxPool((3, 2), (2, 2), (1, 1), dilation=(2, 1), ceil_mode=True), (IMAGE,)),
    (MaxPool((2, 2, 2), (2, 2, 2), (0, 0, 0)), (VOLUME,)),
    (MaxUnpool(2, 3, 1), ((4, 4), SEQUENCE)),
    (MaxUnpool((2, 3), (2, 3)), ((4, 4, 2), IMAGE)),
    (MaxUnpool((2, 2, 1), (2, 2, 2), (1, 0, 0)), ((4, 3, 3, 4), VOLUME)),
    (AvgPool(2, 2, 1, count_include_pad=False), (SEQUENCE,)),
    (AvgPool((3, 3), (2, 2), (1, 1), ceil_mode=True), (IMAGE,)),
    (AvgPool((2, 3, 2), (1, 2, 3), (0, 0, 0)), (VOLUME,)),
    (AdaptiveAvgPool(3), (SEQUENCE,)),
    (AdaptiveAvgPool((2, 3)), (IMAGE,)),
    (AdaptiveAvgPool((1, 1, 2)), (VOLUME,)),
    (Mean(), (SEQUENCE,)),
    (Mean(keep_axes=True), (IMAGE,)),
    (Mean(), (VOLUME,)),
    (Pad(((2, 1),)), (SEQUENCE,)),
    (Pad(((0, 1), (2, 0)), "lowest"), (IMAGE,)),
    (Pad(((0, 1), (2, 0), (0, 0))), (VOLUME,)),
    (Pad(((-1, 1), (2, -3))), (IMAGE,)),
    (Upsample(3), (SEQUENCE,)),
    (Upsample(2, "linear"), (SEQUENCE,)),
    (Upsample((2, 3)), (IMAGE,)),
    (Upsample((2, 1), "linear"), (IMAGE,)),
    (Upsample((1, 2, 1)), (VOLUME,)),
    (Upsample((2, 2, 2), "linear"), (VOLUME,)),
    (Resize(7), (SEQUENCE,)),
    (Resize((3, 10)), (IMAGE,)),
    (Resize((18, 5), "linear"), (IMAGE,)),
    (Resize((7, 3, 7), "linear"), (VOLUME,)),
    (Linear(5), (FEATURES,)),
    (Linear(5, bias=False), (IMAGE,)),
    (Attention(1), (SEQUENCE, SEQUENCE, SEQUENCE)),
    (Attention(2), ((5, 6), (5, 6), (5, 6))),
    (Attention(7), (IMAGE, IMAGE, IMAGE)),
    (Attention(1), (VOLUME, VOLUME, VOLUME)),
    (Scale(), (FEATURES,)),
    (Scale(0.5), (IMAGE,)),
    (Scale(1), (VOLUME,)),
    (BatchNorm(), (FEATURES,)),
    (BatchNorm(affine=False), (SEQUENCE,)),
    (BatchNorm(epsilon=1e-3, momentum=0.01), (IMAGE,)),
    (BatchNorm(), (VOLUME,)),
    (LayerNorm(), (FEATURES,)),
    (LayerNorm(affine=False), (SEQUENCE,)),
    (LayerNorm(epsilon=1e-6), (IMAGE,)),
    (LayerNorm("last"), (IMAGE,)),
    (LayerNorm("last", affine=False), (VOLUME,)),
    (GroupNorm(3), (FEATURES,)),
    (GroupNorm(2, 1e-3), (SEQUENCE,)),
    (GroupNorm(1, affine=False), (IMAGE,)),
    (GroupNorm(4), (VOLUME,)),
    (LocalResponseNorm(), (SEQUENCE,)),
    (LocalResponseNorm(3, 1e-3, 0.5, 2.0), (IMAGE,)),
    (L2Norm(), (FEATURES,)),
    (L2Norm(1e-6), (IMAGE,)),
    (LogMeanSoftmax(), (FEATURES, FEATURES, FEATURES)),
    (LogMeanSoftmax(), (IMAGE, IMAGE)),
    *((Activation(name), (IMAGE,)) for name in ("relu", "relu6", "sigmoid", "tanh")),
    *((Activation(name), (FEATURES,)) for name in ("hard_sigmoid", "silu", "hard_swish", "gelu")),
    (Dropout(0.2), (IMAGE,)),
    (DropPath(0.3), (IMAGE,)),
    (DropPath(1), (FEATURES,)),
    (Identity(), (VOLUME,)),
    (Zero(), (FEATURES,)),
    (Zero(2), (IMAGE,)),
    (Zero(3), (SEQUENCE,)),
    (Add(), (IMAGE,)),
    (Add(), (SEQUENCE, SEQUENCE, SEQUENCE)),
    (Multiply(), (FEATURES, FEATURES)),
    (Multiply(), (IMAGE, (4, 1, 1))),
    (Rescale(0.2), (FEATURES,)),
    (Rescale(2), (IMAGE,)),
    (Concat(), (FEATURES, (3,))),
    (Concat(), (IMAGE, (2, 9, 7), IMAGE)),
    (Slice(1, 3), (IMAGE,)),
    (Slice(0, 12), (FEATURES,)),
    (Flatten(), (VOLUME,)),
    (Flatten(), (FEATURES,)),
    (Flatten(1), (IMAGE,)),
    (Flatten(0, 1), (IMAGE,)),
    (Flatten(-2, -2), (VOLUME,)),
    (Unflatten(0, (1, 12)), (FEATURES,)),
    (Unflatten(0, (1, 4)), (IMAGE,)),
    (Unflatten(1, (3, 3)), (IMAGE,)),
    (Permute((0,)), (FEATURES,)),
    (Permute((1, 2, 0)), (IMAGE,)),
    (Permute((3, 0, 2, 1)), (VOLUME,)),
    (ChannelShuffle(3), (FEATURES,)),
    (ChannelShuffle(2), (IMAGE,)),
    (ChannelShuffle(4), (VOLUME,)),
    (Boxes((8, 4), ((5, 9.5),)), ((7, 4, 6),)),
    (Boxes(8, ((5, 9.5), (3, 3)), "distances"), ((12, 3, 2),)),
]


def example_id(example: tuple[Operation, tuple[Shape, ...]]) -> str:
    operation, inputs = example
    return f"{operation.kind}-{'+'.join('x'.join(map(str, shape)) for shape in inputs)}"


def one_operation(operation: Operation, inputs: tuple[Shape, ...]) -> Architecture:
    """The operation alone, on the first shape; others are made of it by free operations."""
    nodes, names = [], []
    for index, shape in enumerate(inputs):
        name, now = INPUT, inputs[0]
        if shape[0] < now[0]:
            nodes.append(Node(f"slice{index}", Slice(0, shape[0]), (name,)))
            name, now = nodes[-1].name, (shape[0], *now[1:])
        if len(shape) > 1 and max(shape[1:]) > 1 and shape != now:
            amounts = tuple((0, size - has) for size, has in zip(shape[1:], now[1:], strict=True))
            nodes.append(Node(f"pad{index}", Pad(amounts), (name,)))
            name, now = nodes[-1].name, shape
        if shape != now:
            nodes.append(Node(f"mean{index}", Mean(keep_axes=True), (name,)))
            name = nodes[-1].name
        names.append(name)
    return Architecture(inputs[0], [*nodes, Node("it", operation, tuple(names))], ["it"])


def _operation(random: Random, shape: Shape) -> Operation:
    """An operation that may fit the shape; :func:`architectures` draws again if it does not."""
    rank, coin = len(shape) - 1, random.random() < 0.5
    everywhere = [
        Linear(random.randint(1, 6), coin),
        BatchNorm(affine=coin),
        Activation(random.choice(["relu", "tanh", "gelu"])),
        *(Dropout(0.5), Identity(), Zero(), Add(), Add(), Multiply(), Concat()),
        Flatten(random.randint(0, rank)),
        Slice(0, 1 + shape[0] // 2),
        *(Scale(0.5), Rescale(0.5), DropPath(0.5), GroupNorm(1 + coin), ChannelShuffle(2)),
        *(LayerNorm("last" if coin else "channels"), L2Norm(), Attention(1 + coin)),
        Permute(tuple(random.sample(range(rank + 1), rank + 1))),
    ]
    if rank == 0:
        return random.choice(everywhere)
    window = {
        "kernel": tuple(random.randint(1, 3) for _ in range(rank)),
        "stride": tuple(random.randint(1, 2) for _ in range(rank)),
    }
    dilation = tuple(random.randint(1, 2) for _ in range(rank))
    spatial = [
        Conv(**window, channels=random.randint(1, 6), dilation=dilation, bias=coin),
        Conv(**window, padding=(1,) * rank, channels=2 * shape[0], groups=shape[0]),
        MaxPool(**window, dilation=dilation, ceil_mode=coin),
        AvgPool((2,) * rank, (2,) * rank, (1,) * rank, count_include_pad=coin),
        *(AdaptiveAvgPool((2,) * rank), Mean(coin), LocalResponseNorm()),
        Pad(((0, 1),) * rank, "zero" if coin else "lowest"),
        ConvTranspose(**window, channels=random.randint(1, 6), bias=coin),
        Upsample((2,) * rank, "linear" if coin else "nearest"),
        Resize(tuple(random.randint(2, 7) for _ in range(rank)), "linear" if coin else "nearest"),
    ]
    return random.choice(everywhere + spatial)


@st.composite
def architectures(
    draw: st.DrawFn, max_nodes: int = 15, heads: bool = True, min_rank: int = 0
) -> Architecture:
    """A valid random graph over all operations, on features or one to three spatial axes.

    Hypothesis draws the size and a seed: graphs drawn choice by choice come out too small.
    """
    size = draw(st.integers(2, max_nodes))
    random = Random(draw(st.integers(0, 2**32)))
    rank = random.randint(min_rank, 3)
    shapes = {INPUT: (random.randint(1, 4), *(random.randint(3, 6) for _ in range(rank)))}
    nodes: list[Node] = []

    def add(operation: Operation, *inputs: str) -> None:
        name = f"{random.choice(['', 'stem.', 'stage.0.'])}n{len(nodes)}"
        shapes[name], _ = infer(operation, tuple(shapes[source] for source in inputs))
        nodes.append(Node(name, operation, inputs))

    while len(nodes) < size:
        first = random.choice(list(shapes)[-4:])
        operation = _operation(random, shapes[first])
        count = operation.arity or random.randint(1, 3)
        fitting = [name for name, shape in shapes.items() if shape[1:] == shapes[first][1:]]
        with suppress(ArchitectureError):  # another draw
            add(operation, first, *random.choices(fitting, k=count - 1))
    if random.random() < 0.7:  # keep all nodes alive
        ends = shapes.keys() - {name for node in nodes for name in node.inputs}
        names = []
        for end in sorted(ends):
            add(Flatten(), end)
            names.append(nodes[-1].name)
        add(Concat(), *names)
    outputs = [nodes[-1].name]
    if heads and random.random() < 0.5:
        outputs = list(dict.fromkeys([*outputs, random.choice(list(shapes))]))
    return Architecture(shapes[INPUT], nodes, outputs)


@st.composite
def with_attention(draw: st.DrawFn) -> Architecture:
    """A random graph, and attention of what its input or its last map with positions holds."""
    body = draw(architectures(max_nodes=10, heads=False, min_rank=1))
    random = Random(draw(st.integers(0, 2**32)))
    nodes = list(body.nodes)
    source = [name for name, shape in body.shapes.items() if len(shape) > 1][-1]

    def add(name: str, operation: Operation, *inputs: str) -> str:
        nodes.append(Node(f"last.{name}", operation, inputs))
        return nodes[-1].name

    heads, width = random.randint(1, 3), random.randint(1, 4)
    query, key = (add(name, Linear(heads * width), source) for name in ("query", "key"))
    value = add("value", Linear(heads * random.randint(1, 4)), source)
    query = add("fewer", Slice(0, random.randint(1, body.shapes[source][0])), query)
    seen = add("attention", Attention(heads), query, key, value)
    ends = [add(f"flat{i}", Flatten(), end) for i, end in enumerate((seen, body.outputs[0]))]
    return Architecture(body.input_shape, nodes, [add("both", Concat(), *ends)])

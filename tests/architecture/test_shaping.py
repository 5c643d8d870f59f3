"""What the operations that move and resize compute: closed forms and torch's own."""

import itertools

import pytest
import torch
from torch.nn import functional

from nas.architecture.builder import Builder, Handle
from nas.architecture.cost import FREE, Cost
from nas.architecture.network import compile
from nas.architecture.operations import ArchitectureError, Flatten
from nas.architecture.operations.shaping import Interpolation
from nas.architecture.receptive_field import fields


def run(g: Builder, x: Handle, batch: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = compile(g.build(x))(batch)
    assert tuple(out.shape[1:]) == x.shape
    return out


def numbered(*shape: int) -> torch.Tensor:
    return torch.arange(float(torch.Size(shape).numel())).reshape(1, *shape)


@pytest.mark.parametrize(("start", "end"), [(0, -1), (1, -1), (0, 1), (1, 2), (2, 2), (-3, -2)])
def test_flattening_some_axes_is_torchs(start: int, end: int) -> None:
    """torch counts the batch; other windows than those of the joined axes stay exact."""
    g, batch = Builder((2, 3, 4, 5)), torch.randn(2, 2, 3, 4, 5)
    x = g.flatten(g.input, start, end)
    first, last = (axis + 1 if axis >= 0 else axis for axis in (start, end))
    assert torch.equal(run(g, x, batch), batch.flatten(first, last))
    sizes = [each.size for each in fields(g.build(x))[x.name]]
    joined = range(4)[start], range(4)[end]
    kept = [
        axis not in range(joined[0], joined[1] + 1) or joined[0] == joined[1] for axis in (1, 2, 3)
    ]
    assert sizes == [1 if own else size for own, size in zip(kept, (3, 4, 5), strict=True)]


@pytest.mark.parametrize(("start", "end"), [(1, 0), (3, -1), (0, 3), (-4, -1)])
def test_axes_that_are_not_there_are_not_flattened(start: int, end: int) -> None:
    g = Builder((2, 3, 4))
    with pytest.raises(ArchitectureError, match=r"start and end must be axes of \(2, 3, 4\)"):
        g.flatten(g.input, start, end)


def test_a_full_flatten_is_written_as_ever() -> None:
    assert Flatten().attributes() == {}
    assert Flatten(1).attributes() == {"start": 1}
    g = Builder((2, 3))
    assert '"operation": "flatten", "inputs": ["input"]}' in g.build(g.flatten(g.input)).to_json()


def test_channel_shuffle() -> None:
    """Shuffled by g and then by C / g, the channels are back; torch agrees on the order."""
    g = Builder((6, 2, 2))
    batch = numbered(6, 2, 2)
    shuffled = g.channel_shuffle(g.input, 2)
    out = run(g, shuffled, batch)
    assert out[0, :, 0, 0].div(4).tolist() == [0, 3, 1, 4, 2, 5]
    assert torch.equal(out, functional.channel_shuffle(batch, 2))
    assert torch.equal(run(g, g.channel_shuffle(shuffled, 3), batch), batch)


def test_permute_there_and_back() -> None:
    g = Builder((3, 4, 5))
    batch = numbered(3, 4, 5)
    last = g.permute(g.input, (1, 2, 0))
    assert last.shape == (4, 5, 3)
    assert torch.equal(run(g, last, batch), batch.permute(0, 2, 3, 1))
    assert torch.equal(run(g, g.permute(last, [2, 0, 1]), batch), batch)


def test_negative_padding_crops() -> None:
    """One row and column off the beginning, one of zeros at the end: NASNet's shifted path."""
    g = Builder((2, 4, 4))
    batch = 1 + numbered(2, 4, 4)
    out = run(g, g.pad(g.input, [(-1, 1), (-1, 1)]), batch)
    assert torch.equal(out[..., :3, :3], batch[..., 1:, 1:])
    assert not out[..., 3, :].any()
    assert not out[..., 3].any()


def test_upsampling() -> None:
    g = Builder((2, 3, 2))
    batch = torch.randn(1, 2, 3, 2)
    repeated = batch.repeat_interleave(2, 2).repeat_interleave(3, 3)
    assert torch.equal(run(g, g.upsample(g.input, (2, 3)), batch), repeated)
    ramp = torch.tensor([0.0, 1.0]).expand(1, 2, 3, 2)
    out = run(g, g.upsample(g.input, 2, "linear"), ramp)
    assert out[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_upsampling_cost() -> None:
    """fvcore's: 1 an output element for nearest and 4 for bilinear, nothing in 1-d and 3-d."""
    for shape, mode, flops in [
        ((2, 3, 2), "nearest", 2 * 6 * 4),
        ((2, 3, 2), "linear", 4 * 2 * 6 * 4),
        ((2, 3), "linear", 0),
        ((2, 3, 2, 2), "nearest", 0),
    ]:
        g = Builder(shape)
        assert g.build(g.upsample(g.input, 2, mode)).cost == Cost(flops=flops)


def test_moving_is_free() -> None:
    g = Builder((4, 3, 3))
    x = g.drop_path(g.permute(g.channel_shuffle(g.input, 2), (2, 1, 0)), 0.1)
    assert g.build(x).cost == FREE


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (9, 4), (3, 12)])
def test_resizing_is_torchs_interpolation(size: tuple[int, int], mode: Interpolation) -> None:
    g = Builder((2, 5, 6))
    batch = torch.randn(1, 2, 5, 6)
    how = {"nearest": "nearest", "linear": "bilinear"}[mode]
    expected = functional.interpolate(batch, size, mode=how)
    assert torch.equal(run(g, g.resize(g.input, size, mode), batch), expected)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resizing_by_a_factor_is_upsampling(mode: Interpolation) -> None:
    g = Builder((2, 5, 6))
    one, other = g.upsample(g.input, (2, 3), mode), g.resize(g.input, (10, 18), mode)
    built = [g.build(x) for x in (one, other)]
    assert built[0].cost == built[1].cost
    assert fields(built[0])[one.name] == fields(built[1])[other.name]


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_resized_position_sees_no_more_than_its_field(mode: Interpolation) -> None:
    """By the gradients of all positions; one position more at either end would be too many."""
    for source, size in itertools.product(range(1, 9), repeat=2):
        g = Builder((1, source))
        x = g.resize(g.input, size, mode)
        (field,) = fields(g.build(x))[x.name]
        batch = torch.zeros(1, 1, source, requires_grad=True)
        out = compile(g.build(x))(batch)[0, 0]
        beyond = []
        for position, value in enumerate(out):
            (gradient,) = torch.autograd.grad(value, batch, retain_graph=True)
            seen = gradient[0, 0].nonzero().flatten().tolist()
            first = position * field.stride - field.padding
            beyond.append((seen[0] - first, first + field.size - seen[-1]))
        assert all(before >= 0 and behind > 0 for before, behind in beyond), (source, size)


def test_l2_norm() -> None:
    g = Builder((3, 2, 2))
    batch = torch.randn(4, 3, 2, 2)
    out = run(g, g.l2_norm(g.input), batch)
    assert torch.allclose(out, batch / batch.square().sum(1, keepdim=True).sqrt())
    assert not run(g, g.l2_norm(g.input), torch.zeros(1, 3, 2, 2)).any()

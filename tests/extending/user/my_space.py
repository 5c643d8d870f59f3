"""A space: one convolution of some width and kernel."""

import nas


def space(choose, *, input_shape, classes, widths: tuple[int, ...] = (2, 3, 4, 6)):
    g = nas.Builder(input_shape)
    kernel = choose("kernel", [1, 3, 5])
    x = g.relu(g.conv(g.input, choose("width", widths), kernel=kernel, padding="same"))
    return g.build(g.linear(g.global_pool(x), classes))

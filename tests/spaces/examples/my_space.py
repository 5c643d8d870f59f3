import nas
from nas.blocks import conv_norm


def space(choose, *, input_shape, classes):
    g = nas.Builder(input_shape)
    x = conv_norm(g, g.input, 16, names=("stem", "stem_norm"))
    width = choose("width", [16, 32, 64])
    for i in range(choose("depth", [2, 3, 4])):
        with g.scope(f"layer{i}"):
            kernel = choose(f"kernel{i}", [1, 3, 5])
            x = conv_norm(g, x, width, stride=1 if i else 2, kernel=kernel)
    return g.build(g.linear(g.global_pool(x), classes))

"""NASNet, AmoebaNet, PNASNet and DARTS: networks that repeat a published cell."""

from nas.architecture.graph import Architecture
from nas.architecture.operations import Shape
from nas.blocks.scaling import scaled
from nas.classics.cells import PUBLISHED, Stem, pairwise_network


def pairwise(
    input_shape: Shape,
    classes: int,
    published: str,
    cells: int,
    channels: int,
    stem_channels: int,
    reach_back: bool = False,
    *,
    width: float = 1.0,
    stem: Stem = "imagenet",
    drop_path: float = 0.0,
    dropout: float = 0.0,
    auxiliary: bool = False,
) -> Architecture:
    """Build three stages of ``cells`` cells with two reductions; ``published`` names the cells.

    NASNet and AmoebaNet write N for ``cells`` and F for ``channels``. The large forms of NASNet-A
    and PNASNet-5 are timm's; DARTS has the names of the authors' code. The published networks were
    trained with these options:

    - NASNet-A: ``dropout=0.5`` (not for CIFAR), an ``auxiliary`` head and scheduled drop path:
      0.3 in the large form, 0.4 for CIFAR, none in the mobile form. ``drop_path`` is the
      probability of the last cell and falls linearly to the first cell. The authors also raise it
      in the course of training; the recipe can do that.
    - AmoebaNet: ``dropout=0.5``, an ``auxiliary`` head and drop path of 0.3 in the large form. It
      is the same in all cells, where ours falls linearly to the first.
    - PNASNet-5: ``drop_path=0.4``, ``dropout=0.5`` and an ``auxiliary`` head. The authors' code
      does not drop the strided skip.
    - DARTS: ``drop_path=0.2``, raised linearly in the course of training, and the ``auxiliary``
      head.
    """
    normal, reduction, dialect = PUBLISHED[published]
    return pairwise_network(
        input_shape,
        classes,
        normal,
        reduction,
        dialect,
        stages=(cells,) * 3,
        channels=scaled(channels, width),
        stem_channels=scaled(stem_channels, width),
        stem=stem,
        reach_back=reach_back,
        drop_path=drop_path,
        dropout=dropout,
        auxiliary=auxiliary,
    )

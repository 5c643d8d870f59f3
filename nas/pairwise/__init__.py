"""Networks of repeated pairwise cells: NASNet, AmoebaNet, PNASNet, ENAS, DARTS.

The classics of these families call :func:`~nas.pairwise.network.pairwise_network`: each is a pair
of cells and a few numbers.
"""

from nas.pairwise.dialects import DARTS, DIALECTS, NASNET, PNASNET, Dialect
from nas.pairwise.network import Cell, Stem, pairwise_network
from nas.pairwise.operations import OPERATIONS

__all__ = [
    "DARTS",
    "DIALECTS",
    "NASNET",
    "OPERATIONS",
    "PNASNET",
    "Cell",
    "Dialect",
    "Stem",
    "pairwise_network",
]

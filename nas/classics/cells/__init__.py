"""Networks of repeated pairwise cells: NASNet, AmoebaNet, PNASNet, ENAS, DARTS.

Each network is described by a pair of cells and a few numbers. The classics and the search spaces
of these families build it by :func:`~nas.classics.cells.network.pairwise_network`.
"""

from nas.classics.cells.dialects import DARTS, DIALECTS, ENAS, NASNET, PNASNET, Dialect
from nas.classics.cells.network import Cell, Stem, pairwise_network
from nas.classics.cells.operations import operations
from nas.classics.cells.published import PUBLISHED, Published

__all__ = [
    "DARTS",
    "DIALECTS",
    "ENAS",
    "NASNET",
    "PNASNET",
    "PUBLISHED",
    "Cell",
    "Dialect",
    "Published",
    "Stem",
    "operations",
    "pairwise_network",
]

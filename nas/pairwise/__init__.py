"""Networks of repeated pairwise cells: NASNet, AmoebaNet, PNASNet, ENAS, DARTS.

The classics and the search spaces of these families call
:func:`~nas.pairwise.network.pairwise_network`: each network is a pair of cells and a few numbers.
"""

from nas.pairwise.dialects import DARTS, DIALECTS, ENAS, NASNET, PNASNET, Dialect
from nas.pairwise.network import Cell, Stem, pairwise_network
from nas.pairwise.operations import OPERATIONS
from nas.pairwise.published import PUBLISHED, Published

__all__ = [
    "DARTS",
    "DIALECTS",
    "ENAS",
    "NASNET",
    "OPERATIONS",
    "PNASNET",
    "PUBLISHED",
    "Cell",
    "Dialect",
    "Published",
    "Stem",
    "pairwise_network",
]

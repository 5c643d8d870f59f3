"""Neural architecture search and benchmarking: one language, one recipe, one cost model, one table.

>>> import nas
>>> resnet = nas.classic("resnet50")                    # an architecture: an immutable graph
>>> nas.cost(resnet).macs                               # counted from the graph alone
4089184256
>>> network = nas.compile(resnet)                       # a torch.fx.GraphModule
>>> space = nas.space("primitives")
>>> genotype = space.sample(numpy.random.default_rng(0))
>>> architecture = space.decode(genotype)
>>> trials = nas.results("results/quickstart")          # a pandas.DataFrame, one row per trial

Importing ``nas`` loads no torch, ray or optuna; each name below is imported when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nas.analysis.tables import trials as _trials
    from nas.architecture.builder import Builder as Builder
    from nas.architecture.cost import Cost as Cost
    from nas.architecture.graph import Architecture as Architecture
    from nas.architecture.graph import cost as cost
    from nas.architecture.network import compile as compile
    from nas.architecture.sliding import sliding_windows as sliding_windows
    from nas.architecture.surgery import convolutionalize as convolutionalize
    from nas.architecture.surgery import with_classes as with_classes
    from nas.architecture.weights import load_weights as load_weights
    from nas.campaigns.drive.run import run as run
    from nas.campaigns.engines.base import Engine as Engine
    from nas.classics import classic as classic
    from nas.errors import InputError as InputError
    from nas.metrics import Metric as Metric
    from nas.searchers import Observation as Observation
    from nas.searchers import Proposal as Proposal
    from nas.searchers import Searcher as Searcher
    from nas.searchers import searcher as searcher
    from nas.spaces import space as space
    from nas.spaces.search_space import SearchSpace as SearchSpace
    from nas.tasks.base import Task as Task

    results = _trials.trials

_PUBLIC = {
    "Architecture": "nas.architecture.graph",
    "Builder": "nas.architecture.builder",
    "Cost": "nas.architecture.cost",
    "InputError": "nas.errors",
    "Engine": "nas.campaigns.engines.base",
    "Metric": "nas.metrics",
    "Observation": "nas.searchers",
    "Proposal": "nas.searchers",
    "SearchSpace": "nas.spaces.search_space",
    "Searcher": "nas.searchers",
    "Task": "nas.tasks.base",
    "classic": "nas.classics",
    "compile": "nas.architecture.network",
    "convolutionalize": "nas.architecture.surgery",
    "cost": "nas.architecture.graph",
    "load_weights": "nas.architecture.weights",
    "results": "nas.analysis.tables.trials:trials",
    "run": "nas.campaigns.drive.run",
    "searcher": "nas.searchers",
    "sliding_windows": "nas.architecture.sliding",
    "space": "nas.spaces",
    "with_classes": "nas.architecture.surgery",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'nas' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    return getattr(importlib.import_module(module), attribute or name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])

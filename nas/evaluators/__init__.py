"""Evaluators: they train a network, or look one up in a table, and return its metrics."""

from nas.registry import Registry

EVALUATORS = Registry(
    "evaluator",
    {
        "training": "nas.evaluators.base:Training",
        "proxy": "nas.evaluators.base:Proxies",
        "tabular": "nas.evaluators.lookup:TableLookup",
        "gradient": "nas.evaluators.gradient:Gradient",
        "supernet": "nas.evaluators.supernet:SharedWeights",
    },
)
"""The evaluators that ``evaluator.name`` may name; it may also name a user's function."""

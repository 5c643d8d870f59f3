"""What gives a trial its observation."""

from nas.registry import Registry

EVALUATORS = Registry(
    "evaluator",
    {
        "training": "nas.evaluators.base:Training",
        "tabular": "nas.evaluators.lookup:TableLookup",
    },
)
"""What ``evaluator.name`` may say: these, or a function from a trial's request to its metrics."""

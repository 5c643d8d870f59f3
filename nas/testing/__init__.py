"""Checks whether code of your own keeps the promises that campaigns rely on.

Each of these functions takes one part and runs the checks that the built-in parts of its kind
pass. If a promise is broken, it raises :class:`AssertionError` with an explanation. No test
framework is needed:

>>> from nas.testing import check_searcher
>>> check_searcher("mine.py:Mine", {"population_size": 8})

With pytest, you can make one test of each check:

>>> import pytest
>>> from nas.testing.searchers import CHECKS, SearcherCase
>>> @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
... def test_mine(check):
...     check(SearcherCase("mine.py:Mine", {"population_size": 8}))
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.testing.evaluators import check_evaluator as check_evaluator
    from nas.testing.predictors import check_predictor as check_predictor
    from nas.testing.searchers import check_searcher as check_searcher
    from nas.testing.spaces import check_space as check_space
    from nas.testing.tasks import check_task as check_task

_PUBLIC = {
    "check_evaluator": "nas.testing.evaluators",
    "check_predictor": "nas.testing.predictors",
    "check_searcher": "nas.testing.searchers",
    "check_space": "nas.testing.spaces",
    "check_task": "nas.testing.tasks",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'nas.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])

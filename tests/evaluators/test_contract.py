"""What every evaluator promises, by ``nas.testing``."""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

import nas
from nas.evaluators.tabular import Lookup, Table, Tabular, TabularOptions
from nas.evaluators.training import evaluate
from nas.evaluators.work import Progress, Work
from nas.testing import check_evaluator
from nas.testing.evaluators import CHECKS, EvaluatorCase
from tests.evaluators.test_training import request

SPACE = nas.space("nasbench201", nodes=3)


def tabular() -> Tabular:
    keys = [SPACE.to_string(genotype) for genotype in SPACE.enumerate()]
    rng = np.random.default_rng(0)
    metrics = {name: rng.uniform(50, 90, (len(keys), 2)) for name in ("val", "test")}
    table = Table(source="t.csv", keys=keys, key="notation", metrics=metrics, epochs=(1, 9))  # type: ignore[arg-type]
    options = TabularOptions(table="t.csv", validation="val", test="test", scale=0.01)
    return Tabular(options, Lookup(table, SPACE))


LOOKED_UP = {
    "genotype": SPACE.sample(np.random.default_rng(1)),
    "epochs": 9,
    "since": None,
    "test": False,
}
CASES = {
    "training": EvaluatorCase(
        evaluate,
        request(recipe={"preset": "quick", "epochs": 2}, train_percent=20),
        ("validation_accuracy", "validation_loss", "train_seconds"),
        continues=True,
    ),
    "training with latency": EvaluatorCase(
        evaluate,
        request(recipe={"preset": "quick", "epochs": 1}, train_percent=20, latency={}),
        ("latency_ms",),
    ),
    "proxies": EvaluatorCase(
        partial(evaluate, proxies=("snip", "zen"), batch=8, trains=False),
        request(),
        ("snip", "zen", "proxy_seconds"),
    ),
    "tabular": EvaluatorCase(tabular(), LOOKED_UP),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_evaluator_keeps_what_campaigns_rely_on(
    check: Callable[[EvaluatorCase], None], name: str
) -> None:
    check(CASES[name])


# --- the checks find what is broken ---


def steps(fault: str = "") -> Callable[..., Work]:
    """Counts to three, and continues from where it was, with one fault."""
    calls = itertools.count()

    def count(request: Mapping[str, Any], checkpoint: bytes | None = None) -> Work:
        reached = int(checkpoint or 0)
        curve: list[dict[str, Any]] = []
        for step in range(1, 4):
            if step > reached or fault != "forgets":
                curve.append({"step": step})
                yield Progress(curve[-1], lambda step=step: str(step).encode())  # type: ignore[misc]
        metrics: dict[str, Any] = {"accuracy": 0.5, "curve": curve, "train_seconds": next(calls)}
        match fault:
            case "not json":
                metrics["accuracy"] = np.float32(0.5)
            case "tuple":
                metrics["shape"] = (1, 2)
            case "infinite":
                metrics["accuracy"] = float("inf")
            case "missing":
                del metrics["accuracy"]
            case "test":
                metrics["test_accuracy"] = 0.4
            case "random":
                metrics["accuracy"] = 0.5 + metrics["train_seconds"] / 100
            case "changes" if isinstance(request, dict):
                request["seed"] = 5
        return metrics

    return count


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("not json", "not JSON: "),
        ("tuple", r"back as .*\[1, 2\]"),
        ("infinite", "accuracy is not finite: inf"),
        ("missing", "no metric 'accuracy'; there are curve, train_seconds"),
        ("test", "the search would see test_accuracy"),
        ("random", "accuracy differ between two evaluations"),
        ("changes", "the evaluator has changed the request"),
        ("forgets", "from checkpoint 1, curve differ"),
    ],
)
def test_a_broken_promise_is_named(fault: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_evaluator(steps(fault), {"seed": 1}, objectives=["accuracy"], continues=True)


def test_a_sound_evaluator_of_ones_own_passes() -> None:
    check_evaluator(steps(), {"seed": 1}, objectives=["accuracy"], continues=True)
    check_evaluator(lambda request: {"accuracy": 0.5}, {"seed": 1}, objectives=["accuracy"])

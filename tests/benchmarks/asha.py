"""ASHA against training everything in full: ``python -m tests.benchmarks.asha``.

Reads what ``nas run results/asha_digits`` and the like recorded. An epoch is counted where it was
trained: a promoted trial has only those that it added to its checkpoint.
"""

from pathlib import Path
from typing import Any

import numpy as np

from nas.campaigns.store.history import History
from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Ask
from nas.errors import InputError

RESULTS = Path(__file__).parents[2] / "results"
DATA = {"digits": "digits", "fashion": "Fashion-MNIST, 10,000 images"}


def read(name: str) -> History:
    folder = RESULTS / name
    if not (records := read_records(folder)):
        raise InputError(f"{folder}: no records yet; nas run results/{name}")
    return History(folder, records)


def completed(history: History, stage: str) -> list[tuple[Ask, dict[str, Any]]]:
    """Asks and metrics."""
    return [
        (history.asks[trial], result.metrics)
        for trial, result in history.results.items()
        if result.status == "completed" and history.asks[trial].stage == stage
    ]


def trained(history: History) -> int:
    """Epochs of the search."""
    found = completed(history, "search")
    return sum(metrics["epochs"] - metrics["epochs_before"] for _, metrics in found)


def promotions(history: History) -> int:
    """How many trials went on from a checkpoint: with the epochs, and the curve, of the paused."""
    found = completed(history, "search")
    by_number = {ask.number: metrics for ask, metrics in found}
    promoted = [(by_number[a.continues], m) for a, m in found if a.continues is not None]
    for paused, continued in promoted:
        before = continued["epochs_before"]
        if before != paused["epochs"] or continued["curve"][:before] != paused["curve"]:
            raise AssertionError(f"not continued: {paused['epochs']} epochs, then {continued}")
    return len(promoted)


def row(history: History, full: History) -> list[str]:
    found = completed(history, "search")
    most = max(metrics["epochs"] for _, metrics in found)
    last = [metrics["validation_accuracy"] for _, metrics in found if metrics["epochs"] == most]
    tests = [100 * metrics["test_accuracy"] for _, metrics in completed(history, "final")]
    epochs = trained(history)
    return [
        str(sum(ask.continues is None for ask, _ in found)),
        str(len(last)),
        str(promotions(history)),
        f"{epochs} ({epochs / trained(full):.0%})",
        f"{100 * max(last):.2f}",
        f"{np.mean(tests):.2f} ({', '.join(f'{test:.2f}' for test in tests)})",
    ]


def main() -> None:
    columns = [
        "data", "search", "configurations", "trained in full", "promotions", "epochs",
        "best validation, %", "test of the best, %: mean, and each seed",
    ]  # fmt: skip
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for data, label in DATA.items():
        full = read(f"full_{data}")
        for kind, history in {"in full": full, "ASHA": read(f"asha_{data}")}.items():
            print("| " + " | ".join([label, kind, *row(history, full)]) + " |")
    print(
        "\nEvery promotion continued a checkpoint: `epochs_before` of the promoted trial is "
        "`epochs` of the paused one, and its curve begins with that one's, number for number. "
        "The best by validation is retrained from scratch."
    )


if __name__ == "__main__":
    main()

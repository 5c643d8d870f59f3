"""The tables and verdicts of the flagship campaigns: ``python -m tests.benchmarks.flagships``.

Reads what ``nas run results/fashion_200k`` and the others recorded. A folder named ``..._tpe``
holds the same campaign with another searcher.
"""

from __future__ import annotations

from pathlib import Path

from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.store.history import History
from nas.campaigns.store.log import read_records

RESULTS = Path(__file__).parents[2] / "results"
FLAGSHIPS = {
    "fashion_200k": "Fashion-MNIST, at most 200,000 multiply-accumulates",
    "fashion_800k": "Fashion-MNIST, at most 800,000 multiply-accumulates",
    "cifar10_500k": "CIFAR-10, at most 500,000 multiply-accumulates",
    "cifar10_2m": "CIFAR-10, at most 2,000,000 multiply-accumulates",
}
COLUMNS = [
    "name", "kind", "params", "macs", "search_accuracy", "validation_accuracy", "test_accuracy",
    "test_std", "seeds",
]  # fmt: skip


def hours(folder: Path) -> float:
    """Return the hours of all trials; each has one core."""
    history = History(folder, read_records(folder))
    return sum(result.seconds or 0.0 for result in history.results.values()) / 3600


def main() -> None:
    """Print a section for each pair of campaigns."""
    for name, title in FLAGSHIPS.items():
        folders = [each for each in (RESULTS / name, RESULTS / f"{name}_tpe") if read_records(each)]
        if not folders:
            continue
        print(f"## {title}\n")
        commands = ", ".join(f"`nas run results/{each.name}`" for each in folders)
        spent = ", ".join(f"{hours(each):.2f}" for each in folders)
        print(f"{commands}: {spent} hours of one core\n")
        print(render(campaign_table(folders), "markdown", COLUMNS) + "\n")


if __name__ == "__main__":
    main()

"""The tables and verdicts of the flagship campaigns: ``python -m tests.benchmarks.flagships``.

Reads what ``nas run results/fashion_200k`` and the others recorded. A folder named ``..._tpe``
holds the same campaign with another searcher.
"""

from __future__ import annotations

from pathlib import Path

from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import render
from nas.campaigns.store.log import read_records

RESULTS = Path(__file__).parents[2] / "results"
FLAGSHIPS = {
    "fashion_200k": "Fashion-MNIST, at most 200,000 multiply-accumulates",
    "fashion_800k": "Fashion-MNIST, at most 800,000 multiply-accumulates",
    "cifar10_500k": "CIFAR-10, at most 500,000 multiply-accumulates",
    "cifar10_1m": "CIFAR-10, at most 1,000,000 multiply-accumulates",
}
INTRODUCTION = """\
# Flagship campaigns

The two best networks of each search, and classics that are as wide as the limit allows, were
retrained with several seeds. Every search ran once, so the verdicts hold for the networks, and say
little about the searchers. `campaign.yaml` in each folder says how many networks were tried, and
how long it took. Lineages lead from a classic to the best network; `nas plot FOLDER` draws them.
"""
COLUMNS = [
    "name", "kind", "params", "macs", "search_accuracy", "validation_accuracy", "test_accuracy",
    "test_std", "seeds",
]  # fmt: skip


def main() -> None:
    """Print a section for each pair of campaigns."""
    print(INTRODUCTION)
    for name, title in FLAGSHIPS.items():
        every = [RESULTS / f"{name}{more}" for more in ("", "_tpe")]
        folders = [each for each in every if read_records(each)]
        if not folders:
            continue
        print(f"## {title}\n")
        commands = ", ".join(f"`nas run results/{each.name}`" for each in folders)
        print(f"{commands}\n")
        print(render(campaign_table(folders), "markdown", COLUMNS) + "\n")
        for figure in (each for folder in folders for each in sorted(folder.glob("*.svg"))):
            print(f"![{figure.stem} of {figure.parent.name}]({figure.relative_to(RESULTS)})\n")


if __name__ == "__main__":
    main()

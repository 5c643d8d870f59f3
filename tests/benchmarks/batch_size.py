"""Accuracy and CPU time by batch size, short trainings: ``python -m tests.benchmarks.batch_size``.

The quickstart's data and recipe, with one thread. The networks are the quickstart's classics, and
the two best, after four epochs, of twelve members that were drawn at random. The learning rate
grows with the root of the batch size (Malladi et al. 2022, arXiv:2205.10287, for Adam). Larger
batches are tried with the same number of epochs, and with as many more as take about the same time.
"""

import sys
import time
from statistics import mean

import numpy as np
import torch

import nas
from nas.architecture.graph import Architecture
from nas.campaigns.spec.campaign import Campaign, load_campaign
from nas.training.curve import Diverged
from nas.training.data import SearchData, search_data
from nas.training.loop import Trainer
from nas.training.recipe import Recipe
from tests.benchmarks.measure import watched
from tests.benchmarks.trial_profile import QUICKSTART

SEEDS = (0, 1, 2)
SETTINGS = ((32, 8), (64, 8), (64, 14), (128, 8), (128, 22), (256, 8))
"""Batch size and epochs."""

SCREENED, KEPT, SCREENING_EPOCHS, MOST_NODES = 12, 2, 4, 45


def trained(
    architecture: Architecture, data: SearchData, recipe: Recipe, seed: int
) -> tuple[float, float]:
    """Returns the validation accuracy, 0 after divergence, and the CPU seconds of a training."""
    started = time.process_time()
    trainer = Trainer(lambda: nas.compile(architecture), data, recipe, seed)
    try:
        accuracy = trainer.run(recipe.epochs).curve[-1].validation["accuracy"]
    except Diverged:
        accuracy = 0.0
    return accuracy, time.process_time() - started


def networks(campaign: Campaign, data: SearchData, recipe: Recipe) -> dict[str, Architecture]:
    """Returns the networks by name."""
    found = {each.label: each.architecture for each in campaign.classics}
    limit = campaign.config.constraints.macs or 0
    short = recipe.model_copy(update={"epochs": SCREENING_EPOCHS})
    rng = np.random.default_rng(0)
    members: list[tuple[float, Architecture]] = []
    while len(members) < SCREENED:
        member = campaign.space.decode(campaign.space.sample(rng))
        if member.cost.macs >= limit / 3 and len(member.nodes) <= MOST_NODES:
            members.append((trained(member, data, short, 0)[0], member))
    members.sort(key=lambda scored: -scored[0])
    return found | {f"member {n}": member for n, (_, member) in enumerate(members[:KEPT], 1)}


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    campaign = load_campaign(QUICKSTART)
    assert campaign.data is not None
    assert campaign.recipe is not None
    data, recipe = search_data(campaign.data), campaign.recipe
    built = networks(campaign, data, recipe)
    columns = ["batch", "epochs", "learning rate", *built, "mean accuracy", "mean CPU s"]
    print(f"Mean validation accuracy over {len(SEEDS)} seeds; CPU time with one thread.\n")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for batch, epochs in SETTINGS:
        rate = recipe.learning_rate * (batch / recipe.batch_size) ** 0.5
        changes = {"batch_size": batch, "epochs": epochs, "learning_rate": rate}
        how = recipe.model_copy(update=changes)
        runs = {
            name: [trained(architecture, data, how, seed) for seed in SEEDS]
            for name, architecture in built.items()
        }
        accuracies = {name: mean(accuracy for accuracy, _ in each) for name, each in runs.items()}
        seconds = mean(second for each in runs.values() for _, second in each)
        cells = [f"{batch}", f"{epochs}", f"{rate:.4f}", *(f"{a:.3f}" for a in accuracies.values())]
        cells += [f"{mean(accuracies.values()):.3f}", f"{seconds:.2f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
        print(batch, epochs, runs, file=sys.stderr, flush=True)


if __name__ == "__main__":
    with watched():
        main()

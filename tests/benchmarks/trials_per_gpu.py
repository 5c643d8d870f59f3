"""Trials an hour that share one GPU: ``python -m tests.benchmarks.trials_per_gpu``.

The same campaign of random NAS-Bench-201 networks on CIFAR-size images (5,000, noise) with 1, 2,
4 and 8 trials at a time, with and without CUDA graphs. Counted from the time when every worker has
carried out its first trial: what it takes to start them is not in it, all that a trial takes is.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from nas.campaigns.drive.run import run
from nas.campaigns.store.history import History
from nas.campaigns.store.log import read_records
from nas.training.hardware import device_name

TRIALS, EPOCHS, BATCH = 24, 2, 128
SHARED = (1, 2, 4, 8)
RUNS = [(False, 1), *((True, n) for n in SHARED), *((False, n) for n in SHARED[1:])]
"""With CUDA graphs, and how many trials at a time."""

CAMPAIGN = """
space: nasbench201
searcher: {name: random}
random_baseline: false
duplicates: evaluate
budget: {trials: TRIALS}
data:
  name: python
  function: tests.benchmarks.trials_per_gpu:noise
  split: {train: 0.91, validation: 0.09}
recipe: {preset: nasbench201, epochs: EPOCHS, batch_size: BATCH}
final: {top: 0, top_random: 0}
engine: {name: ray, concurrency: TOGETHER, gpus_per_trial: SHARE, cuda_graphs: GRAPHS}
"""


def noise() -> Any:
    """5,000 images to train on, and a tenth of that to validate and to test."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6_000, 32, 32, 3), dtype=np.uint8)
    pairs = [(image, i % 10) for i, image in enumerate(images)]
    return pairs[:5_500], pairs[5_500:]


def campaign(together: int, graphs: bool) -> dict[str, float]:
    text = CAMPAIGN.replace("GRAPHS", str(graphs).lower()).replace("TOGETHER", str(together))
    text = text.replace("SHARE", f"{1 / together:g}").replace("TRIALS", str(TRIALS))
    text = text.replace("EPOCHS", str(EPOCHS)).replace("BATCH", str(BATCH))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "campaign.yaml").write_text(text, encoding="utf-8")
        run(folder, console=Console(quiet=True))
        history = History(folder, read_records(folder))
    results = list(history.results.values())
    if wrong := [result for result in results if result.status != "completed"]:
        raise RuntimeError(f"a trial has failed: {wrong[0]}")
    if {result.metrics["captured"] for result in results} != {graphs}:
        raise RuntimeError("a network was not captured, or was")
    times = sorted(result.time for result in results)
    metrics = [result.metrics for result in results]
    return {
        "rate": 3600 * (len(times) - together) / (times[-1] - times[together - 1]),
        "first": float(np.median([each["curve"][0]["train_seconds"] for each in metrics])),
        "later": float(np.median([each["curve"][-1]["train_seconds"] for each in metrics])),
        "seconds": float(np.median([result.seconds for result in results])),
    }


def main() -> None:
    print(f"{device_name('cuda')}: {TRIALS} trials of {EPOCHS} epochs, batch {BATCH}.\n")
    print(
        "| CUDA graphs | trials at a time | trials an hour | against one at a time, no graphs "
        "| seconds a trial | of its first epoch | of its last |"
    )
    print("|---" * 7 + "|", flush=True)
    first = None
    for graphs, together in RUNS:
        found = campaign(together, graphs)
        first = first or found["rate"]
        print(
            f"| {'yes' if graphs else 'no'} | {together} | {found['rate']:,.0f} "
            f"| {found['rate'] / first:.2f} | {found['seconds']:.2f} "
            f"| {found['first']:.2f} | {found['later']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

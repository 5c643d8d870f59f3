"""What a campaign on Ray costs beside its training: ``python -m tests.benchmarks.overhead``.

Two workers. Trials that sleep ten seconds: the campaign's wall time against the sum of what its
trials took, divided by two. Then trials that do nothing, in warm workers, against Ray Tune as it
comes, where each trial has a new worker.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from nas.campaigns.drive.run import run
from nas.campaigns.store.log import read_records
from nas.campaigns.store.types import Result
from tests.benchmarks.measure import spread, watched

CAMPAIGN = """
space: primitives
searcher: {name: random}
random_baseline: false
budget: {trials: TRIALS}
duplicates: evaluate
data: {name: digits, resolution: 16, split: {train: 0.6, validation: 0.2, test: 0.2}}
recipe: {preset: quick, epochs: 1, warmup_epochs: 0}
final: {top: 0, top_random: 0}
engine: {name: ray, concurrency: 2}
"""

HERE = "tests.benchmarks.overhead"
SLEEPING, SECONDS = 120, 10.0
TRIVIAL, WARMED = 300, 20
PLAIN = 8
ROUNDS = 3


def sleep(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Takes its time."""
    time.sleep(SECONDS)
    return {"validation_accuracy": 0.5}


def nothing(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Takes none."""
    return {"validation_accuracy": 0.5}


def campaign(trials: int, evaluator: str) -> tuple[float, list[Result]]:
    """Seconds that a campaign takes, from nothing to its end, and its results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = CAMPAIGN.replace("TRIALS", str(trials))
        (folder / "campaign.yaml").write_text(text, encoding="utf-8")
        started = time.perf_counter()
        run(folder, evaluator=f"{HERE}:{evaluator}", console=Console(quiet=True))
        seconds = time.perf_counter() - started
        results = [record for record in read_records(folder) if isinstance(record, Result)]
    if {record.status for record in results} != {"completed"}:
        raise RuntimeError("a trial has failed")
    return seconds, results


def plain() -> float:
    """Seconds a trial of Ray Tune's defaults, the cluster being there."""
    import nas.campaigns.engines.cluster  # noqa: F401 - its settings, before ray reads them

    import ray  # isort: skip
    from ray import tune  # isort: skip

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        tune.run(
            lambda config: nothing(config),
            config={},
            num_samples=PLAIN,
            storage_path=name,
            verbose=0,
            raise_on_failed_trial=True,
        )
        seconds = time.perf_counter() - started
    ray.shutdown()
    return seconds / PLAIN


def main() -> None:
    """Prints the table."""
    wall, results = campaign(SLEEPING, "sleep")
    ideal = sum(record.seconds for record in results) / 2
    # The first result comes when the first trial is over; all before that is start-up.
    before = results[0].elapsed - results[0].seconds
    working = results[-1].elapsed - before
    print("| what | measured | wanted |\n|---|---|---|")
    print(f"| {SLEEPING} trials of {SECONDS:g} s, 2 workers: wall time / ideal, start of Ray and "
          f"of the workers ({before:.1f} s) and end included "
          f"| {wall / ideal:.3f} | <= 1.05 |")  # fmt: skip
    print(f"| the same, from the first trial's start to the last one's end "
          f"| {working / ideal:.3f} | <= 1.05 |")  # fmt: skip
    warm, new = [], []
    for _ in range(ROUNDS):
        _, results = campaign(TRIVIAL, "nothing")
        times = [record.time for record in results]
        warm.append((times[-1] - times[WARMED]) / (len(times) - 1 - WARMED))
        new.append(plain())
    print(f"| wall time a trial that does nothing, 2 warm workers, {TRIVIAL} trials "
          f"| {spread(warm, 1)} s | <= 0.06 s |")  # fmt: skip
    print(f"| plain Ray Tune, a new worker each, {PLAIN} trials, 2 at a time "
          f"| {spread(new, 1)} s ({median(new) / median(warm):.0f} times) | |")  # fmt: skip
    print(f"\nThe last two rows: medians of {ROUNDS} turns [quartiles]; the first two: once.")


if __name__ == "__main__":
    with watched(2):
        main()

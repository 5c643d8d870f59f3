"""Ten thousand recorded trials: what a resume takes, and what the driver's memory grows by.

A campaign with an evaluator that trains nothing is cut after 1,000 and after 10,000 trials, and
resumed in a process of its own: seconds from opening the records to the next trial, and that
process's memory. Then the driver's memory over a whole campaign, on the serial engine and on Ray.

    python -m tests.benchmarks.resume > results/resume.md
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.campaigns.drive.runner import Runner
from nas.campaigns.engines.base import Outcome, Source, Trial, Update
from nas.campaigns.engines.serial import SerialEngine
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.store.log import RecordLog
from tests.benchmarks.measure import spread, watched

CAMPAIGN = """
space: primitives
searcher: {name: evolution}
random_baseline: false
budget: {trials: TRIALS}
duplicates: evaluate
data: {name: digits, resolution: 16, split: {train: 0.6, validation: 0.2, test: 0.2}}
recipe: {preset: quick, epochs: 8}
final: {top: 0, top_random: 0}
engine: {name: serial}
"""

HERE = "tests.benchmarks.resume"
SIZES = (1_000, 10_000)
ROUNDS = 5


def evaluate(trial: Mapping[str, Any]) -> dict[str, Any]:
    """A result as large as a training's, with a learning curve of eight epochs."""
    accuracy = len(trial["architecture"]) % 997 / 997
    point = {"train_loss": 1 / 3, "validation_loss": 1 / 7, "validation_accuracy": accuracy,
             "train_seconds": 1.234567891, "evaluation_seconds": 0.123456789}  # fmt: skip
    curve = [{"epoch": epoch, **point} for epoch in range(1, 9)]
    return {**curve[-1], "epochs": 8, "epochs_before": 0, "curve": curve, "device": "cpu",
            "precision": "fp32", "data_checksum": "0123456789abcdef"}  # fmt: skip


def megabytes() -> float:
    """What this process holds of memory now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def peak() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Watched:
    """A source that notes the memory as trials end."""

    def __init__(self, source: Source, marks: tuple[int, ...]) -> None:
        self._source = source
        self._marks = marks
        self._done = 0
        self.found: dict[int, float] = {}

    def next(self) -> Trial | None:
        return self._source.next()

    def update(self, trial: str, update: Update) -> bool:
        return self._source.update(trial, update)

    def done(self, trial: str, outcome: Outcome) -> None:
        self._source.done(trial, outcome)
        self._done += 1
        if self._done in self._marks:
            self.found[self._done] = megabytes()


def campaign(folder: Path, trials: int) -> Path:
    folder.mkdir(exist_ok=True)
    text = CAMPAIGN.replace("TRIALS", str(trials))
    (folder / "campaign.yaml").write_text(text, encoding="utf-8")
    return folder


def record(folder: Path, engine: str) -> None:
    """Runs the campaign, and prints the driver's memory as it goes."""
    before = time.perf_counter()
    with RecordLog(folder) as log:
        source = Watched(Runner(load_campaign(folder), log), SIZES)
        if engine == "serial":
            SerialEngine(evaluate).run(source)
        else:
            from nas.campaigns.engines.tune import TuneEngine

            TuneEngine(f"{HERE}:evaluate", concurrency=2, name="resume").run(source)
    seconds = time.perf_counter() - before
    print(*(f"{source.found[mark]:.1f}" for mark in SIZES), f"{peak():.1f} {seconds:.1f}")


def resume(folder: Path) -> None:
    """Prints the seconds to the next trial, and the memory that this took."""
    given = load_campaign(folder)
    before, started = megabytes(), time.perf_counter()
    with RecordLog(folder) as log:
        Runner(given, log).next()
        print(f"{time.perf_counter() - started:.2f} {before:.1f} {megabytes():.1f} {peak():.1f}")


def apart(*arguments: object) -> list[float]:
    """What a process of its own prints."""
    command = [sys.executable, "-m", HERE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split("\n")[-2].split()]


def main() -> None:
    """Prints the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = campaign(Path(name) / "serial", SIZES[-1])
        *grown, most, _ = apart("record", folder, "serial")
        lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
        print("| recorded trials | records.jsonl | resume | memory before, after it | peak |")
        print("|---|---|---|---|---|")
        for trials in SIZES:
            # An ask and a result each, after the first line; the budget leaves one to ask for.
            text = "".join(lines[: 1 + 2 * trials])
            cut = campaign(Path(name) / str(trials), trials + 1)
            turns = []
            for _ in range(ROUNDS):
                (cut / "records.jsonl").write_text(text)
                turns.append(apart("resume", cut))
            seconds, before, after, top = (list(each) for each in zip(*turns, strict=True))
            size = len(text) / 2**20
            print(f"| {trials:,} | {size:.1f} MiB | {spread(seconds, 1)} s "
                  f"| {max(before):.0f}, {max(after):.0f} MiB | {max(top):.0f} MiB |")  # fmt: skip
        print(f"\nResume: the median of {ROUNDS} turns [quartiles].")
        print("\n| engine | driver's memory after | | peak |\n|---|---|---|---|")
        print(f"| serial | {SIZES[0]:,} trials: {grown[0]:.0f} MiB "
              f"| {SIZES[1]:,} trials: {grown[1]:.0f} MiB | {most:.0f} MiB |")  # fmt: skip
        folder = campaign(Path(name) / "ray", SIZES[-1])
        *grown, most, seconds = apart("record", folder, "ray")
        print(f"| Ray, 2 workers ({seconds / SIZES[-1] * 1000:.0f} ms a trial) "
              f"| {SIZES[0]:,} trials: {grown[0]:.0f} MiB "
              f"| {SIZES[1]:,} trials: {grown[1]:.0f} MiB | {most:.0f} MiB |")  # fmt: skip


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", where, engine]:
            record(Path(where), engine)
        case ["resume", where]:
            resume(Path(where))
        case _:
            with watched(own=2):  # the workers of the campaign on Ray
                main()

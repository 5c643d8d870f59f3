"""The core's speed, side by side in one run. Run: ``python -m tests.benchmarks.core``.

Ratios are what counts: machines differ, and both sides of a line ran on the same one.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
import yaml
from fvcore.nn import FlopCountAnalysis

import nas
from nas.architecture.operations.base import infer
from nas.searchers.base import Observation


def timed(function: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def row(what: str, ours: float, theirs: float) -> None:
    """One line: both times in milliseconds, and how many times ours fits into theirs."""
    print(f"| {what} | {1e3 * ours:,.3f} | {1e3 * theirs:,.3f} | {theirs / ours:,.1f} |")


def cost() -> None:
    """Analytic cost of ResNet-20's 74 nodes against fvcore's count of the network, compiled before.

    The first line starts from the graph, whose shapes are known since it was made; the others make
    and check the graph anew.
    """
    resnet = nas.classic("resnet20")
    network = nas.compile(resnet).eval()
    example = torch.zeros(1, *resnet.input_shape)

    def rebuilt() -> nas.Architecture:
        return nas.Architecture(resnet.input_shape, resnet.nodes, resnet.outputs)

    def cold() -> nas.Cost:
        infer.cache_clear()
        return rebuilt().cost

    graphs = iter([rebuilt() for _ in range(200)])
    fvcore = timed(
        lambda: FlopCountAnalysis(network, example).unsupported_ops_warnings(False).total(), 9
    )
    row("cost of a 74-node graph / fvcore's FLOPs", timed(lambda: next(graphs).cost, 200), fvcore)
    row(
        "graph made, checked and counted, rules remembered / the same",
        timed(lambda: rebuilt().cost, 99),
        fvcore,
    )
    row("graph made, checked and counted, nothing remembered / the same", timed(cold, 99), fvcore)


def ask_and_tell(searcher: str, trials: int) -> float:
    """Mean seconds of an ask and a tell."""
    space = nas.space("primitives", (1, 16, 16))
    asked = nas.searcher(searcher, space=space, seed=0)
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    for trial in range(trials):
        proposal = asked.ask(trial)
        asked.tell(Observation(trial, proposal.genotype, (rng.random(),), proposal.note))
    return (time.perf_counter() - started) / trials


def startup() -> None:
    """``nas --help`` against an empty Python program."""

    def run(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run(
            [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL
        )

    nas_help = timed(run("-m", "nas.cli", "--help"), 9)
    row("nas --help / python -c pass", nas_help, timed(run("-c", "pass"), 9))


def campaign() -> None:
    """Wall time of a campaign of real trainings on two workers against their sum, halved."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "overhead"
        folder.mkdir()
        specification = yaml.safe_load(Path("results/quickstart/campaign.yaml").read_text())
        specification["budget"] = {"trials": 12}
        specification["random_baseline"] = False
        specification["final"] = {"top": 0, "top_random": 0, "seeds": [0], "classics": []}
        specification["engine"] = {"name": "ray", "concurrency": 2}
        (folder / "campaign.yaml").write_text(yaml.safe_dump(specification))
        started = time.perf_counter()
        command = [sys.executable, "-m", "nas.cli", "run", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - started
        lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
        seconds = [line["seconds"] for line in lines if line["type"] == "result"]
    row("12 trials' seconds / 2 workers, against the campaign's wall time", sum(seconds) / 2, wall)


def main() -> None:
    """Print the table."""
    print("| ours / theirs | ours, ms | theirs, ms | theirs / ours |")
    print("|---|---|---|---|")
    cost()
    row(
        "evolution ask + tell / Optuna TPE, 300 trials of primitives",
        ask_and_tell("evolution", 300),
        ask_and_tell("optuna", 300),
    )
    startup()
    campaign()


if __name__ == "__main__":
    main()

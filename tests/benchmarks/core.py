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
from tests.benchmarks.measure import interleaved, spread, watched

ROUNDS = 9


def row(what: str, ours: list[float], theirs: list[float]) -> None:
    """One line: both times in milliseconds, and how many times ours fits into theirs."""
    times = median(theirs) / median(ours)
    print(f"| {what} | {spread(ours)} | {spread(theirs)} | {times:,.1f} |", flush=True)


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

    def fvcore() -> None:
        FlopCountAnalysis(network, example).unsupported_ops_warnings(False).total()

    graphs = iter([rebuilt() for _ in range(20 * ROUNDS + 1)])
    steps = {
        "fvcore": (fvcore, 1),
        "cost of a 74-node graph / fvcore's FLOPs": (lambda: next(graphs).cost, 20),
        "graph made, checked and counted, rules remembered / the same": (
            lambda: rebuilt().cost,
            10,
        ),
        "graph made, checked and counted, nothing remembered / the same": (cold, 10),
    }
    seconds = interleaved(steps, ROUNDS)
    for what, each in list(seconds.items())[1:]:
        row(what, each, seconds["fvcore"])


def ask_and_tell(trials: int) -> None:
    """So many asks and tells of our evolution and of Optuna's TPE."""
    space = nas.space("primitives", (1, 16, 16))

    def of(searcher: str) -> Callable[[], None]:
        def search() -> None:
            asked = nas.searcher(searcher, space=space, seed=0)
            rng = np.random.default_rng(0)
            for trial in range(trials):
                proposal = asked.ask(trial)
                asked.tell(Observation(trial, proposal.genotype, (rng.random(),), proposal.note))

        return search

    seconds = interleaved({name: (of(name), 1) for name in ("evolution", "optuna")}, 5)
    each = {name: [second / trials for second in times] for name, times in seconds.items()}
    what = f"evolution ask + tell / Optuna TPE, {trials} trials of primitives"
    row(what, each["evolution"], each["optuna"])


def startup() -> None:
    """``nas --help`` against an empty Python program."""

    def run(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run(
            [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL
        )

    what = {"nas": (run("-m", "nas.cli", "--help"), 1), "python": (run("-c", "pass"), 1)}
    seconds = interleaved(what, ROUNDS)
    row("nas --help / python -c pass", seconds["nas"], seconds["python"])


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
    print(f"\nA campaign of 12 trainings on 2 workers took {wall:.1f} s of wall time, once; half "
          f"of the sum of its trials' seconds is {sum(seconds) / 2:.1f} s.")  # fmt: skip


def main() -> None:
    """Print the table."""
    with watched(2):
        print("| ours / theirs | ours, ms: median [quartiles] | theirs, ms | theirs / ours |")
        print("|---|---|---|---|")
        cost()
        ask_and_tell(300)
        startup()
        campaign()


if __name__ == "__main__":
    main()

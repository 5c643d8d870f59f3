"""A campaign small enough to run hundreds of times, and evaluators that train nothing."""

import json
import os
import sys
import time
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from nas.campaigns.drive.run import run
from nas.evaluators.work import Progress, Work
from tests.campaigns.lines import read_records

SPACE = """
family: free_graph
paper: none
stages: [1]
width: [1, 2, 3, 4]
cells: [1]
nodes: [1, 2]
merge: [add, concat]
operations:
  identity: {block: identity}
  conv: {block: conv, options: {kernel: 1}}
"""

CAMPAIGN = """
space: tiny.yaml
searcher: {name: evolution, population_size: 2, tournament_size: 2}
budget: {trials: 4}
duplicates: evaluate
data: {name: digits, split: {train: 0.6, validation: 0.2, test: 0.2}}
recipe: {preset: quick, epochs: 1}
final: {top: 1, top_random: 1, classics: [resnet20]}
engine: {name: serial}
"""

HERE = "tests.campaigns.toy"


def write(folder: Path, campaign: str = CAMPAIGN) -> Path:
    """Makes ``folder`` a campaign."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(SPACE)
    (folder / "campaign.yaml").write_text(campaign)
    return folder


def width(trial: Mapping[str, Any]) -> int:
    """Channels of the stem."""
    nodes = json.loads(trial["architecture"])["nodes"]
    return int(next(node["channels"] for node in nodes if "channels" in node))


def evaluate(trial: Mapping[str, Any]) -> dict[str, Any]:
    """An accuracy that is a function of the architecture and the seed."""
    text = f"{trial['architecture']} {trial['seed']}"
    accuracy = int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") / 2**32
    tested = {"test_accuracy": accuracy / 2} if trial["test"] else {}
    return {"validation_accuracy": accuracy, **tested}


def slow(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Takes long enough to be interrupted."""
    time.sleep(0.25)
    return evaluate(trial)


def epochs(trial: Mapping[str, Any], checkpoint: bytes | None) -> Work:
    """Trains nothing for so many epochs; its state is how many it has had.

    The accuracy rises in a straight line to that of :func:`evaluate`.
    """
    result = evaluate(trial)
    before = int(checkpoint or 0)
    until = trial["epochs"] or trial["recipe"]["epochs"]
    curve = []
    for epoch in range(1, until + 1):
        accuracy = result["validation_accuracy"] * epoch / until
        curve.append({"epoch": epoch, "validation_accuracy": accuracy, "train_seconds": 0.5})
        yield Progress(curve[-1], str(max(before, epoch)).encode)
    return {
        **result,
        "epochs": until,
        "epochs_before": before,
        "curve": curve,
        "train_seconds": 0.5 * until,
    }


def slow_epochs(trial: Mapping[str, Any], checkpoint: bytes | None) -> Work:
    """The same, and each epoch takes a while."""
    work = epochs(trial, checkpoint)
    while True:
        time.sleep(0.1)
        try:
            yield next(work)
        except StopIteration as end:
            metrics: dict[str, Any] = end.value
            return metrics


def hang(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Does not come to an end."""
    time.sleep(3600)
    return {}


def faulty(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Raises, kills its process or diverges, by the width of the stem."""
    match width(trial):
        case 1:
            raise ArithmeticError("no luck")
        case 2:
            os._exit(1)
        case 3:
            return {"validation_accuracy": float("nan")}
    return evaluate(trial)


def broken(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Never works."""
    raise RuntimeError("no such luck")


def genotypes(folder: Path) -> list[tuple[str, Any]]:
    """What was asked, in order."""
    return [(r["trial"], r.get("genotype")) for r in read_records(folder) if r["type"] == "ask"]


def check_complete(folder: Path, trials: int) -> None:
    """Every trial was asked once and has one result."""
    records = read_records(folder)
    asked = [r["trial"] for r in records if r["type"] == "ask"]
    ended = [r["trial"] for r in records if r["type"] == "result"]
    assert len(set(asked)) == len(asked) == trials
    assert sorted(ended) == sorted(asked)


if __name__ == "__main__":
    try:
        print(run(sys.argv[1], evaluator=f"{HERE}:{sys.argv[2]}"))
    except KeyboardInterrupt:
        sys.exit(130)

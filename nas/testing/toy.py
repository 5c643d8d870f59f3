"""Has a small search space with a known optimum, and campaigns on it with failing workers.

Searchers are checked on this space. It has conditional choices and infeasible combinations, and its
objectives cost nothing to compute.
"""

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from nas.searchers import Observation, Proposal, Searcher
from nas.searchers.screening import Score, Screen
from nas.spaces.choices import Choose, Genotype, Infeasible
from nas.spaces.search_space import SearchSpace


def stages(choose: Choose) -> None:
    """Choose up to three stages; the depth and the operations decide which choices there are."""
    ops = []
    for i in range(choose("depth", [1, 2, 3])):
        ops.append(choose(f"stage{i}.op", ["conv", "pool", "skip"]))
        if ops[-1] == "conv":
            choose(f"stage{i}.width", [8, 16, 32])
        if i:
            choose(f"stage{i}.input", list(range(i + 1)))
    if ops[0] == "skip" and len(set(ops)) == 1:
        raise Infeasible("all operations are skips")
    choose("exit", list(range(len(ops))))
    choose("activation", ["relu", "swish", None])


SMALL: Genotype = {
    "depth": 1,
    "stage0.op": "conv",
    "stage0.width": 8,
    "exit": 0,
    "activation": None,
}
OPTIMUM: Genotype = {
    "depth": 3,
    "stage0.op": "conv",
    "stage0.width": 32,
    "stage1.op": "conv",
    "stage1.width": 32,
    "stage1.input": 1,
    "stage2.op": "conv",
    "stage2.width": 32,
    "stage2.input": 2,
    "exit": 2,
    "activation": "relu",
}


def space() -> SearchSpace:
    """Makes the toy space. Its networks cannot be built, but a searcher never builds one."""
    return SearchSpace(cast(Any, stages), "toy", {"small": SMALL, "optimum": OPTIMUM})


def loss(genotype: Genotype) -> float:
    """Counts the answers of the optimum that a genotype lacks; only the optimum has 0."""
    return float(sum(genotype.get(name) != best for name, best in OPTIMUM.items()))


def cost(genotype: Genotype) -> float:
    """Returns the second objective: the sum of all widths."""
    return float(sum(cast(int, v) for name, v in genotype.items() if name.endswith("width")))


def screen(filters: bool, learns: bool) -> Screen:
    """Makes a proxy, the sum of all widths, that chooses proposals or is a feature."""
    score = Score("width", lambda: cost)
    return Screen({"width": score}, ("width",) * learns, "width" * filters, 3)


def misled(proposal: Proposal) -> float:
    """Returns the error of the loss at a low fidelity, which depends on the genotype."""
    if proposal.fidelity is None:
        return 0.0
    return zlib.crc32(json.dumps(proposal.genotype).encode()) % 7 / proposal.fidelity


Event = tuple[int, Proposal | None, Observation | None]
"""The id of a trial, and either its proposal or its observation."""


def campaign(
    made: Searcher,
    trials: int,
    *,
    workers: int = 1,
    failures: float = 0.0,
    seed: int = 0,
    value: Callable[[Genotype], float] = loss,
) -> list[Event]:
    """Run a campaign on the toy space and return its events, in order.

    Args:
        made: the searcher.
        trials: the number of trials.
        workers: the number of trials that run at the same time. They end in any order.
        failures: the fraction of trials that fail.
        seed: decides in which order trials end, and which of them fail.
        value: a function from a genotype to its first objective.
    """
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    running: dict[int, Proposal] = {}
    asked = 0
    while asked < trials or running:
        if asked < trials and len(running) < workers:
            proposal = made.ask(asked)
            if proposal is not None:
                events.append((asked, proposal, None))
                running[asked] = proposal
                asked += 1
                continue
            assert running, (
                f"ask({asked}) returned None while no trial is running: "
                "the campaign cannot continue"
            )
        done = list(running)[int(rng.integers(len(running)))]
        proposal = running.pop(done)
        reached = value(proposal.genotype) + misled(proposal)
        objectives = (reached, cost(proposal.genotype))[: made.objectives]
        values = None if rng.random() < failures else objectives
        curve: list[float] = []
        if made.takes_curves:
            epochs = range(1, (proposal.fidelity or 0) + 1)
            paused = (replace(proposal, fidelity=epoch) for epoch in epochs)
            curve = [value(proposal.genotype) + misled(each) for each in paused]
        observation = Observation(
            done, proposal.genotype, values, proposal.note, proposal.fidelity, curve=curve
        )
        made.tell(observation)
        events.append((done, None, observation))
    return events


def proposals(events: list[Event]) -> list[Proposal]:
    """Returns all proposals, in order."""
    return [proposal for _, proposal, _ in events if proposal is not None]


def recorded(event: Event) -> Event:
    """Writes an event as a JSON record and reads it back."""
    trial_id, proposal, observation = event
    if proposal is not None:
        proposal = Proposal(**json.loads(json.dumps(vars(proposal))))
    if observation is not None:
        plain = json.loads(json.dumps(vars(observation)))
        values = plain["values"]
        observation = Observation(**{**plain, "values": values and tuple(values)})
    return trial_id, proposal, observation


def best(events: list[Event]) -> float:
    """Returns the smallest value of the first objective that was observed."""
    return min(o.values[0] for _, _, o in events if o is not None and o.values is not None)

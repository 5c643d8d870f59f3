"""A small search space with a known optimum, and campaigns on it with workers that fail.

Searchers are checked on this space: it is conditional, some of its answers are infeasible, and
its objectives cost nothing to compute.
"""

import json
import zlib
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from nas.searchers import Observation, Proposal, Searcher
from nas.spaces.choices import Choose, Genotype, Infeasible
from nas.spaces.search_space import SearchSpace


def stages(choose: Choose) -> None:
    """Ask for up to three stages: the depth decides which choices there are, and so does an op."""
    ops = []
    for i in range(choose("depth", [1, 2, 3])):
        ops.append(choose(f"stage{i}.op", ["conv", "pool", "skip"]))
        if ops[-1] == "conv":
            choose(f"stage{i}.width", [8, 16, 32])
        if i:
            choose(f"stage{i}.input", list(range(i + 1)))
    if ops[0] == "skip" and len(set(ops)) == 1:
        raise Infeasible("nothing but skips")
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
    """The toy space, made anew. Its networks cannot be built; a searcher never builds one."""
    return SearchSpace(cast(Any, stages), "toy", {"small": SMALL, "optimum": OPTIMUM})


def loss(genotype: Genotype) -> float:
    """How many answers of the optimum are missing: 0 for the optimum alone."""
    return float(sum(genotype.get(name) != best for name, best in OPTIMUM.items()))


def cost(genotype: Genotype) -> float:
    """The second objective: the sum of all widths."""
    return float(sum(cast(int, v) for name, v in genotype.items() if name.endswith("width")))


def misled(proposal: Proposal) -> float:
    """How far off the loss is at a low fidelity; the error differs from genotype to genotype."""
    if proposal.fidelity is None:
        return 0.0
    return zlib.crc32(json.dumps(proposal.genotype).encode()) % 7 / proposal.fidelity


Event = tuple[int, Proposal | None, Observation | None]
"""A trial's id, and either what was suggested for it or what was observed of it."""


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
        trials: how many genotypes it is asked for.
        workers: how many trials are under way at a time. They end in any order.
        failures: the share of trials that fail.
        seed: of the order in which trials end, and of which of them fail.
        value: the first objective of a genotype.
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
                f"ask({asked}) returned None while no trial is under way: the campaign stands still"
            )
        done = list(running)[int(rng.integers(len(running)))]
        proposal = running.pop(done)
        reached = value(proposal.genotype) + misled(proposal)
        objectives = (reached, cost(proposal.genotype))[: made.objectives]
        values = None if rng.random() < failures else objectives
        observation = Observation(done, proposal.genotype, values, proposal.note, proposal.fidelity)
        made.tell(observation)
        events.append((done, None, observation))
    return events


def proposals(events: list[Event]) -> list[Proposal]:
    """What was suggested, in order."""
    return [proposal for _, proposal, _ in events if proposal is not None]


def recorded(event: Event) -> Event:
    """The event as it comes back from a JSON record."""
    trial_id, proposal, observation = event
    if proposal is not None:
        proposal = Proposal(**json.loads(json.dumps(vars(proposal))))
    if observation is not None:
        plain = json.loads(json.dumps(vars(observation)))
        values = plain["values"]
        observation = Observation(**{**plain, "values": values and tuple(values)})
    return trial_id, proposal, observation


def best(events: list[Event]) -> float:
    """The smallest first objective that was observed."""
    return min(o.values[0] for _, _, o in events if o is not None and o.values is not None)

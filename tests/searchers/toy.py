"""A conditional toy space with a known optimum, and campaigns on it with workers that fail."""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from nas.searchers import Observation, Proposal, Searcher, searcher
from nas.spaces.choices import Choose, Genotype, Infeasible
from nas.spaces.search_space import SearchSpace


def stages(choose: Choose) -> None:
    """Depth decides what is asked and which exits there are, an op whether a width is asked."""
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
    return SearchSpace(cast(Any, stages), "toy", {"small": SMALL, "optimum": OPTIMUM})


def loss(genotype: Genotype) -> float:
    """How many answers of the optimum are missing: 0 for the optimum alone."""
    return float(sum(genotype.get(name) != best for name, best in OPTIMUM.items()))


def cost(genotype: Genotype) -> float:
    return float(sum(cast(int, v) for name, v in genotype.items() if name.endswith("width")))


def misled(proposal: Proposal) -> float:
    """How far off the loss is after few epochs: less and less, of each genotype differently."""
    if proposal.fidelity is None:
        return 0.0
    return zlib.crc32(json.dumps(proposal.genotype).encode()) % 7 / proposal.fidelity


@dataclass(frozen=True)
class Case:
    """A searcher to hold to the contract."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    objectives: int = 1

    def make(self, seed: int = 0) -> Searcher:
        return searcher(
            self.name, space=space(), seed=(7, seed), objectives=self.objectives, **self.options
        )


Event = tuple[int, Proposal | None, Observation | None]
"""Trial id, and what was proposed under it or what was told of it."""


def campaign(
    made: Searcher,
    trials: int,
    *,
    workers: int = 1,
    failures: float = 0.0,
    seed: int = 0,
    value: Callable[[Genotype], float] = loss,
) -> list[Event]:
    """What happened, in order, with so many trials under way at a time, ending in any order."""
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
    return min(o.values[0] for _, _, o in events if o is not None and o.values is not None)

"""Checks on a toy space what every searcher promises to a campaign."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nas.searchers import SEARCHERS, Observation, Proposal, Searcher
from nas.searchers.starting import starting_with
from nas.testing import toy
from nas.testing.parts import options_are_declared, same_with_any_hash_seed
from nas.testing.toy import Event, campaign, proposals


@dataclass(frozen=True)
class SearcherCase:
    """A searcher with options, to be checked.

    Attributes:
        searcher: its name as in ``campaign.yaml`` (``evolution``, ``mine.py:Mine``), or its class.
        options: its options as in ``campaign.yaml``.
        objectives: how many objectives it minimises.
        trials: the number of trials per check; choose fewer for a slow searcher.
        learns: whether observations change its suggestions; false for random search.
        initial: names of members of the toy space that it starts from.
        screened: whether a proxy chooses what it proposes, or is what it learns from.
    """

    searcher: str | type[Searcher]
    options: Mapping[str, Any] = field(default_factory=dict)
    objectives: int = 1
    trials: int = 40
    learns: bool = True
    initial: tuple[str, ...] = ()
    screened: bool = False

    @property
    def kind(self) -> type[Searcher]:
        """Returns the class of the searcher."""
        if isinstance(self.searcher, str):
            found: type[Searcher] = SEARCHERS.find(self.searcher)
            return found
        return self.searcher

    def make(self, seed: int = 0) -> Searcher:
        """Makes a new searcher over the toy space."""
        space, kind = toy.space(), self.kind
        if self.initial:
            genotypes = {name: space.member(name) for name in self.initial}
            kind = starting_with(kind, genotypes, kind.__name__)
        made = kind(space, (7, seed), self.objectives, **self.options)
        if self.screened:
            made.use(toy.screen(made.takes_filter, made.takes_proxies))
        return made


def check_searcher(
    searcher: str | type[Searcher],
    options: Mapping[str, Any] | None = None,
    *,
    objectives: int = 1,
    trials: int = 40,
    learns: bool = True,
) -> None:
    """Run every check of :data:`CHECKS` on a searcher, and :func:`hash_seed_does_not_matter`.

    The arguments are those of :class:`SearcherCase`. Raises :class:`AssertionError` if a promise is
    broken.
    """
    case = SearcherCase(searcher, options or {}, objectives, trials, learns)
    for check in CHECKS:
        check(case)
    hash_seed_does_not_matter(case)


def proposals_are_of_the_space_and_plain_json(case: SearcherCase) -> None:
    """A genotype is valid, its choices are in the order asked, and JSON gives it back."""
    space = toy.space()
    for proposal in proposals(campaign(case.make(), case.trials, workers=3)):
        genotype = proposal.genotype
        space.validate(genotype)
        order, _ = space.run(lambda choice, _, g=genotype: g[choice])  # type: ignore[misc]
        assert list(order) == list(genotype), (
            f"the choices of {genotype} must stand in the order asked: {list(order)}"
        )
        for what in (genotype, proposal.note):
            assert json.loads(json.dumps(what)) == what, f"JSON does not give {what} back"


def fidelities_rise_with_a_genotype(case: SearcherCase) -> None:
    """A trial that continues another trains the same genotype for longer.

    A searcher sets either a fidelity for every trial, or none, and then it continues no trial.
    """
    suggested: dict[int, Proposal] = {}
    for trial_id, proposal, observation in campaign(case.make(), case.trials, workers=3):
        if observation is not None:
            assert observation.fidelity == suggested[trial_id].fidelity
        if proposal is None:
            continue
        suggested[trial_id] = proposal
        if proposal.continues is not None:
            before = suggested[proposal.continues]
            assert proposal.genotype == before.genotype, (
                f"trial {trial_id} continues trial {proposal.continues} with another genotype"
            )
            assert before.fidelity is not None, f"trial {proposal.continues} has no fidelity"
            assert proposal.fidelity is not None, f"trial {trial_id} has no fidelity"
            assert before.fidelity < proposal.fidelity, (
                f"trial {trial_id} continues trial {proposal.continues}, but has no higher fidelity"
            )
    kinds = {type(proposal.fidelity) for proposal in suggested.values()}
    assert len(kinds) == 1, "either every proposal has a fidelity, or none has"


def genotypes(case: SearcherCase, seed: int = 0) -> list[list[tuple[str, Any]]]:
    """Returns the suggestions in a campaign with three workers and some failures, in order."""
    events = campaign(case.make(seed), case.trials, workers=3, failures=0.2)
    return [list(proposal.genotype.items()) for proposal in proposals(events)]


def the_seed_decides(case: SearcherCase) -> None:
    """The same seed suggests the same genotypes, another seed suggests others."""
    first = genotypes(case, seed=1)
    assert first == genotypes(case, seed=1), "two campaigns with one seed differ"
    assert first != genotypes(case, seed=2), "campaigns with two seeds are the same"


def hash_seed_does_not_matter(*cases: SearcherCase) -> None:
    """Suggestions do not depend on Python's hash seed, on which the order of a set depends.

    See :func:`nas.testing.parts.same_with_any_hash_seed`.
    """
    broken = "with another hash seed, other genotypes are suggested"
    same_with_any_hash_seed(genotypes, cases, broken)


def rebuilt(case: SearcherCase, events: list[Event]) -> Searcher:
    """Makes a searcher from events, as a resumed campaign makes it from its records."""
    made = case.make()
    for trial_id, proposal, observation in map(toy.recorded, events):
        if proposal is not None:
            made.replay(trial_id, proposal)
        if observation is not None:
            made.tell(observation)
    return made


def any_recorded_prefix_gives_the_next_proposal(case: SearcherCase) -> None:
    """Rebuilt from the records before any trial, the searcher repeats its suggestion for it."""
    events = campaign(case.make(), case.trials, workers=3, failures=0.2)
    asks = [i for i, (_, proposal, _) in enumerate(events) if proposal is not None]
    for i in asks[:: 5 if case.trials > 20 else 4]:
        trial_id, proposal, _ = events[i]
        again = rebuilt(case, events[:i]).ask(trial_id)
        assert again == proposal, (
            f"rebuilt from the records before trial {trial_id}, it suggests {again} "
            f"instead of {proposal}"
        )


def a_rebuilt_searcher_goes_on_as_the_first_would(case: SearcherCase) -> None:
    """Rebuilt in the middle of a campaign, the searcher repeats the rest of its suggestions."""
    events = campaign(case.make(), case.trials, workers=3, failures=0.2)
    middle = len(events) // 2
    made = rebuilt(case, events[:middle])
    for trial_id, proposal, observation in events[middle:]:
        if proposal is not None:
            again = made.ask(trial_id)
            assert again == proposal, f"trial {trial_id}: {again} instead of {proposal}"
        if observation is not None:
            made.tell(observation)


def asking_twice_answers_the_same_and_leaves_no_trace(case: SearcherCase) -> None:
    """A second ``ask`` for a trial returns the same proposal and does not change later trials."""
    once, twice = case.make(), case.make()
    for trial_id in range(case.trials):
        proposal = once.ask(trial_id)
        assert proposal is not None, (
            f"trial {trial_id}: ask returned None while no trial is running"
        )
        assert proposal == twice.ask(trial_id) == twice.ask(trial_id), (
            f"trial {trial_id}: a second call of ask returns another proposal"
        )
        values = (float(trial_id % 5), 1.0)[: case.objectives]
        for made in (once, twice):
            made.tell(Observation(trial_id, proposal.genotype, values, proposal.note))


def results_of_another_searcher_are_welcome(case: SearcherCase) -> None:
    """The searcher accepts results of trials that another one has suggested, without a note."""

    def suggested() -> list[Any]:
        made, other = case.make(), case.make(seed=5)
        found = []
        for trial_id in range(case.trials):
            own = trial_id % 3 == 0
            proposal = (made if own else other).ask(trial_id)
            assert proposal is not None, (
                f"trial {trial_id}: ask returned None while no trial is running"
            )
            toy.space().validate(proposal.genotype)
            values = (toy.loss(proposal.genotype), 1.0)[: case.objectives]
            observation = Observation(
                trial_id,
                proposal.genotype,
                None if trial_id % 7 == 5 else values,
                proposal.note,
                proposal.fidelity,
            )
            other.tell(observation)
            made.tell(observation if own else replace(observation, note={}))
            found.append(proposal.genotype)
        return found

    assert suggested() == suggested(), (
        "with results of another searcher, its suggestions do not repeat"
    )


def a_campaign_of_failures_goes_on(case: SearcherCase) -> None:
    """The searcher continues to suggest different genotypes if every trial fails."""
    events = campaign(case.make(), 30, workers=3, failures=1.0)
    found = [json.dumps(proposal.genotype) for proposal in proposals(events)]
    assert len(set(found)) > 15, f"of 30 trials that all failed, only {len(set(found))} differ"


def observations_matter_unless_search_is_random(case: SearcherCase) -> None:
    """With the opposite objective, the searcher suggests other genotypes."""

    def found(sign: float) -> list[Any]:
        events = campaign(case.make(), case.trials, value=lambda g: sign * len(json.dumps(g)))
        return [proposal.genotype for proposal in proposals(events)]

    same = found(1.0) == found(-1.0)
    assert same != case.learns, (
        "observations do not change the suggestions; for a random search, give learns=False"
        if same
        else "observations change the suggestions, although learns is False"
    )


def nobody_waits_for_nothing(case: SearcherCase) -> None:
    """``ask`` returns None only while trials are running; otherwise a campaign would never end."""
    for workers in (1, 17, 60):
        events = campaign(case.make(), case.trials, workers=workers, failures=0.5)
        assert len(proposals(events)) == case.trials


CHECKS: tuple[Callable[[SearcherCase], None], ...] = (
    options_are_declared,
    proposals_are_of_the_space_and_plain_json,
    fidelities_rise_with_a_genotype,
    the_seed_decides,
    any_recorded_prefix_gives_the_next_proposal,
    a_rebuilt_searcher_goes_on_as_the_first_would,
    asking_twice_answers_the_same_and_leaves_no_trace,
    results_of_another_searcher_are_welcome,
    a_campaign_of_failures_goes_on,
    observations_matter_unless_search_is_random,
    nobody_waits_for_nothing,
)
"""All checks of a searcher; each is a function of a case."""

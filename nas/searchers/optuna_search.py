"""Optuna's samplers as searchers."""

import inspect
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.samplers._ga import BaseGASampler
from optuna.trial import TrialState, create_trial
from pydantic import create_model

from nas.configuration import Config, validate
from nas.errors import InputError, at, in_file
from nas.registry import unknown
from nas.searchers.base import Observation, Proposal, Searcher
from nas.spaces.choices import Answer, Genotype, Infeasible, Option, Options, is_ordered, pick, same
from nas.spaces.search_space import SearchSpace

# Some samplers are missing: CMA-ES silently samples categorical choices at random; brute force
# stops a study by itself; the grid and partly fixed samplers take Python objects.
SAMPLERS = (
    "GPSampler",
    "NSGAIIISampler",
    "NSGAIISampler",
    "QMCSampler",
    "RandomSampler",
    "TPESampler",
)
"""The classes of ``optuna.samplers`` that can be named."""

_SUGGESTIONS = 10
_PLAIN = {"bool": bool, "int": int, "float": float, "str": str, "None": None}


class OptunaSearch(Searcher):
    """Uses a sampler of Optuna (Akiba et al. 2019, arXiv:1907.10902) with an in-memory study.

    Every choice is a categorical parameter whose values are the positions of the options, so the
    space may be conditional. Where the options are ordered, the position is an integer parameter.
    A choice with the same name but other options is another parameter.
    The sampler does not learn from failed trials or infeasible suggestions.

    Optuna's samplers take no weights of options. So in a space with priors, the answers to choices
    that have one are drawn from it here wherever the sampler would draw at random: in all trials of
    Random, in the first ``n_startup_trials`` of TPE and GP, and in the first ``population_size`` of
    NSGA-II and NSGA-III. Later suggestions of these, among them the mutations of the genetic ones,
    and all suggestions of QMC know nothing of the prior.

    Some samplers would suggest the same infeasible combination for ever. So after ten infeasible
    suggestions in a row the last one is repaired: it takes over the choices of a random genotype,
    one by one in random order, until it is feasible. The note of such a proposal holds
    ``repaired``.

    Samplers have state that the study does not show: the state of their random generator, their
    generations, the last fit. So a recorded trial is replayed by asking for it again. The same
    sequence of asks and tells rebuilds the state exactly, and takes as long as the first time.

    Args:
        space: the space to search.
        seed: one or more non-negative integers.
        objectives: how many values an observation holds.
        sampler: a class of :data:`SAMPLERS`, in upper or lower case, with or without "Sampler".
        sampler_options: arguments of its constructor that are plain values, without the seed.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int | Sequence[int],
        objectives: int = 1,
        *,
        sampler: str = "TPE",
        sampler_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(space, seed, objectives)
        kind = _sampler_class(sampler)
        options = _checked_options(kind, sampler_options or {})
        if kind is optuna.samplers.QMCSampler:
            options = {"scramble": True, **options}
        (state,) = np.random.SeedSequence(self.seed).generate_state(1)
        with _quiet():
            try:
                made = kind(seed=int(state), **options)
            except (ValueError, TypeError) as error:
                raise InputError(f"searcher optuna: sampler_options: {error}") from None
            self._study = optuna.create_study(sampler=made, directions=["minimize"] * objectives)
        self._asked: dict[int, tuple[int, Proposal]] = {}
        self._random_trials = _random_trials(kind, options)

    def ask(self, trial_id: int) -> Proposal:
        """Returns the sampler's suggestion; a second call with the same id returns the same."""
        if trial_id not in self._asked:
            with _quiet():
                self._asked[trial_id] = self._suggest(trial_id)
        return self._asked[trial_id][1]

    def replay(self, trial_id: int, proposal: Proposal) -> None:
        """Asks the sampler again, which brings it and the study into the same state.

        If its answer differs from the record (another version of Optuna made it, for example), the
        record counts. For an initial proposal the sampler is not asked.
        """
        if "initial" in proposal.note:
            with _quiet():
                self._asked[trial_id] = self._foreign(proposal.genotype), proposal
        elif self.ask(trial_id).genotype != proposal.genotype:
            number, _ = self._asked[trial_id]
            with _quiet():
                self._study.tell(number, state=TrialState.FAIL)
                self._asked[trial_id] = self._instead_of(number, proposal.genotype), proposal

    def tell(self, observation: Observation) -> None:
        """Ends a trial that was asked or replayed; adds another searcher's successful trial."""
        if observation.trial_id in self._asked:
            number, _ = self._asked[observation.trial_id]
        elif observation.values is None:
            return
        else:
            with _quiet():
                number = self._foreign(observation.genotype)
        state = TrialState.FAIL if observation.values is None else TrialState.COMPLETE
        with _quiet():
            self._study.tell(number, observation.values, state)

    def _suggest(self, trial_id: int) -> tuple[int, Proposal]:
        rng = self.rng(trial_id)
        for _ in range(_SUGGESTIONS):
            number, answers, feasible = self._suggestion(rng)
            if feasible:
                return number, Proposal(answers)
            # A pruned trial would count as a bad one, with its partial answers.
            self._study.tell(number, state=TrialState.FAIL)
        genotype = self._repaired(answers, self.rng(trial_id))
        return self._instead_of(number, genotype), Proposal(genotype, {"repaired": True})

    def _suggestion(self, rng: np.random.Generator) -> tuple[int, Genotype, bool]:
        """Starts a trial; returns its number, the sampler's answers, and if they are feasible."""
        trial = self._study.ask()
        answers: Genotype = {}
        completed = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        random = len(completed) < self._random_trials
        drawn = False

        def answer(name: str, options: tuple[Option, ...]) -> Option:
            nonlocal drawn
            parameter = _parameter(name, options)
            if is_ordered(options):
                position = trial.suggest_int(parameter, 0, len(options) - 1)
            else:
                position = trial.suggest_categorical(parameter, range(len(options)))
            answers[name] = options[position]
            if random and isinstance(options, Options) and options.prior:
                answers[name], drawn = pick(options, rng), True
            return answers[name]

        try:
            self.space.run(answer)
        except Infeasible as reason:
            self.space.rejected[reason.cause] += 1
            return trial.number, answers, False
        if drawn:
            self._study.tell(trial.number, state=TrialState.FAIL)
            return self._instead_of(trial.number, answers), answers, True
        return trial.number, answers, True

    def _repaired(self, answers: Genotype, rng: np.random.Generator) -> Genotype:
        """Replaces ``answers`` by those of a random genotype, one by one, until it is feasible."""
        target = self.space.sample(rng)
        order = [str(name) for name in rng.permutation(list(target))]
        for count in range(1, len(order)):
            taken = {name: target[name] for name in order[:count]}
            try:
                return self.space.run(_first_of([taken, answers, target], rng))[0]
            except Infeasible as reason:
                self.space.rejected[reason.cause] += 1
        return target

    def _foreign(self, genotype: Genotype) -> int:
        """Starts a trial with a genotype that was never suggested; returns its number."""
        trial = self._study.ask()
        if isinstance(self._study.sampler, BaseGASampler):
            # Genetic samplers store a trial's generation when they suggest something for it.
            _ = trial.relative_params
        self._study.tell(trial.number, state=TrialState.FAIL)
        return self._instead_of(trial.number, genotype)

    def _instead_of(self, number: int, genotype: Genotype) -> int:
        """Starts a trial with this genotype in place of a failed one; returns its number."""
        params: dict[str, int] = {}
        distributions: dict[str, BaseDistribution] = {}

        def answer(name: str, options: tuple[Option, ...]) -> Option:
            parameter = _parameter(name, options)
            distributions[parameter] = (
                IntDistribution(0, len(options) - 1)
                if is_ordered(options)
                else CategoricalDistribution(range(len(options)))
            )
            params[parameter] = next(i for i, o in enumerate(options) if same(o, genotype[name]))
            return genotype[name]

        self.space.validate(genotype)
        self.space.run(answer)
        trials = self._study.get_trials(deepcopy=False)
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=distributions,
                # The sampler stores its own values here, such as the generation.
                system_attrs=trials[number].system_attrs,
            )
        )
        return len(trials)


def _first_of(sources: Sequence[Genotype], rng: np.random.Generator) -> Answer:
    def answer(name: str, options: tuple[Option, ...]) -> Option:
        for source in sources:
            for option in options:
                if name in source and same(option, source[name]):
                    return option
        return options[int(rng.integers(len(options)))]

    return answer


def _parameter(name: str, options: tuple[Option, ...]) -> str:
    return json.dumps([name, *options])


def _sampler_class(name: str) -> Callable[..., BaseSampler]:
    short = [known.removesuffix("Sampler") for known in SAMPLERS]
    for known in short:
        if name.lower() in (known.lower(), f"{known}Sampler".lower()):
            found: Callable[..., BaseSampler] = getattr(optuna.samplers, f"{known}Sampler")
            return found
    raise InputError(f"searcher optuna: {unknown('sampler', name, short)}")


def _random_trials(sampler: Callable[..., BaseSampler], options: Mapping[str, Any]) -> float:
    """Returns how many trials have to succeed before the sampler does not draw at random."""
    if sampler is optuna.samplers.RandomSampler:
        return math.inf
    known = inspect.signature(sampler).parameters
    for name in ("n_startup_trials", "population_size"):
        if name in known:
            return float(options.get(name, known[name].default))
    return 0


def _checked_options(
    sampler: Callable[..., BaseSampler], options: dict[str, Any]
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(sampler).parameters.items():
        parts = parameter.annotation.split(" | ")
        if name != "seed" and _PLAIN.keys() >= set(parts):
            fields[name] = (reduce(or_, [_PLAIN[part] for part in parts]), parameter.default)
    model: type[Config] = create_model("sampler_options", __base__=Config, **fields)
    with in_file("searcher optuna"), at("sampler_options"):
        checked = validate(model, options)
    return {name: getattr(checked, name) for name in options}


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses Optuna's log messages and warnings; its errors are still raised."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            # ExperimentalWarning, deprecated options, options that imply others.
            for category in (ExperimentalWarning, FutureWarning, UserWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)

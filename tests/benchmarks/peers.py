"""Other packages' searchers on the same table, in the same run, by the same accounting as ours.

Run: ``PYTHONHASHSEED=0 python -m tests.benchmarks.peers results/peers DATA``, where DATA holds the
table's file (the hash seed is for DeepHyper, which picks from a set). The folder's
``benchmark.yaml`` names ours; the peers below are added to them. Each peer is the package's own
object, asked and told as its documentation says, with nothing of ours in between but the
translation of a genotype. All searchers have the same budget of charged evaluations, and what
becomes of a repeated architecture (``duplicates:``) is the same for all.

Optuna comes with this package. For the others: ``pip install syne-tune deephyper``; a peer that is
not installed is left out, and the last lines say so.
"""

import argparse
import multiprocessing
import tempfile
import time
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from nas.benchmark.config import Benchmark, load_benchmark
from nas.benchmark.report import report
from nas.benchmark.run import Result, Run, as_frame
from nas.benchmark.search import Search
from nas.configuration import Named
from nas.searchers import Observation, Proposal, Searcher
from nas.spaces.choices import Genotype
from nas.spaces.search_space import SearchSpace


class Peer(Searcher):
    """Asks and tells another package's searcher, one trial at a time, of a space without branches.

    Args:
        options: by the name of a choice.
    """

    package: str

    def __init__(self, space: SearchSpace, seed: int, options: dict[str, list[str]]) -> None:
        super().__init__(space, seed)
        self.start(options, seed)

    @abstractmethod
    def start(self, options: dict[str, list[str]], seed: int) -> None: ...

    @abstractmethod
    def suggest(self, trial_id: int) -> Genotype: ...

    @abstractmethod
    def hear(self, trial_id: int, genotype: Genotype, value: float) -> None: ...

    def ask(self, trial_id: int) -> Proposal:
        return Proposal({name: str(option) for name, option in self.suggest(trial_id).items()})

    def tell(self, observation: Observation) -> None:
        assert observation.values is not None
        self.hear(observation.trial_id, dict(observation.genotype), observation.values[0])


class OptunaSampler(Peer):
    package = "optuna"

    @abstractmethod
    def sampler(self, seed: int) -> optuna.samplers.BaseSampler: ...

    def start(self, options: dict[str, list[str]], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.options = options
        self.study = optuna.create_study(sampler=self.sampler(seed))
        self.trials: dict[int, optuna.Trial] = {}

    def suggest(self, trial_id: int) -> Genotype:
        trial = self.trials[trial_id] = self.study.ask()
        return {name: trial.suggest_categorical(name, each) for name, each in self.options.items()}

    def hear(self, trial_id: int, genotype: Genotype, value: float) -> None:
        self.study.tell(self.trials.pop(trial_id), value)


class OptunaTPE(OptunaSampler):
    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(seed=seed)


class OptunaNSGAII(OptunaSampler):
    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.NSGAIISampler(seed=seed)


class OptunaGP(OptunaSampler):
    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.GPSampler(seed=seed)


class SyneTune(Peer):
    package = "syne-tune"

    @abstractmethod
    def searcher(self, space: dict[str, Any], seed: int) -> Any: ...

    def start(self, options: dict[str, list[str]], seed: int) -> None:
        from syne_tune.config_space import choice

        np.random.seed(seed)  # evolution draws its first population from numpy's global generator
        self.peer = self.searcher({name: choice(each) for name, each in options.items()}, seed)

    def suggest(self, trial_id: int) -> Genotype:
        return dict(self.peer.suggest())

    def hear(self, trial_id: int, genotype: Genotype, value: float) -> None:
        self.peer.on_trial_complete(trial_id, genotype, value)


class SyneTuneEvolution(SyneTune):
    def searcher(self, space: dict[str, Any], seed: int) -> Any:
        from syne_tune.optimizer.schedulers.searchers.regularized_evolution import (
            RegularizedEvolution,
        )

        return RegularizedEvolution(space, population_size=10, sample_size=3, random_seed=seed)


class SyneTuneBORE(SyneTune):
    def searcher(self, space: dict[str, Any], seed: int) -> Any:
        from syne_tune.optimizer.schedulers.searchers.bore import Bore

        return Bore(space, random_seed=seed)


class SyneTuneConformal(SyneTune):
    def searcher(self, space: dict[str, Any], seed: int) -> Any:
        from syne_tune.optimizer.schedulers.searchers.conformal import (
            conformal_quantile_regression_searcher as conformal,
        )

        return conformal.ConformalQuantileRegression(space, random_seed=seed)


class DeepHyper(Peer):
    package = "deephyper"

    @abstractmethod
    def searcher(self, problem: Any, seed: int) -> Any: ...

    def start(self, options: dict[str, list[str]], seed: int) -> None:
        from deephyper.hpo import HpProblem

        problem = HpProblem()
        for name, each in options.items():
            problem.add_hyperparameter(each, name.replace("-", "_"))
        self.names = {name.replace("-", "_"): name for name in options}
        self.peer = self.searcher(problem, seed)

    def suggest(self, trial_id: int) -> Genotype:
        (asked,) = self.peer.ask()
        return {self.names[name]: option for name, option in asked.items()}

    def hear(self, trial_id: int, genotype: Genotype, value: float) -> None:
        told = {name: genotype[original] for name, original in self.names.items()}
        self.peer.tell([(told, -value)])  # it maximises


class DeepHyperEvolution(DeepHyper):
    def searcher(self, problem: Any, seed: int) -> Any:
        from deephyper.hpo import RegularizedEvolution

        return RegularizedEvolution(
            problem, random_state=seed, population_size=10, sample_size=3,
            checkpoint_history_to_csv=False,
        )  # fmt: skip


class DeepHyperBO(DeepHyper):
    def searcher(self, problem: Any, seed: int) -> Any:
        from deephyper.hpo import CBO

        return CBO(problem, random_state=seed, checkpoint_history_to_csv=False, verbose=0)


class SMAC(Peer):
    """SMAC3's facade for discrete choices: a random forest with expected improvement."""

    package = "smac"

    def start(self, options: dict[str, list[str]], seed: int) -> None:
        from ConfigSpace import ConfigurationSpace
        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario

        self.folder = tempfile.TemporaryDirectory()
        space = ConfigurationSpace(options, seed=seed)
        scenario = Scenario(
            space, n_trials=10**6, seed=seed, deterministic=True,
            output_directory=Path(self.folder.name),
        )  # fmt: skip
        self.peer = Facade(
            scenario, lambda config, seed=0: 0.0, overwrite=True, logging_level=False,
            initial_design=Facade.get_initial_design(scenario, n_configs=10),
        )  # fmt: skip
        self.trials: dict[int, Any] = {}

    def suggest(self, trial_id: int) -> Genotype:
        info = self.trials[trial_id] = self.peer.ask()
        return dict(info.config)

    def hear(self, trial_id: int, genotype: Genotype, value: float) -> None:
        from smac.runhistory.dataclasses import TrialValue

        self.peer.tell(self.trials.pop(trial_id), TrialValue(cost=value), save=False)


PEERS: dict[str, type[Peer]] = {
    "Optuna TPE": OptunaTPE,
    "Optuna NSGA-II": OptunaNSGAII,
    "Syne Tune evolution": SyneTuneEvolution,
    "DeepHyper evolution": DeepHyperEvolution,
}
"""Peers of evolution, which cost hardly more than the table."""
MODEL_BASED: dict[str, type[Peer]] = {
    "Optuna GP": OptunaGP,
    "Syne Tune BORE": SyneTuneBORE,
    "Syne Tune conformal": SyneTuneConformal,
    "DeepHyper CBO": DeepHyperBO,
    "SMAC3": SMAC,
}
"""Peers that fit a model to all results before each trial, so a run takes seconds to minutes."""
ALL = {**PEERS, **MODEL_BASED}
MODULES = {"syne-tune": "syne_tune", "deephyper": "deephyper", "optuna": "optuna", "smac": "smac"}


class PeerBenchmark(Benchmark):
    """A benchmark that knows the peers' labels too."""

    def searcher(self, label: str, seed: int) -> Searcher:
        if label not in ALL:
            return super().searcher(label, seed)
        options: dict[str, list[str]] = {}

        def first(name: str, allowed: tuple[Any, ...]) -> Any:
            options[name] = list(allowed)
            return allowed[0]

        self.space.run(first)
        return ALL[label](self.space, seed, options)


def installed(label: str) -> bool:
    """Whether a peer's package is installed."""
    return find_spec(MODULES[ALL[label].package]) is not None


def with_peers(folder: Path, data: Path | None, labels: Iterable[str]) -> PeerBenchmark:
    """The folder's benchmark, and these peers."""
    ours = load_benchmark(folder, data)
    named = {**ours.config.searchers, **{label: Named(name=label) for label in labels}}
    config = ours.config.model_copy(update={"searchers": named})
    return PeerBenchmark(folder, config, ours.table, ours.space, ours.space_definition, ours.data)


def carry_out(run: Run) -> tuple[Run, Result, float]:
    """One run and its processor seconds."""
    warnings.simplefilter("ignore")
    started = time.process_time()
    search = Search(_benchmark, run.label, run.seed, run.workers)
    return run, Result(search.run(), search.stuck), time.process_time() - started


_benchmark: PeerBenchmark


def main() -> None:
    global _benchmark
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, help="default: as benchmark.yaml says")
    parser.add_argument("--only", nargs="*", help="labels; default: all")
    arguments = parser.parse_args()
    _benchmark = with_peers(arguments.folder, arguments.data, filter(installed, PEERS))
    labels = arguments.only or list(_benchmark.config.searchers)
    seeds = arguments.seeds or _benchmark.config.seeds
    runs = [Run(label, 1, seed) for seed in range(seeds) for label in labels]
    with multiprocessing.get_context("fork").Pool() as pool:
        done = list(pool.imap_unordered(carry_out, runs, chunksize=4))
    done.sort(key=lambda each: (labels.index(each[0].label), each[0].seed))
    config = _benchmark.config
    print(
        report(
            as_frame(_benchmark, [(run, result) for run, result, _ in done]),
            arguments.folder,
            title="Ours and other packages' searchers on one table",
            direction={"validation": config.direction, "test": config.direction},
            optimum=_benchmark.optimum,
            origin=list(origin(done)),
        )
    )


def origin(done: list[tuple[Run, Result, float]]) -> Iterator[str]:
    """How it was made, and what must be known of the peers."""
    yield f"made by `PYTHONHASHSEED=0 python -m tests.benchmarks.peers {_benchmark.folder} DATA`"
    config = _benchmark.config
    yield f"search by {config.validation}, test {config.test}; duplicates: {config.duplicates}"
    spent: dict[str, list[float]] = {}
    for run, _, seconds in done:
        spent.setdefault(run.label, []).append(seconds)
    means = [f"{label} {np.mean(seconds):.3f}" for label, seconds in spent.items()]
    yield f"processor seconds per run, the table's part included: {', '.join(means)}"
    packages = sorted({peer.package for peer in PEERS.values()})
    known = [name for name in packages if find_spec(MODULES[name])]
    yield f"versions: {', '.join(f'{name} {version(name)}' for name in known)}"
    if missing := sorted(set(packages) - set(known)):
        yield f"not installed, so not compared: {', '.join(missing)}"
    yield (
        "peers have their defaults, the evolutions P=10 and S=3 as ours. DeepHyper's draws a "
        "tournament without replacement, and one child in five is its parent again: where "
        "duplicates are reused, that renews the best at no cost. Other hash seeds move its mean "
        "by some hundredths, and its verdict against our evolution with it"
    )


if __name__ == "__main__":
    main()

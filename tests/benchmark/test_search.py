import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.benchmark.config import Benchmark, load_benchmark
from nas.benchmark.search import STATUSES, Search
from nas.errors import InputError
from nas.searchers import Observation, Proposal, Searcher
from nas.spaces.choices import Genotype
from tests.benchmark.conftest import write


class Scripted(Searcher):
    """Proposes what it was given, and remembers what it was told."""

    def __init__(self, proposals: list[Proposal | None]) -> None:
        self.proposals = proposals
        self.told: list[Observation] = []

    def ask(self, trial_id: int) -> Proposal | None:
        return self.proposals[trial_id] if trial_id < len(self.proposals) else None

    def tell(self, observation: Observation) -> None:
        self.told.append(observation)


class Scripts:
    """A benchmark, and runs of it with a script for a searcher."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.benchmark: Benchmark = load_benchmark(write(folder, **changes))

    def genotype(self, *operations: str) -> Genotype:
        return dict(zip(self.benchmark.space.sample(np.random.default_rng(0)), operations,
                        strict=True))  # fmt: skip

    def run(
        self, proposals: list[Proposal | None], workers: int = 1, seed: int = 0
    ) -> tuple[Search, list[Observation], dict[str, Any]]:
        search = Search(self.benchmark, "random", seed, workers)
        search._loop.searcher = searcher = Scripted(proposals)
        return search, searcher.told, search.run()


CONV = ("nor_conv_3x3", "none", "skip_connect")
POOL = ("avg_pool_3x3", "none", "skip_connect")
SKIP = ("skip_connect", "none", "skip_connect")
SAME = ("none", "skip_connect", "none")  # as SKIP


def test_a_searcher_hears_its_objective_and_no_more(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "b")
    genotypes = [scripts.genotype(*ops) for ops in (CONV, POOL)]
    _, told, columns = scripts.run([Proposal(g, {"n": 1}) for g in genotypes])
    table, rows = scripts.benchmark.table, columns["row"].tolist()
    assert [table.keys[row] for row in rows] == [
        scripts.benchmark.space.to_string(genotype) for genotype in genotypes
    ]
    assert told == [
        Observation(n, genotype, (-table.metric("val")[row],), {"n": 1})
        for n, (genotype, row) in enumerate(zip(genotypes, rows, strict=True))
    ]
    assert columns["evaluation"].tolist() == [1, 2]
    times = table.seconds
    assert times is not None
    np.testing.assert_allclose(columns["seconds"], np.cumsum(times[rows, -1]))


def test_what_was_predicted_is_kept_with_the_parameters_of_the_network(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "b")
    first, second, third = (scripts.genotype(*ops) for ops in (CONV, POOL, SKIP))
    notes = [{"predicted": -80.5, "model": 3}, {"predicted": -70.0, "model": 9}, {}]
    asked = [Proposal(g, note, 3) for g, note in zip((first, second, third), notes, strict=True)]
    _, _, columns = scripts.run(list(asked))
    params = scripts.benchmark.space.decode(first).cost.params
    np.testing.assert_array_equal(columns["predicted"], [-80.5, np.nan, np.nan])
    np.testing.assert_array_equal(columns["params"], [params, np.nan, np.nan])


def test_no_lookup_of_a_search_touches_the_test(tmp_path: Path) -> None:
    """By proof: it is gone from the table, and the search goes on as before."""
    before = load_benchmark(write(tmp_path / "b"))
    after = load_benchmark(tmp_path / "b")
    del after.table.metrics["test"]  # type: ignore[attr-defined]
    for label in before.config.searchers:
        one, other = (Search(b, label, 1, 1).run() for b in (before, after))
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(
    ("policy", "evaluations", "reused", "statuses"),
    [
        ("reuse", [1, 1, 2, 2], [False, True, False, True], [0, 0, 0, 0]),
        ("retry", [1, 1, 2, 2], [False, False, False, False], [0, 2, 0, 2]),
        ("evaluate", [1, 2, 3, 4], [False, False, False, False], [0, 0, 0, 0]),
    ],
)
def test_what_becomes_of_duplicates(
    tmp_path: Path, policy: str, evaluations: list[int], reused: list[bool], statuses: list[int]
) -> None:
    scripts = Scripts(tmp_path / "b", duplicates=policy)
    asked = [scripts.genotype(*ops) for ops in (SKIP, SAME, CONV, SKIP)]
    _, told, columns = scripts.run([Proposal(genotype) for genotype in asked])
    assert columns["evaluation"].tolist() == evaluations
    assert columns["reused"].tolist() == reused
    assert columns["status"].tolist() == statuses
    assert [o.trial_id for o in told] == [0, 1, 2, 3]
    if policy == "reuse":
        assert told[0].values == told[1].values == told[3].values
    if policy == "retry":
        assert [o.values is None for o in told] == [False, True, False, True]
    if policy == "evaluate":  # every genotype has its own row
        lookup = scripts.benchmark.lookup
        assert columns["row"].tolist() == [lookup.row(genotype) for genotype in asked]


def test_a_budget_counts_what_is_evaluated(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "b", budget={"evaluations": 2})
    asked = [scripts.genotype(*ops) for ops in (SKIP, SAME, CONV, SKIP, POOL)]
    _, told, columns = scripts.run([Proposal(genotype) for genotype in asked])
    assert [o.trial_id for o in told] == [0, 1, 2]
    assert columns["evaluation"].tolist() == [1, 1, 2]


def test_a_duplicate_waits_for_what_runs_and_takes_no_worker(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "b")
    asked = [scripts.genotype(*ops) for ops in (SKIP, SAME, CONV)]
    search, told, columns = scripts.run([Proposal(genotype) for genotype in asked], workers=2)
    seconds = scripts.benchmark.table.seconds
    assert seconds is not None
    skip, conv = (seconds[scripts.benchmark.lookup.row(asked[n]), -1] for n in (0, 2))
    ended = {0: skip, 1: skip, 2: conv}
    assert dict(zip(columns["trial"].tolist(), columns["seconds"].tolist(), strict=True)) == ended
    order = [o.trial_id for o in told]
    assert order.index(1) == order.index(0) + 1
    assert search._cluster.busy_seconds == [skip, conv]


def test_with_a_deadline_nothing_starts_or_counts_after_it(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "b", budget={"seconds": 300.0})
    draws = [scripts.benchmark.space.sample(np.random.default_rng(n)) for n in range(20)]
    search, told, columns = scripts.run([Proposal(genotype) for genotype in draws], workers=2)
    assert columns["seconds"].max() <= 300
    assert search._cluster.clock > 300  # the last ones were under way, and not told
    assert len(told) == len(columns["row"])
    one = Scripts(tmp_path / "c", budget={"hours": 0.05}, workers=[1])
    _, alone, _ = one.run([Proposal(genotype) for genotype in draws])
    assert 0 < len(alone) < len(told)


def test_a_trial_that_goes_on_costs_the_rest(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "b")
    genotype = scripts.genotype(*CONV)
    asked = [Proposal(genotype, {}, 1), Proposal(genotype, {}, 9, continues=0)]
    _, told, columns = scripts.run([*asked, Proposal(genotype, {}, 1)])
    table, row = scripts.benchmark.table, scripts.benchmark.lookup.row(genotype)
    assert table.seconds is not None
    whole = table.seconds[row, 2]
    np.testing.assert_allclose(columns["seconds"], [whole / 9, whole, whole])
    assert columns["fidelity"].tolist() == [1, 9, 1]
    assert columns["reused"].tolist() == [False, False, True]  # only as far as it was trained
    curve = table.metrics["val"][row]
    assert [o.values for o in told] == [(-curve[0],), (-curve[2],), (-curve[0],)]


def test_a_curve_is_the_tables_up_to_the_fidelity(tmp_path: Path) -> None:
    asha = {"name": "asha", "max_fidelity": 3, "promotion": "learning_curve"}
    for metric, known in (("val", "1, 3, 9"), ("test", "the whole training")):
        message = f"searchers.curves: .* must have {metric} after .* it has it after {known}$"
        with pytest.raises(InputError, match=message):
            load_benchmark(write(tmp_path / "b", searchers={"curves": asha}, validation=metric))
    scripts, path = Scripts(tmp_path / "b"), tmp_path / "b" / "t.csv"
    path.write_text(path.read_text().replace("val_3", "val_2").replace("val_9", "val_3"))
    scripts.benchmark = load_benchmark(tmp_path / "b")
    conv, pool = (scripts.genotype(*operations) for operations in (CONV, POOL))
    asked = [Proposal(conv, {}, 1), Proposal(pool, {}, 2), Proposal(conv, {}, 3, continues=0),
             Proposal(pool, {}, 2), Proposal(pool)]  # fmt: skip
    for takes_curves in (True, False):
        search = Search(scripts.benchmark, "random", 0, 1)
        search._loop.searcher = searcher = Scripted(list(asked))
        searcher.takes_curves = takes_curves
        rows = search.run()["row"].tolist()
        for observation, row, until in zip(searcher.told, rows, (1, 2, 3, 2, 3), strict=True):
            whole = (-scripts.benchmark.table.metrics["val"][row]).tolist()
            assert observation.values == (whole[until - 1],)
            assert list(observation.curve) == (whole[:until] if takes_curves else [])


def test_faults_fail_trials_and_the_same_ones_again(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "b", faults={"probability": 0.5})
    asked = [Proposal(scripts.genotype(*ops)) for ops in (CONV, POOL, SKIP, CONV, POOL, SKIP)]
    _, told, columns = scripts.run(list(asked))
    statuses = [STATUSES[status] for status in columns["status"]]
    assert {"completed", "failed"} <= set(statuses)
    assert [o.values is None for o in told] == [status == "failed" for status in statuses]
    _, again, _ = scripts.run(list(asked))
    assert again == told
    _, other, _ = scripts.run(list(asked), seed=1)
    assert [o.values for o in other] != [o.values for o in told]


def test_a_search_that_finds_nothing_new_ends(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "b", budget={"evaluations": 200})
    search = Search(scripts.benchmark, "random", 0, 4)
    columns = search.run()
    identities = {scripts.benchmark.space.identity(g) for g in scripts.benchmark.space.enumerate()}
    assert columns["evaluation"].max() == len(identities) < 125
    assert search.stuck


def test_as_many_trials_as_workers_are_under_way(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path / "b", budget={"evaluations": 40})
    one, eight = (Search(scripts.benchmark, "random", 0, n).run() for n in (1, 8))
    # Random search does not look at results: the same trials, in a fraction of the time.
    assert set(eight["trial"].tolist()) == set(one["trial"].tolist())
    busy = one["seconds"].max()
    assert busy / 8 <= eight["seconds"].max() <= busy / 8 + 200
    assert (np.diff(eight["seconds"]) >= 0).all()
    assert math.isclose(eight["seconds"].max(), max(eight["seconds"]))

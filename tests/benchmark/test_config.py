import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.benchmark.config import load_benchmark
from nas.errors import InputError
from tests.benchmark.conftest import SPECIFICATION, write

FURTHER = "latency"

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budgets": 1}, "budgets: unknown key 'budgets' (did you mean 'budget'?)"),
        ({"space": "nasbench20"}, "space: unknown space 'nasbench20' (did you mean"),
        ({"space": {"name": "nasbench201", "node": 3}}, "node: unknown key 'node'"),
        ({"table": {"name": "column"}}, "table.name: unknown table 'column'"),
        ({"table": "table.yaml"}, "table.yaml: cannot be read"),
        ({"validation": "vall"}, "validation: unknown metric of the table 'vall' (did you mean"),
        ({"test": "tset"}, "test: unknown metric of the table 'tset'"),
        ({"test": None}, "test: Field required"),
        ({"direction": "up"}, "direction: Input should be 'max' or 'min', got 'up'"),
        ({"objectives": {"ms": {"metric": "x"}}}, "objectives.ms.metric: unknown metric of the"),
        ({"objectives": {"test": {"metric": "val"}}}, "objectives.test: must have another name"),
        ({"reference_point": {"val": 1}}, "reference_point: must have validation, in this order"),
        ({"searchers": {}}, "searchers: Dictionary should have at least 1 item"),
        ({"searchers": {"a": "rando"}}, "searchers.a.name: unknown searcher 'rando'"),
        (
            {"searchers": {"a": {"name": "evolution", "population": 1}}},
            "searchers.a.population: unknown key 'population' (did you mean 'population_size'?)",
        ),
        (
            {"searchers": {"a": {"name": "evolution", "population_size": 0}}},
            "searchers.a: searcher evolution: population_size must be at least 1, got 0",
        ),
        (
            {"searchers": {"a": {"name": "evolution", "initial": "resnet20"}}},
            "searchers.a.initial: resnet20 is a classic outside the space nasbench201; allowed: ",
        ),
        (
            {"searchers": {"a": {"name": "random", "initial": [{"node1.from0": "none"}]}}},
            "searchers.a.initial.0: genotype 0: space nasbench201: choice ",
        ),
        (
            {"searchers": {"a": {"name": "evolution", "population_size": 2, "tournament_size": 1,
             "warm_start": {"proxy": "snip", "candidates": 4, "keep": 2}}}},
            "searchers.a.warm_start.proxy: must be counted or a metric of the table: params, ",
        ),
        ({"seeds": 0}, "seeds: Input should be greater than or equal to 1, got 0"),
        ({"budget": {}}, "budget: must be one of evaluations, seconds and hours, got none of"),
        ({"budget": {"evaluations": 1, "hours": 1}}, "got evaluations and hours"),
        ({"budget": {"hours": 0}}, "budget.hours: Input should be greater than 0, got 0"),
        ({"workers": [1, 1]}, "workers: each must be given once, got [1, 1]"),
        ({"workers": 0}, "workers.0: Input should be greater than or equal to 1, got 0"),
        ({"workers": []}, "workers: Value should have at least 1 item"),
        ({"duplicates": "no"}, "duplicates: Input should be 'reuse', 'retry' or 'evaluate'"),
        ({"faults": {"probability": 2}}, "faults.probability: Input should be less than or equal"),
        ({"faults": {"seed": 2}}, "faults.seed: unknown key 'seed'"),
        (
            {"budget": {"hours": 1}, "table": {"name": "columns", "file": "t.csv"},
             "validation": "val_9"},
            "budget: the table has no training times; allowed: evaluations",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_a_mistake_is_named_with_file_key_value_and_what_is_allowed(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = write(tmp_path / "bench", **changes)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_benchmark(folder)
    assert str(folder) in str(caught.value) or "nasbench201.yaml" in str(caught.value)


def test_objectives_are_minimised_inside_and_given_in_the_tables_units(tmp_path: Path) -> None:
    objectives = {"ms": {"metric": "latency"}, "late": {"metric": "val", "direction": "max"}}
    searchers = {"nsga2": "nsga2"}
    benchmark = load_benchmark(write(tmp_path / "b", objectives=objectives, searchers=searchers))
    table = benchmark.table
    curve, latency = table.metrics["val"][7], table.metric("latency")[7]
    assert benchmark.values(7, 3) == (-curve[1], latency, -curve[1])  # latency does not change
    assert benchmark.values(7, None) == (-curve[2], latency, -curve[2])
    assert benchmark.directions == {"validation": "max", "ms": "min", "late": "max"}
    np.testing.assert_array_equal(benchmark.objective("ms"), table.metric("latency"))
    worst = [table.metric("val").min(), table.metric("latency").max(), table.metric("val").min()]
    assert benchmark.reference_point.tolist() == worst
    given = {"validation": 1.0, "ms": 2.0, "late": 3.0}
    folder = write(tmp_path / "c", objectives=objectives, searchers=searchers,
                   reference_point=given)  # fmt: skip
    assert load_benchmark(folder).reference_point.tolist() == [1.0, 2.0, 3.0]


def test_the_optimum_is_the_tables(folder: Path, tmp_path: Path) -> None:
    benchmark = load_benchmark(folder)
    table = benchmark.table
    assert benchmark.optimum == {
        "validation": table.metric("val").max(),
        "test": table.metric("test").max(),
    }
    least = load_benchmark(write(tmp_path / "min", direction="min"))
    assert least.optimum["validation"] == least.table.metric("val").min()
    assert least.values(0, None) == (least.table.metric("val")[0],)


def test_the_specification_has_what_the_results_depend_on(folder: Path) -> None:
    specification = load_benchmark(folder).specification
    assert specification["benchmark"]["searchers"]["evolution"]["population_size"] == 4
    assert specification["space"]["nodes"] == 3
    assert list(specification["table"]) == ["t.csv"]
    (folder / "t.csv").write_text((folder / "t.csv").read_text().replace("val_9", "val_27"))
    assert load_benchmark(folder).specification != specification


def test_the_data_may_be_elsewhere(folder: Path, tmp_path: Path) -> None:
    (folder / "t.csv").rename(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"t\.csv: cannot be read"):
        load_benchmark(folder)
    assert len(load_benchmark(folder, tmp_path).table.keys) == 125


@pytest.mark.parametrize("name", ["nb201_cifar10", "nb201_imagenet16"])
def test_shipped_benchmarks_are_benchmarks(name: str, shared_data: Path) -> None:
    benchmark = load_benchmark(ROOT / "results" / name, shared_data)
    assert len(benchmark.table.keys) == 15_625
    assert SPECIFICATION.keys() <= {*benchmark.config.model_fields_set, "reference_point"}


def test_a_searcher_starts_from_given_genotypes(tmp_path: Path) -> None:
    plain = {"name": "evolution", "population_size": 4, "tournament_size": 2}
    benchmark = load_benchmark(write(tmp_path / "plain"))
    genotype = benchmark.space.sample(np.random.default_rng(7))
    folder = write(
        tmp_path / "started",
        searchers={"plain": plain, "started": {**plain, "initial": [genotype]}},
    )
    benchmark = load_benchmark(folder)
    first = benchmark.searcher("started", 0).ask(0)
    assert first is not None
    assert (first.genotype, first.note) == (genotype, {"initial": "genotype 0"})
    assert benchmark.specification["initial"] == {"started": {"genotype 0": genotype}}
    second = [benchmark.searcher(label, 0).ask(1) for label in ("plain", "started")]
    assert second[0] == second[1]


def test_parts_in_a_folder_are_found_there_and_named(tmp_path: Path) -> None:
    warm = {"proxy": "params", "candidates": 126, "keep": 126}
    searchers = {
        "own": {"name": "predictor", "model": "mine.py:Mine"},
        "many": {"name": "evolution", "population_size": 126, "warm_start": warm},
    }
    folder = write(tmp_path / "b", searchers=searchers)
    (folder / "mine.py").write_text("from nas.predictors.trees import Forest as Mine\n")
    benchmark = load_benchmark(folder)
    asked = benchmark.specification
    assert asked["code"].keys() == {"mine.py"}
    assert asked["benchmark"]["searchers"]["own"]["model"] == "mine.py:Mine"
    message = "benchmark.yaml: searchers.many.warm_start.keep: of 126 candidates only"
    with pytest.raises(InputError, match=message):
        benchmark.searcher("many", 0).ask(0)


@pytest.mark.parametrize(
    ("proxy", "cost"), [("params", "params"), ("flops", "flops"), ("complexity", "flops")]
)
def test_a_searcher_starts_from_the_largest_of_random_genotypes(
    tmp_path: Path, proxy: str, cost: str
) -> None:
    warm = {"proxy": proxy, "candidates": 30, "keep": 3}
    entry = {"name": "evolution", "population_size": 4, "tournament_size": 2, "warm_start": warm}
    benchmark = load_benchmark(write(tmp_path, searchers={"warm": entry}))
    searcher, space = benchmark.searcher("warm", 5), benchmark.space
    asked = [searcher.ask(trial) for trial in range(4)]
    costs = [getattr(space.decode(each.genotype).cost, cost) for each in asked if each]
    rng = np.random.default_rng((5, 1))
    networks = [space.decode(space.sample(rng)) for _ in range(30)]
    drawn = {network.fingerprint: getattr(network.cost, cost) for network in networks}
    assert costs[:3] == sorted(drawn.values())[:-4:-1]


def test_metrics_of_the_table_serve_as_proxies(tmp_path: Path) -> None:
    searchers = {
        "filtered": {"name": "random", "filter": {"proxy": "PROXY", "candidates": 9}},
        "learns": {"name": "predictor", "initial_size": 4, "proxies": ["PROXY", "params"]},
    }
    searchers = json.loads(json.dumps(searchers).replace("PROXY", FURTHER))
    benchmark = load_benchmark(write(tmp_path, searchers=searchers))
    searcher, space, lookup = benchmark.searcher("filtered", 3), benchmark.space, benchmark.lookup
    rng = searcher.rng(0)
    rows = [lookup.row(space.sample(rng)) for _ in range(9)]
    asked = searcher.ask(0)
    assert asked is not None
    values = benchmark.table.metric(FURTHER)
    assert values[lookup.row(asked.genotype)] == values[rows].max()
    assert searcher.screen.seconds == 0
    assert list(benchmark.searcher("learns", 0).screen.features) == [FURTHER, "params"]


@pytest.mark.parametrize("hidden", [SPECIFICATION["validation"], SPECIFICATION["test"]])
def test_what_is_searched_for_is_no_proxy(tmp_path: Path, hidden: str) -> None:
    searchers = {"a": {"name": "random", "filter": {"proxy": hidden, "candidates": 9}}}
    message = f"searchers.a.filter.proxy: must be counted or .* got {hidden}"
    with pytest.raises(InputError, match=message):
        load_benchmark(write(tmp_path, searchers=searchers))

"""Small files in the official form, of which the benchmark's own API answers the same."""

import bz2
import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import nats_bench as official_api
import numpy as np
import pytest
import torch

import nas
from nas.errors import InputError
from nas.evaluators.tables.nats_bench import nats_bench
from nas.evaluators.tabular import Lookup

ARCHITECTURES = [
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|",
]


def run(dataset: str, seed: int, epochs: int, evaluated: dict[str, list[int]]) -> dict[str, Any]:
    """The state of a `ResultsCount`: one network, trained once."""
    rng = np.random.default_rng([len(dataset), seed, epochs])
    keys = [f"{part}@{epoch}" for part, measured in evaluated.items() for epoch in measured]
    return {
        "name": f"infer.tiny-{dataset}", "net_state_dict": None,
        "train_acc1es": OrderedDict((e, float(rng.random())) for e in range(epochs)),
        "train_acc5es": None,
        "train_losses": OrderedDict((e, float(rng.random())) for e in range(epochs)),
        "train_times": OrderedDict((e, float(rng.random())) for e in range(epochs)),
        "arch_config": {"channel": 16, "num_cells": 5}, "params": 0.25, "flop": 12.5,
        "seed": seed, "epochs": epochs, "latency": [0.01, np.float64(0.03)],
        "eval_names": list(evaluated),
        "eval_acc1es": {key: np.float64(100 * rng.random()) for key in keys},
        "eval_times": {f"{p}@{e}": float(rng.random()) for p in evaluated for e in range(epochs)},
        "eval_losses": {key: float(rng.random()) for key in keys},
    }  # fmt: skip


def training(index: int, epochs: int) -> dict[str, Any]:
    """The state of an `ArchResults`: validation after every epoch, test after the last."""
    every, last = list(range(epochs)), [epochs - 1]
    evaluated = {
        "cifar10-valid": {"x-valid": every, "ori-test": last},
        "cifar10": {"ori-test": last},
        "cifar100": {"x-valid": every, "x-test": every, "ori-test": last},
    }
    seeds = [777] if index else [777, 888]
    return {
        "arch_index": index,
        "arch_str": ARCHITECTURES[index],
        "all_results": {
            (name, seed): run(name, 10 * seed + index, epochs, parts)
            for name, parts in evaluated.items()
            for seed in seeds
        },
        "dataset_seed": dict.fromkeys(evaluated, seeds),
        "clear_net_done": True,
    }


def official(names: tuple[str, str] = ("12", "200")) -> dict[str, Any]:
    """What `nats_bench.NATStopology` takes."""
    lengths = (12, 20)
    infos = {
        index: {name: training(index, n) for name, n in zip(names, lengths, strict=True)}
        for index in range(2)
    }
    return {"meta_archs": ARCHITECTURES, "arch2infos": infos, "evaluated_indexes": [0, 1]}


def save(path: Path, content: Any) -> None:
    with bz2.BZ2File(path, "wb") as stream:
        pickle.dump(content, stream, protocol=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    content = official(("12", "20"))
    save(tmp_path / "tss.pickle.pbz2", content)
    simple = tmp_path / "tss-simple"
    simple.mkdir()
    save(simple / "meta.pickle.pbz2", {k: content[k] for k in ("meta_archs", "evaluated_indexes")})
    for index, infos in content["arch2infos"].items():
        save(simple / f"{index:06d}.pickle.pbz2", infos)
    return tmp_path


@pytest.mark.parametrize("file", ["tss.pickle.pbz2", "tss-simple"])
def test_metrics_are_means_over_seeds_by_the_benchmarks_protocol(folder: Path, file: str) -> None:
    table = nats_bench(folder, file=file, epochs=12)
    assert list(table.keys) == ARCHITECTURES[:2]
    state = official(("12", "20"))["arch2infos"]
    results = state[0]["12"]["all_results"]
    seeds = (777, 888)
    for epoch in (0, 11):
        expected = np.mean(
            [results["cifar10-valid", s]["eval_acc1es"][f"x-valid@{epoch}"] for s in seeds]
        )
        assert table.metrics["validation"][0, epoch] == expected
    test = np.mean([results["cifar10", s]["eval_acc1es"]["ori-test@11"] for s in seeds])
    assert table.metric("test")[0] == test == table.metric("test_e12")[0]
    assert np.isnan(table.metrics["test"][0, :11]).all()
    longer = state[1]["20"]["all_results"]["cifar10", 777]["eval_acc1es"]["ori-test@19"]
    assert table.metric("test_e20")[1] == longer
    assert table.seconds is not None
    trained = [
        sum(list(results["cifar10-valid", s]["train_times"].values())[:5])
        + results["cifar10-valid", s]["eval_times"]["x-valid@11"]
        for s in seeds
    ]
    assert table.seconds[0, 4] == pytest.approx(np.mean(trained))
    costs = {"params_millions": 0.25, "flops_millions": 12.5, "latency_ms": 20.0}
    assert {name: table.metric(name)[0] for name in costs} == pytest.approx(costs)
    lookup = Lookup(table, nas.space("nasbench201"))
    assert lookup.row(lookup.space.from_string(ARCHITECTURES[1])) == 1


def test_the_other_data_sets_have_a_test_part_of_their_own(folder: Path) -> None:
    table = nats_bench(folder, file="tss-simple", dataset="cifar100", epochs=20)
    results = official(("12", "20"))["arch2infos"][1]["20"]["all_results"]["cifar100", 777]
    assert table.metrics["test"][1, 7] == results["eval_acc1es"]["x-test@7"]
    assert table.metrics["validation"][1, 7] == results["eval_acc1es"]["x-valid@7"]
    assert table.epochs == tuple(range(1, 21))


def test_the_size_space_is_written_as_its_channels(folder: Path) -> None:
    content = official(("12", "90"))
    content["meta_archs"] = ["48:24:8:8:56", "8:16:24:32:64", "8:8:8:8:8"]
    save(folder / "sss.pickle.pbz2", content)
    space = nas.space("natsbench_size")
    lookup = Lookup(nats_bench(folder, file="sss.pickle.pbz2"), space)
    assert lookup.row(space.from_string("8:16:24:32:64")) == 1
    with pytest.raises(InputError, match="no row for the architecture 8:8:8:8:8 of space nats"):
        lookup.row(space.from_string("8:8:8:8:8"))  # named, and not evaluated


def test_the_older_file_of_nas_bench_201(tmp_path: Path) -> None:
    content = official(("less", "full"))
    for infos in content["arch2infos"].values():
        infos["full"] = {**infos["full"]}
        for result in infos["full"]["all_results"].values():
            result["eval_acc1es"] = {k: float(v) for k, v in result["eval_acc1es"].items()}
        for state in infos.values():
            for result in state["all_results"].values():
                result["latency"] = [0.02]
                result["eval_acc1es"] = {k: float(v) for k, v in result["eval_acc1es"].items()}
    torch.save(content, tmp_path / "NAS-Bench-201-v1_1-096897.pth")
    table = nats_bench(tmp_path, file="NAS-Bench-201-v1_1-096897.pth", epochs=12)
    assert table.metric("latency_ms")[0] == pytest.approx(20)
    assert {"validation_e12", "validation_e200"} <= set(table.metrics)


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/evil",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Evil(), "is no whole pickle of plain values: it holds posix.system"),
        ([1], "is no file of NATS-Bench: it holds a list"),
        ({"meta_archs": []}, "is no file of NATS-Bench: it lacks arch2infos"),
        ({"meta_archs": [], "arch2infos": {}}, "holds no architecture"),
        (
            {"meta_archs": ["x"], "arch2infos": {0: {"12": {"all_results": {}}}}},
            "architecture 0 is not in NATS-Bench's form: KeyError('dataset_seed')",
        ),
    ],
    ids=["code", "list", "lacks", "empty", "form"],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: Any, message: str) -> None:
    save(tmp_path / "f.pickle.pbz2", content)
    with pytest.raises(InputError, match=re.escape(message)):
        nats_bench(tmp_path, file="f.pickle.pbz2")


def test_a_torn_file_and_a_missing_one_are_named(folder: Path) -> None:
    path = folder / "tss.pickle.pbz2"
    content = path.read_bytes()
    for end in (0, 10, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:end])
        with pytest.raises(InputError, match=re.escape(f"{path}: ")):
            nats_bench(folder, file=path.name)
    with pytest.raises(InputError, match=r"none\.pbz2: cannot be read"):
        nats_bench(folder, file="none.pbz2")


def test_a_length_that_was_not_trained_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match="epochs: must be one of 12, 20, got 90"):
        nats_bench(folder, file="tss-simple", epochs=90)


def test_the_official_api_agrees(folder: Path) -> None:
    file = str(folder / "tss.pickle.pbz2")
    api = official_api.create(file, "tss", fast_mode=False, verbose=False)
    for dataset, name in (("cifar10", "cifar10-valid"), ("cifar100", "cifar100")):
        table = nats_bench(folder, file="tss.pickle.pbz2", dataset=dataset, epochs=12)  # type: ignore[arg-type]
        for row, key in enumerate(table.keys):
            info = api.get_more_info(key, name, hp="12", is_random=False)
            tested = api.get_more_info(key, dataset, hp="12", is_random=False)
            assert table.metric("validation")[row] == info["valid-accuracy"]
            assert table.metric("test")[row] == tested["test-accuracy"]
            assert table.seconds is not None
            cost = api.get_cost_info(api.query_index_by_arch(key), dataset)
            assert table.metric("latency_ms")[row] == pytest.approx(1000 * cost["latency"])
            assert table.metric("params_millions")[row] == cost["params"]
            early = api.get_more_info(key, name, iepoch=4, hp="12", is_random=False)
            assert table.metrics["validation"][row, 4] == early["valid-accuracy"]

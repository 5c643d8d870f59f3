"""Zero-cost proxies against published values: ``python -m tests.benchmarks.proxies VALUES.csv``.

It measures cells of NAS-Bench-201 on both data sets of ``nb201_zerocost_725x2``, a row of
VALUES.csv for each, and prints the table of ``results/proxies.md``. It can be stopped; the same
command goes on. ``--cells 0`` only prints the table. The batch are 32 images of CIFAR-10.
ImageNet16-120 is not at hand: for it, they are shrunk to 16x16 and get random labels of 120
classes. ``--correlations 1000`` also measures so many random cells of all on CIFAR-10 by the five
proxies of ``WHOLE``, whose correlations with the accuracy of all cells are published.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import avg_pool2d

import nas
from nas.proxies import PROXIES, Batch, measure
from tests.benchmarks.samples import SHARED, cifar10

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
SETS = {"cifar10": (32, 10), "ImageNet16-120": (16, 120)}
OURS = {"jacov": "jacob_cov"}
MEASURED = [name for name in PROXIES if name not in ("flops", "complexity")]
WHOLE = {"grad_norm": 0.594, "snip": 0.596, "fisher": 0.360, "synflow": 0.737, "jacob_cov": 0.731}
"""Correlations over all 15,625 cells on CIFAR-10 (github.com/SamsungLabs/zero-cost-nas)."""
KEY = ("dataset", "op_code", "seed")
BATCH = 32
FEWEST = 20
"""How many cells a row of the table needs."""


def published(name: str) -> pd.DataFrame:
    """Return published values, a row per data set and cell."""
    table = pd.read_csv(SHARED / "nas" / name, dtype={"op_code": str})
    return table.rename(columns=OURS).set_index(["dataset", "op_code"]).sort_index()


def cells(late: pd.DataFrame, early: pd.DataFrame) -> list[str]:
    """Return the cells of the later release in a random order, first those of both releases."""
    codes = sorted(set(late.loc["cifar10"].index) & set(late.loc["ImageNet16-120"].index))
    shuffled = np.random.default_rng(0).permutation(codes).tolist()
    both = set(early.index.get_level_values("op_code"))
    return sorted(shuffled, key=lambda code: code not in both)


def decode(code: str, dataset: str) -> nas.Architecture:
    """Return the network of a cell."""
    size, classes = SETS[dataset]
    space = nas.space("nasbench201", input_shape=(3, size, size), classes=classes)
    chosen = zip(EDGES, code, strict=True)
    return space.decode({f"edge{edge}": OPERATIONS[int(digit)] for edge, digit in chosen})


def batch(dataset: str) -> Batch:
    """Return the images and labels on which all cells are measured."""
    size, classes = SETS[dataset]
    drawn, _ = cifar10()
    chosen = [drawn[i] for i in np.random.default_rng(0).permutation(len(drawn))[:BATCH]]
    images = torch.tensor(np.stack([image for image, _ in chosen])).permute(0, 3, 1, 2) / 255
    mean, std = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    images = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    labels = torch.tensor([int(label) for _, label in chosen])
    if size < 32:
        images = avg_pool2d(images, 32 // size)
        labels = torch.randint(classes, (BATCH,), generator=torch.Generator().manual_seed(0))
    return Batch(images, labels)


def run(
    path: Path, codes: list[str], seed: int, names: list[str], datasets: Sequence[str] = tuple(SETS)
) -> None:
    """Measure what is missing, and append it to the file."""
    done: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    if path.exists():
        read = pd.read_csv(path, dtype={"op_code": str})
        for *key, measured in read[[*KEY, "measured"]].itertuples(index=False):
            done[tuple(key)] |= set(measured.split())
    torch.set_num_threads(1)
    batches = {dataset: batch(dataset) for dataset in datasets}
    proxies = {name: PROXIES[name] for name in names}
    for code in codes:
        for dataset, images in batches.items():
            if done[dataset, code, seed].issuperset(names):
                continue
            torch.manual_seed(seed)
            network = nas.compile(decode(code, dataset))
            started = process_time()
            found = measure(proxies, network, images, torch.Generator().manual_seed(seed))
            row = {"dataset": dataset, "op_code": code, "seed": seed}
            row |= {name: found[name].value if name in found else None for name in MEASURED}
            row |= {"measured": " ".join(names), "cpu_seconds": round(process_time() - started, 3)}
            pd.DataFrame([row]).to_csv(path, mode="a", header=not path.exists(), index=False)


def spearman(one: pd.Series, other: pd.Series) -> tuple[float, int]:
    """Return the rank correlation where both are numbers, and of how many cells."""
    both = pd.concat([one, other], axis=1, join="inner").replace([np.inf, -np.inf, -1e8], np.nan)
    both = both.dropna()
    return both.corr("spearman").iloc[0, 1], len(both)


def table(path: Path, late: pd.DataFrame, early: pd.DataFrame) -> str:
    """Return the table in Markdown."""
    zen = pd.read_csv(SHARED / "nas" / "nb201_zen_15625x2.csv.gz", dtype={"op_code": str})
    zen = zen.set_index("op_code")
    read = pd.read_csv(path, dtype={"op_code": str}).groupby(list(KEY)).last()
    ours, again = (
        read.xs(seed, level="seed") if seed in read.index.get_level_values("seed") else read[:0]
        for seed in (0, 1)
    )
    rows = []
    for dataset in ours.index.get_level_values("dataset").unique():
        accuracy = late.loc[dataset]["val_accuracy"]
        mine = ours.loc[dataset]
        mine = mine[mine.index.isin(accuracy.index)]
        best = accuracy.loc[mine.index].nlargest(len(mine) // 5).index
        common = mine.index.intersection(early.loc[dataset].index)
        for name in mine[list(MEASURED)].dropna(axis=1, thresh=FEWEST):
            row: dict[str, object] = {"data set": dataset, "proxy": name}
            theirs = zen[f"zen_{dataset}"] if name == "zen" else late.loc[dataset].get(name)
            if theirs is not None:
                row["to published"], row["cells"] = spearman(mine[name], theirs)
            if name in early:  # the noise floor, on the same cells as far as both have them
                one, other = late.loc[dataset][name].loc[common], early.loc[dataset][name]
                row["two releases"] = spearman(one, other)[0]
            if dataset in again.index.get_level_values(0) and again.loc[dataset][name].count():
                row["two seeds of ours"] = spearman(mine[name], again.loc[dataset][name])[0]
            row["accuracy"] = spearman(mine[name], accuracy)[0]
            row["best fifth"] = spearman(mine[name].loc[best], accuracy)[0]
            rows.append(row)
    frame = pd.DataFrame(rows).round(3)
    frame["cells"] = frame["cells"].astype("Int64")
    return frame.astype(object).where(frame.notna(), "").to_markdown(index=False)


def trained() -> pd.Series:
    """Return the mean validation accuracy of three seeds on CIFAR-10, for all cells."""
    table = pd.read_csv(SHARED / "nas" / "nb201_three_seeds_e200.csv.gz", dtype={"op_code": str})
    seeds = table.set_index("op_code")[[f"cifar10_val_acc_{seed}" for seed in range(3)]]
    return seeds.mean(axis=1).sort_index()


def resampled(one: pd.Series, other: pd.Series, drawn: np.ndarray) -> float:
    """Return the rank correlation of a draw with replacement."""
    index = range(len(drawn))
    taken = (pd.Series(each.to_numpy()[drawn], index=index) for each in (one, other))
    return spearman(*taken)[0]


def correlations(path: Path, codes: list[str], accuracy: pd.Series) -> str:
    """Return the correlations over so many cells beside the published ones, in Markdown."""
    read = pd.read_csv(path, dtype={"op_code": str})
    ours = read[(read["dataset"] == "cifar10") & (read["seed"] == 0)].groupby("op_code").last()
    ours = ours.loc[codes]
    rows = []
    for name, known in WHOLE.items():
        found, count = spearman(ours[name], accuracy)
        drawn = np.random.default_rng(0).integers(len(codes), size=(1000, len(codes)))
        again = [resampled(ours[name], accuracy.loc[codes], each) for each in drawn]
        low, high = np.nanquantile(again, [0.025, 0.975])
        rows.append({"proxy": name, "cells": count, "ours": found,
                     "95 % interval": f"{low:.3f} to {high:.3f}", "published": known})  # fmt: skip
    return pd.DataFrame(rows).round(3).to_markdown(index=False)


def ratio(rounds: int = 9) -> str:
    """Return how much CPU time the five cheap proxies take, in units of one pass; medians."""
    network, images = nas.compile(decode("333333", "ImageNet16-120")), batch("ImageNet16-120")
    cheap = {name: PROXIES[name] for name in ("grad_norm", "snip", "fisher", "l2_norm", "plain")}

    def one_pass() -> None:
        network.zero_grad()
        images.loss(network(images.images), images.labels).backward()

    def proxies() -> None:
        measure(cheap, network, images, torch.Generator())

    seconds: dict[str, list[float]] = {"pass": [], "proxies": []}
    for _ in range(rounds):
        for name, call in (("pass", one_pass), ("proxies", proxies)):
            started = process_time()
            call()
            seconds[name].append(process_time() - started)
    median = {name: float(np.median(each)) for name, each in seconds.items()}
    return (
        f"The five cheap proxies of a cell at 16x16 take {median['proxies'] / median['pass']:.2f} "
        f"times the CPU time of one forward and backward pass ({median['pass']:.3f} s)."
    )


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("values", type=Path)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="1: how much the first weights matter")
    parser.add_argument("--proxies", default=",".join(MEASURED))
    parser.add_argument("--correlations", type=int, default=0)
    arguments = parser.parse_args()
    late = published("nb201_zerocost_725x2.csv.gz")
    early = published("nb201_zerocost_early_491x2.csv.gz")
    chosen = cells(late, early)[: arguments.cells]
    run(arguments.values, chosen, arguments.seed, arguments.proxies.split(","))
    print(f"{table(arguments.values, late, early)}\n\n{ratio()}")
    if arguments.correlations:
        accuracy = trained()
        shuffled = np.random.default_rng(0).permutation(accuracy.index).tolist()
        some = shuffled[: arguments.correlations]
        run(arguments.values, some, 0, [*WHOLE], ["cifar10"])
        print(f"\n{correlations(arguments.values, some, accuracy)}")


if __name__ == "__main__":
    main()

"""Classics that train with an auxiliary head and scheduled drop path, and are judged without."""

import io
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.architecture.graph import Architecture
from nas.architecture.modules import DropPath
from nas.architecture.network import compile
from nas.architecture.operations import DropPath as DropPathNode
from nas.architecture.reference import reference_cost
from nas.classics.cell_networks import pairwise
from nas.classics.inception_v3 import inception_v3
from nas.evaluators.training import evaluate
from nas.evaluators.work import complete

Build = Callable[..., Architecture]
NARROW = {"channels": 8, "stem_channels": 8, "stem": "cifar"}
NETWORKS: dict[str, tuple[Build, int]] = {  # what builds it, and the side of its images
    "AmoebaNet-A": (
        partial(pairwise, published="amoebanet_a", cells=1, **NARROW, drop_path=0.4),
        20,
    ),
    "DARTS v2": (
        partial(pairwise, published="darts_v2", cells=1, **NARROW, drop_path=0.4),
        20,
    ),
    # It has no shortcuts that could be dropped, only the head.
    "Inception v3": (partial(inception_v3, width=0.1, stem="cifar"), 32),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def images(path: Path, side: int, n: int = 32) -> None:
    """Two classes that differ in brightness, which any network learns at once."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    pixels = rng.integers(0, 128, (n, 3, side, side)) + 100 * labels[:, None, None, None]
    np.savez(path, images=pixels.astype(np.uint8), labels=labels)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_trains_with_head_and_drop_path_and_is_judged_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    build, side = NETWORKS[name]
    architecture = build((3, side, side), 2, auxiliary=True)
    drop_paths = [n.operation.probability for n in architecture.nodes
                  if isinstance(n.operation, DropPathNode)]  # fmt: skip
    plain = build((3, side, side), 2, auxiliary=False, **({"drop_path": 0.0} if drop_paths else {}))
    dropped: list[float] = []
    forward = DropPath.forward

    def spied(self: DropPath, x: Tensor) -> Tensor:
        if self.training:
            dropped.append(self.probability)
        return forward(self, x)

    monkeypatch.setattr(DropPath, "forward", spied)
    images(tmp_path / "images.npz", side)
    request = {
        "architecture": architecture.to_json(),
        "data": {
            "name": "arrays",
            "path": str(tmp_path / "images.npz"),
            "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
        },
        "recipe": {
            "preset": "amoebanet", "epochs": 2, "batch_size": 8, "augment": [], "precision": "fp32",
        },
        "seed": 0,
        "device": "cpu",
        "test": True,
    }  # fmt: skip
    states: list[dict[str, Any]] = []
    found = complete(
        evaluate(request),
        lambda progress: states.append(torch.load(io.BytesIO(progress.save()), weights_only=True)),
    )

    # The head's loss is part of what is minimised: 1 + 0.5 cross entropies to begin with.
    assert all(math.isfinite(epoch["train_loss"]) for epoch in found["curve"])
    assert found["curve"][0]["train_loss"] > 1.2 * math.log(2)
    before, after = (state["network"] for state in states)
    head = [key for key in before if key.startswith(architecture.outputs[1].rpartition(".")[0])]
    head = [key for key in head if key.endswith("weight")]
    assert head
    for key in head:
        assert not torch.equal(after[key], before[key])
    # Zero at first, then linear in the steps: the last of four has 3/4 of its probability.
    if drop_paths:
        assert dropped[0] == 0
        assert max(drop_paths) == 0.4
        assert max(dropped) == pytest.approx(0.4 * 3 / 4)
    else:
        assert not dropped

    # Evaluation: one output, the same each time, and no more work than without either.
    assert 0 <= found["test_accuracy"] <= 1
    network = compile(architecture).eval()
    network.load_state_dict(after)
    batch = torch.randn(2, 3, side, side)
    assert network(batch).shape == (2, 2)
    assert torch.equal(network(batch), network(batch))
    calls = {node.target for node in network.graph.nodes if node.op == "call_module"}
    assert not calls & {key.rpartition(".")[0] for key in head}
    assert architecture.cost == plain.cost
    assert found["fvcore"] == reference_cost(plain).cost._asdict() == plain.cost._asdict()

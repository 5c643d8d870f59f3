"""``nas profile``: times of operations, and the latencies that follow from them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import nas
from nas.analysis.tables.trials import trials
from nas.architecture.profile import About, Piece, Profile, pieces
from nas.campaigns.drive.run import run
from nas.cli import main
from nas.configuration import validate
from nas.errors import InputError
from nas.spaces.constrained_space import constrained
from nas.spaces.constraints import Constraints, further_costs
from nas.training import profiling
from tests.campaigns.toy import CAMPAIGN, write

ABOUT = About(device="none", threads=1, scale=1.5, networks=4, error=0.1, rank_correlation=0.9)


def milliseconds(piece: Piece) -> float:
    """Times that grow with MACs alone."""
    operation, inputs = piece
    return 0.5 + operation.cost(inputs, operation.shape(*inputs)).macs / 1000


def made(networks: Sequence[nas.Architecture]) -> Profile:
    return Profile({p: milliseconds(p) for each in networks for p in pieces(each)}, ABOUT)


def lenet(width: float) -> nas.Architecture:
    return nas.classic("lenet5", (1, 16, 16), 10, width=width)


def test_a_latency_is_the_scaled_sum_of_the_times_of_all_operations() -> None:
    lenets = [lenet(width) for width in (0.5, 1.0)]
    profile = made(lenets)
    for each in lenets:
        assert len(pieces(each)) == len(each.nodes)
        expected = 1.5 * (0.5 * len(each.nodes) + each.cost.macs / 1000)
        assert profile.latency(each) == pytest.approx(expected)


def test_other_shapes_are_estimated_from_operations_of_their_kind() -> None:
    profile = made([lenet(width) for width in (0.25, 0.5, 1.0)])
    other = lenet(0.75)
    expected = 1.5 * (0.5 * len(other.nodes) + other.cost.macs / 1000)
    assert profile.latency(other) == pytest.approx(expected, rel=0.02)
    unknown = nas.classic("mobilenet_v2", (1, 32, 32), 10)  # has kinds that LeNet-5 has not
    assert 0 < profile.latency(unknown) < np.inf


def test_auxiliary_heads_take_no_time() -> None:
    whole = nas.classic("googlenet", (3, 64, 64), 10)
    assert len(pieces(whole)) == len(whole.inference().nodes) < len(whole.nodes)


def test_a_profile_is_read_as_it_was_written_and_a_bad_one_is_named(tmp_path: Path) -> None:
    profile, path = made([lenet(1.0)]), tmp_path / "p.json"
    path.write_text(profile.to_json())
    again = Profile.read(path)
    assert again.times == profile.times
    assert again.about == profile.about
    whole = json.loads(path.read_text())
    for change, said in (
        ({"scale": -1}, "scale: Input should be greater than 0"),
        ({"operations": []}, "operations: Tuple should have at least 1 item"),
        ({"operations": [{"kind": "conv"}]}, "operations.0: must have kind, attributes, inputs"),
        ({"operations": [{"kind": "x", "inputs": [[1]], "ms": 1}]}, "operations.0: .*'x'"),
        ({"operations": [{"kind": {}, "inputs": [[1]], "ms": 1}]}, "kind must be text"),
        ({"operations": [{"kind": "add", "inputs": [], "ms": 1}]}, "inputs a list of one or more"),
        ({"operations": [{"kind": "add", "inputs": [[1e999]], "ms": 1}]}, "input shape must be"),
        ({"operations": [{**whole["operations"][-1], "ms": -1}]}, "ms must be finite and not neg"),
    ):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(InputError, match=rf"p\.json: {said}|p\.json: .*{said}"):
            Profile.read(path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device where nothing takes 1 ms, a parameter 1 more, and a network twice their sum."""

    def timed(network: nn.Module, shapes: Any, device: str) -> list[float]:
        return [1.0 + sum(each.numel() for each in network.parameters())]

    def measured(network: nn.Module, shape: Any, device: str) -> dict[str, float]:
        return {"latency_ms": 2.0 * sum(each.numel() for each in network.parameters())}

    monkeypatch.setattr(profiling, "timed", timed)
    monkeypatch.setattr(profiling, "measure_latency", measured)


def tower(layers: int, kernel: int = 3, activation: str = "relu") -> nas.Architecture:
    g = nas.Builder((4, 8, 8))
    x = g.input
    for _ in range(layers):
        x = g.activation(g.conv(x, 4, kernel=kernel, padding="same"), activation)
    return g.build(g.linear(g.global_pool(x), 2))


@pytest.mark.usefixtures("clock")
def test_the_time_of_nothing_is_subtracted_and_the_sum_is_scaled() -> None:
    towers = [tower(layers) for layers in (1, 2, 3, 4)]
    profile = profiling.profile([towers[0], *towers])  # equal networks count once
    for (operation, inputs), ms in profile.times.items():
        assert ms == operation.cost(inputs, operation.shape(*inputs)).params
    about = profile.about
    assert (about.scale, about.networks) == (pytest.approx(2), 4)
    assert about.error == pytest.approx(0)
    assert about.rank_correlation == pytest.approx(1)


@pytest.mark.usefixtures("clock")
def test_the_error_is_of_networks_whose_operations_were_not_measured() -> None:
    towers = [tower(1), tower(2, kernel=5), tower(2), tower(3, kernel=1)]
    fitted, others = towers[::2], towers[1::2]
    profile = profiling.profile(towers)
    known = profiling.profile([*fitted, tower(3), tower(4)])  # times of the same operations
    errors = [abs(known.latency(each) / (2.0 * each.cost.params) - 1) for each in others]
    assert profile.about.error == pytest.approx(np.median(errors))
    assert profile.about.error > 0.01
    assert profile.latency(others[0]) == pytest.approx(2.0 * others[0].cost.params)


@pytest.mark.usefixtures("clock")
def test_ranks_of_equal_latencies_are_undefined(tmp_path: Path) -> None:
    same = [tower(1, activation=each) for each in ("relu", "tanh", "sigmoid", "gelu")]
    profile = profiling.profile(same)
    assert profile.about.rank_correlation is None
    (tmp_path / "p.json").write_text(profile.to_json())
    assert Profile.read(tmp_path / "p.json").about == profile.about
    with pytest.raises(
        InputError, match="4 different networks are needed, but 6 draws made only 3"
    ):
        profiling.profile(same[:3] * 2)


def test_operations_with_several_inputs_are_timed_alone() -> None:
    networks = [nas.classic(name, (3, 64, 64), 10) for name in ("resnet20", "googlenet")]
    inputs = {len(inputs) for each in networks for _, inputs in pieces(each)}
    assert inputs >= {1, 2}
    for piece in [piece for each in networks for piece in pieces(each) if len(piece[1]) > 1][:3]:
        assert profiling._median(piece, "cpu") > 0


@pytest.mark.usefixtures("clock")
def test_a_profile_limits_a_space_and_is_an_objective(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "c", CAMPAIGN.replace("name: evolution", "name: nsga2").replace(
        "population_size: 2, tournament_size: 2", "population_size: 2"
    ).replace("trials: 4", "trials: 2").replace("classics: [resnet20]", "classics: []") + (
        "constraints: {latency_ms: {limit: 1000, profile: p.json}}\n"
        "objectives: [validation_accuracy, latency_ms]\n"
    ))  # fmt: skip
    path = folder / "p.json"
    command = ["profile", str(folder / "tiny.yaml"), "--input", "1,8,8", "-n", "6", "--out"]
    assert main([*command, str(path)]) == 0
    said = capsys.readouterr().out
    assert "median relative error" in said
    profile = Profile.read(path)
    run(folder)
    for row in trials(folder).to_dict("records"):
        asked = json.loads((folder / "resolved.json").read_text())
        assert asked["specification"]["constraints"]["latency_ms"]["checksum"]
        assert row["status"] == "completed"
        assert row["latency_ms"] > 0
    found = nas.space(str(folder / "tiny.yaml"), input_shape=(1, 8, 8), classes=10)
    every = [profile.latency(found.decode(each)) for each in found.enumerate()]
    limit = float(np.median(every))
    limits = validate(Constraints, {"latency_ms": {"limit": limit, "profile": "p.json"}})
    kept = list(constrained(found, limits, folder).enumerate())
    assert len(kept) == sum(each <= limit for each in every)
    costs = further_costs([(limits, folder)])(lenet(1.0))
    assert costs["latency_ms"] == profile.latency(lenet(1.0))


def test_a_table_and_a_profile_are_not_both_given() -> None:
    given = {"limit": 1.0, "table": "t.csv", "column": "ms", "profile": "p.json"}
    with pytest.raises(InputError, match="latency_ms: must be read from a table or predicted by"):
        validate(Constraints, {"latency_ms": given})

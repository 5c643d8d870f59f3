import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from nas.architecture.builder import Builder
from nas.architecture.graph import Architecture
from nas.errors import InputError
from nas.evaluators.sharing import Setting
from nas.evaluators.training import evaluate
from nas.evaluators.work import complete
from nas.spaces.choices import Infeasible
from nas.training import data
from nas.training.recipe import resolve

SPLIT = {"train": 0.6, "validation": 0.2, "test": 0.2, "seed": 0}


def small(
    input_shape: tuple[int, ...] = (1, 8, 8), classes: int = 10, heads: tuple[int, ...] = ()
) -> str:
    g = Builder(input_shape)
    x = g.relu(g.batch_norm(g.conv(g.input, 16, kernel=3, padding="same", bias=False)))
    x = g.relu(g.batch_norm(g.conv(x, 32, kernel=3, stride=2, padding=1, bias=False)))
    x = g.flatten(x)
    outputs = [g.linear(x, size) for size in (classes, *heads)]
    architecture: Architecture = g.build(*outputs)
    return architecture.to_json()


def request(**changes: Any) -> dict[str, Any]:
    return {
        "architecture": small(),
        "data": {"name": "digits", "split": SPLIT},
        "recipe": {"preset": "quick", "epochs": 3},
        "seed": 0,
        "device": "cpu",
        "threads": 1,
        **changes,
    }


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if not k.endswith("_seconds")}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_an_architecture_learns_the_digits_and_the_result_is_plain() -> None:
    heard: list[dict[str, Any]] = []
    observation = complete(evaluate(request()), lambda progress: heard.append(progress.metrics))
    assert json.loads(json.dumps(observation)) == observation
    assert observation["validation_accuracy"] > 0.9
    assert observation["curve"] == heard
    assert len(heard) == observation["epochs"] == 3
    for name in ("validation_accuracy", "validation_loss", "train_loss"):
        assert observation[name] == heard[-1][name]
    assert observation["device"] == "cpu"
    assert observation["precision"] in ("fp32", "bf16")
    assert torch.get_num_threads() == 1


def test_the_test_accuracy_is_there_only_when_asked_for() -> None:
    searched, final = complete(evaluate(request())), complete(evaluate(request(test=True)))
    assert not any("test" in name for name in searched)
    assert final["test_accuracy"] > 0.85
    assert final["test_accuracy"] * 357 == pytest.approx(round(final["test_accuracy"] * 357))
    architecture = Architecture.from_json(request()["architecture"])
    assert final["fvcore"] == architecture.cost._asdict()
    assert final["preprocessing"]["input_shape"] == list(architecture.input_shape)
    for name in ("test_accuracy", "evaluations", "fvcore", "fvcore_uncounted", "preprocessing"):
        del final[name]
    assert without_seconds(final) == without_seconds(searched)


def test_a_trial_repeats_and_a_whole_recipe_serves_as_well() -> None:
    whole = json.loads(resolve({"preset": "quick", "epochs": 3}).model_dump_json())
    first, again = complete(evaluate(request())), complete(evaluate(request(recipe=whole)))
    assert without_seconds(first) == without_seconds(again)
    assert without_seconds(first) != without_seconds(complete(evaluate(request(seed=1))))


def test_data_that_are_loaded_already_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(recipe={"preset": "quick", "epochs": 1, "warmup_epochs": 0}, test=True)
    expected = complete(evaluate(asked))
    config = data.resolve(asked["data"])
    loaded = {"search_data": data.search_data(config), "test_data": data.held_out(config)}

    def refuse(config: object) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr(data, "search_data", refuse)
    monkeypatch.setattr(data, "held_out", refuse)
    found = complete(evaluate({**asked, **loaded}))
    assert without_seconds(found) == without_seconds(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": small((1, 16, 16))}, r"takes \(1, 16, 16\) images, .* \(1, 8, 8\)"),
        ({"architecture": small(classes=7)}, r"returns \(7,\), the data set has 10 classes"),
        (
            {"architecture": small(heads=(3,))},
            r"head 'linear2' returns \(3,\), the main output \(10,\)",
        ),
        ({"data": {"split": {}}}, "training request: data.name: Field required"),
        ({"recipe": {"preset": "none"}}, "training request: recipe.preset: unknown preset"),
        ({"device": "tpu"}, "training request: device: "),
        ({"threads": 0}, "training request: threads: "),
        ({"train_percent": 0}, "training request: train_percent: "),
        ({"sead": 1}, r"unknown key 'sead' \(did you mean 'seed'\?\)"),
    ],
)
def test_a_wrong_request_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        complete(evaluate(request(**changes)))


def test_auxiliary_heads_are_trained_with_the_network() -> None:
    """They take part in the loss alone: accuracy is the main output's."""
    alone, with_heads = (
        complete(evaluate(request())),
        complete(evaluate(request(architecture=small(heads=(10, 10))))),
    )
    assert with_heads["train_loss"] > alone["train_loss"]
    assert with_heads["validation_accuracy"] > 0.9


def plain(kernel: int) -> str:
    g = Builder((1, 8, 8))
    x = g.relu(g.conv(g.input, 4, kernel=kernel, padding="same"))
    architecture: Architecture = g.build(g.linear(g.flatten(x), 10))
    return architecture.to_json()


def test_what_all_trials_share_is_trained_to_the_last_epoch() -> None:
    found = Setting.of(request(recipe={"preset": "quick", "keep": "best"}), epochs=5)
    assert (found.recipe.keep, found.recipe.epochs) == ("last", 5)


@pytest.mark.parametrize(
    "how", [{}, {"weight_average": 0.9}, {"keep": "best", "epochs": 3, "learning_rate": 0.1}]
)
def test_a_child_starts_from_the_weights_that_its_parent_was_judged_by(
    how: dict[str, Any],
) -> None:
    recipe = {"preset": "quick", "epochs": 2, "augment": [], **how}
    still = {**recipe, "epochs": 1, "learning_rate": 1e-12, "weight_decay": 0.0}
    states: list[bytes] = []
    of_parent = {"parent": plain(3)}
    parent = complete(
        evaluate(request(architecture=plain(3), recipe=recipe)),
        lambda progress: states.append(progress.save()),
    )
    child = complete(
        evaluate(request(architecture=plain(3), recipe=still, inherit=of_parent), states[-1])
    )
    assert child["validation_loss"] == pytest.approx(parent["validation_loss"], rel=1e-5)
    assert child["inherited_params"] == 4 * 9 + 4 + 256 * 10 + 10
    assert (child["epochs"], child["epochs_before"]) == (1, 0)
    unlike = complete(
        evaluate(request(architecture=plain(5), recipe=still, inherit=of_parent), states[-1]),
        lambda progress: states.append(progress.save()),
    )
    assert unlike["inherited_params"] == 256 * 10 + 10  # not the convolution with another kernel
    # Interrupted, it goes on from its own state, and knows what it began with.
    further = request(architecture=plain(5), recipe=still, inherit={})
    resumed = complete(evaluate(further, states[-1]))
    assert (resumed["epochs_before"], resumed["inherited_params"]) == (1, 2570)
    anew = complete(evaluate(further))
    assert (anew["epochs_before"], anew["inherited_params"]) == (0, 0)
    assert anew["validation_loss"] > 1.5 * parent["validation_loss"]


def test_a_part_of_the_training_images_is_trained_on() -> None:
    recipe = {"preset": "quick", "epochs": 1, "warmup_epochs": 0.5}
    whole, full, fifth = (
        complete(evaluate(request(recipe=recipe, **changes)))
        for changes in ({}, {"train_percent": 100}, {"train_percent": 20})
    )
    assert without_seconds(whole) == without_seconds(full)
    assert (whole["train_images"], fifth["train_images"]) == (1078, 219)
    assert whole["data_checksum"] == fifth["data_checksum"]
    assert whole["validation_loss"] < fifth["validation_loss"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(InputError, match="device: cuda is not available here"):
        complete(evaluate(request(device="cuda")))
    assert complete(evaluate(request(device="auto")))["device"] == "cpu"


@pytest.mark.parametrize("augment", [[], ["shift", "mixup"]], ids=["plain", "augmented"])
def test_a_training_goes_on_from_a_checkpoint_bit_for_bit(augment: list[str]) -> None:
    """As a multi-fidelity search does: a rung of two epochs, then on to the end."""
    recipe = {"preset": "quick", "epochs": 5, "augment": augment}
    whole = complete(evaluate(request(recipe=recipe)))
    states: list[bytes] = []
    rung = complete(
        evaluate(request(recipe=recipe, epochs=2)), lambda progress: states.append(progress.save())
    )
    assert (rung["epochs"], rung["epochs_before"], len(rung["curve"])) == (2, 0, 2)
    resumed = complete(evaluate(request(recipe=recipe), states[-1]))
    assert (resumed["epochs"], resumed["epochs_before"]) == (5, 2)
    again = complete(evaluate(request(recipe=recipe, epochs=4), states[0]))
    assert again["epochs_before"] == 1
    for found in (rung, resumed, again):
        curve = without_seconds(whole["curve"][: found["epochs"]])
        assert without_seconds(found["curve"]) == curve
    with pytest.raises(InputError, match="epochs: the recipe has 5, got 6"):
        complete(evaluate(request(recipe=recipe, epochs=6)))


def test_latency_is_measured_when_asked_for_and_changes_nothing_else() -> None:
    without, state = complete(evaluate(request())), torch.get_rng_state()
    measured = complete(evaluate(request(latency={})))
    assert torch.equal(torch.get_rng_state(), state)
    latency = {name for name in measured if name.startswith("latency_")}
    assert latency >= {"latency_ms", "latency_iqr_ms", "latency_batch", "latency_device"}
    assert measured["latency_ms"] > 0
    assert measured["latency_threads"] == 1
    rest = {name: value for name, value in measured.items() if name not in latency}
    assert without_seconds(rest) == without_seconds(without)
    assert measured["device_name"] == measured["latency_device"]
    assert measured["host"]


def test_beyond_the_latency_limit_nothing_is_trained_unless_it_was_begun() -> None:
    impossible = request(latency={"limit": 1e-6}, epochs=2)
    heard: list[object] = []
    with pytest.raises(Infeasible, match=r"latency_ms is .*, over the limit of 1e-06, on "):
        complete(evaluate(impossible), heard.append)
    assert heard == []
    work = evaluate(request(epochs=1))
    state = next(work).save()
    assert complete(evaluate(impossible, state))["epochs"] == 2
    assert complete(evaluate(request(latency={"limit": 1e6}, epochs=1)))["epochs"] == 1

"""Ensembles of the final stage: of which networks, what they are worth, and where they are told."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, log_loss, top_k_accuracy_score
from torch.nn.functional import cross_entropy

from nas.analysis.audit.check import check
from nas.analysis.tables.networks import campaign_table
from nas.architecture.builder import Builder
from nas.architecture.network import compile
from nas.campaigns.drive.checkpoint_policy import Start
from nas.campaigns.drive.networks import Networks
from nas.campaigns.drive.requests import Averages
from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.objectives import Objective, missing
from nas.campaigns.store import log
from nas.campaigns.store.history import History
from nas.cli import main
from nas.errors import InputError
from nas.evaluators.ensemble import evaluate
from nas.jobs.inputs import preprocessing_of, trained
from nas.jobs.references import read
from nas.tasks import make
from nas.training.data import held_out, search_data
from nas.training.evaluation import predictions
from nas.training.loop import normalizer
from tests.campaigns import lines, toy
from tests.campaigns.drive.test_training import asks, results

pytestmark = pytest.mark.xdist_group("ensembles")  # one fixture for all

FINAL = "{top: 3, top_random: 1, seeds: [0, 1], ensembles: [2, 3], protocol: flip}"
CAMPAIGN = toy.CAMPAIGN.replace("{top: 1, top_random: 1, classics: [resnet20]}", FINAL)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that has run: to be read, not to be changed."""
    folder = toy.write(tmp_path_factory.mktemp("ensembles") / "campaign", CAMPAIGN)
    run(folder)
    return folder


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "campaign"))


def ensembles(folder: Path) -> dict[str, dict[str, Any]]:
    return {trial: ask for trial, ask in asks(folder).items() if ask["kind"] == "ensemble"}


def test_an_ensemble_is_the_average_of_the_probabilities_of_the_kept_weights(done: Path) -> None:
    campaign, asked, told = load_campaign(done), asks(done), results(done)
    assert campaign.data is not None
    images = search_data(campaign.data)
    parts = {"validation": images.validation, "test": held_out(campaign.data)}
    assert len(ensembles(done)) == 4
    for trial, ask in ensembles(done).items():
        metrics = told[trial]["metrics"]
        for name, part in parts.items():
            together = np.zeros((len(part.labels), 10))
            mirrored = np.zeros((len(part.labels), 10))
            for member in ask["members"]:
                network = compile(campaign.space.decode(asked[member]["genotype"]))
                network.load_state_dict(load_file(done / "weights" / f"{member}.safetensors"))
                pixels = normalizer(images, torch.device("cpu"))(torch.from_numpy(part.images))
                for seen, sums in ((pixels, together), (pixels.flip(3), mirrored)):
                    with torch.no_grad():
                        scores = network.eval()(seen).double().numpy()
                    powers = np.exp(scores - scores.max(1, keepdims=True))
                    sums += powers / powers.sum(1, keepdims=True) / len(ask["members"])
            for protocol, averaged in (("single", together), ("flip", (together + mirrored) / 2)):
                found = metrics["evaluations"][protocol][name]
                right = averaged.argmax(1) == part.labels
                assert found["accuracy"] == pytest.approx(right.mean(), abs=1e-9)
                assert found["loss"] == pytest.approx(log_loss(part.labels, averaged), rel=1e-4)
                top5 = top_k_accuracy_score(part.labels, averaged, k=5)
                assert found["top5"] == pytest.approx(top5, abs=1e-9)
                confused = confusion_matrix(part.labels, averaged.argmax(1))
                assert found["confusion"] == confused.tolist()
            accuracy = (together.argmax(1) == part.labels).mean()
            assert metrics[f"{name}_accuracy"] == pytest.approx(accuracy, abs=1e-9)
            if name == "validation":
                labels = torch.from_numpy(part.labels)
                loss = cross_entropy(torch.from_numpy(np.log(together)), labels).item()
                assert metrics["validation_loss"] == pytest.approx(loss, rel=1e-4)
        assert told[trial]["epochs"] == 0


def test_validation_alone_picks_the_members(done: Path) -> None:
    asked, told = asks(done), results(done)
    means: dict[str, list[float]] = {}
    for trial, ask in asked.items():
        if ask["stage"] == "final" and ask["kind"] == "searched":
            accuracy = told[trial]["metrics"]["validation_accuracy"]
            means.setdefault(ask["label"], []).append(accuracy)
    ranked = sorted(means, key=lambda label: -np.mean(means[label]))
    for ask in ensembles(done).values():
        labels = ranked[: len(ask["members"])]
        assert ask["members"] == [f"final-{label}-seed{ask['seed']}" for label in labels]
        assert ask["cost"] == {
            name: sum(asked[label]["cost"][name] for label in labels) for name in ask["cost"]
        }


def test_the_table_ranks_ensembles_and_the_check_follows_them(done: Path) -> None:
    table = campaign_table(done)
    assert table[["test_flip", "validation_flip", "test_loss"]].notna().all(axis=None)
    assert table["test_ten_crop"].isna().all()
    rows = table[table["kind"] == "ensemble"].set_index("name")
    assert sorted(rows["seeds"]) == [2, 2]
    assert set(table["group"]) == {"A"}
    for label, row in rows.iterrows():
        trials = [t for t, ask in ensembles(done).items() if ask["label"] == label]
        accuracies = [results(done)[t]["metrics"]["test_accuracy"] for t in trials]
        assert row["test_accuracy"] == pytest.approx(np.mean(accuracies))
        views = [results(done)[t]["metrics"]["evaluations"]["flip"]["test"] for t in trials]
        assert row["test_flip"] == pytest.approx(np.mean([each["accuracy"] for each in views]))
        assert row["rank"] == 1 + (table["validation_accuracy"] > row["validation_accuracy"]).sum()
    report = check(done, replay=True)
    assert (report.problems, report.warnings) == ([], [])


@pytest.mark.parametrize("left_out", [9, 8, 7, 2, 1])
def test_a_campaign_cut_anywhere_comes_to_the_same_ensembles(copy: Path, left_out: int) -> None:
    before = {trial: r["metrics"] for trial, r in results(copy).items()}
    asked = {t: (a["members"], a["fingerprint"]) for t, a in ensembles(copy).items()}
    lines = (copy / "records.jsonl").read_text().splitlines(keepends=True)
    (copy / "records.jsonl").write_text("".join(lines[:-left_out]))
    run(copy)
    after = results(copy)
    assert {t: (a["members"], a["fingerprint"]) for t, a in ensembles(copy).items()} == asked
    for trial in [*asked, *after]:
        for name in ("validation_accuracy", "test_accuracy"):
            assert after[trial]["metrics"].get(name) == before[trial].get(name)
    assert check(copy, replay=True).problems == []


def rewritten(folder: Path, trial: str, **changes: Any) -> None:
    path = folder / "records.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line.get("trial") == trial and changes.keys() <= line.keys():
            line.update(changes)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_check_finds_other_members(copy: Path) -> None:
    trial, ask = next((t, a) for t, a in ensembles(copy).items() if len(a["members"]) == 2)
    seed = ask["seed"]
    other = ask["members"][::-1]
    rewritten(copy, trial, members=other)
    said = "\n".join(check(copy).problems)
    assert f"{trial}: label" in said
    assert f"{trial}: fingerprint" in said
    rewritten(copy, trial, members=[other[0], other[1].replace(f"seed{seed}", f"seed{1 - seed}")])
    assert "expected a trial of the final stage with seed" in "\n".join(check(copy).problems)


def test_replay_finds_members_that_were_not_the_best(copy: Path) -> None:
    trial, ask = next((t, a) for t, a in ensembles(copy).items() if len(a["members"]) == 2)
    left = next(
        t for t, a in asks(copy).items()
        if a["kind"] == "searched" and a["stage"] == "final" and a["seed"] == ask["seed"]
        and t not in ask["members"]
    )  # fmt: skip
    metrics = results(copy)[left]["metrics"] | {"validation_accuracy": 1.0}
    metrics["curve"][-1]["validation_accuracy"] = 1.0
    rewritten(copy, left, metrics=metrics)
    said = "\n".join(check(copy, replay=True).problems)
    assert f"{trial}: members" in said
    assert left in said


def test_an_architecture_that_failed_with_a_seed_is_no_member(copy: Path) -> None:
    best = next(iter(ensembles(copy).values()))["members"][0]
    lines = (copy / "records.jsonl").read_text().splitlines(keepends=True)
    (copy / "records.jsonl").write_text("".join(lines[:-8]))
    rewritten(copy, best, status="failed", error="gone", cause="error", metrics={})
    run(copy)
    asked = ensembles(copy)
    assert {len(ask["members"]) for ask in asked.values()} == {2}  # of three there are no more
    label = asks(copy)[best]["label"]
    assert not any(label in member for ask in asked.values() for member in ask["members"])
    assert check(copy, replay=True).problems == []


def test_without_a_members_weights_an_ensemble_fails(copy: Path) -> None:
    lines = (copy / "records.jsonl").read_text().splitlines(keepends=True)
    member = next(iter(ensembles(copy).values()))["members"][0]
    (copy / "records.jsonl").write_text("".join(lines[:-8]))
    (copy / "weights" / f"{member}.safetensors").unlink()
    run(copy)
    failed = {t: r for t, r in results(copy).items() if r["status"] == "failed"}
    assert set(failed) == {t for t, a in ensembles(copy).items() if member in a["members"]}
    assert all(f"{member}.safetensors: is not there" in r["error"] for r in failed.values())


def test_what_only_training_tells_is_not_asked_of_an_ensemble() -> None:
    objectives = (Objective.model_validate("train_seconds"),)
    told = {"validation_accuracy": 0.5}
    ensemble = lines.ask(stage="final", kind="ensemble", label="c", members=("a", "b"))
    assert missing(objectives, ensemble, told) == ""
    assert missing(objectives, ensemble, {}) == "validation_accuracy"
    assert missing(objectives, lines.ask(), told) == "train_seconds"


def test_latency_is_that_of_all_members(done: Path) -> None:
    campaign, history = load_campaign(done), History(done, log.read_records(done))
    averages = Averages(campaign, Networks(campaign), history)
    ask = history.asks[next(iter(ensembles(done)))]
    payload = averages.request(ask, Start(None, own=False, epochs=None))
    told = evaluate({**payload, "test": False, "latency": True})
    assert told["latency_ms"] > 0
    assert not {"test_accuracy"} & told.keys()


def test_an_ensemble_is_one_network(done: Path, tmp_path: Path) -> None:
    """It predicts what was measured, and is exported as any other."""
    for trial, ask in ensembles(done).items():
        reference = read(done, trial)
        network = trained(trial, reference)
        assert reference.architecture.cost.params == ask["cost"]["params"]
        assert reference.architecture.cost.macs == ask["cost"]["macs"]
        images, task = search_data(load_campaign(done).data), make(load_campaign(done).config.task)
        preprocessing, _ = preprocessing_of(trial, reference)
        found = predictions(network, images.validation, preprocessing, task)
        accuracy = (found.argmax(1) == images.validation.labels).float().mean().item()
        told = results(done)[trial]["metrics"]["validation_accuracy"]
        assert accuracy == pytest.approx(told, abs=1e-6)
    assert main(["export", f"{done}:{ask['label']}", "--to", "onnx", "--out",
                 str(tmp_path / "e.onnx")]) == 0  # fmt: skip
    assert not check(done).problems


def test_members_may_be_calibrated(tmp_path: Path) -> None:
    """Each has the temperature of the smallest loss on validation images, also in one network."""
    final = "{top: 2, top_random: 0, ensembles: [2], protocol: flip, calibrated: true}"
    longer = CAMPAIGN.replace(FINAL, final).replace("epochs: 1", "epochs: 12")
    folder = toy.write(tmp_path / "campaign", longer)
    run(folder)
    campaign, told = load_campaign(folder), results(folder)
    assert campaign.data is not None
    images, task = search_data(campaign.data), make(campaign.config.task)
    part = images.validation
    ((trial, ask),) = ensembles(folder).items()
    metrics, together = told[trial]["metrics"], np.zeros((len(part.labels), 10))
    for member, temperature in zip(ask["members"], metrics["temperatures"], strict=True):
        network = trained(member, read(folder, member))
        scores = predictions(network, part, images, task).double().log().numpy()

        def divided(by: float, scores: Any = scores) -> Any:
            return softmax(scores / by, axis=1)

        losses = [log_loss(part.labels, divided(temperature * each)) for each in (1, 1.02, 0.98)]
        assert losses[0] <= losses[1] + 1e-6
        assert losses[0] <= losses[2] + 1e-6 or temperature < 1.01
        together += divided(temperature) / 2
        assert losses[0] == pytest.approx(metrics["calibrated_losses"].pop(0), rel=1e-3)
    assert metrics["validation_loss"] == pytest.approx(log_loss(part.labels, together), rel=1e-4)
    found = predictions(trained(trial, read(folder, trial)), part, images, task).numpy()
    np.testing.assert_allclose(found, together, rtol=1e-3, atol=1e-5)
    assert check(folder, replay=True).problems == []
    rewritten(folder, trial, metrics=metrics | {"temperatures": [2.0]})
    with pytest.raises(InputError, match="temperatures: must be 2, one for each member, got 1"):
        read(folder, trial)
    rewritten(folder, trial, metrics=metrics | {"temperatures": [2.0, 0]})
    with pytest.raises(InputError, match=r"temperatures.*greater than 0"):
        read(folder, trial)


def test_members_with_auxiliary_heads_may_be_calibrated() -> None:
    members, weights = [], []
    for channels in (2, 3):
        g = Builder((1, 8, 8))
        features = g.flatten(g.conv(g.input, channels, 3))
        architecture = g.build(g.linear(features, 10), g.linear(features, 10))
        members.append({"trial": f"{channels}", "architecture": architecture.to_json()})
        weights.append(save(compile(architecture).state_dict()))
    told = evaluate({"members": members, "weights": weights, "data": {"name": "digits"},
                     "calibrated": True, "test": True})  # fmt: skip
    assert len(told["temperatures"]) == 2
    assert told["test_accuracy"] == told["evaluations"]["single"]["test"]["accuracy"]


def test_without_weights_of_its_own_an_ensemble_of_an_earlier_version_says_so(copy: Path) -> None:
    trial = next(iter(ensembles(copy)))
    (copy / "weights" / f"{trial}.safetensors").unlink()
    with pytest.raises(InputError, match=f"{trial}: no weights are kept of {trial}"):
        trained(trial, read(copy, trial))


@pytest.mark.parametrize(
    ("final", "message"),
    [
        ("{top: 2, ensembles: [3]}", "size is top \\(2\\), got 3"),
        ("{top: 3, weights: false, ensembles: [3]}", "weights: true, got \\[3\\]"),
        ("{top: 3, ensembles: [3, 3]}", "each size must be given once"),
        ("{top: 3, calibrated: true}", "calibrated: .*give ensembles, got true"),
        ("{top: 3, ensembles: [1]}", "ensembles.0: .*greater than or equal to 2, got 1"),
    ],
)
def test_messages(tmp_path: Path, final: str, message: str) -> None:
    folder = toy.write(tmp_path / "c", CAMPAIGN.replace(FINAL, final))
    with pytest.raises(InputError, match=f"campaign.yaml: final.*{message}"):
        load_campaign(folder)

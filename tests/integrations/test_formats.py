"""What others read of a campaign: Optuna's own loader, TensorBoard's event files, a model card."""

import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState
from tensorboardX.proto.event_pb2 import Event

from nas.campaigns.drive.run import run
from nas.cli import main
from nas.errors import InputError
from nas.integrations.model_card import model_card
from nas.integrations.optuna_study import optuna_studies
from nas.integrations.tensorboard import write_scalars
from tests.analysis.tables.test_trials import CURVE, RECORDS, ask, write
from tests.campaigns import toy
from tests.campaigns.lines import read_records


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = toy.write(tmp_path_factory.mktemp("bridges") / "mine")
    run(found, evaluator=f"{toy.HERE}:evaluate")
    return found


def test_optuna_loads_an_equal_study(folder: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    assert optuna_studies(folder, url) == ["mine-evolution", "mine-random"]
    records = read_records(folder)
    results = {r["trial"]: r for r in records if r["type"] == "result"}
    for search in ("evolution", "random"):
        study = optuna.load_study(study_name=f"mine-{search}", storage=url)
        asks = [r for r in records if r.get("search") == search]
        assert [trial.number for trial in study.trials] == list(range(len(asks)))
        for trial, asked in zip(study.trials, asks, strict=True):
            assert trial.state == TrialState.COMPLETE
            assert trial.params == asked["genotype"]
            metrics = results[asked["trial"]]["metrics"]
            assert trial.values == [metrics["validation_accuracy"]]
            assert trial.user_attrs["trial"] == asked["trial"]
            assert trial.user_attrs["macs"] == asked["cost"]["macs"]
            assert trial.datetime_start == datetime.fromtimestamp(asked["time"])
        accuracy = max(results[r["trial"]]["metrics"]["validation_accuracy"] for r in asks)
        assert study.best_value == accuracy
        assert study.metric_names == ["validation_accuracy"]
        figure = optuna.visualization.matplotlib.plot_optimization_history(study)
        assert len(figure.collections[0].get_offsets()) == len(asks)


def test_states_and_intermediate_values(tmp_path: Path) -> None:
    stopped = ask("evolution-0004", genotype={"a": None, "b": 2.5})
    folder = tmp_path / "mine"
    folder.mkdir()
    write(folder, [*RECORDS, stopped])
    (name,) = optuna_studies(folder, str(tmp_path / "study.db"))
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path / 'study.db'}")
    # The duplicate is left out.
    assert [trial.state for trial in study.trials] == [
        TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING,
    ]  # fmt: skip
    first, failed, _, last = study.trials
    assert first.intermediate_values == {p["epoch"]: p["validation_accuracy"] for p in CURVE}
    assert failed.value is None
    assert failed.user_attrs["error"] == "boom"
    assert failed.user_attrs["note"] == {"parent": 0}
    assert last.params == {"a": None, "b": 2.5}


def test_several_objectives_are_several_directions(tmp_path: Path) -> None:
    specification: dict[str, Any] = {"objectives": [
        {"metric": "validation_accuracy", "direction": "maximize"},
        {"metric": "macs", "direction": "minimize"},
    ]}  # fmt: skip
    folder = tmp_path / "mine"
    folder.mkdir()
    write(folder, RECORDS[:2], specification)
    (name,) = optuna_studies(folder, str(tmp_path / "study.db"))
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.trials[0].values == [0.9, 20000]


def test_optuna_bad_input(folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "study.db")
    optuna_studies(folder, out)
    with pytest.raises(InputError, match=r"study.db: already holds a study mine-evolution"):
        optuna_studies(folder, out)
    with pytest.raises(InputError, match="--out: nosql://x: cannot be opened by Optuna"):
        optuna_studies(folder, "nosql://x")
    with pytest.raises(InputError, match="no records yet"):
        optuna_studies(tmp_path, str(tmp_path / "other.db"))


def scalars(run: Path) -> list[tuple[str, int, float]]:
    """Of an event file: records of a length, its checksum, an event and its checksum."""
    (file,) = run.iterdir()
    content, found = file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
    return found


def test_tensorboard_has_searches_and_learning_curves(tmp_path: Path) -> None:
    folder, out = tmp_path / "mine", tmp_path / "runs"
    folder.mkdir()
    better = {"type": "result", "trial": "evolution-0003", "status": "completed", "error": None,
              "seconds": 1.0, "metrics": {"validation_accuracy": 0.5}}  # fmt: skip
    write(folder, [*RECORDS, better])
    assert write_scalars(folder, out) == 2
    search = {(tag, step): value for tag, step, value in scalars(out / "evolution")}
    assert search == {
        ("validation_accuracy", 0): pytest.approx(0.9),
        ("best_validation_accuracy", 0): pytest.approx(0.9),
        ("validation_accuracy", 3): pytest.approx(0.5),
        ("best_validation_accuracy", 3): pytest.approx(0.9),
    }
    curve = {(tag, step): value for tag, step, value in scalars(out / "evolution-0000")}
    for point in CURVE:
        for tag in ("train_loss", "validation_loss", "validation_accuracy"):
            assert curve[tag, point["epoch"]] == pytest.approx(point[tag])
    with pytest.raises(InputError, match="must be an empty folder"):
        write_scalars(folder, out)


def test_a_card_tells_what_the_network_is_and_how_good(folder: Path, tmp_path: Path) -> None:
    text = model_card(f"{folder}:best")
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head)["pipeline_tag"] == "image-classification"
    (final,) = [r for r in read_records(folder) if r.get("trial", "").startswith("final-evolution")
                and r["type"] == "ask"]  # fmt: skip
    assert body.startswith(f"\n# {final['label']}\n")
    assert f"- params: {final['cost']['params']:,}\n" in body
    assert final["fingerprint"] in body
    assert f"| {final['label']} | searched |" in body
    assert "too few common seeds" in body
    assert "found by the searcher evolution" in body
    assert "is the classic resnet20" in model_card(f"{folder}:resnet20")
    searched = next(r["trial"] for r in read_records(folder) if r.get("search") == "random")
    assert f"# {searched}\n" in model_card(f"{folder}:{searched}")
    with pytest.raises(InputError, match=r"must name a campaign's network: results/NAME:best"):
        model_card("resnet20")


def test_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.db"
    assert main(["export", str(folder), "--to", "optuna", "--out", f"sqlite:///{out}"]) == 0
    assert f"wrote to sqlite:///{out}: mine-evolution, mine-random" in capsys.readouterr().out
    assert main(["export", str(folder), "--to", "tensorboard", "--out", str(tmp_path / "tb")]) == 0
    assert "wrote 2 runs; see them with: tensorboard --logdir" in capsys.readouterr().out
    card = tmp_path / "card.md"
    assert main(["export", f"{folder}:best", "--to", "card", "--out", str(card)]) == 0
    assert card.read_text().startswith("---\n")
    assert main(["export", str(folder), "--to", "optuna", "--opset", "18"]) == 2
    assert "--opset: only for networks, not for --to optuna" in capsys.readouterr().err

"""Single trainings in the table: beside a campaign's rows, by seeds, and apart where unlike."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from nas.analysis.tables.networks import COLUMNS, campaign_table
from nas.analysis.tables.verdict import verdicts
from nas.campaigns.drive.run import run
from nas.cli import main
from nas.errors import InputError
from tests.campaigns import toy

DATA = "{name: digits, resolution: 16, split: {train: 0.6, validation: 0.2, test: 0.2}}"
RECIPE = "{preset: quick, epochs: 1, initialization: reference}"


def worth(accuracy: float) -> dict[str, Any]:
    return {"accuracy": accuracy, "loss": 1 - accuracy, "top5": 0.99, "per_class": [accuracy] * 10,
            "calibration_error": 0.05}  # fmt: skip


def row(folder: Path, name: str = "resnet20", seed: int = 0, **changes: Any) -> Path:
    """A folder as `nas train` leaves it, as far as tables read it."""
    accuracies = {"validation": 0.9 + seed / 100, "test": 0.8 + seed / 100}
    told: dict[str, Any] = {
        "name": name, "kind": "classic", "fingerprint": name * 2, "params": 1000, "macs": 20000,
        "flops": 30000, "activations": 400, "seed": seed, "start": None, "protocol": "single",
        "data": {"name": "digits", "split": {"seed": 0}, "checksum": "abc"},
        "recipe": {"epochs": 6}, "recipe_fingerprint": "fed", "train_seconds": 2.0,
        **{part: worth(accuracy) for part, accuracy in accuracies.items()}, **changes,
    }  # fmt: skip
    folder.mkdir()
    (folder / "row.json").write_text(json.dumps(told))
    return folder


def test_a_training_is_what_the_final_stage_would_have_made_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = toy.CAMPAIGN.replace("resnet20", "lenet5").replace("trials: 4", "trials: 1")
    text = text.replace("{name: digits, ", "{name: digits, resolution: 16, ")
    text = text.replace("{preset: quick, epochs: 1}", RECIPE) + "random_baseline: false\n"
    folder = toy.write(tmp_path / "mine", text.replace("top_random: 1", "top_random: 0"))
    threads = torch.get_num_threads()
    run(folder)
    how = ("--data", DATA, "--recipe", RECIPE, "--threads", "1", "--out")
    assert main(["train", "lenet5", *how, str(tmp_path / "alone")]) == 0
    assert main(["train", f"{folder}:best", *how, str(tmp_path / "again")]) == 0
    torch.set_num_threads(threads)
    capsys.readouterr()
    table = campaign_table([tmp_path / "alone", folder, tmp_path / "again"])
    assert set(table["group"]) == {"A"}
    assert any(note.endswith("(lenet5 default)") for note in table.attrs["notes"])
    same = ["group", "rank", "kind", "fingerprint", "validation_accuracy", "test_accuracy",
            "params", "macs", "flops", "activations", "seeds"]  # fmt: skip
    searched = table[table["campaign"] == "mine"].sort_values("fingerprint")
    alone = table[table["campaign"] == "nas train"].sort_values("fingerprint")
    assert set(alone["name"]) == {"lenet5", f"{folder}:best"}
    assert searched["test_accuracy"].notna().all()
    pd.testing.assert_frame_equal(
        alone[same].reset_index(drop=True), searched[same].reset_index(drop=True)
    )


def test_trainings_of_one_name_are_the_seeds_of_one_row(tmp_path: Path) -> None:
    folders = [row(tmp_path / f"{name}-{seed}", name, seed)
               for name in ("resnet20", "vgg8") for seed in (0, 1, 2)]  # fmt: skip
    table = campaign_table(folders)
    dtypes = {name: str(dtype) for name, dtype in table.dtypes.items()}
    assert dtypes == {name: dtype for name, (dtype, _) in COLUMNS.items()}
    assert list(table["name"]) == ["resnet20", "vgg8"]
    assert list(table["seeds"]) == [3, 3]
    assert list(table["test_accuracy"]) == pytest.approx([0.81, 0.81])
    assert list(table["test_std"]) == pytest.approx([0.01, 0.01])
    assert list(table["test_loss"]) == pytest.approx([0.19, 0.19])
    assert table["test_ten_crop"].isna().all()
    assert set(table["campaign"]) == {""}
    assert table.attrs["notes"][-3:-1] == [
        "6 trainings by nas train, test read once by each",
        "group A: data digits, split seed 0, recipe fed, 6 epoch(s)",
    ]
    assert list(campaign_table(folders, per_seed=True)["seed"]) == [0, 0, 1, 1, 2, 2]


def test_what_was_found_is_judged_against_classics_of_equal_conditions(tmp_path: Path) -> None:
    folders = []
    for seed, gain in enumerate((0.10, 0.11, 0.12)):
        found = {"kind": "searched", "test": worth(0.8 + seed / 100 + gain)}
        folders.append(row(tmp_path / f"found-{seed}", "mine:best", seed, **found))
        folders.append(row(tmp_path / f"classic-{seed}", "resnet20", seed))
        long = {"recipe": {"epochs": 60}, "validation": worth(0.99)}
        folders.append(row(tmp_path / f"long-{seed}", "resnet20", seed, **long))
        short = {"kind": "searched", "recipe": {"epochs": 1}, "validation": worth(0.1)}
        folders.append(row(tmp_path / f"short-{seed}", "mine:best", seed, **short))
    (verdict,) = verdicts(campaign_table(folders, per_seed=True)).to_dict("records")
    assert (verdict["searched"], verdict["against"]) == ("mine:best", "resnet20")
    assert (verdict["seeds"], verdict["verdict"]) == (3, "better")
    assert verdict["difference"] == pytest.approx(0.11)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": {"epochs": 8}}, "recipe.epochs 8, not 6"),
        ({"protocol": "ten_crop"}, "protocol ten_crop, not null"),
        ({"data": {"name": "digits", "split": {"seed": 0}, "checksum": "abd"}},
         "data.checksum abd, not abc"),
        ({"start": {"weights": "123", "freeze": "none", "file": "w.pt"}},
         "start.freeze none, not null; start.weights 123, not null"),
    ],
)  # fmt: skip
def test_unlike_trainings_are_not_ranked_together(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    table = campaign_table([row(tmp_path / "a"), row(tmp_path / "b", **changes)])
    assert list(table["group"]) == ["A", "B"]
    assert list(table["rank"]) == [1, 1]
    assert f"group B is not ranked with A: {said}" in table.attrs["notes"]


def test_one_name_of_two_architectures_is_two_rows(tmp_path: Path) -> None:
    first = row(tmp_path / "a", "mine.json", fingerprint="0123456789")
    second = row(tmp_path / "b", "mine.json", seed=1, fingerprint="abcdefghij")
    table = campaign_table([first, second])
    assert set(table["name"]) == {"mine.json 01234567", "mine.json abcdefgh"}


def test_bad_input(tmp_path: Path) -> None:
    first, second = row(tmp_path / "a"), row(tmp_path / "b")
    with pytest.raises(InputError, match=r"a and .*b: hold the same training, resnet20 with"):
        campaign_table([first, second])
    with pytest.raises(InputError, match="a folder is given twice"):
        campaign_table([first, first])
    (second / "row.json").write_text('{"name": "resnet20"}')
    with pytest.raises(InputError, match=r"row.json: is not what nas train writes"):
        campaign_table(second)
    (second / "row.json").write_text("[")
    with pytest.raises(InputError, match=r"row.json: is not JSON"):
        campaign_table(second)
    (second / "row.json").rename(second / "checkpoint.pt")
    with pytest.raises(InputError, match=r"b: holds a training that has not ended"):
        campaign_table(second)

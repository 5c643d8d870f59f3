"""Which changes make the experiment specification of a campaign another one."""

import json
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.specification import specification
from nas.cli import main
from nas.errors import InputError
from nas.training.recipe import fingerprints, resolve
from tests.campaigns import toy
from tests.campaigns.spec.test_hyperparameters import PYTHON, with_python_space

EVALUATE = f"{toy.HERE}:evaluate"

SCHEMA2 = Path(__file__).parents[1] / "schema2"

SHIFT = {"name": "shift", "pixels": 1, "fill": "black"}


def test_a_space_in_python_is_asked_by_its_content(folder: Path) -> None:
    with_python_space(folder)
    run(folder, evaluator=EVALUATE)
    asked = specification(load_campaign(folder))["space"]
    assert asked["python"] == "mine.py:space"
    run(folder, evaluator=EVALUATE)  # nothing has changed
    (folder / "mine.py").write_text(PYTHON.replace("[1, 2, 3, 4]", "[1, 2, 3, 5]"))
    with pytest.raises(InputError, match=rf'space.source: recorded "{asked["source"]}", now "'):
        run(folder, evaluator=EVALUATE)


def test_other_images_or_labels_are_refused(folder: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(30, 8, 8, 1), dtype=np.uint8)
    labels = np.arange(30) % 3
    np.savez(folder / "images.npz", images=images, labels=labels)
    toy.write(folder, toy.CAMPAIGN.replace("digits", f"arrays, path: {folder}/images.npz"))
    run(folder, evaluator=EVALUATE)
    toy.write(folder, (folder / "campaign.yaml").read_text().replace("trials: 4", "trials: 5"))
    images[7, 3, 3] += 1
    for changed in ({"labels": labels}, {"labels": np.roll(labels, 3 * 4 + 1)}):
        np.savez(folder / "images.npz", images=images, **changed)
        with pytest.raises(InputError, match=r"data: its images or labels are others than those"):
            run(folder, evaluator=EVALUATE)
    images[7, 3, 3] -= 1
    np.savez(folder / "images.npz", images=images, labels=labels)
    run(folder, evaluator=EVALUATE)


def test_code_inside_a_searcher_is_that_of_the_campaigns_folder(folder: Path) -> None:
    inner = "{name: predictor, model: {name: mine.py:Mine}}"
    own = "{name: evolution, population_size: 2, tournament_size: 2}"
    text = toy.CAMPAIGN.replace(own, f"{{name: asha, max_fidelity: 1, searcher: {inner}}}")
    toy.write(folder, text)
    (folder / "mine.py").write_text("from nas.predictors.trees import Forest as Mine\n")
    asked = specification(load_campaign(folder))
    assert asked["searcher"]["searcher"]["model"]["name"] == "mine.py:Mine"
    assert asked["code"].keys() == {"mine.py"}


def test_options_of_a_space_are_part_of_the_specification(folder: Path) -> None:
    asked = specification(load_campaign(folder))["space"]
    text = toy.CAMPAIGN.replace("tiny.yaml", "{name: tiny.yaml, width: [1, 2, 3, 4]}")
    toy.write(folder, text)
    assert specification(load_campaign(folder))["space"] == asked  # the file's own, spelled out
    toy.write(folder, text.replace("[1, 2, 3, 4]", "[1]"))
    changed = specification(load_campaign(folder))["space"]
    assert changed == {**asked, "width": [1]}


def test_a_changed_latency_table_is_another_specification(folder: Path) -> None:
    space = load_campaign(folder).space
    lines = ["fingerprint,ms"]
    prints = {space.decode(g).fingerprint for g in space.enumerate()}
    lines += [f"{each},{index}" for index, each in enumerate(sorted(prints))]
    (folder / "latency.csv").write_text("\n".join(lines))
    limit = f"latency_ms: {{limit: {len(prints) // 2}, table: latency.csv, column: ms}}"
    toy.write(folder, toy.CAMPAIGN + f"constraints: {{{limit}}}\n")
    run(folder, evaluator=EVALUATE)
    log = (folder / "run.log").read_text()
    assert "draws rejected and drawn again: " in log
    assert "(latency_ms " in log
    lines[1] = lines[1].replace(",0", ",0.5")
    (folder / "latency.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"constraints.latency_ms.checksum: recorded \""):
        run(folder, evaluator=EVALUATE)


def forget(folder: Path, key: str) -> None:
    """Makes a folder's records those of a version whose recipe did not have a key yet."""
    path = folder / "records.jsonl"
    first, *rest = path.read_text().splitlines()
    header = json.loads(first)
    recipe = header["specification"]["recipe"]
    del recipe[key]
    del header["specification"]["inherit_weights"]  # nor were these written
    del header["specification"]["data"]["split"]["test"]
    whole = json.dumps(recipe, sort_keys=True)  # older versions hashed every field
    header["recipe"] = blake2b(whole.encode(), digest_size=8).hexdigest()
    path.write_text("\n".join([json.dumps(header), *rest]) + "\n")
    path = folder / "resolved.json"
    resolved = json.loads(path.read_text())
    resolved["specification"] = header["specification"]
    resolved["recipe_fingerprint"] = header["recipe"]
    path.write_text(json.dumps(resolved))


def test_a_campaign_from_before_a_recipe_had_a_key_resumes_and_compares(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "images.npz",
        images=rng.integers(256, size=(30, 8, 8, 1), dtype=np.uint8),
        labels=np.arange(30) % 3,
        test_images=rng.integers(256, size=(6, 8, 8, 1), dtype=np.uint8),
        test_labels=np.arange(6) % 3,
    )
    data = f"arrays, path: {tmp_path}/images.npz"
    split = "{train: 0.6, validation: 0.4}"
    text = toy.CAMPAIGN.replace("digits", data).replace(
        "{train: 0.6, validation: 0.2, test: 0.2}", split
    )
    toy.write(folder, text)
    run(folder, evaluator=EVALUATE)
    forget(folder, "label_smoothing")
    assert main(["check", str(folder)]) == 0
    toy.write(folder, text.replace("trials: 4", "trials: 5"))
    run(folder, evaluator=EVALUATE)
    assert main(["check", str(folder)]) == 0
    newer = toy.write(tmp_path / "newer", text)
    run(newer, evaluator=EVALUATE)
    capsys.readouterr()
    assert main(["compare", str(folder), str(newer)]) == 0
    assert "not ranked with" not in capsys.readouterr().out
    toy.write(folder, text.replace("epochs: 1", "epochs: 1, label_smoothing: 0.1"))
    with pytest.raises(InputError, match=r"recipe\.label_smoothing: recorded 0\.0, now 0\.1"):
        run(folder, evaluator=EVALUATE)


def test_a_fingerprint_leaves_defaults_out_and_knows_those_of_older_versions() -> None:
    plain = resolve({"preset": "quick"})
    assert plain.fingerprint == resolve({"preset": "quick", "label_smoothing": 0.0}).fingerprint
    assert plain.fingerprint != resolve({"preset": "quick", "label_smoothing": 0.1}).fingerprint
    assert plain.fingerprint == resolve({"preset": "quick", "augment": [SHIFT]}).fingerprint
    recorded = json.loads((SCHEMA2 / "finished" / "records.jsonl").read_text().splitlines()[0])
    assert recorded["recipe"] in fingerprints(recorded["question"]["recipe"])

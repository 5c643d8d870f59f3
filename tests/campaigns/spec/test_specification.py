"""Which changes make another question of a campaign."""

from pathlib import Path

import numpy as np
import pytest

from nas.campaigns.drive.run import run
from nas.campaigns.spec.campaign import load_campaign
from nas.campaigns.spec.specification import question
from nas.errors import InputError
from tests.campaigns import toy
from tests.campaigns.spec.test_hyperparameters import PYTHON, with_python_space

EVALUATE = f"{toy.HERE}:evaluate"


def test_a_space_in_python_is_asked_by_its_content(folder: Path) -> None:
    with_python_space(folder)
    run(folder, evaluator=EVALUATE)
    asked = question(load_campaign(folder))["space"]
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


def test_options_of_a_space_are_part_of_the_question(folder: Path) -> None:
    asked = question(load_campaign(folder))["space"]
    text = toy.CAMPAIGN.replace("tiny.yaml", "{name: tiny.yaml, width: [1, 2, 3, 4]}")
    toy.write(folder, text)
    assert question(load_campaign(folder))["space"] == asked  # the file's own, spelled out
    toy.write(folder, text.replace("[1, 2, 3, 4]", "[1]"))
    changed = question(load_campaign(folder))["space"]
    assert changed == {**asked, "width": [1]}


def test_a_changed_latency_table_is_another_question(folder: Path) -> None:
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

"""Parts in a user's folder, named from YAML: they run, resume, and are checked by their code."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import nas
from nas.campaigns.store.log import read_records
from nas.cli import main
from nas.errors import InputError

CAMPAIGN = """
space: {name: ../parts/my_space.py:space, widths: [2, 3, 4]}
searcher: {name: ../parts/my_searcher.py:Climber, every: 3}
evaluator: {name: ../parts/my_evaluator.py:evaluate, offset: 0.1}
data: {name: ../parts/my_data.py:greys, images: 30, split: {train: 0.4, validation: 0.3, test: 0.3}}
budget: {trials: 4}
duplicates: evaluate
final: {top: 1, top_random: 1, weights: false}
engine: serial
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A campaign outside of the package, beside a folder of parts."""
    shutil.copytree(Path(__file__).parent / "user", tmp_path / "parts")
    made = tmp_path / "campaign"
    made.mkdir()
    write(made)
    return made


def write(folder: Path, **changes: object) -> None:
    keys = {**yaml.safe_load(CAMPAIGN), "engine": {"name": "serial"}, **changes}
    (folder / "campaign.yaml").write_text(yaml.safe_dump(keys))


def test_parts_run_resume_and_are_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(folder)]) == 0
    records = read_records(folder)
    header = records[0]
    specification = header.specification
    assert specification["searcher"]["name"] == "../parts/my_searcher.py:Climber"
    assert specification["data"]["name"] == "../parts/my_data.py:greys"
    assert specification["evaluator"] == {
        "name": "../parts/my_evaluator.py:evaluate",
        "offset": 0.1,
    }
    assert set(specification["code"]) == {
        f"../parts/{name}.py"
        for name in ("my_space", "my_searcher", "helper", "my_evaluator", "my_data")
    }
    write(folder, budget={"trials": 6})
    assert main(["run", str(folder)]) == 0
    assert main(["table", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "Climber-0" in printed
    assert main(["check", str(folder), "--replay"]) == 0
    assert "problems: 0" in capsys.readouterr().out
    assert main(["report", str(folder)]) == 0


def test_a_changed_helper_is_another_experiment(folder: Path) -> None:
    nas.run(folder)
    helper = folder.parent / "parts" / "helper.py"
    helper.write_text(helper.read_text().replace("STEP = 1", "STEP = 2"))
    write(folder, budget={"trials": 6})
    with pytest.raises(InputError, match=r"code\.\.\./parts/helper\.py: recorded \"\w+\", now \""):
        nas.run(folder)
    assert main(["check", str(folder)]) == 1


def test_the_campaign_moves_with_its_parts(folder: Path, tmp_path: Path) -> None:
    nas.run(folder)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(folder, moved)
    shutil.move(tmp_path / "parts", moved)
    write(moved / folder.name, budget={"trials": 5})
    assert nas.run(moved / folder.name).failed == 0


def test_a_function_is_an_evaluator_and_an_engine_may_be_a_users(folder: Path) -> None:
    write(
        folder,
        evaluator="training",
        recipe={"preset": "quick", "epochs": 1},
        engine={"name": "../parts/my_engine.py:Twice", "times": 3},
    )
    calls = []

    def evaluate(request: dict[str, object]) -> dict[str, object]:
        calls.append(request)
        return {"validation_accuracy": 0.5, "test_accuracy": 0.4}

    summary = nas.run(folder, evaluator=evaluate)
    assert summary.failed == 0
    assert len(calls) == 3 * summary.completed
    assert read_records(folder)[0].evaluator.endswith("<locals>.evaluate")
    with pytest.raises(InputError, match=r"nas\.run\(folder, evaluator=function\)"):
        nas.run(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"searcher": "../parts/my_searcher.py:Climbre"},
         "searcher.name: searcher .*Climbre: unknown name 'Climbre' .did you mean 'Climber'"),
        ({"searcher": "../parts/my_space.py:space"},
         "searcher.name: .* must be a subclass of nas.Searcher, but is a function"),
        ({"searcher": {"name": "../parts/my_searcher.py:Climber", "evry": 2}},
         "searcher.evry: unknown key 'evry' .did you mean 'every'"),
        ({"evaluator": "../parts/none.py:evaluate"},
         "evaluator.name: .*/parts/none.py: cannot be read: No such file"),
        ({"evaluator": {"name": "../parts/my_evaluator.py:evaluate", "offset": "a"}},
         "evaluator.offset: Input should be a valid number, got 'a'"),
        ({"data": {"name": "../parts/my_data.py:greys", "pictures": 3,
                   "split": {"train": 0.9, "validation": 0.1}}},
         "data.pictures: unknown key 'pictures'"),
        ({"engine": {"name": "../parts/my_searcher.py:Climber"}},
         "engine.name: .* must be a subclass of nas.Engine, but is the class Climber"),
        ({"engine": {"name": "../parts/my_engine.py:Twice", "time": 3}},
         "engine.time: unknown key 'time' .did you mean 'times'"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_and_the_key(
    folder: Path, changes: dict[str, object], message: str
) -> None:
    write(folder, **changes)
    with pytest.raises(InputError, match=message) as caught:
        nas.run(folder)
    assert str(caught.value).startswith(f"{folder}/campaign.yaml: ")


def test_a_searcher_is_benchmarked(folder: Path, tmp_path: Path) -> None:
    space = nas.space(f"{folder.parent}/parts/my_space.py:space", (1, 8, 8), 3)
    rng = np.random.default_rng(0)
    lines = ["architecture,validation,test"]
    for genotype in space.enumerate():
        lines.append(f"{space.decode(genotype).fingerprint},{rng.random()},{rng.random()}")
    bench = tmp_path / "bench"
    bench.mkdir()
    (bench / "table.csv").write_text("\n".join(lines) + "\n")
    keys = {
        "space": "../parts/my_space.py:space",
        "input_shape": [1, 8, 8],
        "classes": 3,
        "table": {"name": "columns", "file": "table.csv", "keys": "fingerprint"},
        "validation": "validation",
        "test": "test",
        "searchers": {"random": "random", "mine": "../parts/my_searcher.py:Climber"},
        "seeds": 3,
        "budget": {"evaluations": 6},
    }
    (bench / "benchmark.yaml").write_text(yaml.safe_dump(keys))
    assert main(["bench", str(bench), "--processes", "1"]) == 0
    assert "mine" in next(bench.glob("*.md")).read_text()


def test_what_workers_get_of_an_evaluator_is_its_name(folder: Path) -> None:
    from nas.campaigns.spec.campaign import load_campaign

    evaluate = load_campaign(folder).evaluator.evaluate
    again = pickle.loads(pickle.dumps(evaluate))
    assert again.name == f"{folder.parent}/parts/my_evaluator.py:evaluate"
    assert again.options == {"offset": 0.1}


def test_a_draft_names_parts(folder: Path) -> None:
    made = folder.parent / "drafted"
    parts = folder.parent / "parts"  # paths start at the current folder
    options = ["--space", f"{parts}/my_space.py:space", "--data", f"{parts}/my_data.py:greys"]
    searcher = ["--searcher", f"{parts}/my_searcher.py:Climber"]
    assert main(["new", str(made), *options, *searcher]) == 0
    text = (made / "campaign.yaml").read_text()
    assert "# every: 2" in text
    assert "name: ../parts/my_data.py:greys" in text  # relative to the draft

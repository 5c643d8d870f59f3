import re
from pathlib import Path

import pytest
import yaml

from nas.campaigns.spec.campaign import load_campaign, read_file
from nas.campaigns.spec.scaffold import write_campaign
from nas.campaigns.spec.specification import specification
from nas.errors import InputError
from nas.searchers import SEARCHERS
from nas.spaces import spaces
from tests.campaigns import toy

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("budget:", "budgets:", "budgets: unknown key 'budgets' (did you mean 'budget'?)"),
        ("trials: 4", "trial: 4", "budget.trial: unknown key 'trial' (did you mean 'trials'?)"),
        ("trials: 4", "trials: four", "budget.trials: Input should be a valid integer, got 'four'"),
        ("trials: 4", "trials: 0", "budget.trials: Input should be greater than or equal to 1, "
         "got 0"),
        ("space: tiny.yaml", "space: primitive",
         "space: unknown space 'primitive' (did you mean 'primitives'?); allowed: "),
        ("space: tiny.yaml", "space: none.yaml", "none.yaml: cannot be read"),
        ("name: evolution", "name: evolve",
         "searcher.name: unknown searcher 'evolve'; allowed: random, "),
        ("population_size", "population",
         "searcher.population: unknown key 'population' (did you mean 'population_size'?)"),
        ("population_size: 2", "population_size: two",
         "searcher.population_size: Input should be a valid integer, got 'two'"),
        ("tournament_size: 2", "tournament_size: 3",
         "yaml: searcher evolution: tournament_size must be from 1 to population_size (2), "
         "got 3"),
        ("searcher: {name: evolution, population_size: 2, tournament_size: 2}", "searcher: 3",
         "searcher: must be a name, or a mapping of name and options, got 3"),
        ("name: digits", "name: digit", "data.name: unknown data set 'digit' (did you mean "
         "'digits'?); allowed: digits, "),
        ("name: digits", "name: digits, resolution: big",
         "data.resolution: Input should be a valid integer, got 'big'"),
        ("name: digits,", "name: mnist, root: missing,", "missing/train-images"),
        ("test: 0.2", "test: 0.3", "data.split: the fractions must sum to 1, but sum to 1.1"),
        ("preset: quick", "preset: fast", "recipe.preset: unknown preset 'fast'"),
        ("epochs: 1", "epochs: 1, augment: [flip, lighting]",
         "yaml: recipe.augment.1: lighting: needs colour images, got 1 channel(s)"),
        ("budget:", "reading: series\nbudget:",
         "reading: Input should be 'image', 'rows', 'columns', 'volume' or 'stack', got 'series'"),
        ("budget:", "task: reconstruction\nreading: rows\nbudget:",
         "reading: the task Reconstruction needs the places in an image, so only image is "
         "allowed, got rows"),
        ("epochs: 1", "epoch: 1", "recipe.epoch: unknown key 'epoch' (did you mean 'epochs'?)"),
        ("recipe: {preset: quick, epochs: 1}", "recipe: 1",
         "recipe: must be a preset, or a mapping of keys to values, got 1"),
        ("[resnet20]", "[lenet]",
         "final.classics.0: unknown classic 'lenet' (did you mean 'lenet5'?); allowed: lenet5, "),
        ("[resnet20]", "[nin, {name: nin, widht: 2.0}]",
         "final.classics.1.widht: unknown key 'widht' (did you mean 'width'?); allowed: width"),
        ("[resnet20]", "[{name: nin, classes: 3}]",
         "campaign.yaml: final.classics.0.classes: unknown key 'classes'"),
        ("[resnet20]", "[nin, {name: nin, input_shape: 3}]",
         "final.classics.1.input_shape: unknown key 'input_shape'"),
        ("[resnet20]", "[alexnet]", "final.classics.0: alexnet, which is made for images of "
         "3x224x224, does not fit images of 1x8x8: node "),
        ("[resnet20]", "[resnet20, resnet20]", "final.classics.1: resnet20 is listed twice"),
        ("top: 1,", "top: 1, seeds: [1, 0, 1],",
         "final.seeds: each seed must be given once, got [1, 0, 1]"),
        ("top: 1,", "top: 1, protocol: tencrop,", "final.protocol: Input should be 'single', "),
        ("top: 1,", "top: 1, seeds: [],", "final.seeds: Tuple should have at least 1 item"),
        ("name: serial", "name: slurm", "engine.name: unknown engine 'slurm'; "
         "allowed: ray, serial; or file.py:NAME or package.module:NAME, got 'slurm'"),
        ("name: serial", "concurrency: many",
         "engine.concurrency: must be auto or a whole number, at least 1, got 'many'"),
        ("name: serial", "concurrency: 1.5",
         "engine.concurrency: must be auto or a whole number, at least 1, got 1.5"),
        ("name: serial", "gpus_per_trial: -1",
         "engine.gpus_per_trial: must be auto or a number, at least 0, got -1"),
        ("name: serial", "name: serial, concurrency: 2",
         "engine.concurrency: must be auto or 1: the serial engine runs one trial at a time"),
        ("name: serial", "address: 'ray://there:10001'",
         "engine.address: a ray:// address (Ray Client) is not supported"),
        ("budget:", "objective: macs\nbudget:",
         "objective: unknown key 'objective' (did you mean 'objectives'?)"),
        ("budget:", "objectives: [test_accuracy]\nbudget:",
         "objectives.0: test_accuracy is measured by the final stage alone, no search may see it"),
        ("budget:", "objectives: [validation_acuracy]\nbudget:",
         "objectives.0: unknown objective 'validation_acuracy' (did you mean "
         "'validation_accuracy'?); allowed: params, "),
        ("budget:", "objectives: [{metric: test_accuracy, direction: maximize}]\nbudget:",
         "objectives.0: test_accuracy is measured by the final stage alone, no search may see it"),
        ("budget:", "objectives: [{metric: depth}]\nbudget:",
         "objectives.0: unknown objective 'depth'; allowed: "),
        ("budget:", "objectives: [{metric: depth, direction: up}]\nbudget:",
         "objectives.0.direction: Input should be 'maximize' or 'minimize', got 'up'"),
        ("budget:", "objectives: [macs, macs]\nbudget:",
         "objectives: each metric must be given once, got ['macs', 'macs']"),
        ("budget:", "objectives: []\nbudget:",
         "objectives: Tuple should have at least 1 item after validation, not 0, got []"),
        ("budget:", "objectives: [validation_accuracy, macs]\nbudget:",
         "searcher evolution: it minimises one objective, not 2; for several, use "
         "multi_objective_evolution, nsga2"),
        ("budget:", "constraints: {params: 0}\nbudget:",
         "constraints.params: Input should be greater than or equal to 1, got 0"),
        ("budget:", "constraints: {size: 1}\nbudget:", "constraints.size: unknown key 'size'; "
         "allowed: params, macs, flops, activations, depth, latency_ms"),
        ("budget:", "constraints: {params: 1}\nbudget:",
         "constraints: space tiny: none of 1,000 draws keeps the constraints: the smallest params "
         "was 31, the limit is 1"),
        ("budget:", "constraints: {macs: 5.5}\nbudget:",
         "constraints.macs: Input should be a valid integer, got 5.5"),
        ("budget:", "constraints: {latency_ms: fast}\nbudget:",
         "constraints.latency_ms: must be milliseconds, or a mapping of limit with table and"),
        ("budget:", "constraints: {latency_ms: 0}\nbudget:",
         "constraints.latency_ms.limit: Input should be greater than 0, got 0"),
        ("budget:", "constraints: {latency_ms: {limit: 1, table: t.csv}}\nbudget:",
         "constraints.latency_ms: a table needs a column, and a column its table"),
        ("budget: {trials: 4}", "budget: {}",
         "budget: must be one or more of trials, hours, accelerator_hours, epochs, got none"),
        ("budget:", "constraints: {latency_ms: {limit: 1, table: no.csv, column: ms}}\nbudget:",
         "no.csv: cannot be read: No such file or directory"),
        ("space: tiny.yaml", "space: {name: tiny.yaml, width: [8], wdith: [1]}",
         "tiny.yaml: wdith: unknown key 'wdith' (did you mean 'width'?)"),
        ("space: tiny.yaml", "space: {name: tiny.yaml, classes: 3}",
         "space: classes: is the data set's, not the space's to choose"),
        ("budget:", "hyperparameters: {learning_rat: [0.1]}\nbudget:",
         "hyperparameters.learning_rat: unknown key 'learning_rat' (did you mean "
         "'learning_rate'?)"),
        ("budget:", "hyperparameters: {learning_rate: [0.1, -1]}\nbudget:",
         "hyperparameters.learning_rate: Input should be greater than 0, got -1"),
        ("budget:", "hyperparameters: {learning_rate: [0.1, 0.1]}\nbudget:",
         "hyperparameters.learning_rate: an option is given twice: 0.1, 0.1, got [0.1, 0.1]"),
        ("budget:", "hyperparameters: {learning_rate: []}\nbudget:",
         "hyperparameters.learning_rate: no options, got []"),
        ("budget:", "hyperparameters: {learning_rate: 0.1}\nbudget:",
         "hyperparameters.learning_rate: must be a list of options, got 0.1"),
        ("budget:", "hyperparameters: {learning_rate: {options: [0.1], prior: [-1]}}\nbudget:",
         "hyperparameters.learning_rate: the prior must be a list of one weight for each of the "),
        ("budget:", "hyperparameters: {learning_rate: {options: [0.1], order: true}}\nbudget:",
         "hyperparameters.learning_rate.order: unknown key 'order' (did you mean 'ordered'?)"),
        ("budget:", "hyperparameters: {warmup_epochs: [0, 2]}\nbudget:",
         "warmup_epochs must be at most epochs (1), got 2"),
        ("budget:", "seed: -1\nbudget:", "seed: Input should be greater than or equal to 0, "
         "got -1"),
        ("budget:", "seed: 1\nseed: 2\nbudget:", "key 'seed' is given twice"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_key_value_and_what_is_allowed(
    folder: Path, old: str, new: str, message: str
) -> None:
    path = folder / "campaign.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_campaign(folder)
    assert str(caught.value).startswith(f"{path}:")


def test_a_mistake_in_a_space_file_names_that_file(folder: Path) -> None:
    path = folder / "tiny.yaml"
    path.write_text(path.read_text().replace("block: conv", "block: con"))
    with pytest.raises(InputError, match=r"operations\.conv\.block: unknown") as caught:
        load_campaign(folder)
    assert str(path) in str(caught.value)


def test_a_folder_without_campaign(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'campaign.yaml'}: cannot be")):
        load_campaign(tmp_path)


def test_a_bare_name_is_a_searcher_with_its_defaults(tmp_path: Path) -> None:
    named = toy.CAMPAIGN.replace(
        "{name: evolution, population_size: 2, tournament_size: 2}", "evolution"
    )
    spelled = toy.CAMPAIGN.replace("population_size: 2, tournament_size: 2", "population_size: 100")
    specifications = [
        specification(load_campaign(toy.write(tmp_path / str(number), text)))
        for number, text in enumerate((named, spelled))
    ]
    assert specifications[0] == specifications[1]
    assert specifications[0]["searcher"]["tournament_size"] == 25


def test_the_baseline_has_a_seed_of_its_own_and_is_dropped_for_random_search(folder: Path) -> None:
    campaign = load_campaign(folder)
    assert [campaign.searcher(name).seed for name in campaign.searches] == [(0, 0), (0, 1)]
    toy.write(folder, re.sub(r"searcher: .*", "searcher: random", toy.CAMPAIGN))
    campaign = load_campaign(folder)
    assert [campaign.searcher(name).seed for name in campaign.searches] == [(0, 0)]


def test_classics_of_one_name_are_told_apart_by_their_options(folder: Path) -> None:
    several = "[nin, {name: nin, width: 0.5}, {name: nin, width: 0.25}]"
    toy.write(folder, toy.CAMPAIGN.replace("[resnet20]", several))
    labels = [entry.label for entry in load_campaign(folder).classics]
    assert labels == ["nin", "nin-width0.5", "nin-width0.25"]


@pytest.mark.parametrize(
    ("searcher", "space"),
    [
        *((name, "nasbench201" if name == "gradient" else "primitives") for name in SEARCHERS),
        *(("evolution", name) for name in spaces()),
    ],
)
def test_a_draft_is_a_campaign(tmp_path: Path, searcher: str, space: str) -> None:
    path = write_campaign(tmp_path / "new", space=space, searcher=searcher)
    campaign = load_campaign(tmp_path / "new")
    assert campaign.config.searcher.name == searcher
    assert len(campaign.classics) >= 5
    with pytest.raises(InputError, match="already exists"):
        write_campaign(tmp_path / "new")
    assert path.read_text() == "\n".join(map(str.rstrip, path.read_text().split("\n")))


def test_a_bare_name_is_a_section(tmp_path: Path) -> None:
    bare = {"data": "digits", "recipe": "quick", "engine": "serial", "early_stopping": "median"}
    found = []
    for each in (bare, {key: {"name": name} for key, name in bare.items()}):
        given = yaml.safe_load(toy.CAMPAIGN) | each
        if isinstance(given["recipe"], dict):
            given["recipe"] = {"preset": "quick"}
        toy.write(tmp_path, yaml.safe_dump(given))
        found.append(read_file(tmp_path))
    assert found[0] == found[1]


def test_a_draft_leaves_open_what_it_cannot_know(tmp_path: Path) -> None:
    text = write_campaign(tmp_path, data="folder").read_text()
    assert yaml.safe_load(text)["data"]["root"] == "FILL IN"
    with pytest.raises(InputError, match=r"FILL IN: is not a folder"):
        load_campaign(tmp_path)


@pytest.mark.parametrize("wrong", [{"space": "x"}, {"searcher": "x"}, {"data": "x"}])
def test_a_draft_of_something_unknown_is_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"unknown .* 'x'; allowed: "):
        write_campaign(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_the_quickstart_is_a_campaign() -> None:
    campaign = load_campaign(ROOT / "results" / "quickstart")
    limit = campaign.config.constraints.macs
    assert limit is not None
    assert [classic.name for classic in campaign.classics] == ["lenet5", "vgg8", "resnet20"]
    for classic in campaign.classics:  # as wide as the limit allows
        assert 0.8 * limit < classic.architecture.cost.macs <= limit
    assert campaign.config.final.top == 3
    assert campaign.config.final.top_random is None  # as many as of the search
    assert campaign.config.random_baseline

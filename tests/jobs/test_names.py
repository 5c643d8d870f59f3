"""What names on the command line stand for."""

from pathlib import Path

import pytest

import nas
from nas.errors import InputError
from nas.jobs import names as named
from nas.training.presets import PRESETS


def test_a_classic_takes_options_behind_a_colon() -> None:
    built = named.architecture("resnet50:stem=cifar,width=0.5", (3, 32, 32), 10)
    assert built == nas.classic("resnet50", (3, 32, 32), 10, stem="cifar", width=0.5)
    assert named.architecture("resnet20") == nas.classic("resnet20")
    assert named.architecture("nin:last_relu=false") == nas.classic("nin", last_relu=False)


def test_a_member_of_a_space_is_built_for_the_data() -> None:
    space = nas.space("darts", (1, 16, 16), 7)
    built = named.architecture("darts:darts_v2", (1, 16, 16), 7)
    assert built == space.decode(space.member("darts_v2"))


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(nas.classic("lenet5").to_json())
    assert named.architecture(str(path), (3, 8, 8), 3) == nas.classic("lenet5")


def test_reference_initialization_is_the_classics_own() -> None:
    assert named.initialization("resnet20:width=0.5") == "kaiming_normal"
    assert named.initialization("darts:darts_v2") == named.initialization("x.json") == "default"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet51", "unknown classic 'resnet51' (did you mean"),
        ("resnet20:depth=3", "classic resnet20: options.depth: unknown key"),
        ("resnet20:width=wide", "classic resnet20: options.width: "),
        ("resnet20:width=[1", "resnet20:width=[1:1:"),
        ("none.json", "none.json: cannot be read: No such file"),
        ("darts:darts_v3", "unknown member 'darts_v3'"),
        ("resnet51:width=2", "unknown classic 'resnet51' (did you mean"),
    ],
)
def test_what_is_no_architecture_is_named(name: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        named.architecture(name)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_data_is_a_name_or_yaml(tmp_path: Path) -> None:
    bare = named.data("digits")
    assert bare.options == {"resolution": 16}
    assert (bare.split.train, bare.split.validation, bare.split.test) == (0.6, 0.2, 0.2)
    assert named.data("{name: digits, resolution: 8}").options == {"resolution": 8}
    file = tmp_path / "mine.yaml"
    file.write_text("name: folder\nroot: pics\nsplit: {train: 0.5, validation: 0.5, seed: 3}\n")
    read = named.data(str(file))
    beside = str(tmp_path / "pics")  # a path in a file starts at its folder
    assert (read.name, read.options, read.split.seed) == ("folder", {"root": beside}, 3)
    here = named.data("{name: folder, root: pics}")
    assert here.options == {"root": str(Path.cwd() / "pics")}
    assert here.split.fractions == {}  # they depend on the official parts in the folder


def test_a_recipe_is_a_preset_or_yaml_and_changes_come_first(tmp_path: Path) -> None:
    assert named.recipe("cifar").epochs == PRESETS["cifar"]["epochs"]
    changed = named.recipe("quick", ["epochs=2", "learning_rate=1e-4", "augment=[flip]"])
    assert (changed.epochs, changed.learning_rate) == (2, 1e-4)
    assert [step.name for step in changed.augment] == ["flip"]
    written = "{preset: quick, epochs: 2, learning_rate: 1e-4, augment: [flip]}"
    assert changed == named.recipe(written)
    file = tmp_path / "how.yaml"
    file.write_text("preset: quick\nepochs: 2\n")
    assert named.recipe(str(file), ["epochs=3"]).epochs == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("digit", "--data: name: unknown data set 'digit' (did you mean 'digits'?)"),
        ("{name: digits, size: 3}", "--data: size: unknown key 'size'"),
        ("{name: digits", "--data:1:14: not valid YAML"),
        ("{}", "--data: name: Field required"),
        ("{name: [digits]}", "--data: name: "),
        ("none.yaml", "none.yaml: cannot be read: No such file"),
    ],
)
def test_what_is_no_data_set_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        named.data(text)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        ("quik", [], "--recipe: unknown preset 'quik' (did you mean 'quick'?)"),
        ("quick", ["epochs"], "--set: must be key=value, got 'epochs'"),
        ("quick", ["epochs=0"], "--recipe: epochs: "),
        ("quick", ["epoch=2"], "--recipe: epoch: unknown key 'epoch'"),
        ("quick", ["augment=[flip"], "--set augment:1:"),
        ("{preset: quick, augment: [flop]}", [], "--recipe: augment.0.name: unknown"),
    ],
)
def test_what_is_no_recipe_is_named(text: str, changes: list[str], said: str) -> None:
    with pytest.raises(InputError) as error:
        named.recipe(text, changes)
    assert str(error.value).startswith(said)


def test_a_list_is_no_section(tmp_path: Path) -> None:
    file = tmp_path / "how.yaml"
    file.write_text("[quick]")
    with pytest.raises(InputError, match=r"how.yaml: must be a mapping"):
        named.recipe(str(file))

"""Sizes that no machine has: one message with the limit, before the memory is taken."""

import gzip
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import nas
import nas.spaces
from nas.architecture.passes import check_memory_to_run, check_memory_to_train
from nas.architecture.weights import read_weights
from nas.campaigns.engines.base import attempt
from nas.campaigns.spec.budget import Budget
from nas.campaigns.store.checkpoints import verify_weights
from nas.campaigns.store.log import read_records
from nas.cli import main
from nas.configuration import validate, validate_options
from nas.errors import InputError
from nas.evaluators.tables.columns import Files
from nas.files import LONGEST, read_json, read_text
from nas.jobs.predict import _of_array
from nas.jobs.row import read_row
from nas.memory import TooLarge, available
from nas.spaces.search_space import SearchSpace
from nas.training.augmentation import cutout, shift
from nas.training.datasets.arrays import arrays
from nas.training.datasets.idx import read_idx
from nas.training.datasets.pictures import read_picture
from nas.yaml_files import parse_yaml, read_yaml
from tests.fuzz import PREPROCESSING

NINES = "[9, 9, 9, 9, 9, 9, 9, 9, 9, 9]"
BOMB = f"a0: &a0 {NINES}\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "f:6:45: not valid YAML: holds more than 1,000,000 values, with aliases written"),
        ("a: &a [1, *a]", "f:1:11: not valid YAML: the alias [*]a stands inside of what it names"),
        ("a: &a {b: *a}", "f:1:11: not valid YAML: the alias [*]a stands inside of what it names"),
        ("[" * 2000, "f:1:51: .* nested more than 50 deep"),
        ("{a: " * 2000, "f:1:198: .* nested more than 50 deep"),
        ("\n".join(" " * i + "a:" for i in range(2000)), "nested more than 50 deep"),
        ("a: " + "1" * 5000, r"f:1:4: .* from -2\*\*63 to 2\*\*64 - 1, got 1{80}\.\.\."),
        ("a: 0x" + "f" * 5000, r"whole numbers must be from -2\*\*63"),
        ("a: 18446744073709551616", r"- 1, got 18446744073709551616"),
        ("a: !!float x", "f:1:4: .* for the tag 'tag:yaml.org,2002:float': tags are refused"),
        ("a: !!timestamp x", "tags are refused"),
        ("a: !!bool x", "tags are refused"),
        ("a: !!binary x", "tags are refused"),
        (r'a: "x\0y"', r"f:1:4: not valid YAML: 'x\\x00y' holds a NUL"),
        ("a: !own x", "for the tag '!own'"),
        ("!!python/object/apply:os.system [x]", "tags are refused"),
    ],
)
def test_yaml_that_would_take_the_machine_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_yaml(text, "f")


def test_yaml_with_aliases_and_many_values_is_read() -> None:
    assert parse_yaml("a: &a [1]\nb: [*a, *a]", "f") == {"a": [1], "b": [[1], [1]]}
    assert parse_yaml("a: 18446744073709551615", "f") == {"a": 2**64 - 1}
    assert parse_yaml("a: -9223372036854775808", "f") == {"a": -(2**63)}
    assert parse_yaml("[" * 50 + "]" * 50, "f")


def test_files_that_never_end_or_block_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    readers: list[Callable[[Path], object]] = [
        read_yaml, read_weights, partial(verify_weights, recorded="0123"),
        lambda path: read_picture(path, 3),
        partial(read_idx, dimensions=3), lambda path: Files(path.parent).bytes(path.name),
        lambda path: [*_of_array(path, PREPROCESSING)], lambda path: arrays(path=str(path)),
    ]  # fmt: skip
    for path in (tmp_path / "pipe.yaml", Path("/dev/zero"), tmp_path):
        for read in readers[:-1] if path == tmp_path else readers:  # arrays may be in a folder
            with pytest.raises(InputError, match=f"{path}: cannot be read: .* not a regular file"):
                read(path)
    with open(tmp_path / "long.json", "wb") as file:
        file.truncate(LONGEST + 1)
    with pytest.raises(InputError, match=r"long.json: is longer than 67,108,864 bytes"):
        read_text(tmp_path / "long.json")


DEEP = "[" * 100_000 + "]" * 100_000


def test_json_nested_without_bound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "row.json").write_text(f'{{"name": {DEEP}}}')
    with pytest.raises(
        InputError, match=r"row.json: is not JSON: lists and objects nested too deeply"
    ):
        read_row(tmp_path)
    with pytest.raises(InputError, match=r"row.json: is not JSON"):
        read_json(tmp_path / "row.json")
    with pytest.raises(InputError, match="nested too deeply"):
        nas.Architecture.from_json(DEEP)
    (tmp_path / "records.jsonl").write_text(f'{{"type": "campaign", "x": {DEEP}}}\n{{}}\n')
    with pytest.raises(
        InputError, match=r"records.jsonl:1: is corrupt: lists and objects nested too deeply"
    ):
        read_records(tmp_path)


def test_a_line_of_the_records_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.campaigns.store.log.LONGEST", 100)
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"x" * 250 + b"\n{}\n")
    with pytest.raises(InputError, match=r"records.jsonl:1: is corrupt: .* longer than 100 bytes"):
        read_records(tmp_path)


def architecture(**conv: Any) -> nas.Architecture:
    g = nas.Builder((3, 8, 8))
    return g.build(g.conv(g.input, **{"channels": 4, "kernel": 3, "padding": 1, **conv}))


@pytest.mark.parametrize(
    ("conv", "message"),
    [
        ({"channels": 2**31}, "channels must be a whole number >= 1 and at most 2147483647, got"),
        ({"padding": 2**31}, "padding must be a whole number >= 0 and at most 2147483647, got"),
        ({"padding": 2**31 - 1}, r"an axis has at most 2147483647 positions"),
        ({"kernel": 2**63}, "kernel must be a whole number >= 1 and at most"),
    ],
)
def test_attributes_have_a_limit(conv: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        architecture(**conv)


def test_an_input_has_a_limit() -> None:
    with pytest.raises(
        InputError, match=r"positive whole numbers, got .* the largest is 2147483647"
    ):
        nas.Builder((3, 2**63, 8))


def test_a_network_larger_than_the_memory_is_not_built() -> None:
    wide = architecture(channels=2_000_000_000)
    assert wide.cost.params == 2_000_000_000 * 28
    message = r"the weights of the network need about 224.0 GB of memory, and [\d.]+ GB are avail"
    with pytest.raises(InputError, match=message):
        nas.compile(wide)
    with pytest.raises(TooLarge, match="activations of the network need about"):
        check_memory_to_run(architecture(padding=2**20))
    with pytest.raises(TooLarge, match=r"activations of a batch of 1000000000 need about [\d,]+"):
        check_memory_to_train(architecture(), 10**9)
    check_memory_to_train(architecture(), 64)
    assert 0 < available() < 2**50


def test_a_trial_that_needs_more_memory_than_there_is_failed_for_that_cause() -> None:
    def evaluate(trial: Any) -> dict[str, Any]:
        nas.compile(architecture(channels=2_000_000_000))
        return {}

    outcome = attempt(evaluate, {})
    assert (outcome.status, outcome.cause) == ("failed", "out_of_memory")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("nasbench201", "nodes"),
        ("nasbench201", "cells"),
        ("nasbench101", "max_vertices"),
        ("natsbench_size", "stages"),
        ("darts", "nodes"),
        ("regnet", "depth"),
        ("hierarchical", "motifs"),
        ("primitives", "stages"),
    ],
)
def test_counts_of_a_space_have_a_limit(name: str, key: str) -> None:
    default = yaml.safe_load(nas.spaces.space_file(name).read_text())[key]
    given = [10**18] if isinstance(default, list) else 10**18
    with pytest.raises(InputError, match=rf"{key}[.\d]*: .*less than or equal to 1000"):
        nas.space(name, **{key: given})


def test_what_is_packed_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.memory.available", lambda: 2**25)
    (tmp_path / "images.gz").write_bytes(gzip.compress(bytes(2**26), 1))
    with pytest.raises(TooLarge, match=r"images\.gz: its values need about 0.1 GB of memory"):
        read_idx(tmp_path / "images.gz", dimensions=3)
    np.savez_compressed(tmp_path / "arrays.npz", images=np.zeros(2**26, np.uint8))
    with pytest.raises(TooLarge, match=r"arrays\.npz: its arrays need about 0.1 GB"):
        arrays(path=str(tmp_path / "arrays.npz"))


def test_a_picture_that_names_a_size_larger_than_the_memory_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a PNG file does in which a bit of a chunk's length has flipped: input 14,176 of seed 0."""

    def load(picture: Image.Image) -> None:
        raise MemoryError

    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(InputError, match=r"a\.png: is damaged: it names a size that is larger"):
        read_picture(tmp_path / "a.png", 3)


def test_a_network_has_a_limit_of_nodes() -> None:
    def endless() -> None:
        g = nas.Builder((1, 2, 2))
        x = g.input
        while True:
            x = g.relu(x)

    with pytest.raises(InputError, match="an architecture has at most 100,000 nodes"):
        endless()


def test_a_genotype_has_a_limit_of_choices() -> None:
    def endless(choose: Any) -> Any:
        for number in range(10**9):
            choose(f"choice{number}", (0,))

    with pytest.raises(InputError, match="space endless: asks more than 100,000 choices"):
        SearchSpace(endless, "endless").run(lambda name, options: options[0])


@pytest.mark.parametrize(
    "given", [{"trials": 10**18}, {"hours": 1e18}, {"accelerator_hours": 1e18}, {"epochs": 10**18}]
)
def test_budgets_have_a_limit(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(given))}: .*equal to 1000000000"):
        validate(Budget, given)


def test_augmentation_sizes_have_a_limit() -> None:
    with pytest.raises(InputError, match="size: must be at most 4,294,967,296, got 9223372036854"):
        validate_options(cutout, {"size": 2**63})
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(InputError, match=r"pixels must be at most the longer side .* got 1000"):
        shift(images, torch.Generator(), pixels=1000)


def test_an_answer_on_the_command_line_may_be_nested_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["show", "nasbench201", DEEP]) == 2
    assert "Traceback" not in capsys.readouterr().err

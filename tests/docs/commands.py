"""Every command that README.md and docs/ show, run in a scratch folder.

``python -m tests.docs.commands`` runs them all and prints what became of each. A command runs as it
is shown, on a small campaign and small pictures, with the changes of :data:`SMALLER`; those of
:data:`NOT_RUN` do not run, for the reason given there.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

import nas
from nas.architecture.weights import weights_bytes
from nas.cli import main as nas_main
from tests.benchmark import conftest as benchmark
from tests.training.test_data import write_idx

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
OLD_CAMPAIGNS = ROOT / "tests" / "campaigns" / "schema2"

NOT_RUN = {
    "make quickstart": "a real campaign of three minutes; nas new, run and table run here",
    "make quickstart PYTHON=python3.12": "needs another Python",
    "make test": "these tests are part of it",
    "nas report --live results/mine --port 8000": "serves until Ctrl-C; see tests/report",
    "nas search unseen/ --minutes 10 --macs 5e6 --out results/mine": "see tests/jobs/test_search",
    "cd results/pics/export": "see tests/jobs/test_search",
    "python network_py_predict.py ~/new/1.png": "see tests/jobs/test_search",
    "nas export results/pics:NAME --to onnx": "see tests/campaigns/drive/test_ensembles",
    "nas predict results/pics:NAME new_pictures": "see tests/campaigns/drive/test_ensembles",
    "nas plot results/mine --kind mixtures": "a search by gradients; see tests/analysis/plots",
    "nas predict results/mine:best pics --out masks": "see tests/extending/test_segmentation",
    "nas predict results/mine:best pics --out boxes.csv": "see tests/extending/test_detection",
    "nas predict results/mine:best pics --out vectors.npy": "see tests/tasks/test_exports",
    "nas predict results/mine:best pics --out made": "see tests/tasks/test_exports",
    "nas patches results/mine:best NODE --channel 3 --out patches.png": (
        "see tests/jobs/test_visual"
    ),
    "nas style photo.png painting.png --network results/mine:best --out style.png": (
        "see tests/jobs/test_visual"
    ),
    "nas export results/mine:evolution-0012-shared --to onnx": "see tests/supernet/test_training",
    "nas export results/NAME:ensemble-of-3-0012-0031-0007 --to onnx": (
        "see tests/campaigns/drive/test_ensembles"
    ),
    "nas serve results/": "serves until Ctrl-C; see tests/report",
    "nas report --live results/mine": "serves until Ctrl-C; see tests/report",
}
"""Commands that are shown and do not run here, and why."""

SMALLER = {
    "resnet50": "resnet20",
    "nas profile primitives": "nas profile nasbench201 --input 3,8,8 -n 6",
    "nas profile SPACE": "nas profile nasbench201 --input 3,8,8 -n 6",
    "resnet152": "resnet50",
    "{name: fashion_mnist, split": "{name: fashion_mnist, root: ~/fashion-mnist, split",
    "|nor_conv_3x3~0|+…": "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|",
    "|none~0|+…": "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|",
    "results/NAME:best": "results/mine:best",
    "results/NAME": "results/nb201_imagenet16",
    "nas show SPACE:MEMBER": "nas show primitives:resnet20",
    "my_space.py:space:small": "primitives:lenet5",
    "nas cost ARCH": "nas cost lenet5",
    "nas table FOLDER": "nas table results/mine",
    "nas search pics --minutes 30": "nas search pics --minutes 1 --plan",
    "nas search '{name: folder": "nas search --minutes 0.6 --plan '{name: folder",
    "picture.png": "pics/cat/0.png",
    "nas train --compile always": "nas train lenet5 --data digits --recipe quick --compile never",
    "nas train --task ordinal.py:Ordinal": (
        "nas train lenet5 --data digits --recipe quick --task ordinal.py:Ordinal"
    ),
    "nas train darts:darts_v2": "nas train nasbench201:resnet",
    "nas train --no-cuda-graphs": "nas train lenet5 --data digits --recipe quick --no-cuda-graphs",
    "nas train darts_v2:auxiliary=true,drop_path=0.2": (
        "nas train darts_v2:auxiliary=true,drop_path=0.2,width=0.25 --recipe quick "
        "--data '{name: folder, root: pics, resolution: 32, "
        "split: {train: 0.6, validation: 0.2, test: 0.2}}'"
    ),
}
"""What is replaced in a command, so that it takes seconds and finds what it names."""


@dataclass(frozen=True)
class Block:
    """Commands that are shown together, and run one after another in one folder.

    Attributes:
        page: the document, relative to the repository.
        line: where the block begins, from 1.
        commands: one per command, without comments.
        python: the files of Python that the document shows and names, as ``file.py:NAME``.
    """

    page: str
    line: int
    commands: tuple[str, ...]
    python: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    """Each block of commands of each document, and each command with arguments within a text."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        name = page.relative_to(ROOT).as_posix()
        fenced = list(re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        python = tuple(_files(text, [match[2] for match in fenced if match[1] == "python"]))
        for match in fenced:
            if match[1] in ("console", "bash", "sh", "shell"):
                line = text.count("\n", 0, match.start()) + 2
                yield Block(name, line, tuple(_commands(match[2])), python)
        prose = re.sub(r"^```.*?^```", lambda m: "\n" * m[0].count("\n"), text, flags=re.M | re.S)
        for match in re.finditer(r"`((?:nas|make) [^`]* ?[^`]*)`", prose):
            if len(match[1].split()) > 2:  # `nas table` alone names the command
                line = prose.count("\n", 0, match.start()) + 1
                yield Block(name, line, tuple(_commands(" ".join(match[1].split()))), python)


def _files(text: str, shown: list[str]) -> Iterator[tuple[str, str]]:
    for file, name in dict.fromkeys(re.findall(r"(\w+\.py):(\w+)", text)):
        for code in shown:
            if re.search(rf"^(def|class) {name}\b", code, re.MULTILINE):
                yield file, code
                break


def _commands(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        shown = re.sub(r"(^|\s)#.*", "", line)
        yield from filter(None, (" ".join(part.split()) for part in shown.split("&&")))


def prepare(folder: Path) -> None:
    """Write what the documents' commands name: campaigns, trainings, networks, pictures."""
    results = folder / "results"
    results.mkdir(parents=True)
    shutil.copy(OLD_CAMPAIGNS / "space.yaml", results)
    for name in ("mine", "a", "b", "quickstart"):
        shutil.copytree(OLD_CAMPAIGNS / "finished", results / name)
    for seed in (0, 1):
        training = shutil.copytree(OLD_CAMPAIGNS / "lenet5", results / f"resnet20-digits-{seed}")
        for file in (training / "resolved.json", training / "row.json"):
            file.write_text(
                re.sub(r'"seed": 0,(?=\s+"start")', f'"seed": {seed},', file.read_text())
            )
    table = benchmark.write(results / "nb201_imagenet16") / "t.csv"
    (folder / "FOLDER").mkdir()
    table.rename(folder / "FOLDER" / "t.csv")
    _images(folder)
    _networks(folder)


def _images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("cat", "dog", "emu"):
        (folder / "pics" / label).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pics" / label / f"{number}.png")
    split = {"train": 0.6, "validation": 0.2, "test": 0.2}
    pictures = {"name": "folder", "root": "pics", "resolution": 16, "split": split}
    for name in ("pics.yaml", "data.yaml", "other.yaml"):
        (folder / name).write_text(yaml.safe_dump(pictures))
    (folder / "recipe.yaml").write_text("preset: quick\n")
    (folder / "fashion-mnist").mkdir()
    for part, n in (("train", 200), ("t10k", 50)):
        place = folder / "fashion-mnist" / part
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        write_idx(Path(f"{place}-images-idx3-ubyte.gz"), images)
        write_idx(Path(f"{place}-labels-idx1-ubyte.gz"), np.arange(n, dtype=np.uint8) % 10)


def _networks(folder: Path) -> None:
    mine = nas.classic("lenet5", (3, 16, 16), 3)
    (folder / "mine.json").write_text(mine.to_json())
    (folder / "best.safetensors").write_bytes(weights_bytes(nas.compile(mine)))
    resnet = nas.compile(nas.classic("resnet20", (3, 16, 16), 10))
    (folder / "weights.safetensors").write_bytes(weights_bytes(resnet))
    for name in ("resnet20.pt", "resnet20.pth"):
        torch.save(nas.compile(nas.classic("resnet20")).state_dict(), folder / name)


def _smaller(command: str) -> str:
    for shown, small in SMALLER.items():
        command = command.replace(shown, small) if shown != command else small
    arguments = shlex.split(command)
    if arguments[:2] == ["nas", "train"]:
        arguments = [each for each in arguments if not each.startswith("epochs=")]
        if "--set" not in arguments:
            arguments.append("--set")
        place = arguments.index("--set") + 1
        arguments[place:place] = ["epochs=2", "warmup_epochs=0.5"]
    return shlex.join(arguments)


def _shrink(campaign: Path) -> None:
    """Make a campaign that ``nas new`` has written end within seconds."""
    given = yaml.safe_load(campaign.read_text())
    given["budget"] = {"trials": 2}
    given["recipe"]["epochs"] = 1
    given["data"]["split"] = {"train": 0.2, "validation": 0.4, "test": 0.4}
    given["final"] |= {"top": 1, "seeds": [0], "classics": ["lenet5"]}
    given["engine"] = {"name": "serial"}
    campaign.write_text(yaml.safe_dump(given))


def run(block: Block, folder: Path) -> Iterator[tuple[str, str]]:
    """Run a block's commands in a fresh scratch folder, which must not exist.

    Yields each command and what became of it. Raises :class:`AssertionError` with its output where
    one fails.
    """
    prepare(folder)
    for file, code in block.python:
        (folder / file).write_text(code)
    if any("nas new" in each or "--out results/mine" in each for each in block.commands):
        shutil.rmtree(folder / "results" / "mine")
    if any("nas train" in each for each in block.commands):
        shutil.rmtree(folder / "results" / "resnet20-digits-0")
    with contextlib.chdir(folder), _home(folder):
        for command in block.commands:
            if reason := NOT_RUN.get(command):
                yield command, f"not run: {reason}"
                continue
            small = _smaller(command)
            _call(command, small)
            for campaign in folder.glob("results/mine/campaign.yaml"):
                if "nas new" in command:
                    _shrink(campaign)
            same = shlex.split(small) == shlex.split(command)
            yield command, "ran" if same else f"ran as: {small}"


def _call(shown: str, command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "python":  # a script that a command has written
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, f"{shown}\nran as: {command}\n{done.stderr}"
        return
    assert program == "nas", f"{shown}: neither a command of nas nor one of NOT_RUN"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = nas_main(arguments)
        except SystemExit as error:  # of the parser
            code = int(error.code or 0)
    assert code == 0, f"{shown}\nran as: {command}\nexit code {code}:\n{said.getvalue()}"


@contextlib.contextmanager
def _home(folder: Path) -> Iterator[None]:
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = before


def main(only: str = "") -> None:
    """Run every block, or those whose page and line hold ``only``, and print what became of each.

    Exits with 1 where a command failed.
    """
    failed = 0
    for block in blocks():
        if only not in str(block):
            continue
        with tempfile.TemporaryDirectory() as place:
            try:
                for command, outcome in run(block, Path(place) / "scratch"):
                    print(f"{block}: {command}\n    {outcome}", flush=True)
            except Exception as error:  # the next block may still run
                failed += 1
                print(f"{block}: FAILED: {error}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])

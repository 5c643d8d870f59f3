"""Changes valid input at random; every reader must accept it or refuse it with a message.

    python -m tests.fuzz --inputs 20000 --seed 0

Each input is made from a valid text of one of :data:`READERS` by a few random changes: bytes, lines
and values are replaced, doubled, removed or nested, and awkward tokens are put in. Binary files are
changed in the same way, one character for each byte. What is accepted is used further: networks are
built and run, records become tables and are checked. Only :class:`nas.errors.InputError` and
:class:`nas.errors.CampaignError` may be raised, within 10 seconds of CPU time and 2 GB of memory.
All draws follow from the seed.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import save

import nas
from nas.analysis.audit.check import check
from nas.analysis.tables.networks import campaign_table
from nas.analysis.tables.render import FORMATS, render
from nas.architecture.passes import depth, peak_memory
from nas.architecture.profile import About, Profile, pieces
from nas.architecture.weights import read_weights
from nas.benchmark.config import load_benchmark
from nas.campaigns.spec.campaign import load_campaign, read_file
from nas.configuration import Named, validate
from nas.errors import CampaignError, InputError
from nas.files import is_damaged
from nas.jobs import names
from nas.jobs.predict import _of_array
from nas.preprocessing import Preprocessing
from nas.report.specification import resolved, summary
from nas.spaces import space, space_file
from nas.training.datasets.arrays import arrays
from nas.training.datasets.idx import read_idx
from nas.training.datasets.pictures import read_picture
from nas.training.recipe import resolve
from nas.yaml_files import parse_yaml
from tests.benchmark import conftest as benchmarks
from tests.campaigns import toy

HERE = Path(__file__).parent
SECONDS, BYTES = 10, 2 * 10**9

TOKENS = (
    "1" * 5000, "1e999", "-1", "0", "9223372036854775808", "2147483648", "0x" + "f" * 99, ".nan",
    "[" * 3000, "{a: " * 300, "&a [*a]", "*a", "!!float x", "!!python/object:os.system x", "<<: 1",
    "../../x", "/dev/zero", "\x00", "\x1b[2J", "\u202e",
    "null", "true", "''", "[]", "{}", "os:system", "none.py:f", "~", "|", "%",
    "\t", ": ", "- ", "#",
)  # fmt: skip

OLD = HERE / "campaigns" / "schema2" / "finished"


def in_folder(
    name: str, use: Callable[[Path], object], encoding: str = "utf-8"
) -> Callable[[str, Path], object]:
    """Makes a reader that writes its text to a file in an old campaign's folder."""

    def read(text: str, folder: Path) -> object:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        before = path.read_bytes() if path.exists() else b""
        path.write_bytes(_encoded(text, encoding))
        try:
            return use(folder)
        finally:
            path.write_bytes(before)

    return read


def _encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")


def binary(name: str, use: Callable[[Path], object]) -> Callable[[str, Path], object]:
    """Makes a reader of a binary file, whose bytes are the characters of the text."""
    return in_folder(f"binary/{name}", lambda folder: use(folder / "binary" / name), "latin-1")


def tables(folder: Path) -> None:
    """Makes all tables of records."""
    for every in (False, True):
        table = campaign_table(folder, every)
        for form in FORMATS:
            if form != "parquet":
                render(table, form)
    check(folder)


def built(found: nas.Architecture) -> None:
    """Compiles a small network and runs it."""
    if found.cost.macs < 10**7 and found.cost.params < 10**6 and peak_memory(found) < 10**7:
        network = nas.compile(found).eval()
        with torch.no_grad():
            network(torch.zeros(1, *found.input_shape))


def architecture(text: str, folder: Path) -> None:
    """Reads an architecture and counts it."""
    found = nas.Architecture.from_json(text)
    assert nas.Architecture.from_json(found.to_json()) == found
    assert len(found.fingerprint) == 40
    assert min(found.cost) >= 0
    assert peak_memory(found) > 0
    assert depth(found) >= 0
    built(found)


def members(path: Path) -> None:
    """Draws members of a space."""
    found = space(str(path), (3, 16, 16), 10)
    generator = np.random.default_rng(0)
    for _ in range(3):
        genotype = found.sample(generator)
        built(found.decode(genotype))
        assert found.size() != 0
        assert found.from_string(found.to_string(genotype)) == genotype


def profiled(path: Path) -> None:
    """Predicts a latency by a profile."""
    assert Profile.read(path).latency(nas.classic("lenet5")) >= 0


def recipe(text: str, folder: Path) -> None:
    """Reads a recipe."""
    given = parse_yaml(text, "recipe")
    if isinstance(given, dict):
        resolve(given)


def named(text: str, folder: Path) -> None:
    """Reads a name with options."""
    validate(Named, parse_yaml(text, "name"))


def report(folder: Path) -> None:
    """Reads what a report says of the specification."""
    from nas.analysis.tables.trials import recorded

    _, history = recorded(folder)
    summary(history.header, resolved(folder))


def rows(folder: Path) -> None:
    """Makes the table of a training."""
    campaign_table(folder.parent / "trained")


def campaign(folder: Path) -> None:
    """Reads a campaign with all that it names."""
    read_file(folder)
    load_campaign(folder)


def benchmark(folder: Path) -> None:
    """Reads a benchmark with its space and its table, and looks up a row."""
    table = load_benchmark(folder / "bench").table
    for name in table.metrics:
        table.metric(name)


def saved(save: Callable[[io.BytesIO], object]) -> str:
    """Returns what is saved as a text with one character for each byte."""
    file = io.BytesIO()
    save(file)
    return file.getvalue().decode("latin-1")


PREPROCESSING = Preprocessing(
    input_shape=(1, 8, 8), colour="grey", mean=(0.0,), std=(1.0,), output="scores"
)
PROFILE = Profile(
    dict.fromkeys(pieces(nas.classic("lenet5")), 0.1),
    About(device="cpu", threads=1, scale=1.2, networks=4, error=0.1, rank_correlation=0.9),
)
PICTURES = ("png", "jpeg", "bmp", "gif")
IDX_HEADER = bytes((0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 8))
IMAGES = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
STATE = {f"conv{n}.weight": torch.arange(6.0).reshape(2, 3) for n in range(3)}

ROW = {
    "name": "lenet5", "kind": "classic", "fingerprint": "f" * 40, "params": 1, "macs": 2,
    "flops": 2, "activations": 3, "data": {"name": "digits", "checksum": "a", "split": {"seed": 0}},
    "recipe": {"epochs": 1}, "recipe_fingerprint": "b", "seed": 0, "start": None,
    "protocol": "single", "classes": ["a", "b"], "validation": {"loss": 1.0, "accuracy": 0.5},
    "test": {"loss": 1.0, "accuracy": 0.5}, "curve": [], "train_seconds": 1.0,
}  # fmt: skip

Reader = tuple[list[str], Callable[[str, Path], object]]


def _seeds(*paths: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in paths]


READERS: dict[str, Reader] = {
    "records.jsonl": (_seeds(OLD / "records.jsonl"), in_folder("records.jsonl", tables)),
    "resolved.json": (_seeds(OLD / "resolved.json"), in_folder("resolved.json", report)),
    "campaign.yaml": ([toy.CAMPAIGN], in_folder("campaign.yaml", campaign)),
    "benchmark.yaml": (
        [yaml.safe_dump(benchmarks.SPECIFICATION, sort_keys=False)],
        in_folder("bench/benchmark.yaml", benchmark),
    ),
    "table.csv": (["{t.csv}"], in_folder("bench/t.csv", benchmark)),
    "space.yaml": (
        [toy.SPACE, *_seeds(space_file("nasbench201"), space_file("primitives"))],
        in_folder("own_space.yaml", lambda folder: members(folder / "own_space.yaml")),
    ),
    "architecture.json": (
        [nas.classic("lenet5").to_json(), nas.classic("resnet20").to_json()],
        architecture,
    ),
    "row.json": ([json.dumps(ROW)], in_folder("../trained/row.json", rows)),
    "profile.json": (
        [PROFILE.to_json()],
        in_folder("profile.json", lambda folder: profiled(folder / "profile.json")),
    ),
    "recipe": (["preset: quick\nepochs: 3\naugment: [flip, {name: shift, pixels: 2}]\n"], recipe),
    "name": (["{name: nin, width: 0.5, last_relu: false}"], named),
    "classic": (
        ["resnet20:width=0.5", "lenet5", "mobilenet_v2:stem=cifar,width=0.25"],
        lambda text, folder: names.architecture(text, (3, 32, 32), 10),
    ),
    "genotype": (
        [
            "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|",
            "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|",
        ],
        lambda text, folder: space("nasbench201").from_string(text),
    ),
    "idx": (
        [(IDX_HEADER + IMAGES.tobytes()).decode("latin-1")],
        binary("images", lambda path: read_idx(path, dimensions=3)),
    ),
    "idx.gz": (
        [saved(lambda file: file.write(gzip.compress(IDX_HEADER + IMAGES.tobytes())))],
        binary("images.gz", lambda path: read_idx(path, dimensions=3)),
    ),
    "arrays.npz": (
        [saved(lambda file: np.savez(file, images=IMAGES, labels=np.arange(4)))],
        binary("arrays.npz", lambda path: arrays(path=str(path))),
    ),
    "array.npy": (
        [saved(lambda file: np.save(file, IMAGES))],
        binary("array.npy", lambda path: [*_of_array(path, PREPROCESSING)]),
    ),
    "picture": (
        [saved(partial(Image.fromarray(IMAGES[0]).save, format=form)) for form in PICTURES],
        binary("picture", lambda path: read_picture(path, 3, (8, 8))),
    ),
    "weights.pt": (
        [saved(lambda file: torch.save(STATE, file))],
        binary("weights.pt", read_weights),
    ),
    "weights.safetensors": (
        [save(STATE).decode("latin-1")],
        binary("weights.safetensors", read_weights),
    ),
    "checkpoint": (
        [saved(lambda file: torch.save(STATE, file))],
        binary("checkpoint.pt", is_damaged),
    ),
}
"""Valid texts, and the function that reads them, by the name of what is read."""


def changed(text: str, random: random.Random) -> str:
    """Changes a text in one to four places, mostly in one, which is accepted more often."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice([0, 1, 3, 10, 60]))
        lines = text.splitlines(keepends=True) or [""]
        match random.randrange(9):
            case 0:
                text = text[:start] + random.choice(TOKENS) + text[end:]
            case 1:
                text = text[:start] + text[end:]
            case 2:
                text = text[:start] + text[start:end] * random.choice([2, 3, 50]) + text[end:]
            case 3:
                text = text[:start] + chr(random.randrange(1, 256)) + text[start + 1 :]
            case 4:
                line = random.randrange(len(lines))
                lines.insert(random.randrange(len(lines)), lines[line])
                text = "".join(lines)
            case 5 | 6 | 7:
                text = _with_another_value(text, random)
            case _:
                text = text[:start]
    return text


def _with_another_value(text: str, random: random.Random) -> str:
    """Replaces one value of a structure by an awkward one, if the text is JSON or YAML."""
    lines = text.splitlines()
    line = random.randrange(len(lines)) if len(lines) > 1 and lines[0][:1] == "{" else None
    try:
        tree = json.loads(text if line is None else lines[line])
    except (ValueError, RecursionError):
        try:
            tree = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            return text
    place = tree
    while isinstance(place, dict | list) and place:
        key = random.choice([*place] if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], dict | list) or not place[key] or random.random() < 0.2:
            place[key] = random.choice(
                [None, True, -1, 0, 1.5, "", "x/../y", [], {}, [[]], {"": 1}, 2**63, "\x1b", 10**18]
            )
            break
        place = place[key]
    again = json.dumps(tree, default=str)
    return again if line is None else "\n".join([*lines[:line], again, *lines[line + 1 :]])


class Slow(BaseException):
    """An input took longer than :data:`SECONDS` of CPU time."""


def fuzz(inputs: int, seed: int) -> dict[str, Counter[str]]:
    """Reads so many inputs and counts, by reader, which were accepted and refused.

    Raises the exceptions of the inputs that were neither, each with the input in a note.
    """
    failures: list[BaseException] = []
    counts: dict[str, Counter[str]] = {"accepted": Counter(), "refused": Counter()}

    def alarm(number: int, frame: FrameType | None) -> None:
        raise Slow

    before = signal.signal(signal.SIGPROF, alarm)
    limit = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
            folder = Path(place) / "c"
            folder.mkdir()
            (folder.parent / "trained").mkdir()
            for path in OLD.iterdir():
                if path.is_file():
                    (folder / path.name).write_bytes(path.read_bytes())
            toy.write(folder / "toy")
            (folder / "toy" / "tiny.yaml").rename(folder / "tiny.yaml")
            benchmarks.write(folder / "bench")
            READERS["table.csv"][0][:] = _seeds(folder / "bench" / "t.csv")
            for texts, read in READERS.values():  # also imports what the readers need
                for text in texts:
                    read(text, folder)
            used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_DATA, (used + BYTES, limit[1]))
            for number in range(inputs):
                kind = [*READERS][number % len(READERS)]
                drawn = random.Random(f"{seed} {number}")
                text = changed(drawn.choice(READERS[kind][0]), drawn)
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                try:
                    READERS[kind][1](text, folder)
                except (InputError, CampaignError) as error:
                    counts["refused"][kind] += bool(str(error).strip())
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    error.add_note(f"input {number} of seed {seed} for {kind}:\n{text[:2000]!r}")
                    failures.append(error)
                    print(f"input {number} for {kind}: {error!r:.200}", file=sys.stderr, flush=True)
                else:
                    counts["accepted"][kind] += 1
                finally:
                    signal.setitimer(signal.ITIMER_PROF, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limit)
        signal.signal(signal.SIGPROF, before)
    if failures:
        raise BaseExceptionGroup(f"{len(failures)} of {inputs} inputs", failures)
    return counts


def main() -> None:
    """Prints how many inputs of each reader were accepted and refused."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts = fuzz(given.inputs, given.seed)
    for kind in READERS:
        accepted, refused = counts["accepted"][kind], counts["refused"][kind]
        print(f"{kind:18} {accepted:6} accepted {refused:6} refused")
    print(f"{given.inputs} inputs, seed {given.seed}: no other exception")


if __name__ == "__main__":
    sys.exit(main())

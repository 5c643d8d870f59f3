"""Injects random faults into campaigns and checks that nothing is lost.

    python -m tests.chaos --faults 1000 --seed 0 [--engine serial|ray]

A campaign is run several times, each time with one fault from :data:`FAULTS`, and then once without
a fault, until it has ended. After every run it is checked that

- the run has ended by the signal, with a message, or well, and never with a traceback;
- every line that was on the disk before the run is still there, byte for byte;
- no file outside the campaign's folder has changed, and in the folder there are only known files.

At the end, the trials and their results are those of an undisturbed campaign with the same seed
(with the serial engine, also in the same order), ``nas check`` finds no problem, and no
checkpoint or incomplete file is left. All draws follow from the seed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.analysis.audit.check import check
from nas.campaigns.drive.run import run
from nas.campaigns.engines import base
from nas.cli import main as command_line
from nas.errors import CampaignError, InputError
from tests.campaigns import toy

Random = random.Random
Fault = Callable[[Random, Path], None]

STEPS = 60
"""Up to which write to the disk of a run a fault may strike."""

SEARCHERS = (
    "{name: evolution, population_size: 2, tournament_size: 2}",
    "{name: asha, min_fidelity: 1, max_fidelity: 4, reduction_factor: 2}",
    "{name: random}",
)

KNOWN = {
    "campaign.yaml", "tiny.yaml", "records.jsonl", "records.lock", "records.torn", "resolved.json",
    "run.log", "checkpoints", "weights",
}  # fmt: skip


def at_a_write(random: Random, act: Callable[[], None], *, once: bool = True) -> None:
    """Calls ``act`` instead of a random one of this process's writes to the disk."""
    left, sync = random.randrange(STEPS), os.fsync

    def counted(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left == -1 or (left < 0 and not once):
            act()
        sync(descriptor)

    os.fsync = counted


def send(number: signal.Signals) -> Fault:
    """Sends this process a signal while it writes."""
    return lambda random, folder: at_a_write(random, lambda: os.kill(os.getpid(), number))


def fail(number: int, *, once: bool) -> Fault:
    """Lets a write fail, or all writes from then on."""

    def act() -> None:
        raise OSError(number, os.strerror(number))

    return lambda random, folder: at_a_write(random, act, once=once)


def full(random: Random, folder: Path) -> None:
    """Lets no file grow beyond a size, as on a full disk: a line of the records may be torn."""
    path = folder / "records.jsonl"
    size = path.stat().st_size if path.exists() else 0
    most = size + random.randrange(6000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def slow(random: Random, folder: Path) -> None:
    """Lets every write take a while."""
    at_a_write(random, lambda: time.sleep(0.002), once=False)


def clock(random: Random, folder: Path) -> None:
    """Sets the wall clock back or forward by up to a year while the run goes on."""
    jump, now = random.uniform(-3e7, 3e7), time.time

    def act() -> None:
        time.time = lambda: now() + jump

    at_a_write(random, act)


def no_access(random: Random, folder: Path) -> None:
    """Takes the right to write from the folder or from a file while the run goes on."""
    path = random.choice([folder, folder / "records.jsonl", folder / "run.log"])
    at_a_write(random, lambda: path.chmod(0o500) if path.exists() else None)


def worker(random: Random, folder: Path) -> None:
    """Lets the evaluator fail now and then, or end the program."""
    calls, evaluate = random.randrange(8), toy.epochs

    def failing(trial: Any, checkpoint: bytes | None) -> Any:
        nonlocal calls
        calls -= 1
        if calls < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return (yield from evaluate(trial, checkpoint))

    toy.epochs = failing  # type: ignore[assignment]


def torn(random: Random, folder: Path) -> None:
    """Cuts a line that was being written, as a crash of the machine does."""
    with open(folder / "records.jsonl", "ab") as file:
        file.write(b'{"type":"result","trial":"evolution-0001","sta'[: random.randrange(1, 45)])


def moved(random: Random, folder: Path) -> None:
    """Moves the folder away and back between two runs, with what was in it."""
    elsewhere = folder.with_name("moved")
    shutil.move(folder, elsewhere)
    shutil.copytree(elsewhere, folder)
    shutil.rmtree(elsewhere)


def leftovers(random: Random, folder: Path) -> None:
    """Leaves an incomplete checkpoint, and one of a trial that does not exist yet."""
    kept = folder / "checkpoints"
    kept.mkdir(exist_ok=True)
    (kept / ".random-0000.0123abcd.part.pt").write_bytes(b"1")


def no_states(random: Random, folder: Path) -> None:
    """Deletes all checkpoints."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


FAULTS: dict[str, Fault] = {
    "killed": send(signal.SIGKILL),
    "SIGTERM": send(signal.SIGTERM),
    "SIGINT": send(signal.SIGINT),
    "worker killed": worker,
    "disk full": full,
    "disk full from then on": fail(28, once=False),
    "write error once": fail(5, once=True),
    "slow disk": slow,
    "clock jump": clock,
    "no access": no_access,
}
"""Faults that strike a process while it runs."""

BETWEEN: dict[str, Fault] = {
    "torn line": torn,
    "moved folder": moved,
    "leftovers": leftovers,
    "checkpoints deleted": no_states,
}
"""Faults that strike the folder between two runs."""


class Violated(Exception):
    """An invariant does not hold."""


def carried_out(folder: Path, output: Path, fault: Callable[[], None] | None) -> int:
    """Runs the campaign in a process of its own; returns its exit code, or minus the signal."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 70
    try:
        with open(output, "a") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        base.CHECKPOINT_SECONDS = 0.0
        if fault is not None:
            fault()
        run(folder, evaluator=f"{toy.HERE}:epochs")
        code = 0
    except KeyboardInterrupt:
        code = 130
    except (CampaignError, InputError) as error:
        os.write(2, f"nas: {error}\n".encode())
        code = 1
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def results(folder: Path) -> list[tuple[str, Any, Any]]:
    """Returns trial, genotype and metrics of all trials in the order suggested."""
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    metrics = {r["trial"]: r["metrics"] for r in records if r["type"] == "result"}
    for each in metrics.values():
        each.pop("epochs_before", None)  # how far a repeated trial had come is not the same
    return [(r["trial"], r.get("genotype"), metrics.get(r["trial"]))
            for r in records if r["type"] == "ask"]  # fmt: skip


def whole_lines(folder: Path) -> bytes:
    """Returns the records up to the last line that is complete."""
    path = folder / "records.jsonl"
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def tree(folder: Path) -> dict[str, bytes]:
    """Returns all files below a folder."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Chaos:
    """Runs campaigns with faults in a folder of its own, and counts the faults by kind."""

    def __init__(self, folder: Path, seed: int, engine: str = "serial") -> None:
        self.folder = folder
        self.random = Random(seed)
        self.engine = engine
        self.counts: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self._undisturbed: dict[str, list[tuple[str, Any, Any]]] = {}
        self._outside = folder / "outside"
        self._outside.mkdir()
        (self._outside / "theirs.pt").write_text("theirs")

    def write(self, name: str, searcher: str, seed: int) -> Path:
        """Writes a campaign."""
        text = toy.CAMPAIGN.replace(SEARCHERS[0], searcher).replace("epochs: 1", "epochs: 4")
        text = text.replace("trials: 4", "trials: 6").replace(
            "name: serial", f"name: {self.engine}"
        )
        return toy.write(self.folder / name, f"{text}seed: {seed}\n")

    def undisturbed(self, searcher: str, seed: int) -> list[tuple[str, Any, Any]]:
        """Returns the results without faults."""
        key = f"{searcher} {seed}"
        if key not in self._undisturbed:
            folder = self.write("undisturbed", searcher, seed)
            if carried_out(folder, self.folder / "output", None):
                raise Violated(f"without faults: {(self.folder / 'output').read_text()}")
            self._undisturbed[key] = results(folder)
            shutil.rmtree(folder)
        return self._undisturbed[key]

    def campaign(self, faults: int) -> None:
        """Runs one campaign with so many faults, and checks it."""
        searcher, seed = self.random.choice(SEARCHERS), self.random.randrange(3)
        expected = self.undisturbed(searcher, seed)
        folder, output = self.write("campaign", searcher, seed), self.folder / "output"
        for _ in range(faults):
            kind = self.random.choice([*FAULTS, *BETWEEN])
            if kind in BETWEEN and not whole_lines(folder):  # nothing was begun
                kind = "killed"
            self.counts[kind] += 1
            draw = Random(self.random.randrange(2**32))
            before = whole_lines(folder)
            output.write_text("")
            fault = None
            if kind in BETWEEN:
                BETWEEN[kind](draw, folder)
            else:
                chosen = FAULTS[kind]
                fault = lambda: chosen(draw, folder)  # noqa: E731, B023
            code = carried_out(folder, output, fault)
            self.ends[f"exit {code}" if code >= 0 else signal.Signals(-code).name] += 1
            self.check(kind, folder, output, before, code)
        output.write_text("")
        if carried_out(folder, output, None):
            raise Violated(f"the run without a fault did not end: {output.read_text()}")
        found = results(folder)
        if self.engine != "serial":
            found, expected = sorted(found, key=str), sorted(expected, key=str)
        if found != expected:
            raise Violated(f"other results than without faults:\n{found}\n{expected}")
        if problems := check(folder).problems:
            raise Violated(f"nas check: {problems}")
        if command_line(["table", str(folder), "--out", str(self.folder / "table.csv")]):
            raise Violated("nas table")
        left = sorted(path.name for path in folder.iterdir())
        if not set(left) <= KNOWN - {"checkpoints"}:
            raise Violated(f"files are left: {left}")
        shutil.rmtree(folder)

    def check(self, kind: str, folder: Path, output: Path, before: bytes, code: int) -> None:
        """Checks what must hold after every run."""
        folder.chmod(0o700)
        for path in folder.iterdir():
            path.chmod(0o700)
        said = output.read_text()
        if "Traceback" in said or code == 70:
            raise Violated(f"{kind}: a traceback:\n{said}")
        if not (folder / "records.jsonl").exists() and before:
            raise Violated(f"{kind}: the records are gone")
        if not whole_lines(folder).startswith(before):
            raise Violated(f"{kind}: a recorded line was lost or changed")
        unknown = {p.name for p in folder.iterdir() if ".part" not in p.name} - KNOWN
        if unknown:
            raise Violated(f"{kind}: unknown files {unknown}")
        if tree(self._outside) != {str(self._outside / "theirs.pt"): b"theirs"}:
            raise Violated(f"{kind}: a file outside has changed")


def chaos(faults: int, seed: int, engine: str = "serial") -> Chaos:
    """Injects faults; raises :class:`Violated` with what happened at the first violation."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        made = Chaos(Path(folder), seed, engine)
        while (left := faults - made.counts.total()) > 0:
            made.campaign(min(left, made.random.randrange(1, 8)))
        return made


def main() -> None:
    """Prints the number of faults by kind, and how the runs have ended."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default="serial", choices=["serial", "ray"])
    given = parser.parse_args()
    made = chaos(given.faults, given.seed, given.engine)
    print(f"{made.counts.total()} faults, seed {given.seed}, engine {given.engine}: all held")
    for counts in (made.counts, made.ends):
        print(", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())))


if __name__ == "__main__":
    sys.exit(main())

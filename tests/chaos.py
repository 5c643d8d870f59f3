"""Injects random faults into campaigns and checks that nothing is lost.

    python -m tests.chaos --faults 1000 --seed 0 --processes 4
    python -m tests.chaos --faults 50 --seed 0 --engine ray

A campaign is run several times, each time with one fault from :data:`FAULTS` or :data:`BETWEEN`,
and then once without a fault, until it has ended. On Ray, workers are also killed while it runs
(:data:`PERILS`). A fault counts only if it has struck. After every run it is checked that

- the run has ended by the signal, with a message, or well, and never with a traceback;
- every line that was on the disk before the run is still there, byte for byte;
- no file outside the campaign's folder has changed, and in the folder there are only known files.

At the end, the trials and their results are those of an undisturbed campaign with the same seed, on
the serial engine also in the same order. On Ray, where a searcher sees results in another order
each time, every trial of the budget has one result. ``nas check`` finds no problem, and no
checkpoint or incomplete file is left. All draws of the serial engine follow from the seed.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
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
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

from nas.analysis.audit.check import check
from nas.campaigns.drive.run import run
from nas.campaigns.engines import base
from nas.cli import main as command_line
from nas.errors import CampaignError, InputError
from tests.campaigns import toy

Random = random.Random
Fault = Callable[[Random, Path], None]

ASIDE = "aside "
"""How the name of a file begins that makes room for a link."""

STEPS = 12
"""Before which write to the disk of a run a fault strikes."""

SEARCHERS = (
    "{name: evolution, population_size: 2, tournament_size: 2}",
    "{name: asha, min_fidelity: 1, max_fidelity: 4, reduction_factor: 2}",
    "{name: random}",
)

SEEDS = range(3)
"""The seeds of campaigns."""

KNOWN = {
    "campaign.yaml", "tiny.yaml", "records.jsonl", "records.lock", "records.torn", "resolved.json",
    "run.log", "checkpoints", "weights",
}  # fmt: skip


struck = Path()
"""The file that a fault makes when it strikes."""


def at_a_write(random: Random, act: Callable[[], None], *, once: bool = True) -> None:
    """Calls ``act`` instead of a random one of this process's writes to the disk."""
    left, sync = random.randrange(STEPS), os.fsync

    def counted(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left == -1 or (left < 0 and not once):
            struck.touch()
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
    _obey_permissions()
    at_a_write(random, lambda: path.chmod(0o500) if path.exists() else None)


def _obey_permissions() -> None:
    """Takes from root what lets it write everywhere: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    if os.geteuid() or not sys.platform.startswith("linux"):
        return
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    system = ctypes.CDLL(None)
    system.capget(header, sets)
    sets[0] &= ~0b110
    system.capset(header, sets)


def moved_away(random: Random, folder: Path) -> None:
    """Moves the folder while the run goes on."""
    at_a_write(random, lambda: os.rename(folder, folder.with_name("moved")))


def worker(random: Random, folder: Path) -> None:
    """Lets the evaluator end the program, as a crash in native code does."""
    calls, evaluate = random.randrange(8), toy.epochs

    def failing(trial: Any, checkpoint: bytes | None) -> Any:
        nonlocal calls
        calls -= 1
        if calls < 0:
            struck.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return (yield from evaluate(trial, checkpoint))

    toy.epochs = failing  # type: ignore[assignment]


def torn(random: Random, folder: Path) -> None:
    """Cuts a line that was being written, as a crash of the machine does."""
    with open(folder / "records.jsonl", "ab") as file:
        file.write(b'{"type":"result","trial":"evolution-0001","sta'[: random.randrange(1, 45)])


def moved(random: Random, folder: Path) -> None:
    """Moves the folder away and back between two runs, with what was in it."""
    elsewhere = folder.with_name("elsewhere")
    shutil.move(folder, elsewhere)
    shutil.copytree(elsewhere, folder)
    shutil.rmtree(elsewhere)


def leftovers(random: Random, folder: Path) -> None:
    """Leaves an incomplete checkpoint."""
    kept = folder / "checkpoints"
    kept.mkdir(exist_ok=True)
    (kept / ".random-0000.0123abcd.part.pt").write_bytes(b"1")


def no_states(random: Random, folder: Path) -> None:
    """Deletes all checkpoints."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def lost(random: Random, folder: Path) -> None:
    """Empties the records, or fills them with NUL, as a crash of some file systems does."""
    path = folder / "records.jsonl"
    path.write_bytes(bytes(random.choice([0, path.stat().st_size])))


def link(random: Random, folder: Path) -> None:
    """Puts a link to a file or folder of others where a run writes."""
    name = random.choice(["run.log", "checkpoints", "resolved.json", "records.jsonl"])
    path, outside = folder / name, folder.with_name("outside")
    if path.exists():
        path.rename(folder.with_name(f"{ASIDE}{name}"))
    path.symlink_to(outside if name == "checkpoints" else outside / "theirs.pt")


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
    "moved while it runs": moved_away,
}
"""Faults that strike a process while it runs."""

BETWEEN: dict[str, Fault] = {
    "torn line": torn,
    "moved folder": moved,
    "leftovers": leftovers,
    "checkpoints deleted": no_states,
    "records lost": lost,
    "link to outside": link,
}
"""Faults that strike the folder between two runs."""

PERILS = {
    "worker killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "worker ends itself": lambda: os._exit(3),
    "worker crashes": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "slow worker": lambda: time.sleep(1.5),
    "node killed": lambda: os.kill(os.getppid(), signal.SIGKILL),
}
"""What happens to a worker on Ray."""


def perilous(trial: Any, checkpoint: bytes | None) -> Any:
    """Trains nothing, as :func:`tests.campaigns.toy.epochs`; each peril that is left strikes once.

    The perils are files in a folder, so that each of several processes can take one.
    """
    for file in sorted(Path(os.environ["CHAOS_PERILS"]).iterdir()):
        with suppress(FileNotFoundError):
            file.unlink()  # another worker has not taken it
            PERILS[file.name.partition(".")[2]]()
            break
    return (yield from toy.epochs(trial, checkpoint))


class Violated(Exception):
    """An invariant does not hold."""


def carried_out(
    folder: Path, output: Path, fault: Callable[[], None] | None, evaluator: str
) -> int:
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
        run(folder, evaluator=evaluator)
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


Results = list[tuple[str, Any, Any]]


def results(folder: Path) -> Results:
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


_UNDISTURBED: dict[str, Results] = {}


class Chaos:
    """Runs campaigns with faults in a folder of its own, and counts the faults by kind."""

    def __init__(self, folder: Path, seed: int, engine: str = "serial") -> None:
        global struck
        self.folder = folder
        self.random = Random(seed)
        self.engine = engine
        self.counts: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.evaluator = f"{toy.HERE}:epochs" if engine == "serial" else "tests.chaos:perilous"
        self._outside = folder / "outside"
        self._outside.mkdir()
        (self._outside / "theirs.pt").write_text("theirs")
        self._perils = folder / "perils"
        self._perils.mkdir()
        os.environ["CHAOS_PERILS"] = str(self._perils)
        struck = folder / "struck"

    def write(self, name: str, searcher: str, seed: int) -> Path:
        """Writes a campaign."""
        text = toy.CAMPAIGN.replace(SEARCHERS[0], searcher).replace("epochs: 1", "epochs: 4")
        text = text.replace("trials: 4", "trials: 6")
        if self.engine == "ray" and name == "campaign":
            text = text.replace("name: serial", "name: ray, concurrency: 2, retries: 1000")
        return toy.write(self.folder / name, f"{text}seed: {seed}\n")

    def undisturbed(self, searcher: str, seed: int) -> Results:
        """Returns the results without faults."""
        key = f"{searcher} {seed}"
        if key not in _UNDISTURBED:
            folder = self.write("undisturbed", searcher, seed)
            with redirect_stdout(StringIO()):  # in this process: others inherit what it imports
                run(folder, evaluator=f"{toy.HERE}:epochs")
            _UNDISTURBED[key] = results(folder)
            shutil.rmtree(folder)
            gc.freeze()  # or each child would look through all that torch has made
        return _UNDISTURBED[key]

    def campaign(self, faults: int) -> None:
        """Runs one campaign with up to so many faults, and checks it."""
        searcher, seed = self.random.choice(SEARCHERS), self.random.choice(SEEDS)
        expected = self.undisturbed(searcher, seed)
        folder, output = self.write("campaign", searcher, seed), self.folder / "output"
        for _ in range(faults):
            kind = self.random.choice([*FAULTS, *BETWEEN])
            if kind in BETWEEN and not (folder / "resolved.json").exists():  # nothing was begun
                kind = "killed"
            if kind == "worker killed" and self.engine != "serial":
                kind = "SIGTERM"
            self.fault(kind, folder, output)
        if self.engine == "ray":
            self._workers()
        output.write_text("")
        for _ in range(1 if self.engine == "serial" else 10):  # a node that dies ends the run
            if not carried_out(folder, output, None, self.evaluator):
                break
        else:
            raise Violated(f"the run without a fault did not end: {output.read_text()}")
        self._count_workers()
        self._compare(results(folder), expected, searcher)
        if problems := check(folder).problems:
            raise Violated(f"nas check: {problems}")
        with redirect_stdout(StringIO()):
            if command_line(["table", str(folder), "--out", str(self.folder / "table.csv")]):
                raise Violated("nas table")
        left = sorted(path.name for path in folder.iterdir())
        if not set(left) <= KNOWN - {"checkpoints"}:
            raise Violated(f"files are left: {left}")
        shutil.rmtree(folder)

    def fault(self, kind: str, folder: Path, output: Path) -> None:
        """Runs the campaign once with a fault, and checks what must hold."""
        draw = Random(self.random.randrange(2**32))
        before, records = whole_lines(folder), folder / "records.jsonl"
        content = records.read_bytes() if records.exists() else None
        output.write_text("")
        struck.unlink(missing_ok=True)
        fault = None
        if kind in BETWEEN:
            BETWEEN[kind](draw, folder)
            struck.touch()
        else:
            chosen = FAULTS[kind]
            fault = lambda: chosen(draw, folder)  # noqa: E731
        if self.engine == "ray":
            self._workers()
        code = carried_out(folder, output, fault, self.evaluator)
        self._count_workers()
        if struck.exists() or code:
            self.counts[kind] += 1
            self.ends[f"exit {code}" if code >= 0 else signal.Signals(-code).name] += 1
        if kind == "moved while it runs" and folder.with_name("moved").exists():
            if folder.exists():
                raise Violated(f"{kind}: the folder was made again: {tree(folder).keys()}")
            folder.with_name("moved").rename(folder)
        if kind == "records lost":
            if code not in (1, 2) or whole_lines(folder).strip(b"\0"):
                raise Violated(f"{kind}: taken for a new campaign: {output.read_text()}")
            records.write_bytes(content or b"")
        for path in folder.iterdir():
            if path.is_symlink():
                path.unlink()
        for aside in folder.parent.glob(f"{ASIDE}*"):
            if (path := folder / aside.name.removeprefix(ASIDE)).exists():
                aside.unlink()  # the run has put a new file in the place of the link
            else:
                aside.rename(path)
        self.check(kind, folder, output, before, code)

    def _workers(self) -> None:
        for number in range(self.random.randrange(2, 8)):
            (self._perils / f"{number}.{self.random.choice([*PERILS])}").touch()
        self._put = [file.name for file in self._perils.iterdir()]

    def _count_workers(self) -> None:
        if self.engine == "ray":
            gone = {*self._put} - {file.name for file in self._perils.iterdir()}
            self.counts.update(name.partition(".")[2] for name in gone)

    def _compare(self, found: Results, expected: Results, searcher: str) -> None:
        """Compares the results of a campaign with those of an undisturbed one."""
        if self.engine != "serial":
            found, expected = sorted(found, key=str), sorted(expected, key=str)
            if "random" not in searcher:
                same = {trial for trial, _, metrics in found if metrics}
                found, expected = [(len(same), 0, 0)], [(len(expected), 0, 0)]  # type: ignore[list-item]
        if found != expected:
            raise Violated(f"other results than without faults:\n{found}\n{expected}")

    def summary(self) -> str:
        """Returns the number of faults by kind, and how the runs have ended."""
        parts = [", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
                 for counts in (self.counts, self.ends)]  # fmt: skip
        return f"{self.counts.total()} faults ({parts[0]}); the runs ended: {parts[1]}"

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


def chaos(
    faults: int, seed: int, engine: str = "serial", told: Callable[[str], None] = lambda _: None
) -> Chaos:
    """Injects faults; raises :class:`Violated` with what happened at the first violation.

    After each campaign, ``told`` is called with the counts so far.
    """
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        made = Chaos(Path(folder), seed, engine)
        while (left := faults - made.counts.total()) > 0:
            made.campaign(min(left, made.random.randrange(1, 13)))
            told(made.summary())
        return made


def main() -> None:
    """Prints the number of faults by kind, and how the runs have ended."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="each with a seed of its own")
    parser.add_argument("--engine", default="serial", choices=["serial", "ray"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        made = Chaos(Path(folder), given.seed, given.engine)
        for searcher in SEARCHERS:  # once for all processes
            for seed in SEEDS:
                made.undisturbed(searcher, seed)
    share = -(-given.faults // given.processes)
    children = [os.fork() or _child(share, given.seed + number, given.engine)
                for number in range(given.processes)]  # fmt: skip
    failed = [child for child in children if os.waitpid(child, 0)[1]]
    sys.exit(f"{len(failed)} of {len(children)} processes found a violation" if failed else None)


def _child(faults: int, seed: int, engine: str) -> NoReturn:
    """Injects faults in a process of its own, and prints the counts after each campaign."""
    code = 1
    where = f"seed {seed}, engine {engine}"
    try:
        chaos(faults, seed, engine, lambda counts: print(f"{where}: {counts}", flush=True))
        print(f"{where}: all held", flush=True)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()

"""Keeps the saved states of trials that may be continued, and the weights of final networks."""

from collections.abc import Collection, Container
from contextlib import suppress
from pathlib import Path

from nas.errors import InputError
from nas.files import (
    checksum,
    discard_incomplete,
    meant_for,
    read_bytes,
    subfolder,
    write_whole,
)

_FOLDER, _WEIGHTS = "checkpoints", "weights"


class Checkpoints:
    """The files ``checkpoints/TRIAL.pt`` in a campaign's folder, which are never incomplete.

    Other files there belong to somebody else: they are neither read nor deleted. If ``checkpoints``
    is a link, so are all files there.
    """

    def __init__(self, folder: Path) -> None:
        self._campaign = folder
        self._folder = folder / _FOLDER
        self._trials = {path.stem for path in self._files() if path.suffix == ".pt"}

    def __len__(self) -> int:
        return len(self._trials)

    def find(self, trial: str) -> Path | None:
        """Returns a trial's file, if it has one."""
        return self._path(trial) if trial in self._trials else None

    def write(self, trial: str, state: bytes) -> None:
        """Writes a trial's state, which replaces an earlier one."""
        write_whole(subfolder(self._campaign, _FOLDER) / f"{trial}.pt", state)
        self._trials.add(trial)

    def discard(self, trial: str) -> None:
        """Deletes a trial's state."""
        if trial in self._trials:
            self._path(trial).unlink(missing_ok=True)
            self._trials.discard(trial)

    def discard_ended(self, ended: Container[str], wanted: Container[str]) -> None:
        """Deletes the states of trials that have ended, except the wanted ones."""
        for trial in [each for each in self._trials if each in ended and each not in wanted]:
            self.discard(trial)

    def clear(self, trials: Collection[str]) -> None:
        """Deletes the states of a campaign's trials, and the folder if nothing else is in it.

        What killed runs have left of incomplete files is deleted, too.

        A file that cannot be deleted stays, because the campaign has ended and needs it no more.
        """
        for path in self._files():
            whole = meant_for(path)
            if whole.suffix == ".pt" and whole.stem in trials:
                with suppress(OSError):
                    path.unlink()
        discard_incomplete(self._campaign, ("resolved.json",))
        discard_incomplete(self._campaign / _WEIGHTS, {f"{each}.safetensors" for each in trials})
        self._trials -= {*trials}
        if not self._folder.is_symlink():
            with suppress(OSError):  # there is none, or it holds files that are not ours
                self._folder.rmdir()

    def _files(self) -> list[Path]:
        """Lists the regular files of the folder, without links."""
        if self._folder.is_symlink() or not self._folder.is_dir():
            return []
        return [each for each in self._folder.iterdir() if each.is_file() and not each.is_symlink()]

    def _path(self, trial: str) -> Path:
        return self._folder / f"{trial}.pt"


def weights_path(folder: Path, trial: str) -> Path:
    """Returns the path of the weights of a network of the final stage, if they are kept."""
    return folder / _WEIGHTS / f"{trial}.safetensors"


def write_weights(folder: Path, trial: str, weights: bytes) -> str:
    """Writes the weights of a network of the final stage and returns their checksum."""
    subfolder(folder, _WEIGHTS)
    write_whole(weights_path(folder, trial), weights)
    return checksum(weights)


def verify_weights(path: Path, recorded: str) -> None:
    """Raises :class:`InputError` unless a file has the recorded checksum; "" allows any."""
    if recorded and (found := checksum(read_bytes(path))) != recorded:
        raise InputError(f"{path}: is damaged: its checksum is {found}, recorded {recorded}")

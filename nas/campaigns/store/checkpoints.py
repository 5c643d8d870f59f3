"""Keeps the saved states of trials that may be continued, and the weights of final networks."""

from collections.abc import Container
from pathlib import Path

from nas.files import write_whole


class Checkpoints:
    """The files ``checkpoints/TRIAL.pt`` in a campaign's folder, which are never incomplete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "checkpoints"
        self._trials = {path.stem for path in self._folder.glob("*.pt")}

    def __len__(self) -> int:
        return len(self._trials)

    def find(self, trial: str) -> Path | None:
        """Returns a trial's file, if it has one."""
        return self._path(trial) if trial in self._trials else None

    def write(self, trial: str, state: bytes) -> None:
        """Writes a trial's state, which replaces an earlier one."""
        write_whole(self._path(trial), state)
        self._trials.add(trial)

    def discard(self, trial: str) -> None:
        """Deletes a trial's state."""
        self._path(trial).unlink(missing_ok=True)
        self._trials.discard(trial)

    def discard_ended(self, ended: Container[str], wanted: Container[str]) -> None:
        """Deletes the states of trials that have ended, except the wanted ones."""
        for trial in [each for each in self._trials if each in ended and each not in wanted]:
            self.discard(trial)

    def clear(self) -> None:
        """Deletes all states, once the campaign has ended."""
        for path in self._folder.glob("*"):
            path.unlink()
        self._trials.clear()
        if self._folder.exists():
            self._folder.rmdir()

    def _path(self, trial: str) -> Path:
        return self._folder / f"{trial}.pt"


def weights_path(folder: Path, trial: str) -> Path:
    """Returns the path of the weights of a network of the final stage, if they are kept."""
    return folder / "weights" / f"{trial}.safetensors"


def write_weights(folder: Path, trial: str, weights: bytes) -> None:
    """Writes the weights of a network of the final stage."""
    write_whole(weights_path(folder, trial), weights)

"""The states that trials are saved in while somebody may go on from them; weights in the end."""

from collections.abc import Container
from pathlib import Path

from nas.files import write_whole


class Checkpoints:
    """Files ``checkpoints/TRIAL.pt`` in a campaign's folder, each whole or not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "checkpoints"
        self._trials = {path.stem for path in self._folder.glob("*.pt")}

    def __len__(self) -> int:
        return len(self._trials)

    def find(self, trial: str) -> Path | None:
        """A trial's file, if it has one."""
        return self._path(trial) if trial in self._trials else None

    def write(self, trial: str, state: bytes) -> None:
        """Puts ``state`` in place of what is there."""
        write_whole(self._path(trial), state)
        self._trials.add(trial)

    def discard(self, trial: str) -> None:
        """Forgets a trial's state."""
        self._path(trial).unlink(missing_ok=True)
        self._trials.discard(trial)

    def discard_ended(self, ended: Container[str], wanted: Container[str]) -> None:
        """Forgets those of trials that have ended, but for what is wanted."""
        for trial in [each for each in self._trials if each in ended and each not in wanted]:
            self.discard(trial)

    def clear(self) -> None:
        """Forgets all, once nothing is left to do."""
        for path in self._folder.glob("*"):
            path.unlink()
        self._trials.clear()
        if self._folder.exists():
            self._folder.rmdir()

    def _path(self, trial: str) -> Path:
        return self._folder / f"{trial}.pt"


def weights_path(folder: Path, trial: str) -> Path:
    """The weights that a network of the final stage has in the end, if they are kept."""
    return folder / "weights" / f"{trial}.safetensors"


def write_weights(folder: Path, trial: str, weights: bytes) -> None:
    """Keeps the weights of a network of the final stage."""
    write_whole(weights_path(folder, trial), weights)

"""The states that trials are saved in while somebody may go on from them; weights in the end."""

import os
from pathlib import Path


class Checkpoints:
    """Files ``checkpoints/TRIAL.pt`` in a campaign's folder, each whole or not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "checkpoints"

    def find(self, trial: str) -> Path | None:
        """A trial's file, if it has one."""
        path = self._path(trial)
        return path if path.exists() else None

    def trials(self) -> set[str]:
        """The trials that have a file."""
        return {path.stem for path in self._folder.glob("*.pt")}

    def write(self, trial: str, state: bytes) -> None:
        """Puts ``state`` in place of what is there."""
        _write(self._path(trial), state)

    def discard(self, trial: str) -> None:
        """Forgets a trial's state."""
        self._path(trial).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forgets all, once nothing is left to do."""
        for path in self._folder.glob("*"):
            path.unlink()
        if self._folder.exists():
            self._folder.rmdir()

    def _path(self, trial: str) -> Path:
        return self._folder / f"{trial}.pt"


def weights_path(folder: Path, trial: str) -> Path:
    """The weights that a network of the final stage has in the end, if they are kept."""
    return folder / "weights" / f"{trial}.safetensors"


def write_weights(folder: Path, trial: str, weights: bytes) -> None:
    """Keeps the weights of a network of the final stage."""
    _write(weights_path(folder, trial), weights)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
